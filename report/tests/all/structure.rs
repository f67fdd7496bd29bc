//! How the report is built: no files that import each other, and nothing of a scenario outside its story.

use std::collections::{BTreeMap, BTreeSet};
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

/// The module that a file is: `story::region_failure::fence`; nothing for the crate itself.
fn module(file: &str) -> Vec<String> {
    let path = file.trim_end_matches(".rs");
    let path = path.strip_suffix("/mod").unwrap_or(path);
    let parts = path.split('/').filter(|part| *part != "lib");
    parts.map(str::to_owned).collect()
}

/// The files that a file's code takes something from: of each path, the deepest module that is a file.
fn imports(file: &str, code: &str, files: &BTreeMap<Vec<String>, String>) -> BTreeSet<String> {
    let own = module(file);
    let mut found = BTreeSet::new();
    for (root, base) in [
        ("crate::", Vec::new()),
        ("super::", own[..own.len().saturating_sub(1)].to_vec()),
        ("self::", own.clone()),
    ] {
        for (at, _) in code.match_indices(root) {
            let path: String = code[at + root.len()..]
                .chars()
                .take_while(|c| c.is_ascii_alphanumeric() || *c == '_' || *c == ':')
                .collect();
            let mut module = base.clone();
            for part in path.split("::").filter(|part| !part.is_empty()) {
                module.push(part.to_owned());
                if !files.contains_key(&module) {
                    module.pop();
                    break;
                }
            }
            found.extend(files.get(&module).cloned());
        }
    }
    // A module's own parts are taken by their bare names.
    for (module, other) in files {
        if let Some((name, parent)) = module.split_last()
            && *parent == own
            && code.contains(&format!("{name}::"))
        {
            found.insert(other.clone());
        }
    }
    found.remove(file);
    found
}

#[test]
fn no_two_files_import_each_other_directly_or_through_others() {
    let sources = sources();
    let files: BTreeMap<Vec<String>, String> = sources.keys().map(|file| (module(file), file.clone())).collect();
    let imports: BTreeMap<&String, BTreeSet<String>> = sources
        .iter()
        .map(|(file, code)| (file, imports(file, code, &files)))
        .collect();
    assert!(imports[&"sections/mod.rs".to_owned()].contains("sections/todo.rs"));
    assert!(imports[&"story/region_failure/loss.rs".to_owned()].contains("story/region_failure/moved.rs"));
    for start in sources.keys() {
        let mut reached: BTreeSet<&String> = BTreeSet::new();
        let mut left: Vec<&String> = imports[start].iter().collect();
        while let Some(file) = left.pop() {
            assert_ne!(file, start, "{start} imports itself through others: {reached:?}");
            if reached.insert(file) {
                left.extend(&imports[file]);
            }
        }
    }
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
