//! A manual snapshot of the cluster that takes writes, as a person orders it before a risky change.
//!
//! One name stands for one snapshot: whoever asks again, after a lost answer or a Ctrl-C, gets the one that is being made. A
//! snapshot from long ago that has the name is no snapshot of now, and is refused.

use std::time::Duration;

use aws_sdk_rds::Client;
use aws_sdk_rds::error::ProvideErrorMetadata;
use aws_sdk_rds::types::{DbClusterSnapshot, Tag};
use jiff::{SignedDuration, Timestamp};

use crate::arn::{self, Arn};
use crate::aws::Aws;
use crate::error::{ErrorKind, StepError};
use crate::global_database::GlobalDatabase;
use crate::plan::{Plan, Site};

/// The longest name that RDS takes. Source: RDS API Reference, `CreateDBClusterSnapshot`.
const LONGEST_NAME: usize = 63;
/// How long ago a snapshot of the same name may have been taken to be the one that is asked for.
const IS_OF_NOW: SignedDuration = SignedDuration::from_hours(1);
/// How often it is looked at.
const LOOKED_AT_EVERY: Duration = Duration::from_secs(15);
/// For how long. AWS publishes no durations; the SDK's own waiter gives up after 30 minutes.
const LOOKED_AT_FOR: SignedDuration = SignedDuration::from_hours(2);
/// How many looks in a row may fail.
const FAILED_LOOKS: u32 = 20;
/// The tag that says who made it.
const TAG: &str = "made-by";
/// The status of one that can be restored.
pub const AVAILABLE: &str = "available";

/// A snapshot, as AWS shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// Its identifier.
    pub name: String,
    /// Its Region.
    pub region: String,
    /// The cluster that it is of.
    pub cluster: String,
    /// From when its data are; AWS says it once it has begun.
    pub taken_at: Option<Timestamp>,
    /// `creating`, `available`, or what else AWS says.
    pub status: String,
    /// How much of it is made, in percent, if AWS says.
    pub percent: Option<i32>,
}

impl Snapshot {
    /// Whether it can be restored.
    pub fn is_available(&self) -> bool {
        self.status == AVAILABLE
    }

    fn read(region: &str, shown: &DbClusterSnapshot) -> Self {
        let text = |text: Option<&str>| text.unwrap_or_default().to_owned();
        Self {
            name: text(shown.db_cluster_snapshot_identifier()),
            region: region.to_owned(),
            cluster: text(shown.db_cluster_identifier()),
            taken_at: taken_at(shown),
            status: text(shown.status()),
            percent: shown.percent_progress(),
        }
    }
}

/// The identifier of the snapshot that people call `name`: RDS keeps those of all clusters of a Region apart by it. Errors: a text,
/// if RDS would not take it.
pub fn identifier(cluster: &str, name: &str) -> Result<String, String> {
    let id = format!("{cluster}-{name}");
    let is_plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if name.is_empty() || !name.chars().all(is_plain) || name.ends_with('-') || id.contains("--") {
        return Err(format!(
            "{name:?} is no name of a snapshot; use lower-case letters, digits, and single hyphens within, such as before-v42"
        ));
    }
    if id.len() > LONGEST_NAME {
        let most = LONGEST_NAME.saturating_sub(cluster.len() + 1);
        return Err(format!(
            "{name} is too long: RDS takes {LONGEST_NAME} characters with the cluster's name, so use {most} at most"
        ));
    }
    Ok(id)
}

