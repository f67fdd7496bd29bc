//! While the standby Region serves, the primary watches it: the same probe, alarm and rule, and people are asked.

use std::time::Duration;

use serde_json::json;
use shared::record::Record;
use shared::recovery::Outcome;
use simulator::aws::sns::Message;

use crate::common::{PRIMARY, RECOVERY, SECOND, THIRD, World, body, in_virtual_time};

const MINUTE: Duration = Duration::from_secs(60);

/// What people were asked on the topic of the primary Region.
fn questions(world: &World) -> Vec<Message> {
    let topic = world.plan.topic_arn(&world.plan.regions.primary);
    let messages = world.cloud().sns.messages(&topic).into_iter();
    messages.filter(|message| body(&message.text).is_some()).collect()
}

async fn approve(world: &World, question: &Message) {
    for (who, expected) in [(SECOND, 202), (THIRD, 200)] {
        let mut answer = body(&question.text).unwrap();
        answer["answer"] = json!("approve");
        answer["reason"] = json!("us-west-2 is lost");
        let answer = answer.to_string();
        let posted = world
            .simulation
            .post_to_function(PRIMARY, "record-approval", who, &answer);
        let (status, said) = posted.await.unwrap();
        assert_eq!(status, expected, "{said}");
    }
}

#[test]
fn while_the_standby_region_serves_the_primary_watches_and_asks_people() {
    in_virtual_time(async {
        let world = World::watched(|_| {}).await;
        let cloud = world.cloud();
        let there = Record::in_region(&world.simulation.aws_in("test", PRIMARY), PRIMARY);
        let workload = &world.plan.workload;
        tokio::time::sleep(30 * MINUTE).await;
        cloud.take_region_away(PRIMARY);
        tokio::time::sleep(60 * MINUTE).await;
        assert_eq!(world.closing().await.outcome, Outcome::Recovered);

        // It comes back, and its cluster is synchronised again. Nothing there starts by itself.
        cloud.give_region_back(PRIMARY);
        tokio::time::sleep(12 * 60 * MINUTE).await;
        assert_eq!(there.recoveries(workload).await.unwrap(), Vec::<String>::new());
        assert_eq!(there.start_decisions(workload).await.unwrap(), []);
        assert_eq!(questions(&world), []);

        // Now the other one is lost.
        cloud.take_region_away(RECOVERY);
        tokio::time::sleep(10 * MINUTE).await;
        let asked = questions(&world);
        assert_eq!(asked.len(), 1, "the alarm of the primary Region asks");
        approve(&world, &asked[0]).await;
        tokio::time::sleep(60 * MINUTE).await;
        for question in &questions(&world)[1..] {
            approve(&world, question).await;
        }
        tokio::time::sleep(60 * MINUTE).await;
        let id = there.recoveries(workload).await.unwrap().pop().unwrap();
        let closing = there.header(&id).await.unwrap().unwrap().closing.unwrap();
        assert_eq!(closing.outcome, Outcome::Recovered, "{:?}", closing.reason);
    });
}
