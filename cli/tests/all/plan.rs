//! `drctl plan`, and how the command line answers wrong use, as somebody at a terminal sees it.

use std::fs;
use std::io::Read;
use std::process::Stdio;
use std::time::{Duration, Instant};

use assert_cmd::Command;
use assert_cmd::cargo::cargo_bin_cmd;
use shared::scenario::Scenario;
use tempfile::TempDir;

use crate::common::{self, Answer, root};

fn radiant() -> String {
    fs::read_to_string(root().join("radiant.plan.yaml")).unwrap()
}

fn drctl(args: &[&str]) -> Command {
    let mut command = cargo_bin_cmd!("drctl");
    command.args(args).env_remove("NO_COLOR");
    command
}

fn answer(mut command: Command) -> Answer {
    common::answer(command.output().unwrap())
}

/// What `plan check` says about `content`, in a file named `p.yaml`.
fn check(content: impl AsRef<[u8]>) -> Answer {
    let folder = TempDir::new().unwrap();
    fs::write(folder.path().join("p.yaml"), content).unwrap();
    let mut command = drctl(&["plan", "check", "p.yaml"]);
    command.current_dir(folder.path());
    answer(command)
}

/// RADIANT's plan with texts replaced, each of which must be there.
fn changed(changes: &[(&str, &str)]) -> String {
    let mut plan = radiant();
    for (from, to) in changes {
        assert!(plan.contains(from), "the plan has no {from:?}");
        plan = plan.replacen(from, to, 1);
    }
    plan
}

/// The line in which `needle` begins.
fn line_of(plan: &str, needle: &str) -> usize {
    let at = plan
        .find(needle)
        .unwrap_or_else(|| panic!("the plan has no {needle:?}"));
    1 + plan[..at].matches('\n').count()
}

/// Checks a changed plan, and that exactly one thing is wrong: at the line of `needle`, beginning with `text`.
#[track_caller]
fn one_finding(changes: &[(&str, &str)], needle: &str, text: &str) {
    let plan = changed(changes);
    let (code, stdout, stderr) = check(&plan);
    let expected = format!("p.yaml:{}: {text}", line_of(&plan, needle));
    assert!(
        stdout.starts_with(&expected) && stdout.lines().count() == 1,
        "expected {expected:?}, got:\n{stdout}"
    );
    assert_eq!((code, stderr.as_str()), (1, ""));
}

#[test]
fn radiant_is_sound() {
    let (code, stdout, stderr) = check(radiant());
    let expected = "p.yaml: sound (radiant: us-east-1 to us-west-2, 5 functions, 6 scenarios, 6 alarms, 6 contacts)\n";
    assert_eq!((code, stderr.as_str()), (0, ""));
    let warnings = stdout.strip_prefix(expected).unwrap_or_else(|| panic!("{stdout}"));
    // Every scenario of the plan but those that a machine recovers from.
    let warned: Vec<&str> = Scenario::all()
        .into_iter()
        .filter(|scenario| scenario.machine().is_none())
        .map(Scenario::name)
        .collect();
    assert!(
        !warned.is_empty() && warnings.lines().count() == warned.len(),
        "{stdout}"
    );
    for (line, scenario) in warnings.lines().zip(warned) {
        let expected =
            format!("p.yaml: warning: /scenarios/{scenario}: declared, not available yet; its alarms start nothing");
        assert_eq!(line, expected);
    }
}

#[test]
fn the_committed_schema_is_the_generated_one() {
    let (code, stdout, _) = answer(drctl(&["plan", "schema"]));
    assert_eq!(code, 0);
    let committed = fs::read_to_string(root().join("shared/plan.schema.json")).unwrap_or_default();
    assert!(
        stdout == committed,
        "shared/plan.schema.json is old; run: cargo drctl plan schema > shared/plan.schema.json"
    );
}

#[test]
fn every_pattern_is_also_said_in_words() {
    fn look(schema: &serde_json::Value, path: &str) {
        if let Some(map) = schema.as_object() {
            assert!(
                !map.contains_key("pattern") || map.contains_key("patternErrorMessage"),
                "{path} has no words"
            );
        }
        let children: Vec<_> = match schema {
            serde_json::Value::Object(map) => map.iter().map(|(key, child)| (key.clone(), child)).collect(),
            serde_json::Value::Array(list) => list.iter().map(|child| ("-".to_owned(), child)).collect(),
            _ => return,
        };
        children
            .into_iter()
            .for_each(|(key, child)| look(child, &format!("{path}/{key}")));
    }
    let (_, stdout, _) = answer(drctl(&["plan", "schema"]));
    look(&serde_json::from_str(&stdout).unwrap(), "");
}

