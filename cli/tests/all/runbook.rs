//! `drctl runbook`: the page with the plan's own names.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::common::{Answer, answer, root};

/// `drctl runbook`, with a plan.
fn runbook(scenario: &str, plan: &Path) -> Answer {
    let mut command = Command::new(env!("CARGO_BIN_EXE_drctl"));
    answer(
        command
            .args(["runbook", scenario, "--plan"])
            .arg(plan)
            .output()
            .unwrap(),
    )
}

/// The example plan with other names, in a file of this test's own.
fn renamed(name: &str, names: &[(&str, &str)]) -> PathBuf {
    let mut plan = fs::read_to_string(root().join("radiant.plan.yaml")).unwrap();
    for (from, to) in names {
        assert!(plan.contains(from), "the example plan has no {from}");
        plan = plan.replace(from, to);
    }
    let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    fs::write(&file, plan).unwrap();
    file
}

#[test]
fn a_runbook_has_the_plans_own_names_and_none_of_the_example() {
    let names = [
        ("radiant-production-", "till-"),
        ("radiant", "shop"),
        ("us-east-1", "eu-central-1"),
        ("us-west-2", "eu-north-1"),
        ("123456789012", "210987654321"),
        ("abc123def4", "q1w2e3r4t5"),
        ("f5e4d3c2b1", "z9y8x7w6v5"),
        ("d-f6g7h8i9j0", "d-0a9b8c7d6e"),
        ("Z123456", "Z654321"),
        ("stage: v2", "stage: v7"),
        ("/v2/", "/v7/"),
    ];
    let plan = renamed("shop.plan.yaml", &names);
    let (status, page, error) = runbook("region-failure", &plan);
    assert_eq!((status, error.as_str()), (0, ""));
    for (from, _) in names {
        let left: Vec<&str> = page.lines().filter(|line| line.contains(from)).collect();
        assert!(left.is_empty(), "{from} is left in {left:#?}");
    }
    for part in [
        "aws lambda put-function-concurrency --region eu-central-1 --function-name \"$f\" --reserved-concurrent-executions 0",
        "for f in till-router till-admin till-billing till-localization till-configuration; do",
        "arn:aws:states:eu-north-1:210987654321:stateMachine:shop-recovery",
        "https://api.shop.example.com/v7/health",
        "](docs/deploy.md)",
        "--stage-name v7 ",
    ] {
        assert!(page.contains(part), "{part} is missing in {page}");
    }
}

/// A plan whose primary Region is the example's standby: a name that was put in is not replaced again.
#[test]
fn regions_can_be_the_examples_the_other_way_round() {
    let plan = renamed(
        "swapped.plan.yaml",
        &[
            ("us-east-1", "us-swap-1"),
            ("us-west-2", "us-east-1"),
            ("us-swap-1", "us-west-2"),
        ],
    );
    let (status, page, _) = runbook("region-failure", &plan);
    assert_eq!(status, 0);
    assert!(
        page.contains("us-west-2 is the primary Region, us-east-1 the standby Region"),
        "{page}"
    );
}

#[test]
fn with_the_example_plan_the_page_is_as_it_is_in_the_repository() {
    let plan = root().join("radiant.plan.yaml");
    let (status, page, _) = runbook("region-failure", &plan);
    let kept = fs::read_to_string(root().join("docs/runbooks/region-failure.md")).unwrap();
    let kept = kept
        .replace("](../", "](docs/")
        .replace("radiant.plan.yaml", &plan.display().to_string());
    assert_eq!((status, page.trim_end()), (0, kept.trim_end()));
}

#[test]
fn a_scenario_without_a_runbook_is_wrong_use_and_names_those_that_have_one() {
    let (status, page, error) = runbook("security-breach", &root().join("radiant.plan.yaml"));
    assert_eq!((status, page.as_str()), (2, ""));
    assert!(
        error.contains("security-breach has no runbook yet; there is one for database-corruption, region-failure"),
        "{error}"
    );
}
