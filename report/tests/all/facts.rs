//! What a report decides by is data: whatever the texts of a record say, its facts stay the same.

use std::fs;

use crate::made::{RECORDED, account, changed, file, made, recorded, step};
use report::{Account, Story, Text, Todo};
use serde_json::{Value, json};
use shared::plan::{Plan, Site};
use shared::record::Closing;
use shared::scenario::Scenario;
use shared::scenario::module::{Deadline, Module, NothingMore};

/// Whether a text is one that people read: it has more than one word. A command is typed, and not read.
fn is_for_people(field: &str, text: &str) -> bool {
    text.contains(' ') && field != "by_hand"
}

/// The record with nonsense in place of every text that people read.
fn without_words(field: &str, value: Value) -> Value {
    match value {
        Value::String(text) if is_for_people(field, &text) => json!("x"),
        Value::Array(items) => items.into_iter().map(|item| without_words(field, item)).collect(),
        Value::Object(fields) => fields
            .into_iter()
            .map(|(field, value)| {
                let value = without_words(&field, value);
                (field, value)
            })
            .collect(),
        other => other,
    }
}

/// What a report decided: its data beside the record, and what it has people type.
fn decided(account: &Account) -> (Value, Vec<String>) {
    let mut data: Value = serde_json::from_str(&report::json(account).unwrap()).unwrap();
    data.as_object_mut().unwrap().remove("account");
    let html = report::html(account);
    let commands = html.split("<pre><code>").skip(1);
    let commands = commands.map(|rest| rest.split("</code>").next().unwrap_or_default().to_owned());
    (data, commands.collect())
}

#[test]
fn whatever_the_texts_say_the_facts_stay_the_same() {
    for name in RECORDED {
        let known = recorded(name);
        let record = serde_json::to_value(&known).unwrap();
        let nonsense = without_words("", record.clone());
        assert_ne!(nonsense, record, "{name}");
        let nonsense: Account = serde_json::from_value(nonsense).unwrap();
        let ((facts, commands), (again, typed)) = (decided(&known), decided(&nonsense));
        assert_eq!(facts, again, "{name}");
        assert_eq!(commands, typed, "{name}");
    }
    let (facts, commands) = decided(&recorded("recovered"));
    assert_eq!(facts["state"]["other"], "us-east-1");
    assert!(commands.len() > 10, "{commands:?}");
}

#[test]
fn which_questions_an_announcement_asks_and_who_may_fix_it_is_no_matter_of_words() {
    let said = |account: &Account| {
        let said = report::markdown(account);
        let of_role = said.contains("somebody who may change the role");
        (of_role, said.matches("the question of").count())
    };
    for name in ["failed", "approved"] {
        let nonsense = without_words("", serde_json::to_value(recorded(name)).unwrap());
        assert_eq!(said(&recorded(name)), said(&account(nonsense)), "{name}");
    }
    assert_eq!(said(&recorded("failed")), (true, 0));
    assert_eq!(said(&recorded("approved")).1, 1);
}

/// A scenario that only these tests have, and that nobody tells the story of.
struct MoonFailure;

/// Another one, whose story comes with it.
struct TidalWave;

impl Module for MoonFailure {
    const SCENARIO: Scenario = Scenario::of_tests("moon-failure");
    const TITLE: &'static str = "Loss of the moon";
    const LOSES_WRITES: bool = true;
    const DEADLINES: &'static [Deadline] = &[];
    const ONE_AFTER_THE_OTHER: &'static [&'static str] = &[];
    type Wants = NothingMore;
    type Slice = NothingMore;

    fn slice(_: &Plan, _: &Site) -> NothingMore {
        NothingMore {}
    }
}

impl Module for TidalWave {
    const SCENARIO: Scenario = Scenario::of_tests("tidal-wave");
    const TITLE: &'static str = "Tidal wave";
    const LOSES_WRITES: bool = false;
    const DEADLINES: &'static [Deadline] = &[];
    const ONE_AFTER_THE_OTHER: &'static [&'static str] = &[];
    type Wants = NothingMore;
    type Slice = NothingMore;

    fn slice(_: &Plan, _: &Site) -> NothingMore {
        NothingMore {}
    }
}

/// A record from before facts were on it, under `fixtures/before`.
fn before(name: &str) -> Account {
    let text = fs::read_to_string(file(&format!("before/{name}.json"))).unwrap();
    serde_json::from_str(&text).unwrap()
}

