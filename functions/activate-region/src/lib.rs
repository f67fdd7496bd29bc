//! Lets the functions of this Region run.
//!
//! While a Region stands by, its functions are kept at a reserved concurrency of 0, so that nothing writes there. This
//! step gives each function the concurrency that the plan says (or none reserved), after it has seen that the function
//! points at this Region's database: a function that would write elsewhere is left off and named. N of M is a result.
//! It is taken back by the concurrency that was noted.

use std::time::Duration;

use aws_sdk_lambda::Client;
use aws_sdk_lambda::operation::get_function_configuration::GetFunctionConfigurationOutput;
use aws_sdk_lambda::types::{LastUpdateStatus, State};
use serde::{Deserialize, Serialize};
use serde_json::json;
use shared::aws::Aws;
use shared::error::{ErrorKind, StepError};
use shared::plan::Function;
use shared::record::{Record, Undo};
use shared::recovery::RecoveryRef;
use shared::slices::SiteSlice;
use shared::step::Step;

/// What to let run.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Input {
    /// The recovery.
    pub recovery: RecoveryRef,
    /// The Region that takes over.
    pub here: SiteSlice,
    /// The functions.
    pub functions: Vec<Function>,
}

/// What runs.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct Output {
    /// How many functions run as planned.
    pub active: usize,
    /// How many there are.
    pub of: usize,
    /// The others, and why.
    pub failed: Vec<Failure>,
}

/// A function that does not run as planned.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct Failure {
    /// The function.
    pub function: String,
    /// Why, and what to do.
    pub reason: String,
}

/// The step.
#[derive(Debug)]
pub struct ActivateRegion {
    lambda: Client,
    record: Record,
}

impl Step for ActivateRegion {
    const NAME: &'static str = "activate-region";
    const TIME_LIMIT: Duration = Duration::from_secs(110);
    type Input = Input;
    type Output = Output;

    fn new(aws: &Aws) -> Self {
        Self {
            lambda: Client::new(aws.config()),
            record: Record::new(aws),
        }
    }

    async fn run(&self, input: Input) -> Result<Output, StepError> {
        self.record.still_ours(&input.recovery).await?;
        // One after the other: Lambda's control plane takes 15 requests a second, and transactions on the same lock get in
        // each other's way. The database takes minutes meanwhile.
        let mut failed = Vec::new();
        let mut passing = None;
        for function in &input.functions {
            match self.activate(&input, function).await {
                Ok(()) => {}
                Err(error) if error.kind == ErrorKind::Preempted => return Err(error),
                Err(error) => {
                    passing = passing.or_else(|| error.kind.is_retryable().then(|| error.clone()));
                    failed.push(Failure {
                        function: function.name.clone(),
                        reason: error.to_string(),
                    });
                }
            }
        }
        // What may pass is tried again by the machine; functions that run answer at once then.
        if let Some(error) = passing {
            return Err(error);
        }
        let of = input.functions.len();
        Ok(Output {
            active: of - failed.len(),
            of,
            failed,
        })
    }
}

impl ActivateRegion {
    async fn activate(&self, input: &Input, function: &Function) -> Result<(), StepError> {
        let name = &function.name;
        let resource = format!("function {name} in {}", input.here.region);
        let configuration = self
            .lambda
            .get_function_configuration()
            .function_name(name)
            .send()
            .await
            .map_err(|error| StepError::aws("lambda:GetFunctionConfiguration", &resource, error))?;
        if configuration.state() == Some(&State::Pending) {
            return Err(StepError::new(
                ErrorKind::Conflict,
                format!("{resource} is still being made; it is tried again"),
            ));
        }
        fit_to_run(&configuration, &input.here)
            .map_err(|reason| StepError::new(ErrorKind::VerificationFailed, format!("{resource} {reason}")))?;
        let reserved = self
            .lambda
            .get_function_concurrency()
            .function_name(name)
            .send()
            .await
            .map_err(|error| StepError::aws("lambda:GetFunctionConcurrency", &resource, error))?
            .reserved_concurrent_executions();
        let wanted = function
            .reserved_concurrency
            .map(|count| i32::try_from(count).unwrap_or(i32::MAX));
        if reserved == wanted {
            return Ok(());
        }
        let undo = Undo {
            step: Self::NAME.to_owned(),
            resource: resource.clone(),
            previous: json!({ "reserved_concurrency": reserved }),
            taken_back_by: Some("the reserved concurrency that was there before, or none".to_owned()),
        };
        self.record.note_undo(&input.recovery, &undo).await?;
        match wanted {
            Some(count) => {
                self.lambda
                    .put_function_concurrency()
                    .function_name(name)
                    .reserved_concurrent_executions(count)
                    .send()
                    .await
                    .map_err(|error| StepError::aws("lambda:PutFunctionConcurrency", &resource, error))?;
            }
            None => {
                self.lambda
                    .delete_function_concurrency()
                    .function_name(name)
                    .send()
                    .await
                    .map_err(|error| StepError::aws("lambda:DeleteFunctionConcurrency", &resource, error))?;
            }
        }
        Ok(())
    }
}

