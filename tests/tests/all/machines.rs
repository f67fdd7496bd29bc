//! Every state machine of the repository keeps the contract; and every check of the contract is seen to fail on a defect
//! that is planted into a real machine.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use rehearsal::deployment::STEPS;
use serde_json::{Value, json};
use shared::step::Caller;
use tests::contract::{self, Breach, Check, Findings, MOST_EVENTS, not_for_machines};
use tests::step_input::StepInput;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The machines' texts by file name. There must be one at least.
fn machines(folder: &str) -> BTreeMap<String, String> {
    let files = fs::read_dir(root().join(folder))
        .expect("the folder of machines")
        .map(|entry| entry.unwrap().path());
    let texts: BTreeMap<_, _> = files
        .filter(|path| path.to_string_lossy().ends_with(".asl.json"))
        .map(|path| {
            (
                path.file_name().unwrap().to_string_lossy().into_owned(),
                fs::read_to_string(path).unwrap(),
            )
        })
        .collect();
    assert!(!texts.is_empty(), "{folder} has no *.asl.json: nothing was checked");
    texts
}

/// What every step takes that machines call.
fn steps() -> Vec<StepInput> {
    let folders = fs::read_dir(root().join("functions"))
        .expect("functions/")
        .map(|entry| entry.unwrap().path());
    let mut folders: Vec<_> = folders.filter(|path| path.is_dir()).collect();
    folders.sort();
    let read = |folder: &PathBuf| {
        let name = folder.file_name().unwrap().to_string_lossy();
        // What AWS sends has fields that nobody here knows.
        let step = STEPS.iter().find(|step| *step.name == *name);
        if step.is_some_and(|step| step.called_by.contains(&Caller::Url)) {
            return StepInput::of_events(&name);
        }
        StepInput::of_step(&root().join("functions"), &name).unwrap_or_else(|error| panic!("{error}"))
    };
    folders.iter().map(read).collect()
}

fn list(breaches: &[Breach]) -> String {
    breaches.iter().map(|breach| format!("\n  {breach}")).collect()
}

#[test]
fn every_machine_keeps_the_contract() {
    let steps = steps();
    let mut called = BTreeSet::new();
    let mut breaches = String::new();
    for (name, text) in machines("statemachines") {
        let machine = name.trim_end_matches(".asl.json");
        let mut findings = contract::check(machine, &text, &steps);
        called.append(&mut findings.called);
        if let Some(events) = findings.worst_case {
            println!("{name}: {events} history events in the worst case, of {MOST_EVENTS}");
        }
        if !findings.breaches.is_empty() {
            breaches += &format!("\n{name}:{}", list(&findings.breaches));
        }
    }
    breaches += &list(&contract::uncalled(&steps, &called, &not_for_machines()));
    assert!(breaches.is_empty(), "{breaches}");
}

#[test]
#[should_panic(expected = "nothing was checked")]
fn a_folder_without_machines_is_no_success() {
    machines("functions");
}

// Planted defects ---------------------------------------------------------------------------------------------------

/// What is found in a real machine after `edit`.
fn after_in(name: &str, edit: impl FnOnce(&mut Value)) -> Findings {
    let text = fs::read_to_string(root().join(format!("statemachines/{name}.asl.json"))).unwrap();
    let mut machine: Value = serde_json::from_str(&text).unwrap();
    let before = machine.clone();
    edit(&mut machine);
    assert_ne!(machine, before, "nothing was planted");
    contract::check(name, &machine.to_string(), &steps())
}

/// What is found in the real Region switch after `edit`.
fn after(edit: impl FnOnce(&mut Value)) -> Findings {
    after_in("region-switch", edit)
}

/// A defect of the Region switch is found by this check, in these words, and by no other.
#[track_caller]
fn finds(check: Check, text: &str, edit: impl FnOnce(&mut Value)) {
    finds_in("region-switch", check, text, edit);
}

