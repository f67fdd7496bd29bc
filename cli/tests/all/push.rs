//! `drctl plan push`: the plan in force in both Regions of the simulated AWS, and the command line.

use assert_cmd::cargo::cargo_bin_cmd;
use drctl::push;
use shared::record::Record;

use crate::common::with_radiant;

#[test]
fn a_plan_is_in_force_in_both_regions_or_where_it_can_be() {
    with_radiant(async |simulation, plan| {
        let aws = simulation.aws("drctl");
        let pushed: Vec<String> = push(&aws, &plan)
            .await
            .into_iter()
            .map(|answer| answer.answer.unwrap())
            .collect();
        assert!(pushed.len() == 2 && pushed[0] == pushed[1], "{pushed:?}");
        for region in ["us-east-1", "us-west-2"] {
            let in_force = Record::in_region(&aws, region).current_plan().await.unwrap();
            assert_eq!(in_force, (pushed[0].clone(), plan.clone()), "{region}");
        }
        simulation.cloud().take_region_away("us-east-1");
        let mut changed = plan.clone();
        changed.health.consecutive += 1;
        let answers = push(&aws, &changed).await;
        assert!(answers[0].answer.is_err() && answers[1].answer.is_ok(), "{answers:?}");
        let (_, in_force) = Record::in_region(&aws, "us-west-2").current_plan().await.unwrap();
        assert_eq!(in_force, changed);
    });
}

#[test]
fn an_unsound_plan_is_not_pushed() {
    let folder = tempfile::TempDir::new().unwrap();
    std::fs::write(folder.path().join("p.yaml"), "version: 2\n").unwrap();
    let mut command = cargo_bin_cmd!("drctl");
    command.args(["plan", "push", "p.yaml"]).current_dir(folder.path());
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(output.stdout.is_empty());
    assert!(String::from_utf8(output.stderr).unwrap().contains("p.yaml"));
}
