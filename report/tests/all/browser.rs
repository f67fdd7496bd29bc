//! Reports as people see them: in headless Chromium, on small and large screens, light and dark, and on paper. No message, no
//! request, the record's figures, nothing that a screen reader or a weak eye would miss, and the look that was approved.
//!
//! Screenshots are left in `target/tmp/report/seen`; whoever has looked at them and likes them copies those that
//! `browser/golden` has over.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::made::{RECORDED, account, campaign, made, recorded, step};
use report::Account;
use serde_json::json;

const NODE: &str = "install Node.js 20 or newer with npm (https://nodejs.org, or `apt-get install nodejs npm`)";
const BROWSER: &str = "install Chromium and its font: make browser, or `apt-get install chromium fonts-dejavu-core`";

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("browser")
}

/// Runs a command. Panics, with what to install, if there is no such program.
fn run(command: &mut Command, install: &str) -> Output {
    let output = command.output();
    output.unwrap_or_else(|error| panic!("{} cannot be run: {error}; {install}", command.get_program().display()))
}

/// Installs what the script needs, where that is absent or of another version. Tests run side by side, so that one at a time
/// does.
fn install() {
    let lock = File::open(folder().join("package-lock.json")).unwrap();
    lock.lock().unwrap();
    let installed = run(Command::new("npm").args(["ls", "--all"]).current_dir(folder()), NODE);
    if installed.status.success() {
        return;
    }
    let installed = run(
        Command::new("npm")
            .args(["ci", "--no-audit", "--no-fund", "--ignore-scripts"])
            .current_dir(folder()),
        NODE,
    );
    assert!(
        installed.status.success(),
        "npm ci: {}",
        String::from_utf8_lossy(&installed.stderr)
    );
}

/// The browser that is installed.
fn chromium() -> &'static str {
    let names = ["chromium", "chromium-browser", "google-chrome"];
    let found = names
        .into_iter()
        .find(|name| Command::new(name).arg("--version").output().is_ok());
    found.unwrap_or_else(|| panic!("there is no Chromium; {BROWSER}"))
}

/// A folder of this test's own, empty.
fn empty(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("report").join(name);
    fs::remove_dir_all(&folder).ok();
    fs::create_dir_all(&folder).unwrap();
    folder
}

fn write(folder: &Path, name: &str, account: &Account) {
    fs::write(folder.join(format!("{name}.html")), report::html(account)).unwrap();
    fs::write(folder.join(format!("{name}.json")), report::json(account).unwrap()).unwrap();
}

/// Looks at the reports in a folder; gives whether all is well, and what was said.
fn look(reports: &Path, golden: &Path, seen: &Path) -> (bool, String) {
    install();
    let script = folder().join("check.mjs");
    let said = run(
        Command::new("node")
            .arg(script)
            .args([Path::new(&which(chromium())), reports, golden, seen]),
        NODE,
    );
    let text = [&said.stdout, &said.stderr]
        .map(|bytes| String::from_utf8_lossy(bytes).into_owned())
        .concat();
    (said.status.success() && text.contains("looked at"), text)
}

/// Where a program is.
fn which(program: &str) -> String {
    let found = run(
        Command::new("sh").args(["-c", "command -v \"$1\"", "sh", program]),
        BROWSER,
    );
    String::from_utf8_lossy(&found.stdout).trim().to_owned()
}

#[test]
fn reports_are_as_they_should_be_on_every_screen_and_on_paper() {
    let (reports, seen) = (empty("reports"), empty("seen"));
    for name in RECORDED {
        write(&reports, name, &recorded(name));
    }
    let mut unknown = made(
        vec![step("CountObjects", 182.0, 190.0), step("RestoreObjects", 190.5, 600.0)],
        600.0,
    );
    unknown["header"]["closing"]["evidence"] =
        json!({ "objects": { "deleted": 12, "restored": [{ "key": "a", "versions": 3 }] } });
    write(&reports, "unknown", &account(unknown));
    fs::write(reports.join("campaign.html"), report::campaign_html(&campaign())).unwrap();
    fs::write(
        reports.join("campaign.json"),
        report::campaign_json(&campaign()).unwrap(),
    )
    .unwrap();
    let (well, said) = look(&reports, &folder().join("golden"), &seen);
    assert!(well, "{said}");
}

/// What a script finds when a report is spoiled, each in one way.
#[test]
fn planted_faults_are_seen() {
    let html = report::html(&recorded("recovered"));
    let json = report::json(&recorded("recovered")).unwrap();
    let golden = folder().join("golden/recovered-360-light.png");
    let closing = recorded("recovered").header.closing.unwrap();
    let shown = format!("value=\"{}\"", closing.achieved.rto_seconds.unwrap());
    for (name, (from, to), found) in [
        ("figure", (shown.as_str(), "value=\"452.1\""), "is shown as 452.1"),
        (
            "hidden",
            ("data-figure=\"/account/header/closing/achieved/rto_seconds\"", ""),
            "recorded and not shown",
        ),
        (
            "request",
            ("</body>", "<img alt=\"\" src=\"https://example.com/x.png\"></body>"),
            "example.com",
        ),
        (
            "wide",
            (
                "<main>",
                "<main><p><span style=\"display:inline-block;width:500px\">x</span></p>",
            ),
            "wider than the screen",
        ),
        ("faint", ("--faint: #57606a", "--faint: #9aa4b0"), "axe: color-contrast"),
        ("unnamed", ("lang=\"en\"", ""), "axe: html-has-lang"),
        ("console", ("</body>", "<script>1</script></body>"), "console:"),
        ("look", ("--warn-back: #fff3dc", "--warn-back: #2244aa"), "differ from"),
    ] {
        let (reports, seen, kept) = (
            empty(&format!("{name}/reports")),
            empty(&format!("{name}/seen")),
            empty(&format!("{name}/golden")),
        );
        let spoiled = html.replacen(from, to, 1);
        assert_ne!(spoiled, html, "{name}: there is nothing to spoil");
        fs::write(reports.join("recovered.html"), spoiled).unwrap();
        fs::write(reports.join("recovered.json"), &json).unwrap();
        fs::copy(&golden, kept.join("recovered-360-light.png")).unwrap();
        let (well, said) = look(&reports, &kept, &seen);
        assert!(!well && said.contains(found), "{name}: {said}");
    }
}

#[test]
#[should_panic(expected = "apt-get install chromium")]
fn a_machine_without_a_browser_is_told_what_to_install() {
    run(&mut Command::new("a-program-that-is-not-there"), BROWSER);
}