/// Likewise one of the recovery machine.
#[track_caller]
fn finds_in_recovery(check: Check, text: &str, edit: impl FnOnce(&mut Value)) {
    finds_in("recovery", check, text, edit);
}

#[track_caller]
fn finds_in(name: &str, check: Check, text: &str, edit: impl FnOnce(&mut Value)) {
    let breaches = after_in(name, edit).breaches;
    assert!(
        breaches
            .iter()
            .any(|breach| breach.check == check && breach.text.contains(text)),
        "{}",
        list(&breaches)
    );
    assert!(
        breaches.iter().all(|breach| breach.check == check),
        "{}",
        list(&breaches)
    );
}

/// A place in the machine. Panics if there is none, so that a renamed state does not turn a test off.
fn at<'a>(machine: &'a mut Value, pointer: &str) -> &'a mut Value {
    machine
        .pointer_mut(pointer)
        .unwrap_or_else(|| panic!("the machine has no {pointer}"))
}

fn remove(machine: &mut Value, pointer: &str, key: &str) {
    at(machine, pointer)
        .as_object_mut()
        .unwrap()
        .remove(key)
        .unwrap_or_else(|| panic!("{pointer} has no {key}"));
}

const ASSESS: &str = "/States/AssessRegion";
const DATABASE: &str = "/States/BringUp/Branches/0/States";

#[test]
fn a_hole_without_a_function() {
    finds(Check::Loads, "`${SwitchDNS}` has no value", |machine| {
        *at(machine, "/States/SwitchDns/Arguments/FunctionName") = json!("${SwitchDNS}");
    });
}

#[test]
fn a_state_that_does_not_exist() {
    finds(Check::Loads, "there is no state `Nowhere`", |machine| {
        *at(machine, "/States/IsUp/Default") = json!("Nowhere");
    });
}

#[test]
fn a_state_that_cannot_be_reached() {
    finds(Check::Loads, "cannot be reached", |machine| {
        at(machine, "/States")["Lonely"] = json!({ "Type": "Pass", "Next": "ScenarioEnded" });
    });
}

#[test]
fn a_variable_that_is_assigned_nowhere() {
    finds_in_recovery(Check::Loads, "`$dicided` is assigned nowhere", |machine| {
        *at(machine, "/States/CloseRecovery/Arguments/Payload/reason") = json!("{% $dicided %}");
    });
}

#[test]
fn jsonata_that_does_not_parse() {
    finds(Check::Loads, "JSONata does not parse", |machine| {
        *at(machine, "/States/SwitchDns/Arguments/Payload/dns") = json!("{% $plan. %}");
    });
}

#[test]
fn another_query_language() {
    finds(Check::Loads, "must be \"JSONata\"", |machine| {
        *at(machine, "/QueryLanguage") = json!("JSONPath")
    });
    finds(Check::Loads, "must be \"JSONata\"", |machine| {
        remove(machine, "", "QueryLanguage")
    });
}

#[test]
fn an_error_that_step_functions_does_not_have() {
    finds(
        Check::Loads,
        "`States.TimedOut` is no error of Step Functions",
        |machine| {
            *at(machine, &format!("{DATABASE}/CheckDatabase/Catch/0/ErrorEquals/0")) = json!("States.TimedOut");
        },
    );
}

#[test]
fn a_machine_without_a_comment() {
    finds(Check::Header, "no Comment", |machine| remove(machine, "", "Comment"));
    finds(Check::Header, "no Comment", |machine| {
        *at(machine, "/Comment") = json!(" ")
    });
}

#[test]
fn a_machine_without_an_end_in_time() {
    finds(Check::Header, "no TimeoutSeconds at the top", |machine| {
        remove(machine, "", "TimeoutSeconds")
    });
}

#[test]
fn an_arn_of_an_account() {
    finds_in_recovery(
        Check::Arns,
        "`arn:aws:sns:us-west-2:123456789012:radiant-recoveries`",
        |machine| {
            *at(machine, "/States/AnnounceClosing/Arguments/Payload/topic_arn") =
                json!("arn:aws:sns:us-west-2:123456789012:radiant-recoveries");
        },
    );
}

