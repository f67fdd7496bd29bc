//! What serves every scenario names none of what some scenario consists of, and one scenario's module names nothing of another's.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use shared::recovery::RECOVERY_MACHINE;
use shared::scenario::Scenario;
use tests::step_input::pascal_case;

/// Modules that play another mode of a scenario than the one of its own name, and which scenario that is.
const MODES: [(&str, &str); 1] = [("region_return", "region-failure")];

fn workspace() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace")
}

/// The names of what is in a folder, up to the first dot.
fn stems(folder: &str) -> BTreeSet<String> {
    let entries = fs::read_dir(workspace().join(folder)).expect("a folder");
    let names = entries.map(|entry| entry.expect("an entry").file_name().display().to_string());
    let stem = |name: String| name.split('.').next().map(str::to_owned);
    names.filter_map(stem).collect()
}

/// The files below a folder that end so.
fn files(folder: &Path, endings: &[&str]) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            found.extend(files(&path, endings));
        } else if path
            .extension()
            .is_some_and(|ending| endings.iter().any(|one| ending == *one))
        {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// Every scenario, machine and step, with the scenarios that it serves.
struct Names(BTreeMap<String, BTreeSet<String>>);

impl Names {
    fn read() -> Self {
        let scenarios = Scenario::all();
        let all = || scenarios.iter().map(|scenario| scenario.name().to_owned());
        let mut names: BTreeMap<String, BTreeSet<String>> = all().map(|name| (name.clone(), [name].into())).collect();
        let mut called: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        let steps = stems("functions");
        for machine in stems("statemachines") {
            let of_machine = scenarios.iter().filter(|scenario| scenario.machine() == Some(&machine));
            let mut serves: BTreeSet<String> = of_machine.map(|scenario| scenario.name().to_owned()).collect();
            if machine == RECOVERY_MACHINE {
                serves = all().collect();
            }
            assert!(!serves.is_empty(), "the machine {machine} serves no scenario");
            let file = workspace().join(format!("statemachines/{machine}.asl.json"));
            let text = fs::read_to_string(file).expect("a machine");
            for step in steps.iter().filter(|step| calls(&text, step)) {
                called.entry(step.clone()).or_default().extend(serves.iter().cloned());
            }
            names.insert(machine, serves);
        }
        for step in steps {
            // What an event, a schedule or a person calls serves whatever runs.
            let serves = called.remove(&step).unwrap_or_else(|| all().collect());
            names.insert(step, serves);
        }
        assert!(names.len() > 25, "{:?}", names.keys());
        Self(names)
    }

    /// All of them.
    fn all(&self) -> BTreeSet<&str> {
        self.0.keys().map(String::as_str).collect()
    }

    /// What the module of a scenario must not name: whatever does not serve that one.
    fn foreign_to(&self, scenario: &str) -> BTreeSet<&str> {
        let foreign = self.0.iter().filter(|(_, serves)| !serves.contains(scenario));
        foreign.map(|(name, _)| name.as_str()).collect()
    }

    /// The steps that serve several scenarios.
    fn common_steps(&self) -> Vec<&str> {
        let steps = stems("functions");
        let common = self
            .0
            .iter()
            .filter(|(name, serves)| steps.contains(*name) && serves.len() > 1);
        common.map(|(name, _)| name.as_str()).collect()
    }
}

/// Whether a machine calls a step: its function is a hole, in a Resource or as a FunctionName.
fn calls(machine: &str, step: &str) -> bool {
    machine.contains(&format!("${{{}}}", pascal_case(step)))
}

/// Those of `names` that a text names: `fence-region` as it is, as `FenceRegion`, as `FENCE_REGION`, or as the module or crate
/// `fence_region`. A name of one word is a word of the language, and counts only as a whole text, in quotes.
fn named<'a>(text: &str, names: &BTreeSet<&'a str>) -> Vec<&'a str> {
    let is_named = |name: &&&str| {
        if !name.contains('-') {
            return text.contains(&format!("\"{name}\""));
        }
        let snake = name.replace('-', "_");
        let plain = [(**name).to_owned(), pascal_case(name), snake.to_uppercase()];
        let mut words = plain.iter().flat_map(|form| words(text, form));
        words.next().is_some() || words_of_paths(text, &snake)
    };
    names.iter().filter(is_named).copied().collect()
}

