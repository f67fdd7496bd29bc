//! Renders `infra/template.yaml`: `infra/template.yaml.j2`, and in it every function and every machine that is deployed.
//!
//! A function's `deploy.yaml` has its IAM statements, and where it needs them: `Record` and `RecordThere`, what it does with the
//! tables of records here and in the other Region, of which the partitions follow from the items that the step changes; `MemorySize`; `MaximumRetryAttempts`, of
//! what calls it asynchronously; `Network`, for one that is attached to the platform's network; `PlatformFunctions`, the Region (`Here`, `Other`) whose functions of the platform it stops
//! and starts, or what it does with those here: `Seen`, it looks at them; `Read`, also at their versions; `Pointed`, it changes their
//! variables; `Observes`, for one that the observer's Region has too; `Rules` and `Schedules`, which call it. What a machine calls is read from its definition; a `<machine>.deploy.yaml` beside that has the
//! IAM statements that its calls do not tell. In both, `scenario_machines` are the machines of scenarios.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::ErrorKind;
use std::time::Duration;

use minijinja::syntax::SyntaxConfig;
use minijinja::value::Serde;
use minijinja::{Environment, UndefinedBehavior};
use rehearsal::deployment::{MACHINES, STEPS};
use serde_json::{Value, json};
use shared::record::Partition;
use shared::recovery::RECOVERY_MACHINE;
use shared::step::{Caller, Change, STARTS};
use simulator::simulation::{hole, machine_hole};

use crate::stack::{TIMELINE, holes};
use crate::template::root;

/// What the template fills where a machine says where people answer.
const APPROVAL_URL: &str = "ApprovalUrl";

/// A function, as the template is told of it.
#[derive(Clone, Debug)]
pub struct Function {
    /// Its folder under `functions/`.
    pub name: String,
    /// What it does.
    pub description: String,
    /// Who invokes it.
    pub called_by: Vec<Caller>,
    /// The kinds of items of the record that it changes.
    pub writes: Vec<&'static str>,
    /// How long one invocation may take, without the timeline.
    pub time_limit: Duration,
    /// The text of its `deploy.yaml`.
    pub entry: String,
}

/// A state machine, as the template is told of it.
#[derive(Clone, Debug)]
pub struct Machine {
    /// Its file under `statemachines/`, without the ending.
    pub name: String,
    /// The text of that file, with `${Hole}`s.
    pub definition: String,
    /// The text of its `deploy.yaml`; empty if it has none.
    pub entry: String,
}

/// Every function of the repository. Errors: a text that names the file that is missing.
pub fn functions() -> Result<Vec<Function>, String> {
    let function = |step: &rehearsal::deployment::DeployedStep| {
        let file = format!("functions/{}/deploy.yaml", step.name);
        Ok(Function {
            name: step.name.to_owned(),
            description: step.description.to_owned(),
            called_by: step.called_by.to_vec(),
            writes: step
                .changes
                .iter()
                .filter_map(|change| match change {
                    Change::Item(kind) => Some(*kind),
                    Change::Call(_) => None,
                })
                .collect(),
            time_limit: step.time_limit,
            entry: read(&file)?.ok_or_else(|| format!("{file} is missing: it says what {} may do", step.name))?,
        })
    };
    STEPS.iter().map(function).collect()
}

/// Every machine of the repository. Errors: a text, if a file cannot be read.
pub fn machines() -> Result<Vec<Machine>, String> {
    let machine = |(name, definition): &(&str, &str)| {
        Ok(Machine {
            name: (*name).to_owned(),
            definition: (*definition).to_owned(),
            entry: read(&format!("statemachines/{name}.deploy.yaml"))?.unwrap_or_default(),
        })
    };
    MACHINES.iter().map(machine).collect()
}

/// A file of the repository; nothing, if there is none.
fn read(file: &str) -> Result<Option<String>, String> {
    match fs::read_to_string(root().join(file)) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(format!("{file}: {error}")),
    }
}

