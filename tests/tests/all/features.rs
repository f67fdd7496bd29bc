//! Each package asks for the features of `shared` that it uses. Built together, one package lends another what that forgot to
//! ask for, and only a build of that one alone, as a function is deployed, would fail.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use tests::template::root;

/// Modules of `shared` that are there with a feature only, and which.
fn gated(library: &str) -> BTreeMap<String, String> {
    let lines: Vec<&str> = library.lines().collect();
    let pairs = lines.windows(2).filter_map(|pair| {
        let feature = pair[0].strip_prefix("#[cfg(feature = \"")?.strip_suffix("\")]")?;
        let module = pair[1].strip_prefix("pub mod ")?.strip_suffix(';')?;
        Some((module.to_owned(), feature.to_owned()))
    });
    pairs.collect()
}

/// The line of a manifest that asks for `shared`.
fn asks(manifest: &str) -> &str {
    let (dependencies, _) = manifest.split_once("[dev-dependencies]").unwrap_or((manifest, ""));
    let mut lines = dependencies.lines();
    lines.find(|line| line.starts_with("shared")).unwrap_or_default()
}

/// Features that a package uses and does not ask for.
fn forgotten(manifest: &str, sources: &[String], gated: &BTreeMap<String, String>) -> Vec<String> {
    let used = gated.iter().filter(|(module, _)| {
        let uses = format!("shared::{module}");
        sources.iter().any(|source| source.contains(&uses))
    });
    let missing = used.filter(|(_, feature)| !asks(manifest).contains(&format!("\"{feature}\"")));
    missing
        .map(|(module, feature)| format!("{feature}, for shared::{module}"))
        .collect()
}

fn sources(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            found.push(fs::read_to_string(path).unwrap());
        }
    }
    found
}

#[test]
fn each_package_asks_for_what_it_uses_of_shared() {
    let gated = gated(&fs::read_to_string(root().join("shared/src/lib.rs")).unwrap());
    assert!(gated.contains_key("fence") && gated.len() >= 4, "{gated:?}");
    let functions = fs::read_dir(root().join("functions")).unwrap();
    let mut packages: Vec<PathBuf> = functions.map(|entry| entry.unwrap().path()).collect();
    packages.push(root().join("report"));
    for package in packages {
        let manifest = fs::read_to_string(package.join("Cargo.toml")).unwrap();
        let forgotten = forgotten(&manifest, &sources(&package.join("src")), &gated);
        assert_eq!(forgotten, Vec::<String>::new(), "{}", package.display());
    }
}

#[test]
fn a_feature_that_was_forgotten_is_found() {
    let gated = gated("#[cfg(feature = \"fence\")]\npub mod fence;\npub mod plan;\n");
    let source = ["use shared::fence::Setting;\nuse shared::plan::Plan;\n".to_owned()];
    let manifest = "[dependencies]\nshared.workspace = true\n[dev-dependencies]\nshared = { features = [\"fence\"] }\n";
    assert_eq!(forgotten(manifest, &source, &gated), ["fence, for shared::fence"]);
    let manifest = "[dependencies]\nshared = { workspace = true, features = [\"fence\", \"sns\"] }\n";
    assert_eq!(forgotten(manifest, &source, &gated), Vec::<String>::new());
}