/// What is before and after each place where `word` stands by itself.
fn words<'a>(text: &'a str, word: &str) -> Vec<(&'a str, &'a str)> {
    let found = text
        .match_indices(word)
        .map(|(at, _)| (&text[..at], &text[at + word.len()..]));
    let is_by_itself = |(before, after): &(&str, &str)| {
        !before.ends_with(|last: char| last.is_alphanumeric() || last == '_')
            && !after.starts_with(|first: char| first.is_alphanumeric() || first == '_')
    };
    found.filter(is_by_itself).collect()
}

/// Whether a module or crate of this name is declared or used; a method may be called as a step is.
fn words_of_paths(text: &str, snake: &str) -> bool {
    words(text, snake).iter().any(|(before, after)| {
        after.starts_with("::") || before.ends_with("mod ") || (before.ends_with("::") && !after.starts_with('('))
    })
}

/// A file without its tests, which stand at its end and play some scenario as an example.
fn without_tests<'a>(text: &'a str, file: &Path) -> &'a str {
    let Some((code, tests)) = text.split_once("\n#[cfg(test)]\n") else {
        return text;
    };
    let is_last = tests.starts_with("mod tests") && tests.trim_end().find("\n}\n").is_none();
    assert!(is_last, "{}: its tests are not at its end", file.display());
    code
}

/// Every file with what it must not name; empty is what is wanted.
fn breaches(files: Vec<(PathBuf, String)>, names: &BTreeSet<&str>) -> Vec<String> {
    let named = files.into_iter().filter_map(|(file, text)| {
        let named = named(&text, names);
        (!named.is_empty()).then(|| format!("{} names {named:?}", file.display()))
    });
    named.collect()
}

fn read(file: &Path) -> String {
    fs::read_to_string(file).expect("a file")
}

#[test]
fn the_simulator_names_no_scenario_machine_or_step() {
    let names = Names::read();
    let files = files(&workspace().join("simulator"), &["rs", "yaml"]);
    assert!(files.len() > 80, "{files:?}");
    let texts = files.into_iter().map(|file| (file.clone(), read(&file))).collect();
    let found = breaches(texts, &names.all());
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn a_step_that_serves_several_scenarios_names_no_scenario_and_no_other_step() {
    let names = Names::read();
    let steps = names.common_steps();
    assert!(
        steps.contains(&"open-recovery") && steps.contains(&"release-lock"),
        "{steps:?}"
    );
    assert!(!steps.contains(&"promote-database"), "{steps:?}");
    for step in steps {
        let mut others = names.all();
        // The machine of every scenario, whose name is also what the record and messages call what it runs.
        others.remove(RECOVERY_MACHINE);
        others.remove(step);
        let files = files(&workspace().join("functions").join(step), &["rs", "yaml"]);
        assert!(files.len() > 2, "{files:?}");
        let files = files.into_iter().filter(|file| !file.ends_with("tests.rs"));
        let code = |file: PathBuf| (file.clone(), without_tests(&read(&file), &file).to_owned());
        let found = breaches(files.map(code).collect(), &others);
        assert!(found.is_empty(), "{found:#?}");
    }
}

/// The scenario that a module belongs to.
fn scenario_of(module: &str) -> Option<&'static str> {
    let mode = MODES.iter().find(|(mode, _)| *mode == module);
    let all = Scenario::all();
    let own = all.iter().find(|scenario| scenario.name().replace('-', "_") == module);
    own.map(|scenario| scenario.name())
        .or(mode.map(|(_, scenario)| *scenario))
}