/// The template with these functions and machines. Errors: a text that says what an entry, a machine or the template's
/// source has too much or too little.
pub fn render(source: &str, functions: &[Function], machines: &[Machine]) -> Result<String, String> {
    let scenario_machines: Vec<Value> = machines
        .iter()
        .filter(|machine| machine.name != RECOVERY_MACHINE)
        .map(|machine| named(&machine.name))
        .collect();
    let entry = |file: String, text: &str| {
        filled(&file, text, &json!({ "scenario_machines": scenario_machines })).map(|text| (file, text))
    };
    let steps = functions.iter().map(|function| {
        let (file, text) = entry(format!("functions/{}/deploy.yaml", function.name), &function.entry)?;
        step(&file, function, &text)
    });
    let steps = steps.collect::<Result<Vec<Value>, String>>()?;
    let machines_of_stack = machines.iter().map(|machine| {
        let (file, text) = entry(format!("statemachines/{}.deploy.yaml", machine.name), &machine.entry)?;
        workflow(&file, machine, &text, functions, machines)
    });
    let machines_of_stack = machines_of_stack.collect::<Result<Vec<Value>, String>>()?;
    let policies: Vec<usize> = (1..=drctl::parameters::POLICIES).collect();
    let everything = json!({
        "steps": steps, "machines": machines_of_stack, "policies": policies, "starts": STARTS,
    });
    filled("infra/template.yaml.j2", source, &everything)
}

/// A text of Jinja with everything put in, without white space at the ends of lines.
fn filled(file: &str, source: &str, values: &Value) -> Result<String, String> {
    let mut environment = Environment::empty();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    let syntax = SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build();
    environment.set_syntax(syntax.map_err(|error| error.to_string())?);
    environment.add_filter("indent", indent);
    let text = environment
        .render_str(source, minijinja::Value::from(Serde(values)))
        .map_err(|error| format!("{file}: {error:#}"))?;
    Ok(text.lines().map(|line| line.trim_end().to_owned() + "\n").collect())
}

/// The lines of a text moved to the right, but for the first, which stands where the text is put in.
fn indent(text: String, by: usize) -> String {
    text.replace('\n', &format!("\n{}", " ".repeat(by)))
}

fn named(machine: &str) -> Value {
    json!({ "name": machine, "id": machine_hole(machine) })
}

/// What the template is told of a function.
fn step(file: &str, function: &Function, entry: &str) -> Result<Value, String> {
    let optional = [
        "MemorySize",
        "MaximumRetryAttempts",
        "Network",
        "Observes",
        "PlatformFunctions",
        "Record",
        "RecordThere",
        "Rules",
        "Schedules",
        "Statement",
    ];
    let mut step = fields(file, entry, &[], &optional)?;
    let records = [("Record", "AWS::Region"), ("RecordThere", "OtherRegion")]
        .into_iter()
        .filter_map(|(key, region)| {
            let operations = step[key].as_str()?;
            let is_there = key == "RecordThere";
            Some(
                record(operations, region, &partitions(function, is_there))
                    .map_err(|why| format!("{file}: {key}: {why}")),
            )
        });
    let records = records.collect::<Result<Vec<Value>, String>>()?;
    let each = |key: &str, required: &[&str]| {
        let text = step[key].as_str().unwrap_or_default();
        let sections = sections(file, text)?.into_iter().map(|section| {
            let mut resource = fields(file, &section.value, required, &["Condition"])?;
            resource.insert("id".to_owned(), json!(section.key));
            resource.insert("comment".to_owned(), json!(section.comment));
            Ok(json!(resource))
        });
        sections.collect::<Result<Vec<Value>, String>>()
    };
    let rules = each(
        "Rules",
        &["Name", "Description", "EventPattern", "InputTemplate", "RetryPolicy"],
    )?;
    let schedules = each(
        "Schedules",
        &["Name", "Description", "ScheduleExpression", "Input", "RetryPolicy"],
    )?;
    let is_called_by = |caller| function.called_by.contains(&caller);
    let is_asynchronous = is_called_by(Caller::Event) || is_called_by(Caller::Schedule);
    for (key, is_there, wanted) in [
        ("Rules", !rules.is_empty(), is_called_by(Caller::Event)),
        ("Schedules", !schedules.is_empty(), is_called_by(Caller::Schedule)),
        (
            "MaximumRetryAttempts",
            !step["MaximumRetryAttempts"].is_null(),
            is_asynchronous,
        ),
    ] {
        if is_there != wanted {
            let (has, called_by) = (if is_there { "has" } else { "has no" }, &function.called_by);
            return Err(format!(
                "{file} {has} {key}, and the step says that it is called by {called_by:?}"
            ));
        }
    }
    let region = &step["PlatformFunctions"];
    if !(region.is_null()
        || ["Here", "Other", "Pointed", "Read", "Seen"]
            .iter()
            .any(|known| region == known))
    {
        return Err(format!(
            "{file}: PlatformFunctions is Here, Other, Pointed, Read or Seen, not {region}"
        ));
    }
    step.extend([
        ("records".to_owned(), json!(records)),
        ("Rules".to_owned(), json!(rules)),
        ("Schedules".to_owned(), json!(schedules)),
        ("id".to_owned(), json!(hole(&function.name))),
        ("name".to_owned(), json!(function.name)),
        ("description".to_owned(), json!(function.description)),
        ("timeout".to_owned(), json!((function.time_limit + TIMELINE).as_secs())),
        ("has_url".to_owned(), json!(is_called_by(Caller::Url))),
    ]);
    Ok(json!(step))
}

