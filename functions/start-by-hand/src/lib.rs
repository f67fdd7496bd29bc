//! Starts a recovery for a person, and writes down who that is: AWS has authenticated the caller of a function URL, and what
//! somebody writes into the input of an execution is only said. Decision 37.
//!
//! The person's program makes up an id. The execution's name follows from it, so that asking twice with the same id starts once,
//! also where the function dies in between. Who asked is written down before the execution is started: an execution that somebody
//! else started under that name before does not become this person's. What is started cannot be taken back here; the recovery
//! has its own guards.

use std::time::Duration;

use aws_lambda_events::lambda_function_urls::LambdaFunctionUrlResponse;
use aws_sdk_sfn::Client;
use serde::Deserialize;
use shared::arn::{self, Arn};
use shared::aws::Aws;
use shared::error::{ErrorKind, StepError};
use shared::execution::start_once;
use shared::function_url::{Person, body, caller, refuse, reply, reply_with};
use shared::plan::Plan;
use shared::record::{Record, StartDecision, Started};
use shared::recovery::Mode;
use shared::request::{Request, Trigger, TriggerKind};
use shared::scenario::{Fields, Scenario};
use shared::step::{Caller, Change, Step};

pub use shared::function_url::{Input, Output};

/// How long starting may take: below the step's own limit, so that the person is told to try again.
const STARTING: Duration = Duration::from_secs(18);
/// The longest id. An execution's name has 80 characters at most, and begins with the scenario's.
const LONGEST_ID: usize = 40;
/// The form of a request.
const FORM: &str = r#"{"id": "…", "machine": "…", "scenario": "…", "wants": {…}}, and "always_ask", "drill" or "take_over" where you want that"#;

/// What a person asks for.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    /// Made up by whoever asks; the same again is the same start.
    id: String,
    /// ARN of the recovery machine of this Region.
    machine: String,
    /// The scenario.
    scenario: Scenario,
    /// Fields of the scenario's own.
    #[serde(default)]
    wants: Fields,
    /// Whether people approve even where the policy would ask nobody.
    #[serde(default)]
    always_ask: bool,
    /// Whether it is a drill, which gives way to a recovery.
    #[serde(default)]
    drill: bool,
    /// Id of a running recovery whose lock is to be taken over, once people have approved that.
    #[serde(default)]
    take_over: Option<String>,
}

/// The step: starts a recovery for a person whom AWS has authenticated.
#[derive(Debug)]
pub struct StartByHand {
    aws: Aws,
    machines: Client,
    record: Record,
}

impl Step for StartByHand {
    const NAME: &'static str = "start-by-hand";
    const DESCRIPTION: &'static str = "Starts a recovery for a person whom AWS has authenticated";
    const CALLED_BY: &'static [Caller] = &[Caller::Url];
    const CHANGES: &'static [Change] = &[Change::Call("states:StartExecution"), Change::Item("start")];
    type Input = Input;
    type Output = Output;

    fn new(aws: &Aws) -> Self {
        Self {
            aws: aws.clone(),
            machines: Client::new(aws.config()),
            record: Record::new(aws),
        }
    }

    async fn run(&self, input: Input) -> Result<Output, StepError> {
        let (person, asked) = match read(&input) {
            Ok(read) => read,
            Err(refusal) => return Ok(Output(*refusal)),
        };
        let answer = match tokio::time::timeout(STARTING, self.start(&person, &asked)).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(error)) if error.kind.is_retryable() => {
                tracing::error!(error = %error, "could not start the recovery");
                try_again()
            }
            Ok(Err(error)) => {
                tracing::error!(error = %error, "could not start the recovery");
                reply(500, "failed", format!("nothing was started: {error}"))
            }
            Err(_) => {
                tracing::error!("could not start the recovery within {STARTING:?}");
                try_again()
            }
        };
        tracing::info!(
            id = asked.id,
            scenario = %asked.scenario,
            by = person.arn,
            status = answer.status_code,
            "answered"
        );
        Ok(Output(answer))
    }
}