/// Whether a function may run in this Region. Errors: why not, and what to do.
fn fit_to_run(configuration: &GetFunctionConfigurationOutput, here: &SiteSlice) -> Result<(), String> {
    // An inactive function wakes up when it is invoked. Any other state, also one that is new to us, does not run.
    if let Some(state) = configuration.state()
        && !matches!(state, State::Active | State::Inactive)
    {
        return Err(format!("is {state}; deploy it again"));
    }
    if configuration.last_update_status() == Some(&LastUpdateStatus::Failed) {
        let why = configuration.last_update_status_reason().unwrap_or("no reason given");
        return Err(format!("failed its last update ({why}); deploy it again"));
    }
    let environment = configuration.environment();
    if let Some(error) = environment.and_then(|environment| environment.error()) {
        let why = error.message().unwrap_or("no reason given");
        return Err(format!(
            "cannot decrypt its environment ({why}); give its role the KMS key"
        ));
    }
    let variable = |name: &str| environment?.variables()?.get(name).map(String::as_str);
    for (name, wanted) in [
        ("DB_CLUSTER_ARN", &here.cluster_arn),
        ("DB_SECRET_ARN", &here.secret_arn),
    ] {
        match variable(name) {
            Some(value) if value == wanted => {}
            Some(_) => {
                return Err(format!(
                    "has another {name} than {wanted}; correct its deployment in {}",
                    here.region
                ));
            }
            None => return Err(format!("has no {name}; set it to {wanted} in {}", here.region)),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use aws_sdk_lambda::types::{EnvironmentError, EnvironmentResponse};

    use super::*;

    fn here() -> SiteSlice {
        SiteSlice {
            region: "us-west-2".into(),
            cluster: "c".into(),
            cluster_arn: "arn:c".into(),
            secret_arn: "arn:s".into(),
            topic_arn: "arn:t".into(),
        }
    }

    fn configuration(variables: &[(&str, &str)]) -> GetFunctionConfigurationOutput {
        let mut environment = EnvironmentResponse::builder();
        for (name, value) in variables {
            environment = environment.variables(*name, *value);
        }
        GetFunctionConfigurationOutput::builder()
            .state(State::Active)
            .environment(environment.build())
            .build()
    }

    const RIGHT: [(&str, &str); 2] = [("DB_CLUSTER_ARN", "arn:c"), ("DB_SECRET_ARN", "arn:s")];

    #[test]
    fn a_function_that_points_here_may_run() {
        assert_eq!(fit_to_run(&configuration(&RIGHT), &here()), Ok(()));
    }

    #[test]
    fn a_function_that_points_elsewhere_or_nowhere_may_not() {
        let elsewhere = fit_to_run(&configuration(&[("DB_CLUSTER_ARN", "arn:old"), RIGHT[1]]), &here()).unwrap_err();
        assert!(elsewhere.contains("another DB_CLUSTER_ARN"), "{elsewhere}");
        assert!(
            !elsewhere.contains("arn:old"),
            "values of variables stay out of logs: {elsewhere}"
        );
        let without_secret = fit_to_run(&configuration(&RIGHT[..1]), &here()).unwrap_err();
        assert!(without_secret.contains("no DB_SECRET_ARN"), "{without_secret}");
        assert!(fit_to_run(&GetFunctionConfigurationOutput::builder().build(), &here()).is_err());
    }

    #[test]
    fn a_broken_function_may_not() {
        let mut failed = configuration(&RIGHT);
        failed.state = Some(State::Failed);
        assert!(fit_to_run(&failed, &here()).unwrap_err().contains("deploy it again"));
        let mut update = configuration(&RIGHT);
        update.last_update_status = Some(LastUpdateStatus::Failed);
        assert!(fit_to_run(&update, &here()).unwrap_err().contains("last update"));
        let mut undecrypted = configuration(&RIGHT);
        let error = EnvironmentError::builder().message("KMS says no").build();
        undecrypted.environment = Some(EnvironmentResponse::builder().error(error).build());
        assert!(fit_to_run(&undecrypted, &here()).unwrap_err().contains("KMS says no"));
    }
}
