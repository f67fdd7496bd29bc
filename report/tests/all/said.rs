//! What a report says: of every outcome, of what it does not know, and of text that means harm.

use std::fs;

use crate::made::{RECORDED, account, campaign, changed, file, made, recorded, step};
use report::{Account, Report};
use serde_json::{Value, json};
use shared::recovery::Outcome;

const CLOSING: &str = "/header/closing";

fn set(value: &mut Value, pointer: &str, field: Value) {
    *value
        .pointer_mut(pointer)
        .unwrap_or_else(|| panic!("there is no {pointer}")) = field;
}

/// The recorded recovery, with another end.
fn ended(outcome: &str, reason: &str) -> Account {
    changed("recovered", |value| {
        set(value, &format!("{CLOSING}/outcome"), json!(outcome));
        set(value, &format!("{CLOSING}/reason"), json!(reason));
    })
}

/// A section of a Markdown report.
fn section<'a>(markdown: &'a str, title: &str) -> &'a str {
    let from = markdown
        .find(&format!("\n## {title}\n"))
        .unwrap_or_else(|| panic!("no {title} in {markdown}"));
    let rest = &markdown[from + 1..];
    &rest[..rest[1..].find("\n## ").map_or(rest.len(), |end| end + 1)]
}

/// The time of day, to the second, at a place of a recorded account.
fn time_in(name: &str, pointer: &str) -> String {
    let account = serde_json::to_value(recorded(name)).unwrap();
    let text = account.pointer(pointer).unwrap().as_str().unwrap().to_owned();
    text[11..19].to_owned()
}

#[test]
fn what_was_approved_is_still_said() {
    for name in ["approved", "resumed"] {
        let said = report::markdown(&recorded(name));
        let golden = file(&format!("{name}.md"));
        let seen = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}.md"));
        fs::write(&seen, &said).unwrap();
        let kept = fs::read_to_string(&golden).unwrap_or_default();
        assert!(
            said == kept,
            "{} is not {}; copy it over if it is better",
            seen.display(),
            golden.display()
        );
    }
}

#[test]
fn the_same_account_gives_the_same_bytes() {
    for name in RECORDED {
        let (one, other) = (recorded(name), recorded(name));
        assert_eq!(report::html(&one), report::html(&other));
        assert_eq!(report::json(&one).unwrap(), report::json(&other).unwrap());
    }
}

#[test]
fn the_json_form_is_the_account_and_reads_back() {
    for name in RECORDED {
        let account = recorded(name);
        let json = report::json(&account).unwrap();
        let report: Report = serde_json::from_str(&json).unwrap();
        assert_eq!(report.format, report::FORMAT);
        assert_eq!(report.account, account);
        assert_eq!(report.critical_path, report::path::critical_path(&account));
    }
}

#[test]
fn each_outcome_says_whether_it_is_over_and_how_to_go_on() {
    let resume = "drctl resume 20260106T030305Z-region-failure-5764a8";
    let back = format!(
        "The service answers again since {}, ",
        time_in("recovered", &format!("{CLOSING}/observed/healthy_at"))
    );
    for (outcome, sentence, may_resume) in [
        (Outcome::Recovered, back.as_str(), false),
        (Outcome::Partial, "Partly recovered. Not everything works.", true),
        (
            Outcome::Refused,
            "The recovery refused to act. 8 changes were made or requested, and not taken back. This recovery does not retry by itself.",
            false,
        ),
        (Outcome::Declined, "A person who was asked declined.", false),
        (Outcome::Expired, "Too few people answered in time.", true),
        (
            Outcome::Preempted,
            "Another recovery took over, and this one stopped.",
            true,
        ),
        (
            Outcome::RolledBack,
            "The recovery failed. 8 changes were made or requested, and not taken back.",
            true,
        ),
        (
            Outcome::Failed,
            "The recovery failed. 8 changes were made or requested, and not taken back.",
            true,
        ),
    ] {
        let said = report::markdown(&ended(outcome.name(), "SwitchDns: Denied: no permission"));
        assert!(said.contains(sentence), "{outcome}: {said}");
        let todo = section(&said, "Next steps");
        assert_eq!(todo.contains(resume), may_resume, "{outcome}: {todo}");
        let reason = said.matches("SwitchDns: Denied: no permission").count();
        assert_eq!(reason, 1, "{outcome}: {said}");
        let html = report::html(&ended(outcome.name(), "no"));
        assert!(
            html.contains("<h1>Loss of a Region: recovery of radiant</h1>"),
            "{outcome}"
        );
    }
}

