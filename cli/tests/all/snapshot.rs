//! `drctl snapshot`: on the simulated AWS, and the command line.

use std::cell::RefCell;
use std::time::Duration;

use assert_cmd::cargo::cargo_bin_cmd;
use shared::aws::Aws;
use shared::error::{ErrorKind, StepError};
use shared::plan::Plan;
use shared::snapshot::{Snapshot, take};
use simulator::simulation::Simulation;

use crate::common::{answer, root, with_radiant};

/// What the snapshot is called in these tests.
const NAME: &str = "before-v42";

/// Takes one; gives it with the statuses that were seen.
async fn taken(aws: &Aws, plan: &Plan) -> Result<(Snapshot, Vec<String>), StepError> {
    let seen = RefCell::new(Vec::new());
    let note = |snapshot: &Snapshot| seen.borrow_mut().push(snapshot.status.clone());
    let snapshot = take(aws, plan, NAME, tokio::time::sleep, note).await?;
    Ok((snapshot, seen.into_inner()))
}

fn snapshots(simulation: &Simulation) -> String {
    serde_json::to_string(&simulation.cloud().journal()["snapshots"]).unwrap()
}

#[test]
fn however_often_it_is_asked_for_there_is_one() {
    with_radiant(async |simulation, plan| {
        let (aws, plan) = (&simulation.aws("drctl"), &plan);
        let asked_at = simulation.cloud().now();
        let (snapshot, seen) = taken(aws, plan).await.unwrap();
        assert_eq!(
            (snapshot.name.as_str(), snapshot.region.as_str()),
            ("radiant-production-before-v42", "us-east-1")
        );
        assert!(
            snapshot.is_available() && snapshot.cluster == "radiant-production",
            "{snapshot:?}"
        );
        let after = snapshot.taken_at.unwrap().duration_since(asked_at).as_secs_f64();
        assert!((0.0..2.0).contains(&after), "{after}");
        // It is waited for: between 2 and 30 minutes, in steps of 15 s.
        assert!(
            seen.len() > 8 && seen[0] == "creating" && seen[seen.len() - 1] == "available",
            "{seen:?}"
        );
        let made = snapshots(&simulation);
        assert!(made.contains("radiant-production-before-v42"), "{made}");
        let (again, seen) = taken(aws, plan).await.unwrap();
        assert_eq!((again, seen), (snapshot, vec!["available".to_owned()]));
        assert_eq!(snapshots(&simulation), made);
    });
}

#[test]
fn whoever_stops_waiting_and_asks_again_waits_for_the_same_one() {
    with_radiant(async |simulation, plan| {
        let (aws, plan) = (&simulation.aws("drctl"), &plan);
        let interrupted = tokio::time::timeout(Duration::from_secs(60), taken(aws, plan)).await;
        assert!(interrupted.is_err());
        let begun = snapshots(&simulation);
        let (snapshot, seen) = taken(aws, plan).await.unwrap();
        assert!(snapshot.is_available() && seen[0] == "creating", "{seen:?}");
        assert_eq!(snapshots(&simulation), begun);
    });
}

#[test]
fn an_old_snapshot_of_that_name_is_no_snapshot_of_now() {
    with_radiant(async |simulation, plan| {
        let (aws, plan) = (&simulation.aws("drctl"), &plan);
        taken(aws, plan).await.unwrap();
        tokio::time::sleep(Duration::from_secs(3601)).await;
        let error = taken(aws, plan).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Refused);
        assert!(
            error
                .message
                .contains("has nothing of what was written since; choose another name"),
            "{error}"
        );
    });
}

#[test]
fn it_is_of_the_cluster_that_takes_writes_wherever_that_is() {
    with_radiant(async |simulation, plan| {
        let (aws, plan) = (&simulation.aws("drctl"), &plan);
        let cloud = simulation.cloud();
        let standby = plan.cluster_arn(&plan.regions.standby);
        let third = simulator::aws::rds::NewCluster {
            arn: "arn:aws:rds:eu-west-1:123456789012:cluster:other".into(),
            id: "other".into(),
            region: "eu-west-1".into(),
            master: simulator::workload::database_login("of-no-use"),
        };
        let aws_of_rds = aws_sdk_rds::Client::new(&aws.config_in("us-east-1"));
        let switch = aws_of_rds
            .switchover_global_cluster()
            .global_cluster_identifier(&plan.database.global_cluster)
            .target_db_cluster_identifier(&standby);
        switch.send().await.unwrap();
        // Nobody knows whose data it would have.
        let moving = taken(aws, plan).await.unwrap_err();
        assert!(
            moving.kind == ErrorKind::Conflict && moving.message.contains("wait until it has ended"),
            "{moving}"
        );
        tokio::time::sleep(Duration::from_secs(600)).await;
        let (snapshot, _) = taken(aws, plan).await.unwrap();
        assert_eq!(
            (snapshot.name.as_str(), snapshot.region.as_str()),
            ("radiant-dr-cluster-before-v42", "us-west-2")
        );
        // The primary Region is away, and the other one answers.
        cloud.take_region_away("us-east-1");
        assert_eq!(taken(aws, plan).await.unwrap().0, snapshot);
        cloud.give_region_back("us-east-1");
        cloud
            .rds
            .move_to_a_third_cluster(cloud, &plan.database.global_cluster, &third)
            .unwrap();
        let unknown = taken(aws, plan).await.unwrap_err();
        assert!(unknown.message.contains("which the plan does not name"), "{unknown}");
    });
}

#[test]
fn a_name_that_rds_does_not_take_is_wrong_use() {
    for name in ["Before", "a--b", "-", &"a".repeat(60)] {
        let mut command = cargo_bin_cmd!("drctl");
        command.args(["snapshot", "--", name]).current_dir(root());
        let (status, stdout, stderr) = answer(command.output().unwrap());
        assert_eq!((status, stdout.as_str()), (2, ""), "{name}: {stderr}");
        assert!(stderr.starts_with("drctl: "), "{stderr}");
    }
}