#[test]
fn a_state_in_another_case() {
    finds_in_recovery(Check::StateNames, "`can_announce`", |machine| {
        let text = machine.to_string().replace("\"CanAnnounce\"", "\"can_announce\"");
        *machine = serde_json::from_str(&text).unwrap();
    });
    finds(Check::StateNames, "`isUp`", |machine| {
        *machine = serde_json::from_str(&machine.to_string().replace("\"IsUp\"", "\"isUp\"")).unwrap();
    });
}

#[test]
fn a_function_that_is_named_outright() {
    finds(
        Check::Payloads,
        "SwitchDns has a FunctionName that is not one hole",
        |machine| {
            *at(machine, "/States/SwitchDns/Arguments/FunctionName") = json!("switch-dns");
        },
    );
}

#[test]
fn a_call_that_does_not_say_its_state() {
    finds(Check::Payloads, "SwitchDns does not pass `state:", |machine| {
        remove(machine, "/States/SwitchDns/Arguments/Payload", "state");
    });
    finds(Check::Payloads, "SwitchDns does not pass `state:", |machine| {
        *at(machine, "/States/SwitchDns/Arguments/Payload/state") = json!("{% $states.context.State.Name %}");
    });
}

#[test]
fn a_call_without_a_payload_of_its_own() {
    finds(
        Check::Payloads,
        "SwitchDns has no Payload that is an object",
        |machine| {
            *at(machine, "/States/SwitchDns/Arguments/Payload") = json!("{% $states.input %}");
        },
    );
}

#[test]
fn a_field_too_few() {
    finds(
        Check::Payloads,
        "SwitchDns does not pass `dns`, which switch-dns needs",
        |machine| {
            remove(machine, "/States/SwitchDns/Arguments/Payload", "dns");
        },
    );
}

#[test]
fn a_field_too_many() {
    finds(
        Check::Payloads,
        "AssessRegion passes `region`, which assess-region does not take",
        |machine| {
            at(machine, &format!("{ASSESS}/Arguments/Payload"))["region"] = json!("{% $plan.here.region %}");
        },
    );
}

#[test]
fn an_optional_field_may_be_left_out() {
    let findings = after_in("recovery", |machine| {
        remove(machine, "/States/CloseRecovery/Arguments/Payload", "reason");
    });
    assert!(findings.breaches.is_empty(), "{}", list(&findings.breaches));
}

#[test]
fn an_error_that_nobody_raises() {
    finds(Check::ErrorNames, "nobody raises `Lambda.Timeout`", |machine| {
        let names = at(machine, "/States/RequestApproval/Retry/0/ErrorEquals")
            .as_array_mut()
            .unwrap();
        names.push(json!("Lambda.Timeout"));
    });
    finds(
        Check::ErrorNames,
        "CheckDatabase: nobody raises `Throttling`",
        |machine| {
            *at(machine, &format!("{DATABASE}/CheckDatabase/Catch/0/ErrorEquals/0")) = json!("Throttling");
        },
    );
}

#[test]
fn a_task_that_does_not_retry() {
    finds(Check::Retries, "SwitchDns has 0 retriers", |machine| {
        remove(machine, "/States/SwitchDns", "Retry");
    });
    finds(Check::Retries, "SwitchDns does not retry States.ALL", |machine| {
        *at(machine, "/States/SwitchDns/Retry/1/MaxAttempts") = json!(0);
    });
    finds(Check::Retries, "SwitchDns does not retry States.ALL", |machine| {
        *at(machine, "/States/SwitchDns/Retry/1/ErrorEquals") = json!(["Throttled", "Lambda.Unknown"]);
    });
}

