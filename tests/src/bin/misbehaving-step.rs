//! A Lambda function for `tests/lambda_runtime.rs`: it does whatever its input says, so that every way in which a step
//! can go wrong is seen to reach Step Functions under our names.

use serde::{Deserialize, Serialize};
use shared::aws::Aws;
use shared::error::{ErrorKind, StepError};
use shared::step::{Change, Step};
use shared::summary::{Summarise, Summary};

/// What to do.
#[derive(Debug, Deserialize)]
#[serde(tag = "do", rename_all = "kebab-case", deny_unknown_fields)]
enum Deed {
    /// Give an answer.
    Answer,
    /// Return an error of the kind with this name.
    Fail { kind: String },
    /// Panic with a text that the compiler knows.
    PanicWithText,
    /// Panic with a text that is made then.
    PanicWithString { text: String },
    /// Panic with something that is no text.
    PanicWithNumber,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Input {
    deed: Deed,
    count: u32,
    /// Stands for what must not be told.
    #[serde(default)]
    password: Option<String>,
}

#[derive(Debug, Serialize)]
struct Output {
    count: u32,
    password_length: usize,
}

impl Summarise for Output {
    fn summarise(&self) -> Summary {
        Summary::done(format!("counted {}", self.count))
    }
}

struct MisbehavingStep;

impl Step for MisbehavingStep {
    const NAME: &'static str = "misbehaving-step";
    const DESCRIPTION: &'static str = "Ends in every way in which a step can";
    const CHANGES: &'static [Change] = &[];
    type Input = Input;
    type Output = Output;

    fn new(_: &Aws) -> Self {
        Self
    }

    async fn run(&self, input: Input) -> Result<Output, StepError> {
        match input.deed {
            Deed::Answer => {
                let password_length = input.password.map(|password| password.len()).unwrap_or_default();
                Ok(Output {
                    count: input.count,
                    password_length,
                })
            }
            Deed::Fail { kind } => {
                let known = ErrorKind::ALL.into_iter().find(|known| known.name() == kind);
                let kind =
                    known.ok_or_else(|| StepError::new(ErrorKind::InvalidInput, format!("no kind is {kind}")))?;
                Err(StepError::new(kind, format!("asked to fail {} times", input.count)))
            }
            Deed::PanicWithText => panic!("a text that was always there"),
            Deed::PanicWithString { text } => panic!("a text with {text} in it"),
            Deed::PanicWithNumber => std::panic::panic_any(input.count),
        }
    }
}

fn main() -> Result<(), shared::lambda::Error> {
    shared::lambda::serve::<MisbehavingStep>()
}