/// Where a step may write: where the items are that it changes, and the timeline of what a machine calls. In the other Region it
/// keeps what a fence found there, which cluster customers use and that the service is stopped, and nothing else.
fn partitions(function: &Function, is_there: bool) -> BTreeSet<Partition> {
    let may_be = |kind: &&str| !is_there || ["fenced", "served", "stopped"].contains(kind);
    let keeps_timeline = function.called_by.contains(&Caller::Machine) && !is_there;
    let timeline = keeps_timeline.then_some(Partition::Recovery);
    let kinds = function.writes.iter().copied().filter(may_be);
    kinds.filter_map(Partition::of).chain(timeline).collect()
}

/// What the template is told of what a step does with a table of records. Errors: a text, if it writes what it does not declare.
fn record(operations: &str, region: &str, partitions: &BTreeSet<Partition>) -> Result<Value, String> {
    let named = operations.trim_matches(['[', ']']).split(',').map(str::trim);
    let (writes, reads): (Vec<&str>, Vec<&str>) = named.partition(|operation| WRITES.contains(operation));
    if let Some(unknown) = reads.iter().find(|operation| !READS.contains(operation)) {
        return Err(format!("{unknown} is not one of {READS:?} and {WRITES:?}"));
    }
    if writes.is_empty() != partitions.is_empty() && !(writes.is_empty() && region != "AWS::Region") {
        return Err(format!(
            "it has {writes:?}, and the step changes items in {partitions:?}"
        ));
    }
    let actions = |operations: Vec<&str>| {
        let named = operations.into_iter().map(|operation| format!("dynamodb:{operation}"));
        named.collect::<Vec<_>>()
    };
    let keys = partitions.iter().map(|partition| match partition {
        Partition::Recovery => format!("\"{}#*\"", partition.name()),
        Partition::Plan => partition.name().to_owned(),
        _ => format!("!Sub \"{}#${{Workload}}\"", partition.name()),
    });
    Ok(json!({
        "region": region,
        "reads": actions(reads).join(", "),
        "writes": actions(writes).join(", "),
        "partitions": keys.collect::<Vec<_>>().join(", "),
    }))
}

/// What a function may do with the record: whichever item it reads, and items that it declares to change.
const READS: [&str; 3] = ["ConditionCheckItem", "GetItem", "Query"];
const WRITES: [&str; 3] = ["DeleteItem", "PutItem", "UpdateItem"];

