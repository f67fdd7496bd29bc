//! Tests of Route 53.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use super::health::watch_health;
use super::state::{FailoverRecord, HealthCheck, PlainRecord, Resolver};
use crate::aws::service::reply_at_once;
use crate::aws::wire::{Call, Reply};
use crate::aws::xml::Element;
use crate::clock::Clock;
use crate::cloud::Cloud;
use crate::lock::lock;
use crate::timings::{Range, Timings};

const NAME: &str = "shop.example.com";
const WEST: &str = "us-west-2";
const ZONE: &str = "Z1";
const CHECK: &str = "check-1";

fn exactly(seconds: u64) -> Range {
    Range {
        from: Duration::from_secs(seconds),
        to: Duration::from_secs(seconds),
        source: "a test".to_owned(),
    }
}

/// A name whose inverted health check looks every 10 s, thrice; name servers follow 3 s later, resolvers keep
/// answers for 60 s.
fn world() -> Arc<Cloud> {
    let timings = Timings {
        health_check_interval: exactly(10),
        dns_propagation: exactly(3),
        dns_change: exactly(20),
        ..Timings::built_in().unwrap()
    };
    let cloud = Cloud::new("123456789012", 7, Clock::starting_at(Timestamp::UNIX_EPOCH), timings);
    cloud.s3.create_bucket(WEST, "switches", &["on"]);
    let record = FailoverRecord {
        primary: "east".to_owned(),
        secondary: "west".to_owned(),
        ttl: Duration::from_secs(60),
        health_check: HealthCheck {
            id: CHECK.to_owned(),
            bucket: "switches".to_owned(),
            key: "on".to_owned(),
            failure_threshold: 3,
            inverted: true,
        },
    };
    cloud.route53.put_record(ZONE, NAME, record);
    tokio::spawn(watch_health(
        Arc::clone(&cloud.route53),
        cloud.environment(),
        NAME.to_owned(),
    ));
    cloud
}

fn object(cloud: &Cloud, method: &str) {
    let call = crate::aws::wire::Call {
        service: "s3".to_owned(),
        region: WEST.to_owned(),
        method: method.to_owned(),
        uri: String::new(),
        path: "/switches/on".to_owned(),
        headers: http::HeaderMap::new(),
        body: bytes::Bytes::new(),
    };
    assert!(reply_at_once(&*cloud.s3, cloud, &call).status < 300);
}

/// What name servers answer.
fn served(cloud: &Cloud) -> String {
    cloud.route53.resolve(cloud, &Resolver::default(), NAME).unwrap()
}

