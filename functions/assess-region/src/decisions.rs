//! What is decided for all that `DescribeGlobalClusters` may return.

use aws_sdk_rds::types::{
    DbCluster, FailoverState, FailoverStatus, GlobalCluster, GlobalClusterMember, WriteForwardingStatus,
};
use shared::global_database::GlobalDatabase;
use shared::recovery::Way;
use shared::scenario::region_failure::Intent;

use crate::evidence::Evidence;
use crate::judge::tests::{HERE, OTHER, cluster, input, lost_region, replicating};
use crate::judge::{Output, assess};

const THIRD: &str = "arn:aws:rds:eu-west-1:123456789012:cluster:third";

/// What AWS says of a move: its status, its target, and whether it may lose writes. Empty is empty.
type State = Option<(&'static str, &'static str, Option<bool>)>;

/// A row of the table.
struct Row {
    /// The clusters. The first letter is which: (h)ere, (o)ther, (t)hird, a further one, (e)mpty; a capital takes writes.
    members: &'static str,
    state: State,
    /// What becomes of a planned switchover, and of a failover while the other Region is lost.
    switchover: &'static str,
    failover: &'static str,
}

const fn row(members: &'static str, state: State, switchover: &'static str, failover: &'static str) -> Row {
    Row {
        members,
        state,
        switchover,
        failover,
    }
}

const ASKS_NOBODY: &str = "goes, asks 0";
const ASKS: &str = "goes, asks 2";
const NO_MEMBER: &str = "is not a member";
const WRONG_WRITER: &str = "is neither the cluster of";
const SEVERAL: &str = "several clusters take the writes";
const NOBODY: &str = "AWS names none";
const ELSEWHERE: &str = "wait until that has ended";

/// The table.
const TABLE: [Row; 34] = [
    // Who takes the writes, while nothing goes on.
    row("", None, NO_MEMBER, NO_MEMBER),
    row("h", None, NOBODY, ASKS),
    row("H", None, ASKS_NOBODY, ASKS_NOBODY),
    row("O", None, NO_MEMBER, NO_MEMBER),
    row("Oh", None, ASKS_NOBODY, ASKS_NOBODY),
    row("oh", None, NOBODY, ASKS),
    row("oH", None, ASKS_NOBODY, ASKS_NOBODY),
    row("OH", None, SEVERAL, SEVERAL),
    row("hT", None, WRONG_WRITER, WRONG_WRITER),
    row("ohT", None, WRONG_WRITER, WRONG_WRITER),
    row("Oht", None, ASKS_NOBODY, ASKS_NOBODY),
    row("OhT", None, SEVERAL, SEVERAL),
    row("oht", None, NOBODY, ASKS),
    row("Ohtabc", None, ASKS_NOBODY, ASKS_NOBODY),
    row("ohTabc", None, WRONG_WRITER, WRONG_WRITER),
    // What is empty is absent.
    row("Ohe", None, ASKS_NOBODY, ASKS_NOBODY),
    row("ohE", None, NOBODY, ASKS),
    row("Oh", Some(("", "", None)), ASKS_NOBODY, ASKS_NOBODY),
    row("Oh", Some(("", "", Some(false))), ASKS_NOBODY, ASKS_NOBODY),
    // The database moves here.
    row(
        "Oh",
        Some(("pending", HERE, Some(true))),
        "failover, asks 2",
        ASKS_NOBODY,
    ),
    row(
        "Oh",
        Some(("failing-over", HERE, None)),
        "failover, asks 2",
        ASKS_NOBODY,
    ),
    row("Oh", Some(("", HERE, Some(true))), "failover, asks 2", ASKS_NOBODY),
    row(
        "Oh",
        Some(("a-new-one", HERE, Some(true))),
        "failover, asks 2",
        ASKS_NOBODY,
    ),
    row(
        "Oh",
        Some(("cancelling", HERE, Some(true))),
        "failover, asks 2",
        ASKS_NOBODY,
    ),
    row(
        "Oh",
        Some(("switching-over", HERE, Some(false))),
        ASKS_NOBODY,
        ASKS_NOBODY,
    ),
    row(
        "oH",
        Some(("failing-over", HERE, Some(true))),
        "failover, asks 2",
        ASKS_NOBODY,
    ),
    row(
        "hT",
        Some(("failing-over", HERE, Some(true))),
        WRONG_WRITER,
        WRONG_WRITER,
    ),
    // It moves to somewhere else, or nobody knows where.
    row("Oh", Some(("failing-over", OTHER, Some(true))), ELSEWHERE, ELSEWHERE),
    row("oH", Some(("failing-over", OTHER, Some(true))), ELSEWHERE, ELSEWHERE),
    row("Oht", Some(("failing-over", THIRD, Some(true))), ELSEWHERE, ELSEWHERE),
    row("Oh", Some(("failing-over", THIRD, Some(true))), ELSEWHERE, ELSEWHERE),
    row("Oh", Some(("failing-over", "", Some(true))), ELSEWHERE, ELSEWHERE),
    row("Oh", Some(("a-new-one", "", None)), ELSEWHERE, ELSEWHERE),
    row("oH", Some(("pending", "", Some(false))), ELSEWHERE, ELSEWHERE),
];