#[test]
fn each_error_that_is_final() {
    for (i, name) in contract::final_errors().iter().enumerate() {
        let findings = after(|machine| {
            let named = at(machine, "/States/SwitchDns/Retry/0/ErrorEquals");
            assert_eq!(named.as_array_mut().unwrap().remove(i), *name);
        });
        let expected = format!("exactly what is final: {name}");
        assert!(
            matches!(&findings.breaches[..], [breach] if breach.text.ends_with(&expected)),
            "{}",
            list(&findings.breaches)
        );
    }
    finds(Check::Retries, "exactly what is final: Lambda.Unknown", |machine| {
        let named = at(machine, "/States/SwitchDns/Retry/0/ErrorEquals");
        named.as_array_mut().unwrap().push(json!("Lambda.Unknown"));
    });
}

#[test]
fn each_error_that_a_question_is_asked_again_for() {
    let retried = 3 + contract::SERVICE_ERRORS.len() - 1;
    for i in 0..retried {
        let mut name = Value::Null;
        let findings = after(|machine| {
            let named = at(machine, "/States/RequestApproval/Retry/0/ErrorEquals");
            name = named.as_array_mut().unwrap().remove(i);
        });
        let expected = format!("RequestApproval does not retry {}", name.as_str().unwrap());
        assert!(
            matches!(&findings.breaches[..], [breach] if breach.text == expected),
            "{}",
            list(&findings.breaches)
        );
    }
}

#[test]
fn a_question_that_is_asked_again_when_nobody_answers() {
    finds(Check::Retries, "that nobody answered is the answer", |machine| {
        at(machine, "/States/RequestApproval/Retry/0/ErrorEquals")
            .as_array_mut()
            .unwrap()
            .push(json!("States.Timeout"));
    });
}

#[test]
fn a_question_that_the_plan_does_not_limit() {
    finds(Check::Timeouts, "RequestApproval has no TimeoutSeconds", |machine| {
        *at(machine, "/States/RequestApproval/TimeoutSeconds") = json!("{% $plan.patience %}");
    });
}

#[test]
fn a_retry_of_what_does_not_go_away() {
    for name in ["Preempted", "Refused", "Internal", "States.TaskFailed"] {
        finds(
            Check::Retries,
            &format!("RequestApproval retries `{name}`"),
            |machine| {
                at(machine, "/States/RequestApproval/Retry/0/ErrorEquals")
                    .as_array_mut()
                    .unwrap()
                    .push(json!(name));
            },
        );
    }
    finds(Check::Retries, "RequestApproval retries `States.ALL`", |machine| {
        let all = json!({ "ErrorEquals": ["States.ALL"], "MaxDelaySeconds": 5, "JitterStrategy": "FULL" });
        at(machine, "/States/RequestApproval/Retry")
            .as_array_mut()
            .unwrap()
            .push(all);
    });
}

#[test]
fn a_retry_in_step_with_everybody_else() {
    finds(
        Check::Retries,
        "SwitchDns retries without JitterStrategy FULL",
        |machine| {
            remove(machine, "/States/SwitchDns/Retry/1", "JitterStrategy");
        },
    );
    finds(
        Check::Retries,
        "SwitchDns retries without JitterStrategy FULL or without MaxDelaySeconds",
        |machine| {
            remove(machine, "/States/SwitchDns/Retry/1", "MaxDelaySeconds");
        },
    );
}

#[test]
fn a_task_without_an_end_in_time() {
    finds(Check::Timeouts, "PromoteDatabase has no TimeoutSeconds", |machine| {
        remove(machine, "/States/PromoteDatabase", "TimeoutSeconds");
    });
    finds(
        Check::Timeouts,
        "PromoteDatabase has no TimeoutSeconds that is a number",
        |machine| {
            *at(machine, "/States/PromoteDatabase/TimeoutSeconds") = json!("{% $plan.deadlines.database_seconds %}");
        },
    );
}

#[test]
fn a_failure_that_is_not_caught() {
    finds(Check::Catches, "SwitchDns has no last Catch on States.ALL", |machine| {
        remove(machine, "/States/SwitchDns", "Catch");
    });
    finds(Check::Catches, "BringUp has no last Catch on States.ALL", |machine| {
        remove(machine, "/States/BringUp", "Catch")
    });
    finds(
        Check::Catches,
        "PromoteDatabase has no last Catch on States.ALL",
        |machine| {
            *at(machine, "/States/PromoteDatabase/Catch/1/ErrorEquals/0") = json!("States.TaskFailed");
        },
    );
}