#[test]
fn a_record_from_before_is_reported_and_says_less() {
    for name in ["recovered", "failed"] {
        let account = before(name);
        let (facts, commands) = decided(&account);
        assert_eq!(facts["state"]["other"], Value::Null, "{name}");
        // What is not on the record is not guessed: nothing is to be typed about a Region or a database that it does not name.
        let about_other = commands.iter().filter(|command| command.contains("us-east-1"));
        assert_eq!(about_other.count(), 0, "{name}: {commands:?}");
        let said = report::markdown(&account);
        assert!(said.contains("the other Region"), "{said}");
        assert!(
            said.contains("function radiant-production-admin in us-west-2"),
            "{said}"
        );
    }
    let said = report::markdown(&before("recovered"));
    // A warning is shown, also without a code.
    assert!(
        said.contains("whether us-east-1 runs a recovery cannot be seen"),
        "{said}"
    );
    assert!(said.contains("Without a command here: function"), "{said}");
}

#[test]
fn a_scenario_without_a_story_is_told_without_a_word_of_another_ones() {
    let scenario = Scenario::add::<MoonFailure>().unwrap();
    for outcome in [
        "runs",
        "recovered",
        "partial",
        "refused",
        "declined",
        "expired",
        "preempted",
        "rolled-back",
        "failed",
    ] {
        let mut value = made(
            vec![step("CountObjects", 182.0, 190.0), step("RestoreObjects", 190.5, 600.0)],
            600.0,
        );
        value["header"]["regions"] = json!({ "here": "us-west-2", "other": "us-east-1" });
        value["header"]["scenario"] = json!(scenario.name());
        value["header"]["wants"] = json!({});
        let is_over = outcome != "runs";
        value["header"]["closing"]["outcome"] = json!(if is_over { outcome } else { "recovered" });
        value["header"]["closing"]["achieved"]["rpo_status"] = json!("measured");
        value["header"]["closing"]["achieved"]["rpo_seconds"] = json!(12.0);
        value["header"]["closing"]["evidence"] = json!({
            "objects": { "restored": 12, "warnings": [{ "code": "tide-is-high", "text": "the tide is high" }] },
        });
        value["undo"] = json!([{
            "step": "restore-objects", "previous": null, "taken_back_by": null,
            "resource": { "kind": "bucket", "name": "b", "text": "bucket b" },
        }]);
        if !is_over {
            value["header"]["closing"] = Value::Null;
            value["decision"] =
                json!({ "restored": 12, "warnings": [{ "code": "tide-is-high", "text": "the tide is high" }] });
        }
        let account = account(value);
        for said in [report::markdown(&account), report::html(&account)] {
            for part in ["Loss of the moon", "bucket b", "the tide is high", "Restored"] {
                assert!(said.contains(part), "{outcome}: {part} is missing in {said}");
            }
            for part in [
                "switchover",
                "failover",
                "Fence",
                "moved to",
                "takes over",
                "replication",
                "other Region",
                "us-east-1",
            ] {
                assert!(!said.contains(part), "{outcome}: {part} is in {said}");
            }
        }
        let facts = decided(&account).0;
        assert_eq!(facts["state"].get("database_takes_writes"), None);
    }
}

impl Story for TidalWave {
    fn step(&self, _: &Account, name: &str) -> Option<String> {
        (name == "build-dam").then(|| "builds a dam".to_owned())
    }

    fn todos(&self, _: &Account, _: &Closing) -> Vec<Todo> {
        vec![Todo::today("Look at the dam").run("Look", "ls dam".to_owned())]
    }

    fn words(&self, _: &Account) -> Vec<(Text, Text)> {
        vec![("Dam".into(), "what keeps the water out".into())]
    }
}

#[test]
fn a_story_can_be_brought_from_outside() {
    let scenario = Scenario::add::<TidalWave>().unwrap();
    let mut value = made(vec![step("BuildDam", 182.0, 600.0)], 600.0);
    value["timeline"][0]["name"] = json!("build-dam");
    value["header"]["scenario"] = json!(scenario.name());
    let account = account(value);
    let parts = ["builds a dam", "Look at the dam.", "ls dam", "what keeps the water out"];
    let without = report::markdown(&account);
    assert!(without.contains("Tidal wave: recovery of shop"), "{without}");
    assert!(parts.iter().all(|part| !without.contains(part)), "{without}");
    report::add_story(scenario, &TidalWave);
    let said = report::markdown(&account);
    for part in parts {
        assert!(said.contains(part), "{part} is missing in {said}");
    }
}

#[test]
fn a_warning_is_followed_up_by_its_code() {
    let with = |warnings: Value| {
        changed("recovered", |value| {
            value["header"]["closing"]["evidence"]["opening"]["warnings"] = warnings
        })
    };
    let todo = "runs no recovery of its own";
    let coded = with(json!([{ "code": "other-region-unseen", "region": "eu-west-1", "text": "y" }]));
    assert!(report::markdown(&coded).contains(&format!("Check that eu-west-1 {todo}")));
    let other =
        with(json!([{ "code": "left-running", "text": "whether us-east-1 runs a recovery cannot be seen: x" }]));
    assert!(!report::markdown(&other).contains(todo));
}