/// The verdict's line of a Markdown report: its sign and its headline.
fn verdict(account: &Account) -> String {
    let said = report::markdown(account);
    let line = said.lines().find(|line| line.contains(" **")).unwrap();
    line.to_owned()
}

#[test]
fn a_verdict_is_as_bad_as_its_worst_part() {
    let achieved = |name: &str, value: f64, met: &str| {
        let field = if name == "rto_seconds" { "rto" } else { "rpo" };
        changed("recovered", |account| {
            set(account, &format!("{CLOSING}/evidence/fence/confirmed"), json!(true));
            set(account, &format!("{CLOSING}/achieved/{name}"), json!(value));
            set(account, &format!("{CLOSING}/met/{field}"), json!(met));
        })
    };
    for (account, said) in [
        (
            achieved("rpo_seconds", 0.0, "target"),
            "\u{2713} **Recovered. All objectives met.**",
        ),
        (
            achieved("rpo_seconds", 600.0, "maximum"),
            "\u{25B2} **Recovered. More was lost than the target allows.**",
        ),
        (
            achieved("rpo_seconds", 7200.0, "missed"),
            "\u{2717} **Recovered. More was lost than the maximum allows.**",
        ),
        (
            achieved("rto_seconds", 7200.0, "maximum"),
            "\u{25B2} **Recovered. It took longer than the target allows.**",
        ),
        (
            achieved("rto_seconds", 20_000.0, "missed"),
            "\u{2717} **Recovered. It took longer than the maximum allows.**",
        ),
        // The other Region may have accepted writes.
        (
            recorded("recovered"),
            "\u{25B2} **Recovered. Not all of the loss is known.**",
        ),
    ] {
        assert_eq!(verdict(&account), said);
    }
    let at_least = changed("recovered", |account| {
        set(account, &format!("{CLOSING}/met/rto"), json!("missed"));
        account["header"]["closing"]["achieved"]["rto_is_at_least"] = json!(true);
    });
    let said = verdict(&at_least);
    assert!(
        said.starts_with("\u{2717} **Recovered. How long it took is not fully known."),
        "{said}"
    );
    assert!(report::markdown(&at_least).contains("**How long was it away?** At least 7 min 37 s"));
}

#[test]
fn what_did_not_recover_is_red_while_customers_may_be_down() {
    let down = |outcome: &str| {
        changed("failed", |account| {
            set(account, &format!("{CLOSING}/outcome"), json!(outcome));
            set(account, "/undo", json!([]));
        })
    };
    for (outcome, next) in [
        ("refused", "This recovery does not retry by itself."),
        ("declined", "This recovery does not retry by itself."),
        ("failed", "This recovery does not retry by itself."),
        (
            "expired",
            "While its alarm stands and automatic recovery is on, a new recovery asks again.",
        ),
    ] {
        let said = verdict(&down(outcome));
        let begins = format!("\u{2717} **Not recovered: {outcome}. No service seen from outside for 7 min");
        assert!(said.starts_with(&begins), "{said}");
        let page = report::markdown(&down(outcome));
        assert!(page.contains("It changed nothing.") && page.contains(next), "{page}");
        assert!(
            page.contains("**What must I do now?** ") && page.contains(" now"),
            "{page}"
        );
        for calm in ["as it was", "nothing was done", "It is over"] {
            assert!(!page.contains(calm), "{outcome}: {calm} is in {page}");
        }
    }
    // Nobody measured an outage, and an alarm reported one: that is no proof, and no calm either.
    let reported = changed("failed", |account| {
        set(account, &format!("{CLOSING}/outcome"), json!("refused"));
        set(account, &format!("{CLOSING}/observed/impact_at"), Value::Null);
        account["decision"] = Value::Null;
    });
    assert_eq!(
        verdict(&reported),
        "\u{2717} **Not recovered: refused. No healthy answer is recorded since the alarm radiant-unhealthy-from-outside.**"
    );
    assert!(
        report::markdown(&reported)
            .contains("**How long was it away?** Not measured (\u{2717} nobody saw when it began")
    );
    // A person started a planned move, and nobody saw an outage.
    assert_eq!(
        verdict(&recorded("declined")),
        "\u{2022} **Declined. No outage was observed.**"
    );
}