/// How long name servers go on answering as they do now, in whole seconds, for 100 s at most.
async fn until_changed(cloud: &Cloud) -> Option<u64> {
    let before = served(cloud);
    for second in 0..100 {
        if served(cloud) != before {
            return Some(second);
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    None
}

#[tokio::test(start_paused = true)]
async fn an_object_moves_the_name_and_its_absence_moves_it_back() {
    let cloud = world();
    assert_eq!((served(&cloud), until_changed(&cloud).await), ("east".to_owned(), None));
    object(&cloud, "PUT");
    // Three observations, 10 s apart, the first within 10 s; 3 s for the name servers.
    let took = until_changed(&cloud).await.unwrap();
    assert!((23..=34).contains(&took), "{took} s");
    assert_eq!((served(&cloud), until_changed(&cloud).await), ("west".to_owned(), None));
    object(&cloud, "DELETE");
    let took = until_changed(&cloud).await.unwrap();
    assert!((23..=34).contains(&took), "{took} s");
    assert_eq!(served(&cloud), "east");
}

#[tokio::test(start_paused = true)]
async fn fewer_observations_than_the_threshold_change_nothing() {
    let cloud = world();
    for _ in 0..5 {
        object(&cloud, "PUT");
        tokio::time::sleep(Duration::from_secs(20)).await;
        object(&cloud, "DELETE");
        tokio::time::sleep(Duration::from_secs(10)).await;
        assert_eq!(served(&cloud), "east");
    }
    assert_eq!(until_changed(&cloud).await, None);
}

#[tokio::test(start_paused = true)]
async fn a_bucket_that_is_away_leaves_the_primary() {
    let cloud = world();
    cloud.take_region_away(WEST);
    object(&cloud, "PUT");
    assert_eq!((served(&cloud), until_changed(&cloud).await), ("east".to_owned(), None));
    cloud.give_region_back(WEST);
    assert!(until_changed(&cloud).await.is_some());
    cloud.take_region_away(WEST);
    assert!(until_changed(&cloud).await.is_some());
    assert_eq!(served(&cloud), "east");
}

#[tokio::test(start_paused = true)]
async fn resolvers_keep_answers_for_their_time_and_no_longer() {
    let cloud = world();
    let (here, there) = (cloud.route53.resolver_of("here"), cloud.route53.resolver_of("there"));
    let ask = |resolver: &Resolver, name| cloud.route53.resolve(&cloud, resolver, name);
    assert_eq!(ask(&here, NAME).as_deref(), Some("east"));
    // The health check has seen the primary healthy, and sees nothing else from now on.
    tokio::task::yield_now().await;
    cloud.route53.set_health(CHECK, false);
    tokio::time::sleep(Duration::from_millis(59_990)).await;
    assert_eq!(ask(&cloud.route53.resolver_of("here"), NAME).as_deref(), Some("east"));
    assert_eq!(ask(&there, NAME).as_deref(), Some("west"));
    tokio::time::sleep(Duration::from_millis(10)).await;
    assert_eq!(ask(&here, NAME).as_deref(), Some("west"));
    assert_eq!(ask(&here, "elsewhere.example.com"), None);
}

/// A change of one record set; gives the answer's body or the error's code.
fn change(cloud: &Cloud, changes: &str) -> Result<String, String> {
    let body = format!(
        "<ChangeResourceRecordSetsRequest><ChangeBatch><Changes>{changes}</Changes></ChangeBatch></ChangeResourceRecordSetsRequest>"
    );
    call(cloud, "POST", "hostedzone/Z1/rrset", &body)
}

fn call(cloud: &Cloud, method: &str, what: &str, body: &str) -> Result<String, String> {
    let (path, _) = what.split_once('?').unwrap_or((what, ""));
    let call = Call {
        service: "route53".to_owned(),
        region: "us-east-1".to_owned(),
        method: method.to_owned(),
        uri: format!("https://route53.amazonaws.com/2013-04-01/{what}"),
        path: format!("/2013-04-01/{path}"),
        headers: http::HeaderMap::new(),
        body: body.to_owned().into(),
    };
    let Reply { status, body, .. } = reply_at_once(&*cloud.route53, cloud, &call);
    let body = String::from_utf8(body).unwrap();
    match status {
        200 => Ok(body),
        _ => {
            let error = Element::read(&body).unwrap();
            Err(error.child("Error").unwrap().text_of("Code").unwrap().to_owned())
        }
    }
}

fn plain_set(name: &str, target: &str, ttl: u32) -> String {
    let value = format!("<ResourceRecords><ResourceRecord><Value>{target}</Value></ResourceRecord></ResourceRecords>");
    format!("<ResourceRecordSet><Name>{name}</Name><Type>CNAME</Type><TTL>{ttl}</TTL>{value}</ResourceRecordSet>")
}

fn one(action: &str, set: &str) -> String {
    format!("<Change><Action>{action}</Action>{set}</Change>")
}

/// A zone whose one plain name points to the east for 60 s.
fn plain_world() -> Arc<Cloud> {
    let cloud = world();
    let record = PlainRecord {
        target: "east".to_owned(),
        ttl: Duration::from_secs(60),
    };
    cloud.route53.put_plain_record(ZONE, "plain.example.com", record);
    cloud
}

fn answered(cloud: &Cloud) -> String {
    let found = cloud.route53.resolve(cloud, &Resolver::default(), "plain.example.com");
    found.unwrap_or_default()
}

fn status(cloud: &Cloud, id: &str) -> Result<String, String> {
    let body = call(cloud, "GET", &format!("change/{id}"), "")?;
    let info = Element::read(&body).unwrap();
    Ok(info.child("ChangeInfo").unwrap().text_of("Status").unwrap().to_owned())
}

#[tokio::test(start_paused = true)]
async fn a_change_is_answered_when_it_is_in_sync_and_not_before() {
    let cloud = plain_world();
    let upsert = one("UPSERT", &plain_set("Plain.example.com.", "west", 60));
    let body = change(&cloud, &upsert).unwrap();
    let info = Element::read(&body).unwrap();
    let id = info.child("ChangeInfo").unwrap().text_of("Id").unwrap();
    let id = id.strip_prefix("/change/").unwrap();
    assert_eq!(status(&cloud, id).as_deref(), Ok("PENDING"));
    let kept = cloud.route53.resolver_of("here");
    tokio::time::sleep(Duration::from_millis(19_900)).await;
    assert_eq!(answered(&cloud), "east");
    let by_kept = || cloud.route53.resolve(&cloud, &kept, "plain.example.com").unwrap();
    assert_eq!(by_kept(), "east");
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!((answered(&cloud), by_kept()), ("west".to_owned(), "east".to_owned()));
    assert_eq!(status(&cloud, id).as_deref(), Ok("INSYNC"));
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(by_kept(), "west");
    assert_eq!(status(&cloud, "C1"), Err("NoSuchChange".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn changes_that_are_forgotten_leave_the_records_as_before() {
    let cloud = plain_world();
    let before = cloud.route53.records(&cloud);
    change(&cloud, &one("UPSERT", &plain_set("plain.example.com", "west", 60))).unwrap();
    assert_ne!(cloud.route53.records(&cloud), before);
    tokio::time::sleep(Duration::from_secs(10)).await;
    cloud.route53.forget_changes(&cloud);
    assert_eq!(status(&cloud, "C00000000000000000001"), Err("NoSuchChange".to_owned()));
    assert_eq!(cloud.route53.records(&cloud), before);
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(answered(&cloud), "east");
    // One that is in sync stays.
    change(&cloud, &one("UPSERT", &plain_set("plain.example.com", "west", 60))).unwrap();
    tokio::time::sleep(Duration::from_secs(20)).await;
    cloud.route53.forget_changes(&cloud);
    assert_eq!(status(&cloud, "C00000000000000000002").as_deref(), Ok("INSYNC"));
    assert_eq!(answered(&cloud), "west");
}

#[tokio::test(start_paused = true)]
async fn name_servers_learn_of_changes_in_their_order() {
    let timings = Timings {
        dns_change: Range {
            from: Duration::from_secs(1),
            to: Duration::from_secs(60),
            source: "a test".to_owned(),
        },
        ..Timings::built_in().unwrap()
    };
    let cloud = Cloud::new("123456789012", 7, Clock::starting_at(Timestamp::UNIX_EPOCH), timings);
    let record = PlainRecord {
        target: "0".to_owned(),
        ttl: Duration::from_secs(60),
    };
    cloud.route53.put_plain_record(ZONE, "plain.example.com", record);
    for second in 1..=100 {
        if second <= 20 {
            let upsert = plain_set("plain.example.com", &second.to_string(), 60);
            change(&cloud, &one("UPSERT", &upsert)).unwrap();
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
        // The newest change that is in sync is the one that is answered.
        let state = lock(&cloud.route53.state);
        let in_sync = state.changes.values().map(|change| change.in_sync_at <= cloud.now());
        let newest = in_sync.enumerate().rfind(|(_, is)| *is);
        let newest = newest.map_or(0, |(index, _)| index + 1);
        drop(state);
        assert_eq!(answered(&cloud), newest.to_string(), "after {second} s");
    }
    assert_eq!(answered(&cloud), "20");
}

#[tokio::test(start_paused = true)]
async fn a_batch_is_taken_as_a_whole_or_not_at_all() {
    let cloud = plain_world();
    let before = cloud.route53.records(&cloud);
    let (east, west) = (
        plain_set("plain.example.com", "east", 60),
        plain_set("plain.example.com", "west", 60),
    );
    let new = one("CREATE", &plain_set("new.example.com", "east", 60));
    let invalid = [
        one("CREATE", &west),
        one("DELETE", &west),
        one("DELETE", &plain_set("plain.example.com", "east", 61)),
        one("DELETE", &plain_set("other.example.com", "east", 60)),
        one("DELETE", &east) + &one("DELETE", &east),
        // The name has a failover pair.
        one("CREATE", &plain_set(NAME, "east", 60)),
    ];
    for changes in invalid {
        let refused = change(&cloud, &(new.clone() + &changes));
        assert_eq!(refused, Err("InvalidChangeBatch".to_owned()), "{changes}");
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    assert_eq!(cloud.route53.records(&cloud), before);
    change(&cloud, &(one("DELETE", &east) + &one("CREATE", &west))).unwrap();
    tokio::time::sleep(Duration::from_secs(20)).await;
    assert_eq!(answered(&cloud), "west");
}

#[tokio::test(start_paused = true)]
async fn the_control_plane_takes_five_requests_a_second_and_only_what_it_knows() {
    let cloud = plain_world();
    let taken = (0..7)
        .filter(|_| call(&cloud, "GET", "hostedzone/Z1/rrset", "").is_ok())
        .count();
    assert_eq!(taken, 5);
    assert_eq!(change(&cloud, ""), Err("Throttling".to_owned()));
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(change(&cloud, ""), Err("InvalidInput".to_owned()));
    let typed = one(
        "UPSERT",
        &plain_set("a.example.com", "1.2.3.4", 60).replace("CNAME", "A"),
    );
    assert_eq!(change(&cloud, &typed), Err("NotSimulated".to_owned()));
    let weighted = one(
        "UPSERT",
        &plain_set("a.example.com", "b", 60).replace("<TTL>", "<Weight>1</Weight><TTL>"),
    );
    assert_eq!(change(&cloud, &weighted), Err("NotSimulated".to_owned()));
    let elsewhere = call(&cloud, "GET", "hostedzone/Z2/rrset", "");
    assert_eq!(elsewhere, Err("NoSuchHostedZone".to_owned()));
    assert_eq!(call(&cloud, "GET", "healthcheck/1", ""), Err("NotSimulated".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn records_are_listed_by_their_labels_from_the_last() {
    let cloud = plain_world();
    let record = |target: &str| PlainRecord {
        target: target.to_owned(),
        ttl: Duration::from_secs(60),
    };
    for name in ["z.alpha.example.com", "alpha.example.com", "example.net"] {
        cloud.route53.put_plain_record(ZONE, name, record("east"));
    }
    let list = |query: &str| {
        let body = call(&cloud, "GET", &format!("hostedzone/Z1/rrset{query}"), "").unwrap();
        let answer = Element::read(&body).unwrap();
        let sets = &answer.child("ResourceRecordSets").unwrap().children;
        let names = sets.iter().map(|set| set.text_of("Name").unwrap().to_owned());
        let next = answer.text_of("NextRecordName").map(str::to_owned);
        (
            names.collect::<Vec<_>>(),
            next,
            answer.text_of("NextRecordIdentifier").map(str::to_owned),
        )
    };
    let all = [
        "alpha.example.com.",
        "z.alpha.example.com.",
        "plain.example.com.",
        "shop.example.com.",
        "shop.example.com.",
        "example.net.",
    ];
    assert_eq!(list("").0, all);
    let (names, next, identifier) = list("?name=plain.example.com&type=CNAME&maxitems=2");
    assert_eq!(
        (names.as_slice(), next.as_deref()),
        (&all.map(str::to_owned)[2..4], Some(all[4]))
    );
    assert_eq!(identifier.as_deref(), Some("secondary"));
    let rest = list("?name=shop.example.com.&type=CNAME&identifier=secondary");
    assert_eq!((rest.0.as_slice(), rest.1), (&all.map(str::to_owned)[4..], None));
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(list("?name=example.net&type=TXT").0, [] as [&str; 0]);
    assert_eq!(
        call(&cloud, "GET", "hostedzone/Z1/rrset?type=CNAME", ""),
        Err("InvalidInput".to_owned())
    );
}