#[test]
fn an_announcement_that_stops_a_promotion() {
    finds_in_recovery(
        Check::Catches,
        "AnnounceOpening has no last Catch on States.ALL",
        |machine| remove(machine, "/States/AnnounceOpening", "Catch"),
    );
}

#[test]
fn a_branch_that_stops_its_sibling() {
    finds(
        Check::Branches,
        "BringUp.branch[1].ActivateRegion has no last Catch on States.ALL",
        |machine| {
            // The Pass state goes too, or it could not be reached.
            remove(machine, "/States/BringUp/Branches/1/States/ActivateRegion", "Catch");
            remove(machine, "/States/BringUp/Branches/1/States", "NotActivated");
        },
    );
    finds(Check::Branches, "NotActivated fails its branch", |machine| {
        at(machine, "/States/BringUp/Branches/1/States")["NotActivated"] = json!({ "Type": "Fail" });
    });
}

#[test]
fn a_loop_without_a_wait() {
    finds(Check::Loops, "goes round without a Wait", |machine| {
        *at(machine, &format!("{DATABASE}/IsDatabaseReady/Default")) = json!("CheckDatabase");
    });
}

#[test]
fn a_loop_without_a_deadline() {
    finds(Check::Loops, "goes round without a deadline", |machine| {
        at(machine, "/States/IsHealthy/Choices").as_array_mut().unwrap().pop();
    });
}

#[test]
fn a_second_way_round_that_misses_the_deadline() {
    finds(
        Check::Loops,
        "CheckDatabase → WaitForDatabase → CheckDatabase goes round without a deadline",
        |machine| {
            *at(machine, &format!("{DATABASE}/CheckDatabase/Catch/0/Next")) = json!("WaitForDatabase");
        },
    );
}

#[test]
fn a_deadline_that_does_not_hold() {
    let condition = "/States/IsHealthy/Choices/1/Condition";
    finds(
        Check::Loops,
        "IsHealthy has a deadline in a form that the contract test cannot read",
        |machine| {
            *at(machine, condition) = json!("{% $plan.deadlines.health_seconds < 0 %}");
        },
    );
    finds(
        Check::Loops,
        "has the deadline `healthy_seconds`, which no plan has",
        |machine| {
            let text = at(machine, condition)
                .to_string()
                .replace("health_seconds", "healthy_seconds");
            *at(machine, condition) = serde_json::from_str(&text).unwrap();
        },
    );
    finds(
        Check::Loops,
        "has a deadline that begins anew: $switchedAt is assigned in the loop",
        |machine| {
            at(machine, "/States/CheckHealth/Assign")["switchedAt"] = json!("{% $states.context.State.EnteredTime %}");
        },
    );
    finds(
        Check::Loops,
        "CouldNotPromote → TakeBack comes to a deadline since $takingBackSince, which is not set on that way",
        |machine| *at(machine, "/States/CouldNotPromote/Default") = json!("TakeBack"),
    );
    finds(
        Check::Loops,
        "IsHealthy stays in its loop when the deadline has passed: WaitForHealth",
        |machine| {
            *at(machine, "/States/IsHealthy/Choices/1/Next") = json!("WaitForHealth");
        },
    );
    finds(
        Check::Loops,
        "IsHealthy goes on to WaitForHealth before it looks at the deadline",
        |machine| {
            let again = json!({ "Condition": "{% $streak.length > 0 %}", "Next": "WaitForHealth" });
            at(machine, "/States/IsHealthy/Choices")
                .as_array_mut()
                .unwrap()
                .insert(0, again);
        },
    );
}