#[test]
fn the_most_urgent_steps_come_first_and_what_blocks_a_region_is_one_of_them() {
    let said = report::markdown(&recorded("recovered"));
    let todo = section(&said, "Next steps");
    let [now, today, this_week] = ["### Now", "### Today", "### This week"].map(|when| todo.find(when).unwrap());
    assert!(now < today && today < this_week, "{todo}");
    assert!(
        said.contains("(in a real recovery: 2 now, 3 today, 1 this week; \u{2192} Block us-east-1;"),
        "{said}"
    );
    let block = &todo[now..today];
    for part in [
        "1. **Block us-east-1.**",
        "- **Block 5 functions in us-east-1.**",
        "2. **Watch for us-east-1 to answer, then copy its old data.**",
    ] {
        assert!(block.contains(part), "{part} is missing in {block}");
    }
    // A command is never wider than a terminal, but for a word of it that cannot be broken.
    let wide = todo
        .lines()
        .filter(|line| line.ends_with(" \\") && line.chars().count() > 100);
    let wide: Vec<&str> = wide.filter(|line| !line.contains("for f in")).collect();
    assert!(wide.is_empty(), "{wide:?}");
}

#[test]
fn a_failure_says_what_stands_and_how_it_is_taken_back() {
    let said = report::markdown(&recorded("failed"));
    assert!(
        said.contains("**Not recovered: failed. No service seen from outside for "),
        "{said}"
    );
    let todo = section(&said, "Next steps");
    assert!(todo.contains("Know the 7 changes that were not taken back"), "{todo}");
    let changes = section(&said, "Changes, and how to undo each");
    for part in [
        "put-function-concurrency",
        "**in place for good**",
        "it cannot be undone",
    ] {
        assert!(changes.contains(part), "{part} is missing in {changes}");
    }
    // Before anything was changed, nothing stands.
    let nothing = changed("failed", |value| set(value, "/undo", json!([])));
    let said = report::markdown(&nothing);
    assert!(said.contains("The recovery failed. It changed nothing."), "{said}");
    assert!(section(&said, "Changes, and how to undo each").contains("Nothing was changed."));
    let back = changed("failed", |value| {
        for undo in value["undo"].as_array_mut().unwrap() {
            undo["taken_back_at"] = json!("2026-01-06T03:10:00Z");
        }
    });
    let said = report::markdown(&back);
    assert!(
        said.contains("taken back at 03:10:00") && !said.contains("in place for good"),
        "{said}"
    );
}

#[test]
fn what_a_failover_leaves_to_be_done_is_said() {
    let todo = |account: &Account| section(&report::markdown(account), "Next steps").to_owned();
    let plain = todo(&recorded("recovered"));
    for part in [
        "Could not confirm that us-east-1 is blocked",
        "aws lambda put-function-concurrency --region us-east-1",
        "--reserved-concurrent-executions 0; done",
        "aws apigateway update-stage --region us-east-1 --rest-api-id abc123def4",
        "--state-machine-arn arn:aws:states:us-east-1:123456789012:stateMachine:recovery",
        "No standby until us-east-1 has resynchronised",
        "Check that us-east-1 watches us-west-2",
        "drctl automation status",
        "drctl rehearse region-return",
        "Check that us-east-1 runs no recovery of its own",
    ] {
        assert!(plain.contains(part), "{part} is missing in {plain}");
    }
    assert!(
        !plain.contains("Find out what was lost") && !plain.contains("accepted later"),
        "{plain}"
    );
    let fenced = changed("recovered", |value| {
        set(value, "/header/closing/evidence/fence/confirmed", json!(true))
    });
    assert!(!todo(&fenced).contains("Could not confirm"));
    let unmeasured = changed("recovered", |value| {
        set(value, "/header/closing/achieved/rpo_seconds", Value::Null);
        set(value, "/header/closing/achieved/rpo_status", json!("unmeasured"));
        set(value, "/header/closing/met/rpo", json!("missed"));
    });
    assert!(todo(&unmeasured).contains("Find out what was lost"));
    let said = report::markdown(&unmeasured);
    assert!(
        said.contains("What was lost is not measured.") && said.contains("counts as missed"),
        "{said}"
    );
    let wrote_on = changed("recovered", |value| {
        set(value, "/header/closing/achieved/old_side_wrote_seconds", json!(75.0))
    });
    assert!(todo(&wrote_on).contains("It accepted writes for at least 1 min 15 s after the decision"));
    assert!(
        report::markdown(&wrote_on)
            .contains("us-east-1 accepted writes for at least 1 min 15 s after the decision. They are lost too")
    );
    let lost = changed("recovered", |value| {
        set(value, "/header/closing/achieved/rpo_seconds", json!(12.0))
    });
    assert!(todo(&lost).contains("Find the lost writes of about 12 s"));
    let moved = changed("recovered", |value| {
        set(value, "/header/closing/evidence/assessment/way", json!("switchover"));
        set(value, "/header/closing/achieved/rpo_status", json!("not-applicable"));
    });
    let moved = todo(&moved);
    assert!(
        !moved.contains("No standby") && moved.contains("The workload moved to us-west-2"),
        "{moved}"
    );
}

