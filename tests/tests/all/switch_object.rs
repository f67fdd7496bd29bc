//! After a move the public name depends on one public object: the Region that serves tells people where it does not lead there.

use std::time::Duration;

use shared::recovery::Outcome;

use crate::common::{PRIMARY, RECOVERY, World, in_virtual_time};

const MINUTE: Duration = Duration::from_secs(60);

/// How often people of a Region were told that customers are not sent there.
fn pages(world: &World, region: &str) -> usize {
    let site = world.plan.site(region).unwrap();
    let messages = world.cloud().sns.messages(&world.plan.topic_arn(site)).into_iter();
    messages
        .filter(|message| message.subject.contains("customers are not sent to"))
        .count()
}

#[test]
fn whoever_hides_or_deletes_the_switch_object_is_found_out_from_the_region_that_serves() {
    in_virtual_time(async {
        let world = World::watched(|_| {}).await;
        let cloud = world.cloud();
        tokio::time::sleep(30 * MINUTE).await;
        cloud.take_region_away(PRIMARY);
        tokio::time::sleep(60 * MINUTE).await;
        assert_eq!(world.closing().await.outcome, Outcome::Recovered);
        assert_eq!(pages(&world, RECOVERY), 0, "the name leads here");

        let switch = world.plan.dns.switch_object.clone().unwrap();
        cloud.s3.block_public_access(&switch.bucket.0, true);
        tokio::time::sleep(4 * MINUTE).await;
        assert_eq!(pages(&world, RECOVERY), 0, "it may pass");
        tokio::time::sleep(12 * MINUTE).await;
        let paged = pages(&world, RECOVERY);
        assert!(
            (2..=3).contains(&paged),
            "every five minutes, from the second look on: {paged}"
        );
        let last = world.messages().pop().unwrap().text;
        assert!(
            last.contains("answers HTTP 403. Route 53 sends customers to us-east-1"),
            "{last}"
        );
        assert!(last.contains("aws s3control get-public-access-block"), "{last}");

        cloud.s3.block_public_access(&switch.bucket.0, false);
        tokio::time::sleep(30 * MINUTE).await;
        assert_eq!(pages(&world, RECOVERY), paged, "it leads here again");

        cloud.s3.delete(cloud, &switch.bucket.0, &switch.key);
        tokio::time::sleep(11 * MINUTE).await;
        assert!(pages(&world, RECOVERY) > paged);
        assert_eq!(pages(&world, PRIMARY), 0);
    });
}
