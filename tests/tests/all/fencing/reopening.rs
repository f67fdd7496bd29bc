//! The dead man's switch of the fence: what pages people, and what lets them open a Region.

use promote_database::PromoteDatabase;
use shared::record::{Fenced, FencedFor, Undo};
use shared::reopen::{Condition, Opened, Order, Refusal, reopen};
use shared::step::Step;
use simulator::aws::states::ExecutionRecord;
use watch_fence::WatchFence;

use super::*;
use crate::common::{ON_CALL, SECOND};

/// A Region that was fenced by a recovery whose execution has this status, and nothing more.
async fn fenced(status: &'static str) -> World {
    let world = World::opened().await;
    world.fence().await;
    world.execution_is(status);
    // Event sources take up to a minute to become what they are told.
    tokio::time::sleep(Duration::from_secs(61)).await;
    world
}

impl World {
    fn execution_is(&self, status: &'static str) {
        let machine = "arn:aws:states:us-west-2:123456789012:stateMachine:recovery";
        let cloud = self.cloud();
        let mut execution = ExecutionRecord::running(machine, "one", "{}", cloud.now());
        execution.status = status;
        cloud.executions.put(EXECUTION, execution);
    }

    fn reference(&self) -> RecoveryRef {
        serde_json::from_value(self.opened["recovery"].clone()).unwrap()
    }

    async fn reopen(&self, by: &str, approves: bool) -> Result<Opened, Refusal> {
        let order = Order {
            region: PRIMARY,
            by,
            approves,
        };
        let aws = self.simulation.aws_in("drctl", PRIMARY);
        reopen(&aws, &self.plan, order, async |time| tokio::time::sleep(time).await).await
    }

    /// What a look of the primary Region at its fence finds, and how often people were paged there until then.
    async fn look(&self) -> (Value, usize) {
        let input = json!({ "workload": self.plan.workload });
        let found = self.step_in::<WatchFence>(PRIMARY).invoke(input).await.unwrap();
        (found["found"].clone(), self.pages().len())
    }

    fn pages(&self) -> Vec<String> {
        let topic = self.plan.topic_arn(&self.plan.regions.primary);
        let messages = self.cloud().sns.messages(&topic).into_iter();
        let pages = messages.filter(|message| message.subject.contains("is fenced"));
        pages.map(|page| page.text).collect()
    }
}

#[track_caller]
fn refused(opened: Result<Opened, Refusal>, condition: Condition, why: &str) {
    let refusal = opened.unwrap_err();
    assert_eq!(refusal.condition, Some(condition), "{refusal}");
    assert!(refusal.to_string().contains(why), "{refusal}");
}

#[test]
fn a_region_opens_only_where_each_condition_holds_in_its_order() {
    in_virtual_time(async {
        let world = World::opened().await;
        let open = world.primary();
        world.fence().await;
        world.execution_is("RUNNING");
        tokio::time::sleep(Duration::from_secs(61)).await;
        let shut = world.primary();
        // Nothing of it holds.
        let promotion = Undo {
            step: PromoteDatabase::NAME.to_owned(),
            resource: Resource::new(ResourceKind::GlobalDatabase, "radiant-global"),
            previous: Value::Null,
            taken_back_by: None,
            by_hand: None,
            taken_back_at: None,
        };
        world.record.note_undo(&world.reference(), &promotion).await.unwrap();
        let cluster = world.plan.cluster_arn(&world.plan.regions.primary);
        let cloud = world.cloud();
        cloud.rds.take_database_away(cloud, PRIMARY);
        cloud.rds.set_data_api(&cluster, false);
        let workload = &world.plan.workload;
        let note = world.other_record.fenced(workload).await.unwrap().remove(0);
        let of_another_kind = Fenced {
            fenced_for: FencedFor::Another,
            shut_before: false,
            ..note.clone()
        };
        world
            .other_record
            .note_fenced(workload, &of_another_kind)
            .await
            .unwrap();

        refused(
            world.reopen(ON_CALL, true).await,
            Condition::Lock,
            "is running in us-west-2",
        );
        world.execution_is("ABORTED");
        let why = "asked AWS to promote the database";
        refused(world.reopen(ON_CALL, true).await, Condition::NoPromotion, why);
        let now = world.cloud().now();
        world
            .record
            .note_taken_back(&world.reference(), &promotion, now)
            .await
            .unwrap();
        refused(
            world.reopen(ON_CALL, true).await,
            Condition::OnlyWriter,
            "DescribeGlobalClusters",
        );
        cloud.rds.give_database_back(cloud, PRIMARY);
        tokio::time::sleep(Duration::from_secs(600)).await;
        refused(world.reopen(ON_CALL, true).await, Condition::Canary, "ExecuteStatement");
        cloud.rds.set_data_api(&cluster, true);
        let why = "not for a move between Regions";
        refused(world.reopen(ON_CALL, true).await, Condition::OneMove, why);
        assert_eq!(world.primary(), shut, "nothing was opened");
        assert!(world.is_unlocked().await);
        let id = world.reference().id;
        assert_eq!(world.other_record.reopened(workload, &id).await.unwrap(), None);

        world.other_record.note_fenced(workload, &note).await.unwrap();
        let began = world.cloud().now();
        let opened = world.reopen(ON_CALL, false).await.unwrap();
        assert_eq!((opened.opened, opened.failed), (8, vec![]));
        assert!(
            world.cloud().now().duration_since(began).as_secs() >= 60,
            "it looked twice"
        );
        tokio::time::sleep(Duration::from_secs(61)).await;
        assert_eq!(world.primary(), open);
        assert!(world.is_unlocked().await);
        let nothing = world.reopen(ON_CALL, false).await.unwrap_err();
        assert!(nothing.to_string().contains("there is nothing to open"), "{nothing}");
        assert_eq!(world.look().await.0, "open");
    });
}