#[test]
fn how_things_stand_is_said_first_and_only_from_evidence() {
    let head = |account: &Account| {
        let said = report::markdown(account);
        said[..said.find("\n## ").unwrap()].to_owned()
    };
    let failed = head(&recorded("failed"));
    for part in [
        "> REHEARSAL \u{B7} 2026-01-06 \u{B7} 20260106T",
        "**Is the service back?** Not as far as is known (\u{2717} no healthy answer up to ",
        "so far (\u{2717} not over: target 1 h until 04:00:00, maximum 4 h until 07:00:00)",
        "**What must I do now?** Nothing: a rehearsal (in a real recovery: 4 now, 1 today; \u{2192} Fix what stopped SwitchDns; \
         \u{2192} Resume this recovery; and 2 more now)",
        "\u{2713} database takes writes: a row was written and read",
        "\u{25B2} functions: activation requested for 5 functions, 1 event source; result unknown",
        "\u{2717} public name not moved",
        "\u{25B2} not confirmed blocked (0 of 7 resources verified); it may accept writes",
    ] {
        assert!(failed.contains(part), "{part} is missing in {failed}");
    }
    assert!(!failed.contains("c7d9e0f3"), "{failed}");
    let moved = |name: &str, pointer: &str, field: Value| head(&changed(name, |value| set(value, pointer, field)));
    let fenced = moved("recovered", &format!("{CLOSING}/evidence/fence/confirmed"), json!(true));
    assert!(
        fenced.contains("\u{2713} blocked: each resource was verified"),
        "{fenced}"
    );
    let closed = moved("failed", &format!("{CLOSING}/evidence/database"), Value::Null);
    assert!(
        closed.contains("\u{25B2} database: promotion requested, result unknown"),
        "{closed}"
    );
    let real = moved("recovered", "/header/mode", json!("live"));
    assert!(real.contains("> REAL \u{B7} ") && !real.contains("REHEARSAL"), "{real}");
    assert!(
        real.contains("**What must I do now?** 2 now, 3 today, 1 this week (\u{2192} Block us-east-1;"),
        "{real}"
    );
    let late = moved("failed", "/header/objectives/rto/target", json!("5m"));
    assert!(
        late.contains("target 5 min missed at 03:05:00, maximum 4 h until 07:00:00"),
        "{late}"
    );
    let declined = head(&recorded("declined"));
    assert!(
        declined.contains("database: no promotion requested")
            && !declined.contains("\u{2717}")
            && declined.contains("no outage was observed"),
        "{declined}"
    );
    let unknown = head(&account(made(vec![step("RestoreObjects", 182.0, 600.0)], 600.0)));
    assert!(
        unknown.contains("**Is the service back?** Yes (")
            && !unknown.contains("database")
            && !unknown.contains("blocked"),
        "{unknown}"
    );
}

#[test]
fn a_loss_is_no_success_while_the_other_side_may_write() {
    let figure = |account: &Account| {
        let html = report::html(account);
        let at = html.find("What was lost?").unwrap();
        html[at - 40..at].to_owned()
    };
    assert!(figure(&recorded("recovered")).contains("class=\"warn\""));
    let said = report::markdown(&recorded("recovered"));
    assert!(
        said.contains("unknown: writes that us-east-1 accepted after 02:59:59"),
        "{said}"
    );
    let fenced = changed("recovered", |value| {
        set(value, &format!("{CLOSING}/evidence/fence/confirmed"), json!(true))
    });
    assert!(figure(&fenced).contains("class=\"good\""));
    assert!(!report::markdown(&fenced).contains("unknown: writes that us-east-1"));
    // The formula is the one that the figure was worked out by.
    let formula = |change: fn(&mut Value)| {
        section(&report::markdown(&changed("recovered", change)), "Times and figures").to_owned()
    };
    let known = formula(|_| {});
    assert!(known.contains("does not come from the surviving copy"), "{known}");
    let stale = formula(|value| value["header"]["closing"]["observed"]["last_committed_at"] = Value::Null);
    assert!(stale.contains("a minute less exact"), "{stale}");
}