#[test]
fn unknown_keys() {
    one_finding(
        &[("workload:", "owner: me\nworkload:")],
        "owner",
        "/owner: unknown key; known here: ",
    );
    one_finding(
        &[("    stage: v2\n", "    stage: v2\n      stagee: v2\n")],
        "stagee",
        "/regions/primary/api/stagee: unknown key; did you mean 'stage'?",
    );
    one_finding(
        &[("dns:\n", "dns:\n  <<: {}\n")],
        "<<",
        "/dns/<<: merge keys are not part of YAML 1.2; write the keys out",
    );
}

#[test]
fn a_misspelt_key_is_unknown_and_missing() {
    let plan = changed(&[("  hosted_zone:", "  hosted-zone:")]);
    let (code, stdout, _) = check(&plan);
    let expected = format!(
        "p.yaml:{}: /dns/hosted_zone: missing; add it. The hosted zone that holds the failover records.\n\
         p.yaml:{}: /dns/hosted-zone: unknown key; did you mean 'hosted_zone'?\n",
        line_of(&plan, "dns:\n"),
        line_of(&plan, "hosted-zone")
    );
    assert_eq!((code, stdout), (1, expected));
}

#[test]
fn an_unknown_scenario_or_severity() {
    one_finding(
        &[("  service-recovery:\n    severity", "  servicerecovery:\n    severity")],
        "servicerecovery",
        "/scenarios/servicerecovery: unknown key; did you mean 'service-recovery'?",
    );
    one_finding(
        &[("  sev3:\n", "  sev4:\n")],
        "sev4",
        "/severities/sev4: unknown key; did you mean 'sev",
    );
}

#[test]
fn the_standby_was_called_otherwise_and_a_plan_of_then_is_told_so() {
    let (code, stdout, _) = check(changed(&[("  standby:\n", "  recovery:\n")]));
    assert_eq!(code, 1, "{stdout}");
    assert!(
        stdout.contains("/regions/recovery: is now called 'standby'; rename it"),
        "{stdout}"
    );
}

#[test]
fn missing_fields() {
    one_finding(
        &[("    region: us-west-2\n", "")],
        "standby:\n",
        "/regions/standby/region: missing; add it. The Region's name, such as `us-east-1`.",
    );
    one_finding(&[("version: 1\n", "")], "workload:", "/version: missing; add it. ");
    one_finding(
        &[("rto: { target: 1h, maximum: 4h }", "rto: { target: 1h }")],
        "rto: { target: 1h }",
        "/scenarios/az-failure/objectives/rto/maximum: missing; add it. ",
    );
    one_finding(
        &[("  - name: radiant-production-api-5xx\n    region", "  - region")],
        "  - region",
        "/alarms/1/name: missing",
    );
}

#[test]
fn wrong_types() {
    one_finding(
        &[("\"123456789012\"", "123456789012")],
        "account:",
        "/account: is a number, but must be text; put it in quotes: \"123456789012\"\n",
    );
    // As a number it would have lost its first digit; the hint has not.
    one_finding(
        &[("\"123456789012\"", "023456789012")],
        "account:",
        "/account: is a number, but must be text; put it in quotes: \"023456789012\"\n",
    );
    one_finding(
        &[("consecutive: 3", "consecutive: \"3\"")],
        "consecutive",
        "/health/consecutive: is text, but must be a whole number; leave out the quotes: 3\n",
    );
    one_finding(
        &[(
            "    buckets: [radiant-storage-production]",
            "    buckets: radiant-storage-production",
        )],
        "buckets:",
        "/regions/primary/buckets: is text, but must be a list\n",
    );
    one_finding(
        &[("    buckets: [radiant-storage-production]", "    buckets:")],
        "buckets:",
        "/regions/primary/buckets: is empty, but must be a list\n",
    );
    one_finding(
        &[("  ttl: 10s", "  ttl: 10")],
        "ttl:",
        "/dns/ttl: is a number, but must be text; put it in quotes: \"10\"\n",
    );
    one_finding(
        &[("status_page: true", "status_page: yes")],
        "status_page: yes",
        "/severities/sev1/status_page: is text, but must be true or false\n",
    );
    one_finding(
        &[("    start: off", "    start: of")],
        "start: of\n",
        "/alarms/1/start: 'of' is not one of automatic, approve, off; did you mean 'off'?\n",
    );
    one_finding(
        &[("    start: off", "    start: false")],
        "start: false",
        "/alarms/1/start: is not one of automatic, approve, off\n",
    );
    one_finding(
        &[("    approvals: 2", "    approvals: 3")],
        "approvals: 3",
        "/scenarios/database-corruption/approvals: 3 is too large; at most 2\n",
    );
    one_finding(
        &[("version: 1", "version: 2")],
        "version: 2",
        "/version: 2 is too large; at most 1\n",
    );
    one_finding(
        &[("notify: [on-call]", "notify: []")],
        "notify: []",
        "/severities/sev3/notify: has too few entries; give at least 1\n",
    );
    one_finding(
        &[("role: CTO", "role: \"\"")],
        "role: \"\"",
        "/contacts/cto/role: is empty\n",
    );
}