/// What AWS returns.
fn returned(members: &str, state: State, forwarding: bool) -> GlobalDatabase {
    let member = |letter: char| {
        let arn = match letter.to_ascii_lowercase() {
            'h' => HERE.to_owned(),
            'o' => OTHER.to_owned(),
            't' => THIRD.to_owned(),
            'e' => String::new(),
            other => format!("arn:aws:rds:eu-west-1:123456789012:cluster:{other}"),
        };
        let is_writer = letter.is_ascii_uppercase();
        let forwards = forwarding && !is_writer;
        GlobalClusterMember::builder()
            .db_cluster_arn(arn)
            .is_writer(is_writer)
            .set_global_write_forwarding_status(forwards.then_some(WriteForwardingStatus::Enabled))
            .build()
    };
    let state = state.map(|(status, to, loses)| {
        FailoverState::builder()
            .status(FailoverStatus::from(status))
            .from_db_cluster_arn("")
            .to_db_cluster_arn(to)
            .set_is_data_loss_allowed(loses)
            .build()
    });
    let cluster = GlobalCluster::builder()
        .global_cluster_identifier("g")
        .set_global_cluster_members(Some(members.chars().map(member).collect()))
        .set_failover_state(state)
        .engine_version("16.6")
        .build();
    GlobalDatabase::from_aws("g", &cluster)
}

fn switchover(database: GlobalDatabase, here: DbCluster) -> Output {
    let evidence = Evidence {
        database,
        here,
        other: Ok(cluster("available")),
        ..replicating()
    };
    assess(&input(Intent::Switchover), &evidence, None)
}

fn failover(database: GlobalDatabase, here: DbCluster, intent: Intent) -> Output {
    let evidence = Evidence {
        database,
        here,
        ..lost_region()
    };
    assess(&input(intent), &evidence, None)
}

/// Whether it is decided as the table has it.
fn is_as(output: &Output, wanted: Way, expected: &str) -> bool {
    let asks = format!("goes, asks {}", output.ask.people);
    let other_way = format!("{}, asks {}", output.way.name(), output.ask.people);
    match output.blockers.as_slice() {
        [] if output.way == wanted => expected == asks,
        [] => expected == other_way,
        blockers => blockers.iter().any(|blocker| blocker.contains(expected)),
    }
}

#[test]
fn decisions_over_all_that_describe_global_clusters_may_return() {
    for Row {
        members,
        state,
        switchover: for_switchover,
        failover: for_failover,
    } in TABLE
    {
        for forwarding in [false, true] {
            let database = || returned(members, state, forwarding);
            let planned = switchover(database(), cluster("available"));
            assert!(
                is_as(&planned, Way::Switchover, for_switchover),
                "a switchover with {members} and {state:?}: {:?}, {:?}",
                planned.blockers,
                planned.ask
            );
            for intent in [Intent::Failover, Intent::Decide] {
                let lost = failover(database(), cluster("available"), intent);
                // Whoever decides for a switchover that nobody planned asks, also for one that goes on already.
                let (way, expected) = match state {
                    Some((_, HERE, Some(false))) if intent == Intent::Decide => (Way::Switchover, "goes, asks 2"),
                    _ => (Way::Failover, for_failover),
                };
                assert!(
                    is_as(&lost, way, expected),
                    "{intent:?} with {members} and {state:?}: {:?}, {:?}",
                    lost.blockers,
                    lost.ask
                );
            }
        }
    }
}

/// Whatever is returned, a writer that is neither side's, and a move whose end is not known to be here, let nothing begin;
/// and nobody is asked only where one of the two sides is the only writer.
#[test]
fn nothing_begins_by_a_writer_that_nobody_knows() {
    let sets = ["", "h", "o", "oh", "oht", "ohta", "ohtab", "ohtabc"];
    let states = [
        "",
        "pending",
        "failing-over",
        "switching-over",
        "cancelling",
        "a-new-one",
    ];
    let targets = ["", HERE, OTHER, THIRD];
    for set in sets {
        let letters: Vec<char> = set.chars().collect();
        let mut writings = vec![set.to_owned()];
        for first in 0..letters.len() {
            for second in first..letters.len() {
                let mut written = letters.clone();
                written[first].make_ascii_uppercase();
                written[second].make_ascii_uppercase();
                writings.push(written.iter().collect());
            }
        }
        for members in writings {
            for status in states {
                for target in targets {
                    for headless in [false, true] {
                        let here = || match headless {
                            true => DbCluster::builder()
                                .status("available")
                                .http_endpoint_enabled(true)
                                .build(),
                            false => cluster("available"),
                        };
                        let database = || returned(&members, Some((status, target, Some(true))), false);
                        for output in [
                            switchover(database(), here()),
                            failover(database(), here(), Intent::Failover),
                            failover(database(), here(), Intent::Decide),
                        ] {
                            let writers: Vec<char> = members.chars().filter(char::is_ascii_uppercase).collect();
                            let known = matches!(writers.as_slice(), [] | ['H' | 'O']);
                            let goes_on = (status, target) != ("", "") && target != HERE;
                            let row = format!("{members} {status} {target} {headless}: {:?}", output.blockers);
                            let blocked = !output.blockers.is_empty();
                            assert!(
                                blocked || (known && !goes_on && members.contains(['h', 'H']) && !headless),
                                "{row}"
                            );
                            let asked = blocked || output.ask.people > 0;
                            assert!(asked || !writers.is_empty() || target == HERE, "{row}");
                        }
                    }
                }
            }
        }
    }
}