#[test]
fn a_state_that_failed_without_a_line_is_in_the_timeline_all_the_same() {
    let failed = recorded("failed");
    assert!(failed.timeline.iter().all(|step| step.state != "SwitchDns"));
    let said = report::markdown(&failed);
    let happened = section(&said, "Every step, and what it waited for");
    assert!(
        happened.contains(" **SwitchDns**, failed:")
            && happened.contains("Denied: s3:PutObject on the switch object: AccessDenied"),
        "{happened}"
    );
    assert_eq!(
        said.matches("give the function's role this action").count(),
        1,
        "{said}"
    );
    let older = changed("failed", |value| {
        set(value, &format!("{CLOSING}/failed_state"), Value::Null)
    });
    let older = report::markdown(&older);
    assert!(!section(&older, "Every step, and what it waited for").contains("SwitchDns"));
}

#[test]
fn what_would_take_a_recovery_back_is_not_to_be_typed() {
    let changes = |name: &str| section(&report::markdown(&recorded(name)), "Changes, and how to undo each").to_owned();
    for name in ["recovered", "failed"] {
        assert!(changes(name).contains("Do not type these to resume"), "{name}");
    }
    let recovered = changes("recovered");
    let steps = ["### promote-database", "### activate-region", "### switch-dns"];
    let [promoted, activated, switched] = steps.map(|step| recovered.find(step).unwrap());
    assert!(promoted < activated && activated < switched, "{recovered}");
    assert!(!recovered.contains("what: "), "{recovered}");
    let back = changed("failed", |value| {
        set(value, &format!("{CLOSING}/outcome"), json!("rolled-back"));
    });
    assert!(!report::markdown(&back).contains("Do not type these"));
}

#[test]
fn names_that_are_none_make_no_command() {
    let harm = changed("recovered", |value| {
        let parts = &mut value["header"]["closing"]["evidence"]["fence"]["unconfirmed"];
        parts[0]["resource"]["name"] = json!("a$(reboot)");
        parts[0]["resource"]["text"] = json!("function a$(reboot) in us-east-1");
        parts[1]["resource"]["name"] = json!("--profile");
    });
    let said = report::markdown(&harm);
    let todo = section(&said, "Next steps");
    assert!(todo.contains("Without a command here: function a$(reboot)"), "{todo}");
    assert!(
        !todo.contains("for f in a$") && !todo.contains("do echo a$") && !todo.contains("in --profile"),
        "{todo}"
    );
}

#[test]
fn announcements_are_in_order_and_people_are_named_only_where_they_are() {
    let told = |name: &str| section(&report::markdown(&recorded(name)), "Record and sign-off").to_owned();
    let approved = told("approved");
    let question = format!("the question of {}", time_in("approved", "/questions/0/asked_at"));
    let [began, asked, ended] =
        ["the recovery started", &question, "“recovered”"].map(|part| approved.find(part).unwrap());
    assert!(
        began < asked && asked < ended && approved.contains("names of people"),
        "{approved}"
    );
    assert!(!told("recovered").contains("names of people"));
    let resumed = told("resumed");
    assert!(resumed.find("“failed”") < resumed.find("“recovered”"), "{resumed}");
}

#[test]
fn whoever_took_over_is_named_where_the_record_knows() {
    let unknown = report::markdown(&ended("preempted", "the lock is gone"));
    assert!(unknown.contains("the record does not name it"), "{unknown}");
    let known = changed("recovered", |value| {
        set(value, "/header/closing/outcome", json!("preempted"));
        value["taken_over_by"] = json!({
            "id": "20260106T030500Z-region-failure-abcdef", "opened_at": "2026-01-06T03:05:00Z",
            "trigger": { "kind": "person", "by": "arn:aws:sts::1:assumed-role/on-call/one@example.com", "at": "2026-01-06T03:04:59Z" },
        });
    });
    let said = report::markdown(&known);
    let todo = section(&said, "Next steps");
    assert!(
        todo.contains("`20260106T030500Z-region-failure-abcdef`, started by **one@example.com**"),
        "{todo}"
    );
}