#[test]
fn a_list_or_a_word_is_no_plan() {
    for (content, is) in [("- a\n", "is a list"), ("plan\n", "is text"), ("7\n", "is a number")] {
        let (code, stdout, _) = check(content);
        assert_eq!(
            (code, stdout),
            (1, format!("p.yaml:1: {is}, but must be a mapping (key: value)\n"))
        );
    }
}

#[test]
fn names_that_aws_would_refuse() {
    let cases = [
        (
            "\"123456789012\"",
            "\"1234567890123\"",
            "/account",
            "an AWS account is 12 digits",
        ),
        (
            "region: us-west-2",
            "region: us-west2",
            "/regions/standby/region",
            "a Region is written like us-east-1",
        ),
        (
            "cluster: radiant-production",
            "cluster: radiant-production-",
            "/regions/primary/cluster",
            "a cluster's identifier is 1 to 63 ",
        ),
        (
            "cluster: radiant-dr-cluster",
            "cluster: radiant--dr",
            "/regions/standby/cluster",
            "a cluster's identifier is ",
        ),
        (
            "cluster: radiant-dr-cluster",
            "cluster: 1radiant",
            "/regions/standby/cluster",
            "a cluster's identifier is ",
        ),
        (
            "cluster: radiant-dr-cluster",
            "cluster: Radiant",
            "/regions/standby/cluster",
            "a cluster's identifier is ",
        ),
        (
            "global_cluster: radiant-global",
            "global_cluster: radiant_global",
            "/database/global_cluster",
            "a cluster's identifier is ",
        ),
        (
            "us-east-1:123456789012:secret:radiant-production-db-Ab3dEf",
            "us-east-1:123456789012:secret:radiant",
            "/regions/primary/database_secret",
            "a secret's ARN is written like ",
        ),
        (
            "rest_api: abc123def4",
            "rest_api: abc123",
            "/regions/primary/api/rest_api",
            "a REST API's identifier is 10 ",
        ),
        (
            "[radiant-storage-production]",
            "[Radiant-Storage]",
            "/regions/primary/buckets/0",
            "a bucket's name is 3 to 63 lower-case ",
        ),
        (
            "bucket: radiant-dr-switch-us-west-2",
            "bucket: ab",
            "/dns/switch_object/bucket",
            "a bucket's name is 3 to 63 ",
        ),
        (
            "[us-west-2_R4d1antBB]",
            "[R4d1antBB]",
            "/regions/standby/user_pools/0",
            "a user pool's id is its Region, ",
        ),
        (
            "id: radiant-cache",
            "id: radiant-cache-",
            "/regions/primary/caches/0/id",
            "a replication group's identifier is 1 to 40 ",
        ),
        (
            "endpoint: master.",
            "endpoint: https://master.",
            "/regions/primary/caches/0/empty/endpoint",
            "an endpoint is a host ",
        ),
        (
            "[subnet-0a1b2c3d4e5f60718,",
            "[0a1b2c3d4e5f60718,",
            "/regions/primary/network/subnets/0",
            "a subnet's identifier is written ",
        ),
        (
            "[sg-0a1b2c3d4e5f60718]",
            "[default]",
            "/regions/primary/network/security_groups/0",
            "a security group's identifier is written ",
        ),
        (
            "topic: radiant-recoveries",
            "topic: arn:aws:sns:x",
            "/regions/primary/topic",
            "a topic's name (not its ARN) is ",
        ),
        (
            "name: radiant-production-admin",
            "name: radiant.admin",
            "/functions/1/name",
            "a function's name (not its ARN) is ",
        ),
        (
            "hosted_zone: Z123456",
            "hosted_zone: /hostedzone/Z123456",
            "/dns/hosted_zone",
            "a hosted zone's id is a Z ",
        ),
        (
            "health_check: 0f1e2d3c",
            "health_check: 0f1e",
            "/dns/switch_object/health_check",
            "a health check's id is written like ",
        ),
        (
            "name: api.radiant.example.com",
            "name: https://api",
            "/dns/name",
            "a domain name is ",
        ),
        (
            "url: https://",
            "url: http://",
            "/health/url",
            "the address begins with https://",
        ),
        (
            "key: switch/",
            "key: /switch/",
            "/dns/switch_object/key",
            "the key is 1 to 512 ",
        ),
        (
            "table: radiant-recoveries",
            "table: r",
            "/automation/table",
            "a table's name (not its ARN) is 3 to 255 ",
        ),
        (
            "ttl: 10s",
            "ttl: PT10S",
            "/dns/ttl",
            "a duration is written like 90s, 5m, 1h or 1h 30m",
        ),
        ("ttl: 10s", "ttl: 1d", "/dns/ttl", "a duration is written like "),
        (
            "email: cto@radiant.example.com",
            "email: cto",
            "/contacts/cto/email",
            "an e-mail address is written like ",
        ),
    ];
    for (from, to, path, form) in cases {
        let plan = changed(&[(from, to)]);
        let (code, stdout, _) = check(&plan);
        let start = format!("p.yaml:{}: {path}: '", line_of(&plan, to));
        assert!(
            stdout.starts_with(&start) && stdout.contains(&format!("' cannot be right: {form}")),
            "{to}:\n{stdout}"
        );
        assert_eq!((code, stdout.lines().count()), (1, 1), "{to}:\n{stdout}");
    }
}

