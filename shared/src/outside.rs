//! Proof that whoever looks reaches the world outside: without it, that something does not answer says nothing of that thing.

use std::time::Duration;

use futures::future::join_all;

use crate::aws::Aws;
use crate::slices::OutsideSlice;

/// How long each of them may take to answer.
pub const PROOF_WITHIN: Duration = Duration::from_secs(2);

/// Asks AWS's endpoints and the names of others, side by side. Any answer counts, whatever it says. Errors: a text that says
/// what is missing, where no endpoint answers or no name.
pub async fn prove(aws: &Aws, outside: &OutsideSlice) -> Result<(), String> {
    let (endpoints, names) = tokio::join!(
        biased;
        any_answers(aws, &outside.endpoints),
        any_answers(aws, &outside.names),
    );
    let silent: Vec<String> = [(endpoints, &outside.endpoints), (names, &outside.names)]
        .into_iter()
        .filter(|(answers, _)| !answers)
        .map(|(_, hosts)| format!("none of {} answers within {PROOF_WITHIN:?}", hosts.join(", ")))
        .collect();
    match silent.is_empty() {
        true => Ok(()),
        false => Err(silent.join("; ")),
    }
}

async fn any_answers(aws: &Aws, hosts: &[String]) -> bool {
    let asked = hosts.iter().map(|host| {
        let url = format!("https://{host}/");
        async move { aws.get(&url, PROOF_WITHIN).await.is_ok() }
    });
    join_all(asked).await.into_iter().any(|answers| answers)
}