/// Takes a snapshot of the cluster that takes writes, and waits with `wait` until it can be restored; `seen` is called at each
/// look. Asked again, it makes no other one. Errors: `InvalidInput` for the name, `Refused` for a name that an old snapshot has,
/// `Conflict` while the database moves, `Unavailable` if it is not made in two hours, and AWS's own.
pub async fn take(
    aws: &Aws,
    plan: &Plan,
    name: &str,
    wait: impl AsyncFn(Duration),
    mut seen: impl FnMut(&Snapshot),
) -> Result<Snapshot, StepError> {
    let site = writer(aws, plan).await?;
    let (cluster, region) = (site.cluster.as_str(), site.region.as_str());
    let id = identifier(cluster, name).map_err(|why| StepError::new(ErrorKind::InvalidInput, why))?;
    let client = Client::new(&aws.config_to_change(region));
    let began = aws.now();
    let mut snapshot = match look(&client, &id, region).await? {
        Some(there) => there,
        None => create(&client, &id, cluster, region).await?,
    };
    is_of_now(&snapshot, cluster, began)?;
    seen(&snapshot);
    let mut failed = 0;
    while !snapshot.is_available() {
        if !["creating", "copying"].contains(&snapshot.status.as_str()) {
            let text = format!(
                "snapshot {id} in {region} is {}; look at it in the console, delete it, then try again",
                snapshot.status
            );
            return Err(StepError::new(ErrorKind::VerificationFailed, text));
        }
        if aws.now().duration_since(began) > LOOKED_AT_FOR {
            let text = format!(
                "snapshot {id} in {region} is not available after {LOOKED_AT_FOR:#}; AWS continues to make it: run the command again to \
                 wait for it"
            );
            return Err(StepError::new(ErrorKind::Unavailable, text));
        }
        wait(LOOKED_AT_EVERY).await;
        match look(&client, &id, region).await {
            Ok(Some(shown)) => {
                failed = 0;
                snapshot = shown;
                seen(&snapshot);
            }
            Ok(None) => {
                let text = format!(
                    "snapshot {id} in {region} is gone while it was being made; check who deleted it, then try again"
                );
                return Err(StepError::new(ErrorKind::NotFound, text));
            }
            Err(error) if error.kind.is_retryable() && failed < FAILED_LOOKS => failed += 1,
            Err(error) => return Err(error),
        }
    }
    Ok(snapshot)
}

/// The site whose cluster takes writes, as either Region says. Errors: neither says, the database moves, or the plan does not know
/// the writer.
async fn writer<'a>(aws: &Aws, plan: &'a Plan) -> Result<&'a Site, StepError> {
    let id = &plan.database.global_cluster;
    let [primary, standby] = [&plan.regions.primary.region, &plan.regions.standby.region];
    let ask =
        async |region: &str| GlobalDatabase::describe(&Client::new(&aws.config_to_look(region)), id, region).await;
    let database = match ask(primary).await {
        Ok(database) => database,
        Err(_) => ask(standby).await?,
    };
    if let Some(transition) = &database.transition {
        let text = format!("{}; wait until it has ended, then try again", transition.in_words(id));
        return Err(StepError::new(ErrorKind::Conflict, text));
    }
    let writer = database.writers().next();
    let writer = writer.map_or("", |member| member.cluster_arn.as_str());
    let site = plan
        .site(arn::region(writer))
        .filter(|site| plan.cluster_arn(site) == writer);
    site.ok_or_else(|| {
        let text = format!(
            "global database {id} has the writer {writer:?}, which the plan does not name; compare the plan with AWS"
        );
        StepError::new(ErrorKind::NotFound, text)
    })
}

async fn look(client: &Client, id: &str, region: &str) -> Result<Option<Snapshot>, StepError> {
    let found = find(client, id, region).await?;
    Ok(found.map(|shown| Snapshot::read(region, &shown)))
}

/// The manual snapshot of this identifier or ARN, if there is one. One that another account shares has to be named by its ARN. Errors:
/// AWS's own.
pub async fn find(client: &Client, name: &str, region: &str) -> Result<Option<DbClusterSnapshot>, StepError> {
    let asked = client
        .describe_db_cluster_snapshots()
        .db_cluster_snapshot_identifier(name)
        .set_include_shared(Arn::read(name).is_some().then_some(true))
        .send()
        .await;
    let error = match asked {
        Ok(found) => return Ok(found.db_cluster_snapshots.unwrap_or_default().into_iter().next()),
        Err(error) => StepError::aws("rds:DescribeDBClusterSnapshots", &resource(name, region), error),
    };
    match error.kind {
        ErrorKind::NotFound => Ok(None),
        _ => Err(error),
    }
}