#[test]
fn what_is_too_long_is_said_once_and_cut() {
    let long = format!("cluster: {}", "A".repeat(5_000));
    let plan = changed(&[("cluster: radiant-dr-cluster", &long)]);
    let (_, stdout, _) = check(&plan);
    assert_eq!(stdout.lines().count(), 1, "{stdout}");
    assert!(stdout.len() < 500, "{stdout}");
    let (_, stdout, _) = check(changed(&[(
        "  ttl: 10s",
        &format!("  ttl: 10s\n  {}: 1", "k".repeat(900)),
    )]));
    assert!(stdout.lines().count() == 1 && stdout.len() < 500, "{stdout}");
}

#[test]
fn what_types_cannot_say() {
    one_finding(
        &[("rto: { target: 1h, maximum: 4h }", "rto: { target: 5h, maximum: 4h }")],
        "rto: { target: 5h",
        "/scenarios/az-failure/objectives/rto/target: the target of 5h is above the maximum of 4h; lower it or raise the maximum\n",
    );
    one_finding(
        &[("notify: [on-call]", "notify: [oncall]")],
        "notify: [oncall]",
        "/severities/sev3/notify/0: 'oncall' is not in contacts; add it there or name one of cto, ",
    );
    one_finding(
        &[("name: radiant-production-billing", "name: radiant-production-router")],
        "name: radiant-production-router\n  - name: radiant-production-localization",
        "/functions/2/name: the function 'radiant-production-router' is already at /functions/0/name; name each one once\n",
    );
}

#[test]
fn the_same_region_twice() {
    let plan = changed(&[("region: us-west-2", "region: us-east-1 # again")]);
    let (code, stdout, _) = check(&plan);
    let expected = format!(
        "p.yaml:{}: /regions/standby/region: 'us-east-1' is the primary Region too; a lost Region cannot be recovered in itself",
        line_of(&plan, "# again")
    );
    assert_eq!((code, stdout.lines().next().unwrap()), (1, expected.as_str()));
}

