//! How the report is built: nothing of a scenario outside its story.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// The files that may name scenarios and their steps: the stories, and the one list of steps that no scenario has for itself.
fn may_name_steps(file: &str) -> bool {
    file == "steps.rs" || file.starts_with("story/") && file != "story/mod.rs" && file != "story/told.rs"
}

/// The code of each file, without comments and tests, by its path.
fn sources() -> BTreeMap<String, String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut sources = BTreeMap::new();
    let mut left: Vec<PathBuf> = vec![root.clone()];
    while let Some(path) = left.pop() {
        if path.is_dir() {
            left.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
        } else if path.extension().is_some_and(|ext| ext == "rs") {
            let text = fs::read_to_string(&path).unwrap();
            let code = text.split("#[cfg(test)]").next().unwrap_or_default();
            let lines = code.lines().filter(|line| !line.trim_start().starts_with("//"));
            let name = path.strip_prefix(&root).unwrap().to_str().unwrap().to_owned();
            sources.insert(name, lines.collect::<Vec<_>>().join("\n"));
        }
    }
    sources
}

#[test]
fn what_is_told_of_every_recovery_names_no_scenario_and_no_step() {
    let functions = Path::new(env!("CARGO_MANIFEST_DIR")).join("../functions");
    let mut names: Vec<String> = fs::read_dir(functions)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    assert!(names.contains(&"fence-region".to_owned()));
    names.extend(["region-failure", "region-switch", "region-return"].map(str::to_owned));
    for (file, code) in sources() {
        for name in names.iter().filter(|_| !may_name_steps(&file)) {
            // A name of one word is a word of the language as well.
            let is_named = match name.contains('-') {
                true => code.contains(name.as_str()),
                false => code.contains(&format!("\"{name}\"")),
            };
            assert!(!is_named, "{file} names {name}");
        }
    }
}
