//! The independent validator `asl-validator` (npm, pinned by `asl-validator/package-lock.json`) finds nothing wrong in
//! any machine, and does find a defect that is planted.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::{Value, json};

const NEEDED: &str = "install Node.js 20 or newer with npm (https://nodejs.org, or `apt-get install nodejs npm`)";

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("asl-validator")
}

/// Runs a command. Panics, with what to install, if there is no such program.
fn run(command: &mut Command) -> Output {
    let output = command.output();
    output.unwrap_or_else(|error| panic!("{} cannot be run: {error}; {NEEDED}", command.get_program().display()))
}

/// The version and checksum of each package in a lock file, `null` if there is none.
fn packages(lock: &Path) -> Value {
    let text = fs::read_to_string(lock).unwrap_or_default();
    let lock: Value = serde_json::from_str(&text).unwrap_or_default();
    let packages = lock["packages"]
        .as_object()
        .into_iter()
        .flatten()
        .filter(|(path, _)| !path.is_empty());
    packages
        .map(|(path, package)| json!([path, package["version"], package["integrity"]]))
        .collect()
}

/// Installs the validator where it is absent or not the one that is pinned.
fn install() {
    let lock = folder().join("package-lock.json");
    // Tests run side by side, and one installation is enough. The lock goes with the file handle.
    let guard = File::open(&lock).unwrap();
    guard.lock().unwrap();
    if packages(&lock) == packages(&folder().join("node_modules/.package-lock.json")) {
        return;
    }
    let installed = run(Command::new("npm")
        .args(["ci", "--no-audit", "--no-fund", "--ignore-scripts"])
        .current_dir(folder()));
    assert!(
        installed.status.success(),
        "npm ci in {}: {}",
        folder().display(),
        String::from_utf8_lossy(&installed.stderr)
    );
}

/// What the validator says of a machine, if it finds something wrong.
fn validate(machine: &Path) -> Result<(), String> {
    install();
    let program = folder().join("node_modules/asl-validator/dist/bin/asl-validator.js");
    let output = run(Command::new("node").arg(program).arg("--json-path").arg(machine));
    let said = [output.stdout, output.stderr]
        .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
        .concat();
    // Without the word it might have looked at nothing.
    if output.status.success() && said.contains("is valid") {
        Ok(())
    } else {
        Err(said)
    }
}

fn machines() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../statemachines");
    let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let machines: Vec<_> = files
        .filter(|path| path.to_string_lossy().ends_with(".asl.json"))
        .collect();
    assert!(!machines.is_empty(), "there is no machine to validate");
    machines
}

#[test]
fn every_machine_is_valid() {
    for machine in machines() {
        validate(&machine).unwrap_or_else(|said| panic!("{}: {said}", machine.display()));
    }
}

#[test]
fn planted_defects_are_found() {
    let machines = machines();
    let recovery = machines
        .iter()
        .find(|path| path.ends_with("recovery.asl.json"))
        .unwrap();
    let sound: Value = serde_json::from_str(&fs::read_to_string(recovery).unwrap()).unwrap();
    let defects: [(&str, Value, &str); 3] = [
        (
            "/StartAt",
            json!("Nowhere"),
            "Missing 'StartAt'|'Next'|'Default' target: Nowhere",
        ),
        ("/States/CloseRecovery/TimeoutSeconds", json!("soon"), "TimeoutSeconds"),
        (
            "/States/CloseRecovery/Output",
            json!("{% $states. %}"),
            "/States/CloseRecovery/Output is invalid",
        ),
    ];
    for (i, (pointer, wrong, text)) in defects.into_iter().enumerate() {
        let mut machine = sound.clone();
        *machine.pointer_mut(pointer).unwrap() = wrong;
        let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("planted-{i}.asl.json"));
        fs::write(&file, machine.to_string()).unwrap();
        let said = validate(&file).expect_err("the defect is found");
        assert!(said.contains(text), "{said}");
    }
}

#[test]
fn the_version_is_pinned_and_comes_from_the_default_registry() {
    let lock = fs::read_to_string(folder().join("package-lock.json")).unwrap();
    assert!(
        !lock.contains("\"resolved\""),
        "the lock names a registry; make it with --omit-lockfile-registry-resolved"
    );
    let lock: Value = serde_json::from_str(&lock).unwrap();
    assert_eq!(
        lock["packages"][""]["dependencies"],
        json!({ "asl-validator": "4.0.0" })
    );
    assert_eq!(lock["packages"]["node_modules/asl-validator"]["version"], "4.0.0");
}

#[test]
#[should_panic(expected = "install Node.js 20 or newer")]
fn a_machine_without_node_is_told_what_to_install() {
    run(&mut Command::new("a-program-that-is-not-there"));
}