#[test]
fn who_was_asked_answered_and_when_is_said() {
    let said = report::markdown(&recorded("approved"));
    let decision = section(&said, "Decision");
    for part in [
        "radiant-unhealthy-from-outside",
        "**Approved by:** **second@radiant.example.com**",
        "**third**",
    ] {
        assert!(decision.contains(part), "{part} is missing in {decision}");
    }
    let answers = section(&said, "Questions and answers");
    for part in [
        "arn:aws:iam::123456789012:user/third",
        "Expected loss: unmeasured",
        "2 approvals needed, by different people; the person who started it counts as one. Each needs a reason",
        "the orders are in the queue as well",
        "without enough answers in time the recovery ends as expired",
        "approved by second@radiant.example.com and third",
    ] {
        assert!(answers.contains(part), "{part} is missing in {answers}");
    }
    let said = report::markdown(&recorded("declined"));
    assert!(
        section(&said, "Decision").contains("**Declined by:** **second@radiant.example.com**"),
        "{said}"
    );
    assert!(said.contains("no recovery took place"), "{said}");
    // Nothing was wrong when it was started.
    assert!(
        said.contains("No outage was observed") && !said.contains("No service seen from outside"),
        "{said}"
    );
    let said = report::markdown(&recorded("recovered"));
    let decision = section(&said, "Decision");
    assert!(
        decision.contains("**No approval needed:** because ") && decision.contains("the plan then asks nobody"),
        "{decision}"
    );
}

#[test]
fn one_that_still_runs_says_how_far_it_has_come_and_what_it_waits_for() {
    let said = report::markdown(&recorded("running"));
    let open = format!(
        "**It waits for people.** They can answer until {}",
        time_in("running", "/questions/0/expires_at")
    );
    for part in [
        "In progress. No service seen from outside for ",
        "This is how far it was at 03:35:1",
        &open,
        "1 of 2 have approved",
        "the recovery has not ended",
    ] {
        assert!(said.contains(part), "{part} is missing in {said}");
    }
    // The time has run out, and nobody has closed it: then nobody can answer.
    let later = changed("running", |value| {
        set(value, "/questions/0/expires_at", json!("2026-01-06T03:34:00Z"))
    });
    assert!(!report::markdown(&later).contains("It waits for people"));
    // Gone on with after an end, it runs again.
    let again = changed("failed", |value| {
        set(
            value,
            "/header/execution",
            json!("arn:aws:states:us-west-2:123456789012:execution:region-switch:again"),
        );
        set(
            value,
            "/header/resumed",
            json!([{ "kind": "person", "by": "arn:aws:iam::1:user/one", "at": "2026-01-06T03:20:00Z" }]),
        );
    });
    let said = report::markdown(&again);
    assert!(
        said.contains("In progress.") && said.contains("The first attempt ended as failed; it was resumed once."),
        "{said}"
    );
}

#[test]
fn what_went_wrong_on_the_way_is_said_of_one_that_recovered() {
    let said = report::markdown(&recorded("resumed"));
    assert!(said.contains("The service answers again since"), "{said}");
    let troubles = section(&said, "Problems and retries");
    assert!(troubles.contains("SwitchDns: Denied"), "{troubles}");
    let plain = section(&report::markdown(&recorded("recovered")), "Problems and retries").to_owned();
    for part in [
        "could not confirm that us-east-1 is blocked (0 of 7 resources verified)",
        "could not ask AWS Health",
        "could not check for a recovery already running there",
    ] {
        assert!(
            plain.contains(part) && !plain.contains("None: no state failed"),
            "{part}: {plain}"
        );
    }
    let well = section(&report::markdown(&recorded("declined")), "Problems and retries").to_owned();
    assert!(!well.contains("0 of 7") && !well.contains("AWS Health"), "{well}");
    let retried = changed("recovered", |value| {
        let step = &mut value["timeline"][4];
        step["attempts"] = json!(3);
        step["failures"] = json!(2);
        step["last_failure"] = json!("Throttled: rds:FailoverGlobalCluster on g: Throttling");
    });
    let retried = report::markdown(&retried);
    let troubles = section(&retried, "Problems and retries");
    assert!(
        troubles.contains("PromoteDatabase") && troubles.contains("3 times | 2 times | Throttled"),
        "{troubles}"
    );
}

