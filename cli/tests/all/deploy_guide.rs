//! Every command of `docs/deploy.md` is run: those that need no account as they are written, and those that do against an
//! endpoint that nobody serves, which they reach only if they are written well.

use std::collections::BTreeSet;
use std::fs;
use std::process::{Command, Output};

use crate::common::{root, said};

/// What is run by `.ci/run`, since it takes minutes: every function as it is deployed.
const RUN_BY_CI: &str = "make release";
/// How commands begin that need an account.
const NEED_AN_ACCOUNT: [&str; 9] = [
    "aws ",
    "cargo drctl automation off",
    "cargo drctl automation on",
    "cargo drctl automation status",
    "cargo drctl plan push",
    "cargo drctl rehearse region-failure --publish",
    "cargo drctl start",
    "infra/.venv/bin/sam delete",
    "infra/.venv/bin/sam deploy",
];
/// What tells that a command got as far as calling AWS.
const REACHED: [&str; 3] = [
    "Could not connect to the endpoint URL",
    "dispatch failure",
    "could not confirm that",
];

/// The commands of the blocks marked `sh`, each in one line.
fn commands(guide: &str) -> Vec<String> {
    let blocks = guide.split("```sh\n").skip(1);
    let blocks = blocks
        .filter_map(|block| block.split_once("```"))
        .map(|(block, _)| block);
    let joined = blocks.map(|block| block.replace("\\\n", " "));
    joined
        .flat_map(|block| block.lines().map(|line| line.trim().to_owned()).collect::<Vec<_>>())
        .filter(|line| !line.is_empty())
        .collect()
}

fn guide() -> Vec<String> {
    commands(&fs::read_to_string(root().join("docs/deploy.md")).unwrap())
}

fn needs_an_account(command: &str) -> bool {
    NEED_AN_ACCOUNT.iter().any(|beginning| command.starts_with(beginning))
}

/// Runs a command in the project's root; `drctl` is the one that is tested, and AWS answers nowhere.
fn run(command: &str) -> Output {
    let drctl = assert_cmd::cargo::cargo_bin!("drctl").display().to_string();
    let tools = root().join("infra/.venv/bin");
    assert!(
        tools.join("aws").exists(),
        "the tools are missing; run `make tools`, which `make test` does"
    );
    let path = format!("{}:{}", tools.display(), std::env::var("PATH").unwrap());
    Command::new("bash")
        .args(["-c", &command.replace("cargo drctl", &drctl)])
        .current_dir(root())
        .env("PATH", path)
        .env("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE")
        .env("AWS_SECRET_ACCESS_KEY", "example")
        .env("AWS_REGION", "us-west-2")
        .env("AWS_DEFAULT_REGION", "us-west-2")
        .env("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
        .env("AWS_MAX_ATTEMPTS", "1")
        .env("AWS_EC2_METADATA_DISABLED", "true")
        .env("SAM_CLI_TELEMETRY", "0")
        .output()
        .unwrap()
}

#[test]
fn what_needs_no_account_works_as_it_is_written() {
    let guide = guide();
    let mut ran = BTreeSet::new();
    for command in guide
        .iter()
        .filter(|command| !needs_an_account(command) && *command != RUN_BY_CI)
    {
        if ran.insert(command) {
            let output = run(command);
            assert!(output.status.success(), "{command}: {}", said(&output));
        }
    }
    // Not vacuous, and the parameters are where the next command looks for them.
    assert!(ran.len() >= 5, "{ran:?}");
    for region in ["us-east-1", "us-west-2", "eu-west-1"] {
        let file = root().join(format!("infra/parameters/{region}.yaml"));
        assert!(file.exists(), "{}", file.display());
    }
    assert!(guide.iter().any(|command| command == RUN_BY_CI));
    let ci = fs::read_to_string(root().join(".ci/run")).unwrap();
    assert!(ci.contains(RUN_BY_CI), ".ci/run does not run {RUN_BY_CI}");
}

/// Whether a command gets as far as calling AWS.
fn reaches_aws(command: &str) -> Result<(), String> {
    let output = run(command);
    let said = said(&output);
    let reached = !output.status.success() && REACHED.iter().any(|mark| said.contains(mark));
    reached
        .then_some(())
        .ok_or_else(|| format!("{command}: {:?} {said}", output.status.code()))
}

#[test]
fn what_needs_an_account_is_written_well() {
    // `sam deploy` reads the files that this writes.
    assert!(run("cargo drctl plan render radiant.plan.yaml").status.success());
    let mut count = 0;
    for command in guide().iter().filter(|command| needs_an_account(command)) {
        reaches_aws(command).unwrap();
        count += 1;
    }
    assert!(count >= 12, "{count}");
}

#[test]
fn what_is_written_badly_is_found() {
    for command in [
        "aws sns subscribe --region us-west-2 --protocol email --topic-name arn:aws:sns:us-west-2:123456789012:x",
        "aws stepfunctions start-an-execution --region us-west-2",
        "infra/.venv/bin/sam deploy --template-file infra/template.yaml --parameter-override file://x.yaml",
        "cargo drctl automation off",
        "cargo drctl plan push no-such.plan.yaml",
    ] {
        assert!(reaches_aws(command).is_err(), "{command}");
    }
}

#[test]
fn a_guides_commands_are_read() {
    let guide = "Text\n\n```sh\none \\\n    two\nthree\n```\n\n```json\nfour\n```\n";
    assert_eq!(commands(guide), ["one      two", "three"]);
}

#[test]
fn a_build_without_rusts_target_says_how_to_get_it() {
    let folder = tempfile::tempdir().unwrap();
    let rustc = folder.path().join("rustc");
    // A toolchain that has the standard library of no target.
    fs::write(&rustc, "#!/bin/sh\necho /nowhere\n").unwrap();
    fs::set_permissions(&rustc, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let path = format!("{}:{}", folder.path().display(), std::env::var("PATH").unwrap());
    let built = |arguments: &[&str]| {
        let output = Command::new("make")
            .args(arguments)
            .current_dir(root())
            .env("PATH", &path)
            .output()
            .unwrap();
        assert!(!output.status.success());
        said(&output)
    };
    let text = built(&["release"]);
    assert!(text.contains("rustup target add aarch64-unknown-linux-gnu"), "{text}");
    let text = built(&["release", "ARCHITECTURE=mips"]);
    assert!(text.contains("ARCHITECTURE is arm64 or x86_64, not mips"), "{text}");
}