#[test]
fn all_errors_at_once_in_the_order_of_the_file() {
    let plan = changed(&[
        ("workload: radiant", "workload: Radiant"),
        ("\"123456789012\"", "123456789012"),
        (
            "    cluster: radiant-production\n",
            "    cluster: radiant-production\n    cluster: other\n",
        ),
        ("    region: us-west-2\n", ""),
        ("  ttl: 10s", "  tll: 10s"),
        ("consecutive: 3", "consecutive: many"),
        ("on-call@radiant.example.com", "on-call"),
    ]);
    let (code, stdout, _) = check(&plan);
    let found: Vec<(usize, &str)> = stdout
        .lines()
        .map(|line| {
            let mut parts = line.splitn(4, ':').skip(1);
            (parts.next().unwrap().parse().unwrap(), parts.next().unwrap().trim())
        })
        .collect();
    let expected = [
        (line_of(&plan, "workload:"), "/workload"),
        (line_of(&plan, "account:"), "/account"),
        (line_of(&plan, "cluster: other"), "/regions/primary/cluster"),
        (line_of(&plan, "standby:\n"), "/regions/standby/region"),
        (line_of(&plan, "dns:\n"), "/dns/ttl"),
        (line_of(&plan, "tll:"), "/dns/tll"),
        (line_of(&plan, "consecutive:"), "/health/consecutive"),
        (line_of(&plan, "email: on-call"), "/contacts/on-call/email"),
    ];
    assert_eq!((code, found), (1, expected.to_vec()), "{stdout}");
}

#[test]
fn duplicate_keys_do_not_hide_what_types_cannot_say() {
    let plan = changed(&[
        ("topic: radiant-recoveries", "topic: a\n    topic: b"),
        ("ttl: 10s", "ttl: 1h"),
    ]);
    let (code, stdout, _) = check(&plan);
    assert_eq!((code, stdout.lines().count()), (1, 2), "{stdout}");
    assert!(
        stdout.contains("/regions/primary/topic: the key is already in line "),
        "{stdout}"
    );
    assert!(stdout.contains("/dns/ttl: 1h is above 1m"), "{stdout}");
}

#[test]
fn a_syntax_error() {
    let (code, stdout, stderr) = check("version: 1\nworkload: [radiant\naccount: x\n");
    assert!(
        stdout.starts_with("p.yaml:") && stdout.contains(": not YAML: "),
        "{stdout}"
    );
    assert_eq!((code, stdout.lines().count(), stderr.as_str()), (1, 1, ""));
    let (_, stdout, _) = check("version: 1\nworkload: radiant: x\n");
    assert!(stdout.starts_with("p.yaml:2: not YAML: "), "{stdout}");
}

#[test]
fn an_empty_file() {
    for content in ["", "\n\n", "# nothing yet\n"] {
        let (code, stdout, _) = check(content);
        assert_eq!(
            (code, stdout.as_str()),
            (1, "p.yaml:1: the file is empty; a plan is expected\n")
        );
    }
}

#[test]
fn files_that_cannot_be_read() {
    let folder = TempDir::new().unwrap();
    fs::create_dir(folder.path().join("folder")).unwrap();
    fs::write(folder.path().join("latin1"), b"version: 1\nname: caf\xe9\n").unwrap();
    fs::write(folder.path().join("binary"), b"version: 1\nx: a\0b\n").unwrap();
    fs::write(folder.path().join("large"), "#".repeat(64 * 1024 + 1)).unwrap();
    for (file, reason) in [
        ("absent", "there is no such file"),
        ("folder", "is a directory; give the plan file in it"),
        ("latin1", "is not text in UTF-8 (line 2); a plan is a YAML file"),
        (
            "binary",
            "is not text (line 2 has a control character); a plan is a YAML file",
        ),
        ("large", "is larger than 64 KiB, the limit of a plan"),
    ] {
        let mut command = drctl(&["plan", "check", file]);
        command.current_dir(folder.path());
        assert_eq!(
            answer(command),
            (2, String::new(), format!("drctl: {file}: {reason}\n"))
        );
    }
    let (code, stdout, _) = check("#".repeat(64 * 1024));
    assert_eq!(
        (code, stdout.as_str()),
        (1, "p.yaml:1: the file is empty; a plan is expected\n")
    );
}