/// What the template is told of a machine.
fn workflow(
    file: &str,
    machine: &Machine,
    entry: &str,
    functions: &[Function],
    machines: &[Machine],
) -> Result<Value, String> {
    let Machine { name, definition, .. } = machine;
    let (mut calls, mut starts, mut asks) = (Vec::new(), Vec::new(), false);
    for wanted in holes(definition) {
        if functions.iter().any(|function| hole(&function.name) == wanted) {
            calls.push(wanted);
        } else if let Some(started) = machines.iter().find(|machine| machine_hole(&machine.name) == wanted) {
            starts.push(named(&started.name));
        } else if wanted == APPROVAL_URL {
            asks = true;
        } else {
            return Err(format!(
                "the machine {name} has ${{{wanted}}}, which is no function and no machine"
            ));
        }
    }
    let id = machine_hole(name);
    let is_started = machines.iter().any(|other| holes(&other.definition).contains(&id));
    let mut workflow = fields(file, entry, &[], &["Statement"])?;
    workflow.extend([
        ("name".to_owned(), json!(name)),
        ("id".to_owned(), json!(id)),
        ("calls".to_owned(), json!(calls)),
        ("starts".to_owned(), json!(starts)),
        ("asks".to_owned(), json!(asks)),
        ("is_started".to_owned(), json!(is_started)),
    ]);
    Ok(json!(workflow))
}

/// A field of a block of YAML, as text.
struct Section {
    /// The comment above it; empty if there is none.
    comment: String,
    key: String,
    /// Its value, as it stands to the right of the key's own column or, if it begins in a line of its own, of that line's.
    value: String,
}

/// The values of these keys, and `null` for an optional one that is not there. Errors: a text, if another key is there, or
/// if a required one is not.
fn fields(file: &str, text: &str, required: &[&str], optional: &[&str]) -> Result<BTreeMap<String, Value>, String> {
    let nothing = optional.iter().map(|key| ((*key).to_owned(), Value::Null));
    let mut fields: BTreeMap<String, Value> = nothing.collect();
    for Section { key, value, .. } in sections(file, text)? {
        if !required.contains(&key.as_str()) && !optional.contains(&key.as_str()) {
            return Err(format!("{file}: {key} is not one of {required:?} and {optional:?}"));
        }
        if fields
            .insert(key.clone(), json!(value))
            .is_some_and(|before| !before.is_null())
        {
            return Err(format!("{file}: {key} is there twice"));
        }
    }
    match required.iter().find(|key| !fields.contains_key(**key)) {
        Some(missing) => Err(format!("{file}: {missing} is missing")),
        None => Ok(fields),
    }
}

/// Takes a block of YAML apart at its outermost keys. The values stay text: they are the template's own, tags and comments
/// included.
fn sections(file: &str, text: &str) -> Result<Vec<Section>, String> {
    let mut sections: Vec<Section> = Vec::new();
    let mut comment: Vec<&str> = Vec::new();
    for line in text.lines().filter(|line| !line.trim().is_empty()) {
        if line.starts_with(' ') {
            let section = sections.last_mut().filter(|_| comment.is_empty());
            let section = section.ok_or_else(|| format!("{file}: nothing has the line '{line}'"))?;
            section.value.push('\n');
            section.value.push_str(line);
        } else if line.starts_with('#') {
            comment.push(line);
        } else {
            let (key, value) = line
                .split_once(':')
                .ok_or_else(|| format!("{file}: '{line}' is no field"))?;
            sections.push(Section {
                comment: std::mem::take(&mut comment).join("\n"),
                key: key.to_owned(),
                value: value.trim_start().to_owned(),
            });
        }
    }
    for section in &mut sections {
        if let Some(block) = section.value.strip_prefix('\n') {
            let by = &block[..block.len() - block.trim_start().len()];
            let line = |line: &str| match line.strip_prefix(by) {
                Some(line) => Ok(line.to_owned()),
                None => Err(format!("{file}: '{line}' stands too far to the left")),
            };
            let lines = block.lines().map(line).collect::<Result<Vec<_>, _>>()?;
            section.value = lines.join("\n");
        }
    }
    Ok(sections)
}
