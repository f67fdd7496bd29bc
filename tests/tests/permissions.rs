//! What whole recoveries touch and invoke is all in the table of permissions.

use std::collections::BTreeSet;
use std::time::Duration;

use common::{PRIMARY, RECOVERY, World, in_virtual_time, request};
use shared::recovery::Outcome;
use tests::iam::{Required, operations, required, required_to_invoke};

mod common;

/// What `function` needs to do what it did.
fn needs(world: &World, function: &str) -> BTreeSet<Required> {
    let (table, touched) = (operations(), world.simulation.touched());
    let own = touched.iter().filter(|touched| touched.function == function);
    own.flat_map(|touched| required(touched, &table).unwrap()).collect()
}

/// Everything that was touched and invoked, as the permissions that it takes. Panics with what is not known.
fn all_known(world: &World) {
    let table = operations();
    let touched = world.simulation.touched();
    let unknown = touched.iter().filter_map(|touched| required(touched, &table).err());
    assert_eq!(unknown.collect::<Vec<_>>(), Vec::<String>::new());
    let invoked = world.simulation.invoked();
    let unknown = invoked
        .iter()
        .filter_map(|invoked| required_to_invoke(invoked, &table).err());
    assert_eq!(unknown.collect::<Vec<_>>(), Vec::<String>::new());
    assert!(!touched.is_empty() && !invoked.is_empty());
}

fn actions_on(needed: &BTreeSet<Required>, ending: &str) -> Vec<String> {
    let on = needed.iter().filter(|needed| needed.resource.ends_with(ending));
    on.map(|needed| needed.action.clone()).collect()
}

#[test]
fn a_failover_that_an_alarm_started_takes_what_the_table_says() {
    in_virtual_time(async {
        let world = World::watched(|_| {}).await;
        world.cloud().take_region_away(PRIMARY);
        assert!(world.simulation.wait_for_a_start(Duration::from_secs(1800)).await);
        world.wait().await;
        all_known(&world);
        let promote = needs(&world, "promote-database");
        for ending in [
            "global-cluster:radiant-global",
            "us-east-1:123456789012:cluster:radiant-production",
            "us-west-2:123456789012:cluster:radiant-dr-cluster",
        ] {
            assert!(
                actions_on(&promote, ending).contains(&"rds:FailoverGlobalCluster".to_owned()),
                "{ending}: {promote:?}"
            );
        }
        // The Region that is away does not answer, and whoever asks it has to be allowed to all the same.
        let fence = needs(&world, "fence-region");
        assert!(
            fence.iter().any(|needed| needed.resource.contains(PRIMARY)),
            "{fence:?}"
        );
        let secret = needs(&world, "check-database");
        let secret = secret
            .iter()
            .find(|needed| needed.action == "secretsmanager:GetSecretValue");
        let recovery = &world.plan.regions.recovery.database_secret;
        assert_eq!(secret.map(|needed| &needed.resource), Some(recovery));
    });
}

#[test]
fn a_switchover_takes_what_the_table_says() {
    in_virtual_time(async {
        let world = World::good_times(|_| {}).await;
        world.start("planned", request("switchover"));
        world.wait().await;
        let closing = world.only_header().await.closing.unwrap();
        assert_eq!(closing.outcome, Outcome::Recovered, "{:?}", closing.reason);
        all_known(&world);
        let fence = needs(&world, "fence-region");
        let transaction = format!("dynamodb:{RECOVERY}:123456789012:table/radiant-recoveries");
        let actions = actions_on(&fence, &transaction);
        for action in ["dynamodb:ConditionCheckItem", "dynamodb:PutItem"] {
            assert!(actions.contains(&action.to_owned()), "{actions:?}");
        }
        let mapping = fence
            .iter()
            .find(|needed| needed.action == "lambda:UpdateEventSourceMapping");
        let functions = &mapping.unwrap().conditions["lambda:FunctionArn"];
        assert_eq!(functions.len(), 1, "{functions:?}");
    });
}

#[test]
fn a_name_that_is_changed_in_route_53_takes_what_the_table_says() {
    in_virtual_time(async {
        let world = World::good_times(|plan| plan.dns.switch_object = None).await;
        let name = world.plan.dns.name.clone();
        world.start("planned", request("switchover"));
        world.wait().await;
        all_known(&world);
        let switch = needs(&world, "switch-dns");
        let change = switch
            .iter()
            .find(|needed| needed.action == "route53:ChangeResourceRecordSets");
        let names = &change.unwrap().conditions["route53:ChangeResourceRecordSetsNormalizedRecordNames"];
        assert_eq!(*names, BTreeSet::from([name]));
        let check = needs(&world, "check-dns");
        assert!(
            check.iter().any(|needed| needed.action == "route53:GetChange"),
            "{check:?}"
        );
    });
}