#[test]
fn hostile_files_end_soon() {
    let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    (1..40).for_each(|i| bomb += &format!("a{i}: &a{i} [{}]\n", vec![format!("*a{}", i - 1); 10].join(", ")));
    let keys: String = (0..7_000).map(|i| format!("k{i}: \n")).collect();
    let same: String = "k: 1\n".repeat(13_000);
    let functions = format!("functions: [{}]", "{name: a}, ".repeat(5_900));
    for hostile in [
        bomb,
        keys,
        same,
        "[".repeat(65_000),
        "? ".repeat(32_000),
        "&a ".repeat(20_000),
        "'".repeat(65_000),
        functions,
    ] {
        let start = Instant::now();
        let (code, stdout, _) = check(&hostile);
        assert_eq!(code, 1, "{}", &hostile[..40]);
        assert!(!stdout.is_empty());
        assert!(
            start.elapsed() < Duration::from_secs(10),
            "{} took {:?}",
            &hostile[..40],
            start.elapsed()
        );
    }
}

#[test]
fn a_file_cannot_write_to_the_terminal() {
    let (_, stdout, _) = check("\"a\\e[2Jb\": 1\n\"c\\nd\": 2\n");
    assert!(
        !stdout.contains('\x1b') && stdout.lines().all(|line| line.starts_with("p.yaml:")),
        "{stdout:?}"
    );
}

#[test]
fn rehearse_needs_a_sound_plan() {
    let folder = TempDir::new().unwrap();
    let rehearse = || {
        let mut command = drctl(&["rehearse", "region-failure"]);
        command.current_dir(folder.path());
        answer(command)
    };
    assert_eq!(
        rehearse(),
        (
            2,
            String::new(),
            "drctl: radiant.plan.yaml: there is no such file\n".to_owned()
        )
    );
    fs::write(
        folder.path().join("radiant.plan.yaml"),
        changed(&[("ttl: 10s", "ttl: 1h"), ("consecutive: 3", "consecutive: 20")]),
    )
    .unwrap();
    let (code, stdout, stderr) = rehearse();
    assert_eq!((code, stdout.as_str()), (2, ""));
    assert!(
        stderr.starts_with("drctl: radiant.plan.yaml:") && stderr.contains(": /dns/ttl: "),
        "{stderr}"
    );
}

#[test]
fn help_of_every_verb_has_examples() {
    for verb in [
        &["rehearse"][..],
        &["plan"],
        &["plan", "check"],
        &["plan", "schema"],
        &[],
    ] {
        let (code, stdout, stderr) = answer(drctl(&[verb, &["--help"]].concat()));
        assert_eq!((code, stderr.as_str()), (0, ""), "{verb:?}");
        let example = format!("\nExamples:\n  drctl {}", verb.join(" "));
        assert!(stdout.contains(&example), "{verb:?}:\n{stdout}");
        assert!(stdout.lines().all(|line| line.chars().count() <= 100), "{stdout}");
    }
}

#[test]
fn wrong_use_exits_2() {
    let uses: [&[&str]; 9] = [
        &[],
        &["recover"],
        &["plan"],
        &["plan", "check"],
        &["plan", "check", "a", "b"],
        &["rehearse", "region-falure"],
        &["rehearse", "region-failure", "--runs", "0"],
        &["rehearse", "region-failure", "--seed", "-1"],
        &["rehearse", "region-failure", "--fast"],
    ];
    for wrong in uses {
        let (code, stdout, stderr) = answer(drctl(wrong));
        assert_eq!((code, stdout.as_str()), (2, ""), "{wrong:?}");
        assert!(
            stderr.contains("--help") || stderr.contains("Usage: drctl"),
            "{wrong:?}: {stderr}"
        );
    }
}

/// The reader takes some bytes and goes away, as `head -1` does; the command is quiet and keeps its exit status.
#[test]
fn a_broken_pipe_changes_nothing() {
    let folder = TempDir::new().unwrap();
    let wrong = folder.path().join("p.yaml");
    // More than a pipe holds, so that the command is certainly still writing when its reader goes away.
    fs::write(&wrong, (0..6_000).map(|i| format!("k{i}: 1\n")).collect::<String>()).unwrap();
    let wrong = wrong.to_str().unwrap();
    for (args, expected) in [
        (&["plan", "schema"][..], 0),
        (&["plan", "check", wrong], 1),
        (&["--help"], 0),
    ] {
        for taken in [0, 10] {
            let mut child = std::process::Command::new(assert_cmd::cargo::cargo_bin!("drctl"))
                .args(args)
                .stdout(Stdio::piped())
                .stderr(Stdio::piped())
                .spawn()
                .unwrap();
            let mut reader = child.stdout.take().unwrap();
            reader.read_exact(&mut vec![0; taken]).unwrap();
            drop(reader);
            let output = child.wait_with_output().unwrap();
            assert_eq!(String::from_utf8_lossy(&output.stderr), "", "{args:?}");
            assert_eq!(output.status.code(), Some(expected), "{args:?}");
        }
    }
}

