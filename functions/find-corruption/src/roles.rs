//! Whether the functions' roles may use the cluster that is to be restored: a role that names the damaged cluster alone would leave
//! customers without the service, after the point of no return.
//!
//! Nothing is assumed about how a function uses its cluster: what its role may do with the damaged one, it must be allowed with the
//! restored one.

use std::collections::BTreeMap;
use std::time::Duration;

use aws_sdk_iam::Client;
use aws_sdk_iam::types::{EvaluationResult, PolicyEvaluationDecisionType};
use futures::StreamExt;
use shared::error::{ErrorKind, StepError};
use tokio::time::Instant;

/// What a function can do with a cluster through the Data API.
const ACTIONS: [&str; 5] = [
    "rds-data:BatchExecuteStatement",
    "rds-data:BeginTransaction",
    "rds-data:CommitTransaction",
    "rds-data:ExecuteStatement",
    "rds-data:RollbackTransaction",
];
/// How many roles are asked about at once: IAM publishes no limit for it.
const AT_ONCE: usize = 4;

/// What IAM says of a role.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    /// It may do with the restored cluster what it may do with the damaged one.
    Same,
    /// It may not do these.
    Lacks(Vec<String>),
    /// A condition of its policies depends on what is not known here.
    Unclear,
}

/// What is known of roles, by ARN.
pub(crate) type Roles = BTreeMap<String, Result<Access, StepError>>;

/// What each of these roles may do, by ARN; those that were not asked about within that time are errors.
pub(crate) async fn access(
    client: &Client,
    roles: Vec<String>,
    damaged: &str,
    restored: &str,
    within: Duration,
) -> Roles {
    let until = Instant::now() + within;
    let each = roles.into_iter().map(|role| async move {
        let asked = tokio::time::timeout_at(until, of_role(client, &role, damaged, restored)).await;
        let asked = asked.unwrap_or_else(|_| {
            let text = format!("iam:SimulatePrincipalPolicy on {role}: no answer within {within:?}");
            Err(StepError::new(ErrorKind::Unavailable, text))
        });
        (role, asked)
    });
    futures::stream::iter(each).buffered(AT_ONCE).collect().await
}

async fn of_role(client: &Client, role: &str, damaged: &str, restored: &str) -> Result<Access, StepError> {
    let (before, after) = (
        simulate(client, role, damaged).await?,
        simulate(client, role, restored).await?,
    );
    Ok(compare(&before, &after))
}

/// One resource at a time: what IAM says of several in one answer is told apart by action alone.
async fn simulate(client: &Client, role: &str, cluster: &str) -> Result<Vec<EvaluationResult>, StepError> {
    let output = client
        .simulate_principal_policy()
        .policy_source_arn(role)
        .set_action_names(Some(ACTIONS.map(str::to_owned).to_vec()))
        .resource_arns(cluster)
        .send()
        .await
        .map_err(|error| StepError::aws("iam:SimulatePrincipalPolicy", role, error))?;
    Ok(output.evaluation_results.unwrap_or_default())
}

fn compare(before: &[EvaluationResult], after: &[EvaluationResult]) -> Access {
    let allowed = |results: &[EvaluationResult], action: &str| {
        let mut of_action = results.iter().filter(|result| result.eval_action_name() == action);
        of_action.any(|result| *result.eval_decision() == PolicyEvaluationDecisionType::Allowed)
    };
    let lacks: Vec<&str> = ACTIONS
        .into_iter()
        .filter(|action| allowed(before, action) && !allowed(after, action))
        .collect();
    let unclear = after
        .iter()
        .any(|result| lacks.contains(&result.eval_action_name()) && !result.missing_context_values().is_empty());
    match lacks.is_empty() {
        true => Access::Same,
        false if unclear => Access::Unclear,
        false => Access::Lacks(lacks.into_iter().map(str::to_owned).collect()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn result(action: &str, is_allowed: bool, missing: Option<&str>) -> EvaluationResult {
        let decision = match is_allowed {
            true => PolicyEvaluationDecisionType::Allowed,
            false => PolicyEvaluationDecisionType::ImplicitDeny,
        };
        EvaluationResult::builder()
            .eval_action_name(action)
            .eval_decision(decision)
            .set_missing_context_values(missing.map(|name| vec![name.to_owned()]))
            .build()
            .unwrap()
    }

    #[test]
    fn a_role_must_be_allowed_with_the_restored_cluster_what_it_is_with_the_damaged_one() {
        let execute = |is_allowed| result("rds-data:ExecuteStatement", is_allowed, None);
        let begin = |is_allowed| result("rds-data:BeginTransaction", is_allowed, None);
        assert_eq!(
            compare(&[execute(true), begin(false)], &[execute(true), begin(false)]),
            Access::Same
        );
        assert_eq!(
            compare(&[execute(false)], &[execute(false)]),
            Access::Same,
            "it reaches it another way"
        );
        let lacks = compare(&[execute(true), begin(true)], &[execute(false), begin(true)]);
        assert_eq!(lacks, Access::Lacks(vec!["rds-data:ExecuteStatement".to_owned()]));
        let by_tag = result("rds-data:ExecuteStatement", false, Some("aws:ResourceTag/team"));
        assert_eq!(compare(&[execute(true)], &[by_tag]), Access::Unclear);
    }
}
