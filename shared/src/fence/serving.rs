//! What lets a Region serve: functions that may run, and a stage that lets customers in.

use aws_sdk_lambda::operation::get_function_configuration::GetFunctionConfigurationOutput;
use aws_sdk_lambda::types::{LastUpdateStatus, State};

use super::setting::{EVERY_METHOD, Setting, Throttling};
use crate::error::{ErrorKind, StepError};
use crate::plan::{CLUSTER_VARIABLE, SECRET_VARIABLE};
use crate::slices::SiteSlice;

/// Whether a function may run. Errors: `Conflict` while it is being made, `VerificationFailed` where it does not fit.
pub fn may_run(
    configuration: &GetFunctionConfigurationOutput,
    here: &SiteSlice,
    resource: &str,
) -> Result<(), StepError> {
    if configuration.state() == Some(&State::Pending) {
        let text = format!("{resource} is still being created; it is tried again");
        return Err(StepError::new(ErrorKind::Conflict, text));
    }
    fit_to_run(configuration, here)
        .map_err(|reason| StepError::new(ErrorKind::VerificationFailed, format!("{resource} {reason}")))
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
        (CLUSTER_VARIABLE, &here.cluster_arn),
        (SECRET_VARIABLE, &here.secret_arn),
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

/// What a stage has to become so that customers are let in; nothing, where they are. Errors: `VerificationFailed`, where
/// they are not and it is not known what was there before.
pub fn opened(now: &Setting, before: Option<&Setting>, region: &str) -> Result<Option<Setting>, StepError> {
    let Setting::Stage { throttling, .. } = now else {
        return Ok(None);
    };
    match before {
        Some(before) if now == before => Ok(None),
        Some(before) if *now == before.fenced() => Ok(Some(before.clone())),
        _ if throttling.get(EVERY_METHOD) != Some(&Throttling::CLOSED) => Ok(None),
        before => {
            let by_hand = match before {
                Some(before) => format!(
                    "it was changed since the fence; open it: {}",
                    before.by_hand(now, region)
                ),
                None => "there is no note of its earlier throttling; set its throttling in the console".to_owned(),
            };
            let text = format!("blocks all requests ({}): {by_hand}", now.describe());
            Err(StepError::new(ErrorKind::VerificationFailed, text))
        }
    }
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
            api: crate::slices::ApiSlice {
                rest_api: "abcdefghij".into(),
                stage: "v2".into(),
                domain: "d.example.com".into(),
            },
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

    #[test]
    fn a_stage_is_opened_as_it_was_and_one_that_nobody_knows_is_named() {
        let stage = |throttling: &[(&str, f64)]| Setting::Stage {
            rest_api: "abc".into(),
            stage: "v2".into(),
            throttling: throttling
                .iter()
                .map(|(method, rate)| {
                    (
                        (*method).to_owned(),
                        Throttling {
                            rate: *rate,
                            burst: *rate as i32,
                        },
                    )
                })
                .collect(),
        };
        let before = stage(&[("~1orders/GET", 50.0)]);
        let closed = before.fenced();
        assert_eq!(opened(&closed, Some(&before), "r"), Ok(Some(before.clone())));
        assert_eq!(opened(&before, Some(&before), "r"), Ok(None));
        assert_eq!(opened(&stage(&[]), None, "r"), Ok(None));
        let unknown = opened(&closed, None, "r").unwrap_err();
        assert!(unknown.message.contains("there is no note"), "{unknown}");
        let changed = stage(&[("*/*", 0.0), ("~1orders/GET", 7.0)]);
        let changed = opened(&changed, Some(&before), "r").unwrap_err();
        assert!(changed.message.contains("changed since the fence"), "{changed}");
    }
}
