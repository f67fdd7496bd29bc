//! What is built for Lambda starts there: it needs no newer glibc than Lambda has.

use std::fs;
use std::process::Command;

use tests::template::root;

/// Whether `infra/glibc.py` finds nothing wrong, and what it says.
fn checked(newest: &str, program: &str) -> (bool, String) {
    let mut command = Command::new("python3");
    command
        .arg(root().join("infra/glibc.py"))
        .args(["--newest", newest, program]);
    let output = command.output().unwrap();
    (
        output.status.success(),
        String::from_utf8_lossy(&output.stderr).into_owned(),
    )
}

#[test]
fn a_program_that_needs_a_newer_glibc_is_found() {
    let program = env!("CARGO_BIN_EXE_misbehaving-step");
    assert_eq!(checked("2.99", program), (true, String::new()));
    let (is_fit, said) = checked("2.2", program);
    assert!(
        !is_fit && said.contains(&format!("{program} needs glibc 2.")) && said.contains("Lambda has 2.2"),
        "{said}"
    );
    let (is_fit, said) = checked("2.99", concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml"));
    assert!(!is_fit && said.contains("is no ELF file"), "{said}");
}

#[test]
fn functions_are_built_for_the_glibc_that_lambda_has_and_checked() {
    let makefile = fs::read_to_string(root().join("Makefile")).unwrap();
    for part in [
        "GLIBC := 2.34\n",
        "--target $(TARGET).$(GLIBC) ",
        "--compiler cargo-zigbuild ",
        "infra/glibc.py --newest $(GLIBC) $(FUNCTIONS:%=target/lambda/%/bootstrap)",
    ] {
        assert!(makefile.contains(part), "make release lacks '{part}'");
    }
}