/// From when the data of a snapshot are, once AWS says it.
pub fn taken_at(shown: &DbClusterSnapshot) -> Option<Timestamp> {
    Timestamp::from_nanosecond(shown.snapshot_create_time()?.as_nanos()).ok()
}

/// Asks for it. Where an answer was lost and AWS is asked twice, the second one finds it made.
async fn create(client: &Client, id: &str, cluster: &str, region: &str) -> Result<Snapshot, StepError> {
    let asked = client
        .create_db_cluster_snapshot()
        .db_cluster_snapshot_identifier(id)
        .db_cluster_identifier(cluster)
        .tags(Tag::builder().key(TAG).value("drctl").build())
        .send()
        .await;
    let error = match asked {
        Ok(made) => {
            let shown = made.db_cluster_snapshot().map(|shown| Snapshot::read(region, shown));
            return shown.ok_or_else(|| gone(id, region));
        }
        Err(error) => error,
    };
    if error.code() == Some("DBClusterSnapshotAlreadyExistsFault") {
        return look(client, id, region).await?.ok_or_else(|| gone(id, region));
    }
    Err(StepError::aws(
        "rds:CreateDBClusterSnapshot",
        &resource(id, region),
        error,
    ))
}

fn gone(id: &str, region: &str) -> StepError {
    let text = format!(
        "AWS shows no {}, although it took the order; try again",
        resource(id, region)
    );
    StepError::new(ErrorKind::Unavailable, text)
}

fn resource(id: &str, region: &str) -> String {
    format!("snapshot {id} in {region}")
}

/// Whether a snapshot that has the name is the one that is asked for. Errors: it is of another cluster, or of long ago.
fn is_of_now(snapshot: &Snapshot, cluster: &str, now: Timestamp) -> Result<(), StepError> {
    let refused = |why: String| StepError::new(ErrorKind::Refused, format!("{why}; choose another name"));
    let Snapshot { name, region, .. } = snapshot;
    if snapshot.cluster != cluster {
        let other = &snapshot.cluster;
        return Err(refused(format!(
            "snapshot {name} in {region} is of cluster {other}, not of {cluster}"
        )));
    }
    match snapshot.taken_at {
        Some(at) if now.duration_since(at) > IS_OF_NOW => Err(refused(format!(
            "snapshot {name} in {region} was taken at {at:.0}, and has nothing of what was written since"
        ))),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_what_rds_takes() {
        assert_eq!(identifier("shop", "before-v42").unwrap(), "shop-before-v42");
        for name in ["", "-a", "a-", "a--b", "A", "a_b", "a b", "ä", "a.b"] {
            assert!(identifier("shop", name).is_err(), "{name}");
        }
        let long = "a".repeat(58);
        assert_eq!(identifier("shop", &long).unwrap().len(), 63);
        let why = identifier("shop", &format!("{long}a")).unwrap_err();
        assert!(why.contains("use 58 at most"), "{why}");
    }

    #[test]
    fn an_old_snapshot_is_not_one_of_now() {
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        let snapshot = |taken_at: Option<&str>| Snapshot {
            name: "shop-a".into(),
            region: "us-east-1".into(),
            cluster: "shop".into(),
            taken_at: taken_at.map(at),
            status: "available".into(),
            percent: None,
        };
        let now = at("2026-01-06T03:00:00Z");
        for fine in [None, Some("2026-01-06T02:00:00Z"), Some("2026-01-06T03:00:01Z")] {
            assert!(is_of_now(&snapshot(fine), "shop", now).is_ok(), "{fine:?}");
        }
        let old = is_of_now(&snapshot(Some("2026-01-06T01:59:59Z")), "shop", now).unwrap_err();
        assert!(old.message.contains("taken at 2026-01-06T01:59:59Z"), "{old}");
        let other = is_of_now(&snapshot(None), "market", now).unwrap_err();
        assert!(
            other.kind == ErrorKind::Refused && other.message.contains("not of market"),
            "{other}"
        );
    }
}