impl StartByHand {
    async fn start(&self, person: &Person, asked: &Asked) -> Result<LambdaFunctionUrlResponse, StepError> {
        let (plan_sha256, plan) = self.record.current_plan().await?;
        if let Err(refusal) = may_start(person, asked, &plan, self.aws.region()) {
            return Ok(*refusal);
        }
        let wants = match asked.scenario.wants(asked.wants.clone()) {
            Ok(wants) => wants,
            Err(why) => return Ok(reply(400, "not-understood", format!("wants: {why}"))),
        };
        let name = format!("{}-{}", asked.scenario, asked.id);
        let decision = StartDecision {
            id: asked.id.clone(),
            by: person.arn.clone(),
            at: self.aws.now(),
            decision: Started::Started {
                execution: arn::execution(&asked.machine, &name),
            },
        };
        if !self.record.note_start_decision(&plan.workload, &decision).await? {
            let before = self.record.start_decision(&plan.workload, &asked.id).await?;
            let is_own =
                before.is_some_and(|before| (&before.by, &before.decision) == (&decision.by, &decision.decision));
            if !is_own {
                let message = "another request was started with this id; try again with a new id";
                return Ok(reply(409, "taken", message));
            }
        }
        let trigger = Trigger {
            kind: TriggerKind::Person,
            by: person.arn.clone(),
            at: self.aws.now(),
        };
        let mode = if asked.drill { Mode::Drill } else { self.aws.mode() };
        let request = Request {
            always_ask: asked.always_ask,
            plan_sha256: Some(plan_sha256),
            take_over: asked.take_over.clone(),
            ..Request::new(asked.scenario, mode, wants, trigger)
        };
        let execution = self.execute(&asked.machine, &name, &request).await?;
        let message = format!("{} begins", asked.scenario);
        Ok(reply_with(202, "started", message, &[("execution", &execution)]))
    }

    /// Starts the execution, unless it was started before; gives its ARN.
    async fn execute(&self, machine: &str, name: &str, request: &Request) -> Result<String, StepError> {
        let input = serde_json::to_string(request).map_err(|error| {
            let text = format!("the request is not JSON: {error}; this is a defect");
            StepError::new(ErrorKind::Internal, text)
        })?;
        start_once(&self.machines, machine, name, &input).await
    }
}

/// Who asks for what. Errors: the HTTP answer that says what is wrong with the request.
fn read(input: &Input) -> Result<(Person, Asked), Box<LambdaFunctionUrlResponse>> {
    let person = caller(input)?;
    let asked: Asked = body(input, FORM)?;
    let is_id = |id: &str| {
        let is_plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        !id.is_empty() && id.len() <= LONGEST_ID && id.bytes().all(is_plain)
    };
    if !is_id(&asked.id) {
        let message = format!("an id has 1 to {LONGEST_ID} lower-case letters, digits and hyphens");
        return Err(refuse(400, "not-understood", message));
    }
    Ok((person, asked))
}

/// Errors: the HTTP answer that says why this person cannot start that here.
fn may_start(person: &Person, asked: &Asked, plan: &Plan, region: &str) -> Result<(), Box<LambdaFunctionUrlResponse>> {
    if person.account != plan.account {
        let message = format!(
            "{} belongs to another account than the plan in force, {}",
            person.arn, plan.account
        );
        return Err(refuse(403, "not-allowed", message));
    }
    let machine = Arn::read(&asked.machine).filter(|arn| arn.name_of("states", "stateMachine").is_some());
    if machine.map(|arn| (arn.region, arn.account)) != Some((region, plan.account.as_str())) {
        let message = format!(
            "machine must be the ARN of the recovery machine in {region}, in account {}",
            plan.account
        );
        return Err(refuse(400, "not-understood", message));
    }
    if asked.scenario.machine().is_none() {
        let message = format!("nothing recovers from {} yet; recover by hand", asked.scenario);
        return Err(refuse(409, "not-yet", message));
    }
    Ok(())
}

fn try_again() -> LambdaFunctionUrlResponse {
    let message =
        "the recovery was not started, or the result is unknown; try again with the same id: twice does no harm";
    reply(503, "try-again", message)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const USER: &str = "arn:aws:iam::123456789012:user/first";
    const MACHINE: &str = "arn:aws:states:us-west-2:123456789012:stateMachine:recovery";

    fn event(body: &Value) -> Input {
        serde_json::from_value(json!({
            "requestContext": {
                "authorizer": { "iam": { "userArn": USER } },
                "http": { "method": "POST", "path": "/" },
            },
            "body": body.to_string(),
        }))
        .unwrap()
    }

    fn least() -> Value {
        json!({ "id": "0a-1", "machine": MACHINE, "scenario": Scenario::all()[0] })
    }

    #[test]
    fn who_asks_is_whom_aws_authenticated() {
        let (person, asked) = read(&event(&least())).unwrap();
        assert_eq!((person.arn.as_str(), asked.scenario), (USER, Scenario::all()[0]));
        let mut forged = least();
        forged["trigger"] = json!({ "kind": "person", "by": "arn:aws:iam::123456789012:user/second" });
        assert_eq!(read(&event(&forged)).unwrap_err().status_code, 400);
    }

    #[test]
    fn an_id_is_one_that_a_name_can_end_with() {
        for (id, is_one) in [
            ("a", true),
            (&"a".repeat(40) as &str, true),
            ("", false),
            (&"a".repeat(41), false),
            ("A", false),
            ("a#b", false),
            ("a b", false),
        ] {
            let mut asked = least();
            asked["id"] = json!(id);
            assert_eq!(read(&event(&asked)).is_ok(), is_one, "{id}");
        }
        let longest = Scenario::all().into_iter().map(|scenario| scenario.name().len()).max();
        assert!(longest.unwrap() + 1 + LONGEST_ID <= 80);
    }
}