#[test]
fn a_wait_that_cannot_be_counted() {
    for seconds in [
        "{% $plan.deadlines.health_seconds %}",
        "{% $states.context.State.RetryCount < 600000 ? 5 : 30 %}",
    ] {
        finds(Check::Loops, "WaitForHealth waits in a form", |machine| {
            *at(machine, "/States/WaitForHealth/Seconds") = json!(seconds);
        });
    }
    finds(Check::Loops, "WaitForHealth waits in a form", |machine| {
        let text = at(machine, "/States/WaitForHealth/Seconds")
            .to_string()
            .replace("? 5 : 30", "? 30 : 5");
        *at(machine, "/States/WaitForHealth/Seconds") = serde_json::from_str(&text).unwrap();
    });
    finds(Check::Loops, "WaitForHealth counts from another moment", |machine| {
        let text = at(machine, "/States/WaitForHealth/Seconds")
            .to_string()
            .replace("$switchedAt", "$promotedAt");
        *at(machine, "/States/WaitForHealth/Seconds") = serde_json::from_str(&text).unwrap();
    });
}

#[test]
fn a_loop_that_asks_too_often() {
    // The history of such a loop may be too long as well; that is another check.
    for (seconds, text) in [
        (json!(3), "WaitForHealth waits 3 s in a loop"),
        (
            json!("{% $toMillis($states.context.State.EnteredTime) - $toMillis($switchedAt) < 600000 ? 3 : 30 %}"),
            "WaitForHealth waits 3 s in a loop",
        ),
    ] {
        let findings = after(|machine| *at(machine, "/States/WaitForHealth/Seconds") = seconds);
        let polling: Vec<_> = findings
            .breaches
            .iter()
            .filter(|breach| breach.check != Check::History)
            .collect();
        assert!(
            matches!(&polling[..], [breach] if breach.check == Check::Polling && breach.text.contains(text)),
            "{}",
            list(&findings.breaches)
        );
    }
}

#[test]
fn a_path_around_the_closing() {
    let path = "MayOpen → HowItEnded → RecoveryEnded does not pass through CloseRecovery";
    finds_in_recovery(Check::Endings, path, |machine| {
        *at(machine, "/States/MayOpen/Choices/0/Next") = json!("HowItEnded")
    });
    // Through a Catch, too.
    let path = "OpenRecovery → RecoveryFailed does not pass through CloseRecovery";
    finds_in_recovery(Check::Endings, path, |machine| {
        *at(machine, "/States/OpenRecovery/Catch/0/Next") = json!("RecoveryFailed")
    });
}

#[test]
fn another_end() {
    finds_in_recovery(Check::Endings, "GivenUp ends the machine", |machine| {
        *at(machine, "/States/HowItEnded/Choices/0/Next") = json!("GivenUp");
        at(machine, "/States")["GivenUp"] = json!({ "Type": "Fail" });
    });
    finds_in_recovery(Check::Endings, "AnnounceClosing ends the machine", |machine| {
        remove(machine, "/States/AnnounceClosing", "Next");
        at(machine, "/States/AnnounceClosing")["End"] = json!(true);
    });
    finds_in_recovery(Check::Endings, "there is no Succeed state RecoveryEnded", |machine| {
        at(machine, "/States")["RecoveryEnded"] = json!({ "Type": "Fail" });
    });
    finds_in_recovery(Check::Endings, "there is no Fail state RecoveryFailed", |machine| {
        at(machine, "/States")["RecoveryFailed"] = json!({ "Type": "Succeed" });
    });
}

#[test]
fn a_closing_that_closes_nothing() {
    finds_in_recovery(Check::Endings, "there is no state CloseRecovery", |machine| {
        *machine = serde_json::from_str(&machine.to_string().replace("\"CloseRecovery\"", "\"Finish\"")).unwrap();
    });
    finds_in_recovery(
        Check::Endings,
        "CloseRecovery does not call close-recovery",
        |machine| {
            let mut announce = at(machine, "/States/AnnounceClosing/Arguments").clone();
            announce["Payload"]["scenario"] = json!("az-failure");
            *at(machine, "/States/CloseRecovery/Arguments") = announce;
        },
    );
}