#[test]
fn a_database_on_its_way_keeps_a_region_shut() {
    in_virtual_time(async {
        let world = fenced("ABORTED").await;
        let global = &world.plan.database.global_cluster;
        world.cloud().rds.hang_next_switchover(world.cloud(), None);
        let plan = &world.opened["plan"];
        let promoting = world.with(json!({
            "way": "switchover", "database": plan["database"], "here": plan["here"], "other": plan["other"],
        }));
        world.step::<PromoteDatabase>().invoke(promoting).await.unwrap();
        assert_eq!(world.cloud().rds.moves(global).len(), 1);
        // Also where the note of it is lost.
        let id = world.reference().id;
        let undos = world.record.undo_notes(&id).await.unwrap();
        let promotion = undos.iter().find(|undo| undo.step == PromoteDatabase::NAME).unwrap();
        let now = world.cloud().now();
        world
            .record
            .note_taken_back(&world.reference(), promotion, now)
            .await
            .unwrap();
        refused(
            world.reopen(ON_CALL, true).await,
            Condition::OnlyWriter,
            "seen from us-east-1, global database radiant-global is pending to",
        );
    });
}

#[test]
fn where_the_recovery_cannot_be_read_two_people_open_and_it_changes_nothing_later() {
    in_virtual_time(async {
        let world = fenced("RUNNING").await;
        world.cloud().take_region_away(RECOVERY);
        let how = "drctl reopen us-east-1 --approve";
        refused(world.reopen(ON_CALL, false).await, Condition::Lock, how);
        refused(
            world.reopen(ON_CALL, true).await,
            Condition::Lock,
            "1 of 2 people approve",
        );
        // The same person, in another role.
        let again = ON_CALL.replace("/on-call/", "/administrator/");
        refused(
            world.reopen(&again, true).await,
            Condition::Lock,
            "1 of 2 people approve",
        );
        let opened = world.reopen(SECOND, true).await.unwrap();
        assert_eq!((opened.opened, opened.failed), (8, vec![]));
        tokio::time::sleep(Duration::from_secs(61)).await;
        let open = world.primary();

        // The recovery wakes up, which holds its lock still.
        world.cloud().give_region_back(RECOVERY);
        tokio::time::sleep(Duration::from_secs(600)).await;
        let plan = &world.opened["plan"];
        let promoting = world.with(json!({
            "way": "failover", "database": plan["database"], "here": plan["here"], "other": plan["other"],
        }));
        let refused = world.step::<PromoteDatabase>().invoke(promoting).await.unwrap_err();
        assert_eq!(refused.kind, ErrorKind::Preempted, "{refused}");
        let fencing = world.step::<fence_region::FenceRegion>();
        let refused = fencing.invoke(fence_input(&world)).await.unwrap_err();
        assert_eq!(refused.kind, ErrorKind::Preempted, "{refused}");
        assert!(world.cloud().rds.moves(&world.plan.database.global_cluster).is_empty());
        assert_eq!(world.primary(), open);
    });
}

#[test]
fn a_fenced_region_pages_people_while_it_hears_nothing_of_the_recovery() {
    in_virtual_time(async {
        let world = World::opened().await;
        assert_eq!(world.look().await, (json!("open"), 0));
        world.fence().await;
        let mut found = Vec::new();
        // Its record is read and stands still; then its Region does not answer.
        for minute in 0..22 {
            if minute == 12 {
                world.cloud().take_region_away(RECOVERY);
            }
            found.push(world.look().await.1);
            tokio::time::sleep(Duration::from_secs(60)).await;
        }
        let paged: Vec<usize> = (1..found.len()).filter(|n| found[*n] > found[n - 1]).collect();
        assert_eq!(paged, [5, 10, 15, 20]);
        for (page, heard) in [(0, "has not changed"), (3, "us-east-1 cannot read us-west-2")] {
            let page = &world.pages()[page];
            assert!(
                page.lines().any(|line| line.trim() == "drctl reopen us-east-1"),
                "{page}"
            );
            assert!(page.contains(heard) && page.contains("still the writer"), "{page}");
        }
    });
}

#[test]
fn a_region_that_was_left_for_good_pages_nobody() {
    in_virtual_time(async {
        let world = fenced("RUNNING").await;
        let plan = &world.opened["plan"];
        let promoting = world.with(json!({
            "way": "switchover", "database": plan["database"], "here": plan["here"], "other": plan["other"],
        }));
        world.step::<PromoteDatabase>().invoke(promoting).await.unwrap();
        tokio::time::sleep(Duration::from_secs(600)).await;
        assert_eq!(world.look().await, (json!("moved"), 0));
        // Whatever becomes of the other Region.
        world.cloud().take_region_away(RECOVERY);
        for _ in 0..20 {
            tokio::time::sleep(Duration::from_secs(60)).await;
            assert_eq!(world.look().await, (json!("moved"), 0));
        }
    });
}