#[test]
fn the_module_of_a_scenario_names_nothing_of_another_one() {
    let names = Names::read();
    let mut modules = 0;
    // Where scenarios have modules, and the modules there that are of none.
    for (folder, others) in [
        ("shared/src/scenario", Some(["list", "mod", "module"].as_slice())),
        ("rehearsal/src/scenarios", Some(["mod", "watching"].as_slice())),
        // The story of what every recovery does is beside those of scenarios.
        ("report/src/story", None),
    ] {
        let folder = workspace().join(folder);
        for file in files(&folder, &["rs"]) {
            let place = file.strip_prefix(&folder).expect("a file below it").with_extension("");
            let module = place.iter().next().and_then(|first| first.to_str()).expect("a module");
            let Some(scenario) = scenario_of(module) else {
                let is_known = others.is_none_or(|others| others.contains(&module));
                assert!(is_known, "{} belongs to no scenario", file.display());
                continue;
            };
            modules += 1;
            let found = breaches(vec![(file.clone(), read(&file))], &names.foreign_to(scenario));
            assert!(found.is_empty(), "{scenario}: {found:#?}");
        }
    }
    assert!(modules > Scenario::all().len(), "{modules}");
    // What all modules are, is said without any of them.
    let module = workspace().join("shared/src/scenario/module.rs");
    let found = breaches(vec![(module.clone(), read(&module))], &names.all());
    assert!(found.is_empty(), "{found:#?}");
}

/// But for the list of machines that are deployed, and the list of scenarios beside their modules.
#[test]
fn what_plays_draws_and_judges_rehearsals_names_no_scenario() {
    let scenarios = Scenario::all();
    let machines = scenarios.iter().filter_map(|scenario| scenario.machine());
    let names = machines
        .chain(scenarios.iter().map(|scenario| scenario.name()))
        .collect();
    let folder = workspace().join("rehearsal/src");
    let files = files(&folder, &["rs"]).into_iter();
    let files = files.filter(|file| !file.ends_with("deployment.rs") && !file.starts_with(folder.join("scenarios")));
    let code = |file: PathBuf| (file.clone(), without_tests(&read(&file), &file).to_owned());
    let texts: Vec<(PathBuf, String)> = files.map(code).collect();
    assert!(texts.len() > 15, "{}", texts.len());
    let found = breaches(texts, &names);
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn names_are_found_in_every_form_and_nothing_else_is() {
    let names = BTreeSet::from(["announce", "fence-region", "region-failure"]);
    for (text, expected) in [
        ("Scenario::REGION_FAILURE", vec!["region-failure"]),
        ("use super::region_failure::RegionFailure;", vec!["region-failure"]),
        ("use super::region_failure;", vec!["region-failure"]),
        ("mod region_failure;", vec!["region-failure"]),
        ("// as `fence-region` does", vec!["fence-region"]),
        ("\"FenceRegion\"", vec!["fence-region"]),
        ("fence_region::lib()", vec!["fence-region"]),
        ("role \"radiant-fence-region\"", vec!["fence-region"]),
        ("\"announce\"", vec!["announce"]),
        ("announce(); // to announce", vec![]),
        ("unfence-region, UnfenceRegion, unfence_region::X", vec![]),
        ("self.fence_region(); Self::fence_region(); fence_regions::X", vec![]),
    ] {
        assert_eq!(named(text, &names), expected, "{text}");
    }
}

#[test]
fn what_serves_another_scenario_alone_is_foreign() {
    let names = Names::read();
    let foreign = names.foreign_to("az-failure");
    for name in ["region-failure", "region-switch", "promote-database"] {
        assert!(foreign.contains(name), "{foreign:?}");
    }
    for name in [
        "az-failure",
        "recovery",
        "open-recovery",
        "request-approval",
        "release-lock",
    ] {
        assert!(!foreign.contains(name), "{foreign:?}");
    }
    let own = names.foreign_to("region-failure");
    assert!(!own.contains("region-switch") && own.contains("az-failure"), "{own:?}");
}