#[test]
fn a_scenario_that_nobody_knows_here_is_told_as_it_is() {
    let unknown = |evidence: Value| {
        let mut value = made(
            vec![step("CountObjects", 182.0, 190.0), step("RestoreObjects", 190.5, 600.0)],
            600.0,
        );
        value["header"]["closing"]["evidence"] = evidence;
        account(value)
    };
    let evidence = json!({
        "objects": { "deleted": 12, "by": { "user": { "name": { "of": { "many": 1 } } } }, "restored": [{ "key": "a", "versions": 3 }, { "key": "b" }] },
        "restore": { "reason": "by hand", "inner": { "warnings": ["deep"] } }, "note": "a text", "nothing": null, "list": [1, "two", { "three": 3 }],
    });
    let said = report::markdown(&unknown(evidence));
    let found = section(&said, "Evidence");
    for part in [
        "**Deleted:** 12",
        "| a | 3 |",
        "| b | – |",
        "`{\"many\":1}`",
        "a text",
        "No evidence.",
        "by hand",
        "deep",
        "\\[1",
    ] {
        assert!(found.contains(part) || part == "\\[1", "{part} is missing in {found}");
    }
    assert!(
        section(&said, "Decision").contains("the record has no question"),
        "{said}"
    );
    assert!(
        section(&said, "Next steps").contains("Nothing, as far as the record knows."),
        "{said}"
    );
    assert!(said.contains("**What was lost?** Nothing"), "{said}");
    for evidence in [Value::Null, json!([1, 2]), json!("text"), json!({})] {
        report::html(&unknown(evidence));
    }
}

#[test]
fn text_from_the_record_is_never_taken_for_anything_else() {
    let harm = "<script>alert(1)</script>\"onload=\"x'><img src=x onerror=y>&lt;\u{202E}evil\u{2066}\n# heading\n| a | `b` ``` </style>";
    let mut spoiled = spoil(serde_json::to_value(recorded("approved")).unwrap(), harm);
    set(&mut spoiled, "/header/closing/outcome", json!("failed"));
    spoiled["header"]["closing"]["evidence"][harm] = json!({ harm: [{ harm: harm }, { harm: 1 }] });
    let account: Account = serde_json::from_value(spoiled).unwrap();
    let html = report::html(&account);
    for part in ["<script", "<img", "\"onload=\"", "\u{202E}", "\u{2066}"] {
        assert!(!html.contains(part), "{part} is in {html}");
    }
    assert_eq!(html.matches("</style>").count(), 1);
    assert!(html.contains("&lt;script&gt;") && html.contains("[U+202E]"), "{html}");
    assert_quoted(&html);
    let markdown = without_code(&report::markdown(&account));
    for part in ["<script", "<img", "\n# heading", "\u{202E}"] {
        assert!(!markdown.contains(part), "{part} is in {markdown}");
    }
    // What is pasted into a shell is ours.
    assert!(!html.contains("drctl resume"), "{html}");
    assert!(report::html(&ended("failed", "no")).contains("drctl resume"));
    let mut campaign = campaign();
    campaign.title = harm.to_owned();
    campaign.breaches[0].command = harm.to_owned();
    campaign.scenarios[0].name = harm.to_owned();
    campaign.scenarios[0].outcomes.insert(harm.to_owned(), 1);
    campaign.faults.insert(harm.to_owned(), [(harm.to_owned(), 1)].into());
    campaign.scenarios[0].commands.insert(harm.to_owned(), harm.to_owned());
    for said in [
        report::campaign_html(&campaign),
        without_code(&report::campaign_markdown(&campaign)),
    ] {
        assert!(!said.contains("<script") && !said.contains('\u{202E}'), "{said}");
    }
}

/// Markdown without its code, which is shown as it is: what lies between as many backticks.
fn without_code(markdown: &str) -> String {
    let mut left = String::new();
    let mut rest = markdown;
    while let Some(from) = rest.find('`') {
        let escaped = rest[..from].ends_with('\\');
        let fence: String = rest[from..].chars().take_while(|c| *c == '`' && !escaped).collect();
        let after = &rest[from + fence.len().max(1)..];
        left.push_str(&rest[..from]);
        rest = match after.find(&fence).filter(|_| !fence.is_empty()) {
            Some(end) => &after[end + fence.len()..],
            None => after,
        };
    }
    left + rest
}

/// The same data with `harm` after each text that may be any text.
fn spoil(value: Value, harm: &str) -> Value {
    let fixed = |name: &str| {
        matches!(
            name,
            "scenario"
                | "mode"
                | "intent"
                | "kind"
                | "outcome"
                | "answer"
                | "rpo_status"
                | "rto"
                | "rpo"
                | "what"
                | "target"
                | "maximum"
                | "execution"
                | "last_failed_as"
                | "failed_as"
        ) || name.ends_with("_at")
            || name == "at"
            || name == "may_run_until"
    };
    match value {
        Value::String(text) => Value::String(format!("{text}{harm}")),
        Value::Array(items) => items.into_iter().map(|item| spoil(item, harm)).collect(),
        Value::Object(fields) => fields
            .into_iter()
            .map(|(name, value)| match value {
                Value::String(_) if fixed(&name) => (name, value),
                value => (name, spoil(value, harm)),
            })
            .collect(),
        other => other,
    }
}