/// Output that is lost because a disk is full is not lost silently.
#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_is_said() {
    let full = fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let output = std::process::Command::new(assert_cmd::cargo::cargo_bin!("drctl"))
        .args(["plan", "schema"])
        .stdout(full)
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).starts_with("drctl: cannot write to standard output: "));
}

/// What `plan render` says about a plan, and the folder that it was told to write to.
fn render(plan: &str, folder: &str) -> (Answer, TempDir) {
    let place = TempDir::new().unwrap();
    fs::write(place.path().join("p.yaml"), plan).unwrap();
    fs::write(place.path().join("a-file"), "").unwrap();
    let mut command = drctl(&["plan", "render", "p.yaml", "--folder", folder]);
    command.current_dir(place.path());
    (answer(command), place)
}

#[test]
fn render_writes_the_parameters_of_each_region() {
    let ((status, stdout, stderr), place) = render(&radiant(), "new/parameters");
    assert_eq!((status, stderr.as_str()), (0, ""));
    assert_eq!(stdout.lines().count(), 3, "{stdout}");
    for (region, is_standby, is_observer) in [
        ("us-east-1", "false", "false"),
        ("us-west-2", "true", "false"),
        ("eu-west-1", "false", "true"),
    ] {
        assert!(stdout.contains(&format!("new/parameters/{region}.yaml: ")), "{stdout}");
        let text = fs::read_to_string(place.path().join(format!("new/parameters/{region}.yaml"))).unwrap();
        assert!(text.contains(&format!("IsStandby: \"{is_standby}\"\n")), "{text}");
        assert!(text.contains(&format!("IsObserver: \"{is_observer}\"\n")), "{text}");
        assert!(text.contains("Prefix: \"radiant-\"\n"), "{text}");
    }
    // Twice is the same.
    let ((_, again, _), _) = render(&radiant(), "new/parameters");
    assert_eq!(again, stdout);
}

#[test]
fn render_says_what_does_not_fit_and_what_cannot_be_written() {
    let ((status, _, stderr), place) = render(&radiant(), "a-file");
    assert!(
        status == 1 && stderr.contains("a-file/us-east-1.yaml could not be written"),
        "{stderr}"
    );
    assert_eq!(fs::read_to_string(place.path().join("a-file")).unwrap(), "");

    for start in ["approve", "off"] {
        let asks = changed(&[("    start: automatic", &format!("    start: {start}"))]);
        let ((status, _, stderr), _) = render(&asks, "parameters");
        assert_eq!(status, 0, "{stderr}");
    }
    // Nobody is woken by the loss of a Region then; a person can still start a recovery from it.
    let unheard = changed(&[(
        "    scenario: region-failure\n    start: automatic",
        "    scenario: az-failure\n    start: automatic",
    )]);
    let ((status, _, stderr), place) = render(&unheard, "parameters");
    assert_eq!(status, 0, "{stderr}");
    let text = fs::read_to_string(place.path().join("parameters/us-west-2.yaml")).unwrap();
    assert!(text.contains("WatchAlarm: \"\"\n"), "{text}");

    let many: String = (0..2000)
        .map(|number| format!("  - name: function-{number}\n"))
        .collect();
    let many = changed(&[("\nfunctions:\n", &format!("\nfunctions:\n{many}"))]);
    let ((status, _, stderr), place) = render(&many, "parameters");
    assert!(status == 1 && stderr.contains("fit"), "{stderr}");
    assert!(!place.path().join("parameters").exists());

    let ((status, stdout, stderr), _) = render("version: 2\n", "parameters");
    assert!(status == 2 && stdout.is_empty() && !stderr.is_empty(), "{stderr}");
}