#[test]
fn a_failure_that_looks_like_a_success() {
    let text = "HowItEnded does not end by the outcome";
    finds_in_recovery(Check::Endings, text, |machine| {
        *at(machine, "/States/HowItEnded/Choices/0/Condition") = json!("{% $outcome = 'failed' %}");
    });
    finds_in_recovery(Check::Endings, text, |machine| {
        *at(machine, "/States/HowItEnded/Choices/0/Next") = json!("RecoveryEnded");
        *at(machine, "/States/HowItEnded/Default") = json!("RecoveryFailed");
    });
    finds_in_recovery(Check::Endings, "CanAnnounce does not end by the outcome", |machine| {
        *at(machine, "/States/CanAnnounce/Choices/0/Next") = json!("RecoveryEnded");
    });
    finds_in_recovery(
        Check::Endings,
        "CanAnnounce changes the outcome after it was recorded",
        |machine| {
            at(machine, "/States/CanAnnounce/Choices/0")["Assign"] = json!({ "outcome": "recovered" });
        },
    );
    finds_in_recovery(
        Check::Endings,
        "a recovery that could not be closed may end in RecoveryEnded",
        |machine| {
            *at(machine, "/States/AnnounceFailure/Next") = json!("HowItEnded");
        },
    );
}

#[test]
fn a_scenario_that_ends_in_another_way() {
    finds(
        Check::Endings,
        "GivenUp ends the machine; only ScenarioEnded may",
        |machine| {
            *at(machine, "/States/IsHealthy/Choices/1/Next") = json!("GivenUp");
            at(machine, "/States")["GivenUp"] = json!({ "Type": "Fail" });
        },
    );
    finds(Check::Endings, "there is no Succeed state ScenarioEnded", |machine| {
        at(machine, "/States")["ScenarioEnded"] = json!({ "Type": "Fail" });
    });
    finds(Check::Endings, "its output has", |machine| {
        remove(machine, "/States/ScenarioEnded/Output", "remaining")
    });
    finds(Check::Endings, "`observed` of its output has", |machine| {
        at(machine, "/States/ScenarioEnded/Output/observed")["more"] = json!(1);
    });
    finds(
        Check::Endings,
        "`evidence` of its output lacks `assessment`",
        |machine| remove(machine, "/States/ScenarioEnded/Output/evidence", "assessment"),
    );
}

#[test]
fn a_scenario_that_does_what_the_recovery_machine_does() {
    let text = "TakeBack calls close-recovery, which the recovery machine does";
    let findings = after(|machine| {
        *at(machine, "/States/TakeBack/Arguments/FunctionName") = json!("${CloseRecovery}");
    });
    let found: Vec<_> = findings
        .breaches
        .iter()
        .filter(|breach| breach.check == Check::Scenarios)
        .collect();
    assert!(
        matches!(&found[..], [breach] if breach.text == text),
        "{}",
        list(&findings.breaches)
    );
    finds(
        Check::Scenarios,
        "WriteReport is a state of the recovery machine too",
        |machine| {
            let text = machine.to_string().replace("\"SwitchDns\"", "\"WriteReport\"");
            *machine = serde_json::from_str(&text).unwrap();
        },
    );
}

#[test]
fn a_scenario_that_anybody_could_start() {
    for state in ["AssessRegion", "TakeBack"] {
        let text = format!("{state} can be the first Task, and does not pass `caller");
        finds(Check::Scenarios, &text, |machine| {
            remove(machine, &format!("/States/{state}/Arguments/Payload"), "caller");
        });
        finds(Check::Scenarios, &text, |machine| {
            *at(machine, &format!("/States/{state}/Arguments/Payload/caller")) = json!("{% $recovery.execution %}");
        });
    }
}