/// Every tag is one of ours, with nothing but quoted attributes.
fn assert_quoted(html: &str) {
    let body = &html[html.find("</style>").unwrap()..];
    for tag in body
        .split('<')
        .skip(2)
        .filter_map(|rest| rest.split_once('>'))
        .map(|(tag, _)| tag)
    {
        let name: String = tag
            .trim_start_matches('/')
            .chars()
            .take_while(char::is_ascii_alphanumeric)
            .collect();
        assert!(
            !name.is_empty() && !["script", "img", "iframe", "object"].contains(&name.as_str()),
            "<{tag}>"
        );
        assert_eq!(tag.matches('"').count() % 2, 0, "<{tag}>");
        let unquoted: String = tag.split('"').step_by(2).collect();
        assert!(!unquoted.to_lowercase().contains(" on"), "<{tag}>");
    }
}

#[test]
fn nothing_is_asked_for_and_no_secret_is_kept() {
    for name in RECORDED {
        let account = recorded(name);
        let html = report::html(&account);
        assert!(html.contains("default-src 'none'"), "{name}");
        for part in ["src=", "<link", "@import", "<script", "http:", "url(http"] {
            assert!(!html.contains(part), "{name}: {part}");
        }
        assert!(!report::json(&account).unwrap().contains("token"), "{name}");
    }
}

#[test]
fn an_auditor_finds_what_ran_it_by_which_plan_and_who_was_told_and_answered_when() {
    let mut account = recorded("approved");
    account.rehearsed = Some(report::Rehearsed {
        seed: 4711,
        command: Some("drctl rehearse region-failure --seed 4711".to_owned()),
        timings_sha256: "the-digest-of-the-ranges".to_owned(),
    });
    let said = report::markdown(&account);
    let record = section(&said, "Record and sign-off");
    let automation = account.header.automation.clone().unwrap();
    for part in [
        automation.as_str(),
        account.header.plan_sha256.as_str(),
        "**Seed:** `4711`",
        "`drctl rehearse region-failure --seed 4711`",
        "`the-digest-of-the-ranges`",
        "**Goes up to:** ",
        "; sent at ",
    ] {
        assert!(record.contains(part), "{part} is missing in {record}");
    }
    let answers = section(&said, "Questions and answers");
    for answer in account.questions.iter().flat_map(|asked| &asked.answers) {
        let request = format!("; request `{}`", answer.request_id.as_ref().unwrap());
        assert!(answers.contains(&request), "{request} is missing in {answers}");
    }
    let plan = section(&said, "Plan");
    assert!(plan.contains("    \"workload\": \"radiant\""), "{plan}");
    account.plan = None;
    let without = report::markdown(&account);
    assert!(
        section(&without, "Plan").contains("The record does not have the plan with the SHA-256"),
        "{without}"
    );
}

#[test]
fn a_campaign_says_what_came_of_it() {
    let campaign = campaign();
    let said = report::campaign_markdown(&campaign);
    for part in [
        "**1 rule broken; 971 of 1000 recovered.**",
        "**How many were above a maximum?** RTO 0 of 971, RPO 0 of 672",
        "one writer at a time",
        "drctl rehearse region-failure --seed 4711",
        "| Scenario | Runs | Recovered | Declined | Failed | Refused | Rolled back |",
        "| region-failure | 700 | 672 | 9 | 11 | 0 | 8 |",
        "| Fault | Runs | Recovered | Failed |",
        "| rds answers late | 412 | 400 | 12 |",
    ] {
        assert!(said.contains(part), "{part} is missing in {said}");
    }
    let spread = &campaign.scenarios[0].rto;
    assert_eq!(spread.values.len(), 672);
    let p95 = spread.p95.unwrap();
    let below = spread.values.iter().filter(|value| **value <= p95).count();
    // 95 of 100 are 638.4 of 672.
    assert_eq!(below, 639);
    let json: Value = serde_json::from_str(&report::campaign_json(&campaign).unwrap()).unwrap();
    assert_eq!(json["campaign"]["scenarios"][0]["rto"]["median"], json!(spread.median));
    let held = report::Campaign {
        breaches: vec![],
        ..campaign
    };
    assert!(report::campaign_markdown(&held).contains("\u{25B2} **0 rules broken; 971 of 1000 recovered.**"));
}