#[test]
fn a_scenario_that_is_started_in_another_way() {
    let run = "/States/RunScenario";
    finds_in_recovery(Check::Scenarios, "names its execution in another way", |machine| {
        *at(machine, &format!("{run}/Arguments/Name")) = json!("{% $recovery.id %}");
    });
    finds_in_recovery(Check::Scenarios, "it starts executions called", |machine| {
        *at(machine, "/States/UndoScenario/Arguments/Name") = json!("{% $run.name %}");
    });
    finds_in_recovery(
        Check::Scenarios,
        "starts by arn:aws:states:::states:startExecution.sync,",
        |machine| {
            *at(machine, &format!("{run}/Resource")) = json!("arn:aws:states:::states:startExecution.sync");
        },
    );
    finds_in_recovery(
        Check::Scenarios,
        "does not wait longer than a scenario's machine",
        |machine| {
            *at(machine, &format!("{run}/TimeoutSeconds")) = json!(43_200);
        },
    );
    for error in ["States.Timeout", "StepFunctions.ExecutionAlreadyExistsException"] {
        let findings = after_in("recovery", |machine| {
            let retried = at(machine, &format!("{run}/Retry/0/ErrorEquals"));
            retried.as_array_mut().unwrap().push(json!(error));
        });
        let is_found = |breach: &Breach| breach.check == Check::Retries && breach.text.contains(error);
        assert!(findings.breaches.iter().any(is_found), "{}", list(&findings.breaches));
    }
    finds_in_recovery(Check::Retries, "RunScenario retries", |machine| {
        at(machine, &format!("{run}/Retry/0/ErrorEquals"))
            .as_array_mut()
            .unwrap()
            .pop();
    });
}

#[test]
fn a_history_without_room_for_the_worst_case() {
    // One more retry in a loop is 3 more events in each of its 611 turns.
    finds(Check::History, "history events; 15000 is the most", |machine| {
        *at(machine, &format!("{DATABASE}/CheckDatabase/Retry/1/MaxAttempts")) = json!(2);
    });
    finds(Check::History, "history events; 15000 is the most", |machine| {
        let wait = format!("{DATABASE}/WaitForDatabase/Seconds");
        let text = at(machine, &wait).to_string().replace("600000", "2400000");
        *at(machine, &wait) = serde_json::from_str(&text).unwrap();
    });
    finds(
        Check::History,
        "nobody knows how many items BringUp.branch[2].ActivateEach has",
        |machine| {
            let branch = json!({
                "StartAt": "ActivateEach",
                "States": { "ActivateEach": {
                    "Type": "Map",
                    "Items": "{% $plan.functions %}",
                    "ItemProcessor": { "StartAt": "Look", "States": { "Look": { "Type": "Pass", "End": true } } },
                    "Catch": [{ "ErrorEquals": ["States.ALL"], "Next": "NotEach" }],
                    "End": true
                }, "NotEach": { "Type": "Pass", "End": true } }
            });
            at(machine, "/States/BringUp/Branches")
                .as_array_mut()
                .unwrap()
                .push(branch);
        },
    );
}

#[test]
fn a_function_that_no_machine_calls() {
    let another = |machine: &mut Value| *at(machine, "/Comment") = json!("another");
    let mut called = after(another).called;
    for machine in ["recovery", "database-recovery"] {
        called.append(&mut after_in(machine, another).called);
    }
    let uncalled = |excused: &[&str]| list(&contract::uncalled(&steps(), &called, excused));
    let not_for_machines = not_for_machines();
    assert_eq!(not_for_machines.len(), 7, "{not_for_machines:?}");
    assert_eq!(uncalled(&not_for_machines), "");
    let expected: Vec<String> = not_for_machines
        .iter()
        .map(|folder| format!("\n  Uncalled: no machine calls functions/{folder}"))
        .collect();
    assert_eq!(uncalled(&[]), expected.concat());
    for stale in ["switch-dns", "gone"] {
        let excused = [not_for_machines.as_slice(), &[stale]].concat();
        assert!(
            uncalled(&excused).contains(&format!("not_for_machines names {stale}")),
            "{}",
            uncalled(&excused)
        );
    }
}
