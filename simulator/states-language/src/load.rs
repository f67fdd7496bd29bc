//! From the text of a definition to a [`StateMachine`], or to everything that is wrong with it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use serde_json::{Map as Object, Value};

use crate::definition::{
    Assign, Catcher, Choice, ChoiceRule, Distributed, ExecutionType, Fail, ItemBatcher, ItemFormat, ItemReader, Map,
    MapMode, OutputType, Parallel, ResultDestination, ResultWriter, Retrier, State, StateKind, StateMachine, Task,
    Transformation, Transition, Wait, Workflow,
};
use crate::errors::{LoadError, LoadErrors, names};
use crate::expression::{self, Moment, Template, Text};
use crate::integration::Integration;
use crate::strict;
use crate::time;

/// The longest a Wait or a timeout may be, in seconds.
const LONGEST_SECONDS: u64 = 99_999_999;

/// The longest retry delay, in seconds.
const LONGEST_DELAY_SECONDS: u64 = 31_622_400;

/// The largest definition that AWS accepts, in bytes.
const LARGEST_DEFINITION_BYTES: usize = 1_048_576;

impl StateMachine {
    /// Loads a machine.
    ///
    /// `name` is what errors call it. `text` is its definition in JSON; every `${Name}` in it is
    /// replaced by the value of `Name` in `substitutions`, textually, before it is read.
    ///
    /// # Errors
    /// Everything that is wrong, at once.
    pub fn parse(name: &str, text: &str, substitutions: &BTreeMap<String, String>) -> Result<Self, LoadErrors> {
        let mut loader = Loader {
            machine: name,
            errors: Vec::new(),
        };
        let machine = loader.machine(text, substitutions);
        match machine {
            Some(machine) if loader.errors.is_empty() => Ok(machine),
            _ => Err(LoadErrors(loader.errors)),
        }
    }
}

/// Fills in the `${Name}` holes; answers the names that have no value too.
fn substitute(text: &str, values: &BTreeMap<String, String>) -> (String, BTreeSet<String>) {
    let mut filled = String::with_capacity(text.len());
    let mut missing = BTreeSet::new();
    let mut rest = text;
    while let Some(start) = rest.find("${") {
        let (before, hole) = rest.split_at(start);
        filled.push_str(before);
        let name = hole[2..]
            .split_once('}')
            .map(|(name, _)| name)
            .filter(|name| !name.is_empty() && name.chars().all(is_hole_character));
        let Some(name) = name else {
            filled.push_str("${");
            rest = &hole[2..];
            continue;
        };
        match values.get(name) {
            Some(value) => filled.push_str(value),
            None => {
                missing.insert(name.to_owned());
                // A word keeps the rest readable, so that its errors are found too.
                filled.push_str(name);
            }
        }
        rest = &hole[name.len() + 3..];
    }
    filled.push_str(rest);
    (filled, missing)
}

fn is_hole_character(c: char) -> bool {
    c.is_ascii_alphanumeric() || "_.:-".contains(c)
}

/// What a nested workflow must know of where it stands.
#[derive(Clone, Copy)]
struct Surroundings {
    express: bool,
}

struct Loader<'a> {
    machine: &'a str,
    errors: Vec<LoadError>,
}

/// The fields of one object, of which every one must be asked for.
struct Fields<'v> {
    object: &'v Object<String, Value>,
    asked: BTreeSet<&'static str>,
    state: String,
    prefix: String,
}

impl<'v> Fields<'v> {
    fn new(object: &'v Object<String, Value>, state: &str, prefix: &str) -> Self {
        Self {
            object,
            asked: BTreeSet::new(),
            state: state.to_owned(),
            prefix: prefix.to_owned(),
        }
    }

    fn get(&mut self, name: &'static str) -> Option<&'v Value> {
        self.asked.insert(name);
        self.object.get(name)
    }

    fn has(&self, name: &str) -> bool {
        self.object.contains_key(name)
    }

    fn at(&self, name: &str) -> String {
        if self.prefix.is_empty() {
            name.to_owned()
        } else {
            format!("{}/{name}", self.prefix)
        }
    }
}

/// Collects what the expressions of one state say and use.
#[derive(Default)]
struct Uses {
    expressions: Vec<(String, String)>,
    variables: Vec<(String, String)>,
}

/// A state with what is needed to check its scope.
struct Loaded {
    state: State,
    uses: Uses,
    /// The workflows inside it.
    nested: Vec<Scope>,
}

/// A workflow with the uses of variables in it.
struct Scope {
    workflow: Workflow,
    /// Per state, in the same order as `nested`: its path and what it uses.
    uses: Vec<(String, Uses)>,
    /// Per state: the workflows inside it, and whether it is a distributed Map.
    nested: Vec<(Vec<Scope>, bool)>,
}

impl Loader<'_> {
    fn error(&mut self, state: &str, field: impl Into<String>, message: impl Into<String>) {
        self.errors.push(LoadError {
            machine: self.machine.to_owned(),
            state: state.to_owned(),
            field: field.into(),
            message: message.into(),
        });
    }

    fn error_in(&mut self, fields: &Fields<'_>, name: &str, message: impl Into<String>) {
        self.error(&fields.state.clone(), fields.at(name), message);
    }

    fn machine(&mut self, text: &str, substitutions: &BTreeMap<String, String>) -> Option<StateMachine> {
        let (text, missing) = substitute(text, substitutions);
        for name in missing {
            self.error("", "", format!("the substitution `${{{name}}}` has no value"));
        }
        if text.len() > LARGEST_DEFINITION_BYTES {
            self.error("", "", "the definition is larger than 1 MiB");
        }
        let (value, duplicates) = match strict::parse(&text) {
            Ok(parsed) => parsed,
            Err(e) => {
                self.error("", "", format!("malformed JSON: {e}"));
                return None;
            }
        };
        for key in duplicates {
            self.error("", "", format!("malformed JSON: the key `{key}` appears twice"));
        }
        let Value::Object(object) = &value else {
            self.error("", "", "a definition must be a JSON object");
            return None;
        };
        let mut fields = Fields::new(object, "", "");
        match fields.get("QueryLanguage") {
            Some(Value::String(language)) if language == "JSONata" => {}
            Some(other) => self.error(
                "",
                "QueryLanguage",
                format!("must be \"JSONata\", is {other}; JSONPath is not supported"),
            ),
            None => self.error(
                "",
                "QueryLanguage",
                "must be \"JSONata\"; without it the language is JSONPath, which is not supported",
            ),
        }
        let comment = self.text(&mut fields, "Comment");
        self.version(&mut fields);
        let timeout_seconds = self.whole(&mut fields, "TimeoutSeconds", 1, LONGEST_SECONDS);
        let mut names = BTreeMap::new();
        let scope = self.workflow(&mut fields, "", Surroundings { express: false }, &mut names)?;
        self.check_scope(&scope, &BTreeSet::new(), &BTreeSet::new());
        Some(StateMachine {
            name: self.machine.to_owned(),
            comment,
            timeout_seconds,
            workflow: assemble(scope),
        })
    }

    fn version(&mut self, fields: &mut Fields<'_>) {
        if let Some(version) = fields.get("Version")
            && version != "1.0"
        {
            self.error_in(fields, "Version", "only version \"1.0\" exists");
        }
    }

    /// Reads `StartAt` and `States`, and refuses every field that nobody has asked for.
    fn workflow(
        &mut self,
        fields: &mut Fields<'_>,
        path: &str,
        surroundings: Surroundings,
        names: &mut BTreeMap<String, String>,
    ) -> Option<Scope> {
        let start_at = self.required_text(fields, "StartAt");
        let states = fields.get("States");
        self.finish(fields);
        let states = match states {
            Some(Value::Object(states)) if !states.is_empty() => states,
            Some(Value::Object(_)) => {
                self.error_in(fields, "States", "there are no states");
                return None;
            }
            Some(_) => {
                self.error_in(fields, "States", "must be an object");
                return None;
            }
            None => {
                self.error_in(fields, "States", "is missing");
                return None;
            }
        };
        let mut loaded = Vec::new();
        for (name, value) in states {
            let path = if path.is_empty() {
                name.clone()
            } else {
                format!("{path}.{name}")
            };
            if let Some(first) = names.insert(name.clone(), path.clone()) {
                self.error(
                    &path,
                    "",
                    format!("the name is taken by `{first}`; names are unique in the whole machine"),
                );
            }
            if name.is_empty() || name.chars().count() > 80 {
                self.error(&path, "", "a state's name has 1 to 80 characters");
            }
            let Value::Object(object) = value else {
                self.error(&path, "", "a state must be an object");
                continue;
            };
            if let Some(state) = self.state(name, &path, object, surroundings, names) {
                loaded.push(state);
            }
        }
        let start_at = start_at?;
        if !states.contains_key(&start_at) {
            self.error_in(fields, "StartAt", format!("there is no state `{start_at}`"));
        }
        // Without its broken states the rest would look unreachable.
        let complete = loaded.len() == states.len() && states.contains_key(&start_at);
        self.check_transitions(fields, &start_at, &loaded, states, complete);
        if !complete {
            return None;
        }
        let mut scope = Scope {
            workflow: Workflow {
                start_at,
                states: BTreeMap::new(),
            },
            uses: Vec::new(),
            nested: Vec::new(),
        };
        for Loaded { state, uses, nested } in loaded {
            let distributed = matches!(
                &state.kind,
                StateKind::Map(map) if matches!(map.mode, MapMode::Distributed(_))
            );
            scope.uses.push((state.path.clone(), uses));
            scope.nested.push((nested, distributed));
            scope.workflow.states.insert(state.name.clone(), state);
        }
        Some(scope)
    }

    fn check_transitions(
        &mut self,
        fields: &Fields<'_>,
        start_at: &str,
        loaded: &[Loaded],
        states: &Object<String, Value>,
        complete: bool,
    ) {
        let by_name: BTreeMap<&str, &State> = loaded.iter().map(|l| (l.state.name.as_str(), &l.state)).collect();
        for state in by_name.values() {
            let mut targets = Vec::new();
            if let Some(next) = state.next() {
                targets.push(("Next".to_owned(), next));
            }
            if let StateKind::Choice(choice) = &state.kind {
                for (i, rule) in choice.rules.iter().enumerate() {
                    targets.push((format!("Choices[{i}]/Next"), rule.next.as_str()));
                }
                if let Some(default) = &choice.default {
                    targets.push(("Default".to_owned(), default));
                }
            }
            for (i, catcher) in state.catch.iter().enumerate() {
                targets.push((format!("Catch[{i}]/Next"), catcher.next.as_str()));
            }
            for (field, target) in targets {
                if !states.contains_key(target) {
                    self.error(&state.path, field, format!("there is no state `{target}`"));
                }
            }
        }
        if !complete {
            return;
        }
        let mut reached = BTreeSet::new();
        let mut queue = VecDeque::from([start_at]);
        while let Some(name) = queue.pop_front() {
            if let Some(state) = by_name.get(name)
                && reached.insert(name)
            {
                queue.extend(state.successors());
            }
        }
        for (name, state) in &by_name {
            if !reached.contains(name) {
                self.error(&state.path, "", format!("cannot be reached from `{start_at}`"));
            }
        }
        if !by_name
            .iter()
            .any(|(name, state)| reached.contains(name) && state.is_terminal())
        {
            self.error_in(fields, "States", "no terminal state can be reached");
        }
    }

    /// Variables: an inner scope may read what an outer one assigns. A variable of the same name that it assigns is its
    /// own; the guide forbids that, but Step Functions accepts it.
    ///
    /// `assigned_outside` has every outer variable; `readable` those that can be read here, which behind a distributed
    /// Map are none.
    fn check_scope<'s>(
        &mut self,
        scope: &'s Scope,
        assigned_outside: &BTreeSet<&'s str>,
        readable: &BTreeSet<&'s str>,
    ) {
        let own = scope.workflow.states.values().flat_map(State::assigned_variables);
        let own: BTreeSet<&str> = own.collect();
        let (assigned, visible) = (assigned_outside | &own, readable | &own);
        for (path, uses) in &scope.uses {
            for (field, name) in &uses.variables {
                if !visible.contains(name.as_str()) {
                    let message = if assigned.contains(name.as_str()) {
                        format!(
                            "`${name}` is assigned outside of a distributed Map, whose inside \
                             cannot read outer variables"
                        )
                    } else {
                        format!("`${name}` is assigned nowhere that this state could read")
                    };
                    self.error(path, field, message);
                }
            }
        }
        for (inner, distributed) in &scope.nested {
            let none = BTreeSet::new();
            let readable = if *distributed { &none } else { &visible };
            for scope in inner {
                self.check_scope(scope, &assigned, readable);
            }
        }
    }

    fn state(
        &mut self,
        name: &str,
        path: &str,
        object: &Object<String, Value>,
        surroundings: Surroundings,
        names: &mut BTreeMap<String, String>,
    ) -> Option<Loaded> {
        let mut fields = Fields::new(object, path, "");
        let mut uses = Uses::default();
        let kind = self.required_text(&mut fields, "Type")?;
        let comment = self.text(&mut fields, "Comment");
        if let Some(language) = fields.get("QueryLanguage")
            && language != "JSONata"
        {
            self.error_in(
                &fields,
                "QueryLanguage",
                "must be \"JSONata\"; JSONPath is not supported",
            );
        }
        let mut nested = Vec::new();
        let works = matches!(kind.as_str(), "Task" | "Parallel" | "Map");
        let moment = if works { Moment::After } else { Moment::Before };
        let loaded = match kind.as_str() {
            "Task" => self.task(&mut fields, &mut uses, surroundings).map(StateKind::Task),
            "Choice" => self.choice(&mut fields, &mut uses).map(StateKind::Choice),
            "Wait" => self.wait(&mut fields, &mut uses).map(StateKind::Wait),
            "Pass" => Some(StateKind::Pass),
            "Succeed" => Some(StateKind::Succeed),
            "Fail" => Some(StateKind::Fail(Fail {
                error: self.text_template(&mut fields, "Error", &mut uses),
                cause: self.text_template(&mut fields, "Cause", &mut uses),
            })),
            "Parallel" => self
                .parallel(&mut fields, &mut uses, surroundings, names, &mut nested)
                .map(StateKind::Parallel),
            "Map" => self
                .map(&mut fields, &mut uses, surroundings, names, &mut nested)
                .map(|map| StateKind::Map(Box::new(map))),
            other => {
                self.error_in(&fields, "Type", format!("there is no type `{other}`"));
                return None;
            }
        };
        let output = match kind.as_str() {
            "Fail" => None,
            _ => self.template(&mut fields, "Output", moment, &mut uses),
        };
        let assign = match kind.as_str() {
            "Fail" | "Succeed" => Assign::default(),
            _ => self.assign(&mut fields, moment, &mut uses),
        };
        let (retry, catch) = if works {
            (self.retry(&mut fields), self.catch(&mut fields, &mut uses))
        } else {
            (Vec::new(), Vec::new())
        };
        let transition = match kind.as_str() {
            "Choice" | "Succeed" | "Fail" => None,
            _ => self.transition(&mut fields),
        };
        self.finish(&fields);
        Some(Loaded {
            state: State {
                name: name.to_owned(),
                path: path.to_owned(),
                comment,
                kind: loaded?,
                transition,
                output,
                assign,
                retry,
                catch,
                expressions: uses.expressions.clone(),
            },
            uses,
            nested,
        })
    }

    fn transition(&mut self, fields: &mut Fields<'_>) -> Option<Transition> {
        let next = self.text(fields, "Next");
        let end = self.boolean(fields, "End");
        match (next, end) {
            (Some(_), Some(true)) => {
                self.error_in(fields, "Next", "a state has either `Next` or `End`, not both");
                None
            }
            (Some(next), _) => Some(Transition::Next(next)),
            (None, Some(true)) => Some(Transition::End),
            (None, _) => {
                if !fields.has("Next") {
                    self.error_in(fields, "Next", "is missing, and so is `\"End\": true`");
                }
                None
            }
        }
    }

    fn task(&mut self, fields: &mut Fields<'_>, uses: &mut Uses, surroundings: Surroundings) -> Option<Task> {
        let resource = self.resource(fields);
        let integration = resource.as_deref().map(integration);
        if let (Some(resource), Some(integration)) = (&resource, integration) {
            if resource.contains(":activity:") {
                self.error_in(fields, "Resource", "activities are not supported");
            }
            if surroundings.express && integration != Integration::RequestResponse {
                self.error_in(
                    fields,
                    "Resource",
                    "children of type EXPRESS cannot use `.sync` or `.waitForTaskToken`",
                );
            }
            if integration != Integration::WaitForTaskToken && fields.has("HeartbeatSeconds") {
                self.error_in(fields, "HeartbeatSeconds", "has no effect without `.waitForTaskToken`");
            }
        }
        let timeout = self.whole_template(fields, "TimeoutSeconds", 1, LONGEST_SECONDS, uses);
        let heartbeat = self.whole_template(fields, "HeartbeatSeconds", 1, LONGEST_SECONDS, uses);
        if let (Some(timeout), Some(heartbeat)) = (
            timeout.as_ref().and_then(Template::as_u64),
            heartbeat.as_ref().and_then(Template::as_u64),
        ) && heartbeat >= timeout
        {
            self.error_in(fields, "HeartbeatSeconds", "must be smaller than TimeoutSeconds");
        }
        if fields.get("Credentials").is_some() {
            self.error_in(fields, "Credentials", "is not supported");
        }
        let arguments = self.template(fields, "Arguments", Moment::Before, uses);
        Some(Task {
            resource: resource?,
            integration: integration?,
            arguments,
            timeout_seconds: timeout,
            heartbeat_seconds: heartbeat,
        })
    }

    fn resource(&mut self, fields: &mut Fields<'_>) -> Option<String> {
        let resource = self.required_text(fields, "Resource")?;
        if resource.contains("{%") {
            self.error_in(fields, "Resource", "must be constant");
        } else if resource.is_empty() {
            self.error_in(fields, "Resource", "is empty");
        }
        Some(resource)
    }

    fn choice(&mut self, fields: &mut Fields<'_>, uses: &mut Uses) -> Option<Choice> {
        let default = self.text(fields, "Default");
        let choices = match fields.get("Choices") {
            Some(Value::Array(choices)) if !choices.is_empty() => choices,
            Some(_) => {
                self.error_in(fields, "Choices", "must be an array with at least one rule");
                return None;
            }
            None => {
                self.error_in(fields, "Choices", "is missing");
                return None;
            }
        };
        let mut rules = Vec::new();
        for (i, value) in choices.iter().enumerate() {
            let at = format!("Choices[{i}]");
            let Some(mut rule) = self.object(value, &fields.state.clone(), &at) else {
                continue;
            };
            self.text(&mut rule, "Comment");
            let condition = match rule.get("Condition") {
                Some(Value::Bool(fixed)) => Some(Template::Literal(Value::Bool(*fixed))),
                Some(Value::String(text)) if matches!(expression::classify(text), Text::Literal) => {
                    self.error_in(&rule, "Condition", "must be an expression, `{% … %}`");
                    None
                }
                Some(Value::String(_)) => self.template(&mut rule, "Condition", Moment::Before, uses),
                Some(_) => {
                    self.error_in(&rule, "Condition", "must be an expression or a boolean");
                    None
                }
                None => {
                    self.error_in(&rule, "Condition", "is missing");
                    None
                }
            };
            let next = self.required_text(&mut rule, "Next");
            let output = self.template(&mut rule, "Output", Moment::Before, uses);
            let assign = self.assign(&mut rule, Moment::Before, uses);
            self.finish(&rule);
            if let (Some(condition), Some(next)) = (condition, next) {
                rules.push(ChoiceRule {
                    condition,
                    next,
                    output,
                    assign,
                });
            }
        }
        (rules.len() == choices.len()).then_some(Choice { rules, default })
    }

    fn wait(&mut self, fields: &mut Fields<'_>, uses: &mut Uses) -> Option<Wait> {
        match (fields.has("Seconds"), fields.has("Timestamp")) {
            (true, false) => self
                .whole_template(fields, "Seconds", 0, LONGEST_SECONDS, uses)
                .map(Wait::Seconds),
            (false, true) => {
                let template = self.text_template(fields, "Timestamp", uses)?;
                if let Some(Value::String(text)) = template.as_literal()
                    && time::moment(text).is_none()
                {
                    self.error_in(fields, "Timestamp", "must be a moment in RFC 3339");
                }
                Some(Wait::Timestamp(template))
            }
            _ => {
                fields.get("Seconds");
                fields.get("Timestamp");
                self.error_in(fields, "Seconds", "a Wait has either `Seconds` or `Timestamp`");
                None
            }
        }
    }

    fn parallel(
        &mut self,
        fields: &mut Fields<'_>,
        uses: &mut Uses,
        surroundings: Surroundings,
        names: &mut BTreeMap<String, String>,
        nested: &mut Vec<Scope>,
    ) -> Option<Parallel> {
        let arguments = self.template(fields, "Arguments", Moment::Before, uses);
        let branches = match fields.get("Branches") {
            Some(Value::Array(branches)) if !branches.is_empty() => branches,
            Some(_) => {
                self.error_in(fields, "Branches", "must be an array with at least one branch");
                return None;
            }
            None => {
                self.error_in(fields, "Branches", "is missing");
                return None;
            }
        };
        for (i, branch) in branches.iter().enumerate() {
            let path = format!("{}.branch[{i}]", fields.state);
            if let Some(mut branch) = self.object(branch, &path, "") {
                self.text(&mut branch, "Comment");
                nested.extend(self.workflow(&mut branch, &path, surroundings, names));
            }
        }
        // The branches themselves join the state in `assemble`.
        (nested.len() == branches.len()).then_some(Parallel {
            branches: Vec::new(),
            arguments,
        })
    }

    fn map(
        &mut self,
        fields: &mut Fields<'_>,
        uses: &mut Uses,
        surroundings: Surroundings,
        names: &mut BTreeMap<String, String>,
        nested: &mut Vec<Scope>,
    ) -> Option<Map> {
        let items = self.template(fields, "Items", Moment::Before, uses);
        if let Some(template) = &items {
            let wrong = match template {
                Template::Literal(value) => !value.is_array(),
                Template::Object(_) => true,
                Template::Array(_) | Template::Expression(_) => false,
            };
            if wrong {
                self.error_in(fields, "Items", "must be an array, or an expression that gives one");
            }
        }
        let item_selector = self.template(fields, "ItemSelector", Moment::Before, uses);
        let max_concurrency = self.whole_template(fields, "MaxConcurrency", 0, LONGEST_SECONDS, uses);
        if fields.get("Iterator").is_some() {
            self.error_in(fields, "Iterator", "is not supported; use ItemProcessor");
        }
        let path = format!("{}.item", fields.state);
        let Some(processor) = fields.get("ItemProcessor") else {
            self.error_in(fields, "ItemProcessor", "is missing");
            return None;
        };
        let mut processor = self.object(processor, &fields.state.clone(), "ItemProcessor")?;
        self.text(&mut processor, "Comment");
        let mode = self.map_mode(fields, &mut processor, uses)?;
        processor.state.clone_from(&path);
        processor.prefix.clear();
        let surroundings = match &mode {
            MapMode::Inline => surroundings,
            MapMode::Distributed(distributed) => Surroundings {
                express: distributed.execution_type == ExecutionType::Express,
            },
        };
        let scope = self.workflow(&mut processor, &path, surroundings, names)?;
        nested.push(scope);
        Some(Map {
            // Replaced in `assemble`.
            processor: Workflow {
                start_at: String::new(),
                states: BTreeMap::new(),
            },
            mode,
            items,
            item_selector,
            max_concurrency,
        })
    }

    fn map_mode(&mut self, fields: &mut Fields<'_>, processor: &mut Fields<'_>, uses: &mut Uses) -> Option<MapMode> {
        const DISTRIBUTED_ONLY: [&str; 6] = [
            "ItemReader",
            "ItemBatcher",
            "ResultWriter",
            "Label",
            "ToleratedFailureCount",
            "ToleratedFailurePercentage",
        ];
        let mut mode = "INLINE".to_owned();
        let mut execution_type = None;
        if let Some(config) = processor.get("ProcessorConfig") {
            let at = processor.at("ProcessorConfig");
            let mut config = self.object(config, &fields.state.clone(), &at)?;
            mode = self.text(&mut config, "Mode").unwrap_or(mode);
            execution_type = self.text(&mut config, "ExecutionType");
            self.finish(&config);
            if mode == "INLINE" && execution_type.is_some() {
                self.error_in(&config, "ExecutionType", "is only for Mode DISTRIBUTED");
            }
        }
        match mode.as_str() {
            "INLINE" => {
                for name in DISTRIBUTED_ONLY {
                    if fields.get(name).is_some() {
                        self.error_in(fields, name, "is only for a distributed Map");
                    }
                }
                Some(MapMode::Inline)
            }
            "DISTRIBUTED" => {
                let execution_type = match execution_type.as_deref() {
                    Some("STANDARD") => ExecutionType::Standard,
                    Some("EXPRESS") => ExecutionType::Express,
                    _ => {
                        let at = "ProcessorConfig/ExecutionType";
                        self.error_in(processor, at, "must be STANDARD or EXPRESS");
                        return None;
                    }
                };
                self.distributed(fields, execution_type, uses)
                    .map(|d| MapMode::Distributed(Box::new(d)))
            }
            _ => {
                let at = "ProcessorConfig/Mode";
                self.error_in(processor, at, "must be INLINE or DISTRIBUTED");
                None
            }
        }
    }

    fn distributed(
        &mut self,
        fields: &mut Fields<'_>,
        execution_type: ExecutionType,
        uses: &mut Uses,
    ) -> Option<Distributed> {
        let label = self.text(fields, "Label");
        if let Some(label) = &label
            && (label.is_empty()
                || label.chars().count() > 40
                || label
                    .chars()
                    .any(|c| c.is_whitespace() || c.is_control() || "?*<>{}[]:;,\\|^~$#%&`\"".contains(c)))
        {
            self.error_in(fields, "Label", "has 1 to 40 characters that an ARN may hold");
        }
        let item_reader = match fields.get("ItemReader") {
            None => None,
            Some(value) => {
                if fields.has("Items") {
                    self.error_in(fields, "Items", "a Map has either `Items` or `ItemReader`");
                }
                let reader = self.object(value, &fields.state.clone(), "ItemReader")?;
                Some(self.item_reader(reader, uses)?)
            }
        };
        let item_batcher = match fields.get("ItemBatcher") {
            None => None,
            Some(value) => {
                let mut batcher = self.object(value, &fields.state.clone(), "ItemBatcher")?;
                let loaded = ItemBatcher {
                    max_items: self.whole_template(&mut batcher, "MaxItemsPerBatch", 1, LONGEST_SECONDS, uses),
                    max_bytes: self.whole_template(&mut batcher, "MaxInputBytesPerBatch", 1, 262_144, uses),
                    input: self.template(&mut batcher, "BatchInput", Moment::Before, uses),
                };
                if !batcher.has("MaxItemsPerBatch") && !batcher.has("MaxInputBytesPerBatch") {
                    self.error_in(
                        &batcher,
                        "MaxItemsPerBatch",
                        "one of MaxItemsPerBatch and MaxInputBytesPerBatch is needed",
                    );
                }
                self.finish(&batcher);
                Some(loaded)
            }
        };
        let result_writer = match fields.get("ResultWriter") {
            None => None,
            Some(value) => {
                let writer = self.object(value, &fields.state.clone(), "ResultWriter")?;
                Some(self.result_writer(writer, uses)?)
            }
        };
        Some(Distributed {
            execution_type,
            label,
            item_reader,
            item_batcher,
            result_writer,
            tolerated_failure_count: self.whole_template(fields, "ToleratedFailureCount", 0, LONGEST_SECONDS, uses),
            tolerated_failure_percentage: self.percentage(fields, uses),
        })
    }

    fn percentage(&mut self, fields: &mut Fields<'_>, uses: &mut Uses) -> Option<Template> {
        const FIELD: &str = "ToleratedFailurePercentage";
        if let Some(Value::Number(n)) = fields.get(FIELD)
            && n.as_f64().is_some_and(|n| (0.0..=100.0).contains(&n))
        {
            return Some(Template::Literal(Value::Number(n.clone())));
        }
        self.whole_template(fields, FIELD, 0, 100, uses)
    }

    fn item_reader(&mut self, mut reader: Fields<'_>, uses: &mut Uses) -> Option<ItemReader> {
        let resource = self.resource(&mut reader);
        let action = resource.as_deref().and_then(s3_action);
        let arguments = self.template(&mut reader, "Arguments", Moment::Before, uses);
        let (required, optional): (&[&str], _) = match action {
            Some("getObject") => (&["Bucket", "Key"], "VersionId"),
            Some("listObjectsV2") => (&["Bucket"], "Prefix"),
            _ => {
                if resource.is_some() {
                    self.error_in(&reader, "Resource", "must be s3:getObject or s3:listObjectsV2");
                }
                return None;
            }
        };
        self.known_arguments(&reader, required, optional);
        let none = Value::Object(Object::new());
        let config = reader.get("ReaderConfig").unwrap_or(&none);
        let mut config = self.object(config, &reader.state.clone(), "ItemReader/ReaderConfig")?;
        let max_items = match config.get("MaxItems") {
            Some(Value::String(_)) => self.template(&mut config, "MaxItems", Moment::Before, uses),
            Some(number) => Some(Template::Literal(number.clone())),
            None => None,
        };
        let format = match action {
            Some("listObjectsV2") => {
                self.choice_of(&mut config, "Transformation", &["NONE"]);
                Some(ItemFormat::Objects)
            }
            _ => self.item_format(&mut config),
        };
        self.finish(&config);
        self.finish(&reader);
        Some(ItemReader {
            resource: resource?,
            arguments,
            format: format?,
            max_items,
        })
    }

    fn item_format(&mut self, config: &mut Fields<'_>) -> Option<ItemFormat> {
        let manifest = self.choice_of(config, "ManifestType", &["S3_INVENTORY"]);
        if !config.has("InputType") && manifest.is_some() {
            return Some(ItemFormat::Inventory);
        }
        if !config.has("InputType") {
            self.error_in(config, "InputType", "is missing");
        }
        let input_type = self.choice_of(config, "InputType", &["CSV", "JSON", "JSONL", "MANIFEST"])?;
        if manifest.is_some() && input_type != "MANIFEST" {
            self.error_in(config, "InputType", "with ManifestType S3_INVENTORY it is left out");
        }
        match input_type {
            "JSON" => Some(ItemFormat::Json),
            "JSONL" => Some(ItemFormat::JsonLines),
            "MANIFEST" => Some(ItemFormat::Inventory),
            _ => self.csv(config),
        }
    }

    fn csv(&mut self, config: &mut Fields<'_>) -> Option<ItemFormat> {
        const DELIMITERS: [&str; 5] = ["COMMA", "PIPE", "SEMICOLON", "SPACE", "TAB"];
        let delimiter = match self.choice_of(config, "CSVDelimiter", &DELIMITERS) {
            Some("PIPE") => b'|',
            Some("SEMICOLON") => b';',
            Some("SPACE") => b' ',
            Some("TAB") => b'\t',
            _ => b',',
        };
        if !config.has("CSVHeaderLocation") {
            self.error_in(config, "CSVHeaderLocation", "is missing");
        }
        let location = self.choice_of(config, "CSVHeaderLocation", &["FIRST_ROW", "GIVEN"])?;
        let headers = config.get("CSVHeaders");
        if location == "FIRST_ROW" {
            if headers.is_some() {
                self.error_in(config, "CSVHeaders", "is only for CSVHeaderLocation GIVEN");
            }
            return Some(ItemFormat::Csv {
                delimiter,
                headers: None,
            });
        }
        let names = headers.and_then(Value::as_array).filter(|names| !names.is_empty());
        let names = names.and_then(|names| names.iter().map(|name| name.as_str().map(str::to_owned)).collect());
        if names.is_none() {
            self.error_in(config, "CSVHeaders", "must be an array of strings, at least one");
        }
        Some(ItemFormat::Csv {
            delimiter,
            headers: Some(names?),
        })
    }

    fn result_writer(&mut self, mut writer: Fields<'_>, uses: &mut Uses) -> Option<ResultWriter> {
        let destination = match writer.has("Resource") || writer.has("Arguments") {
            false => None,
            true => {
                let resource = self.resource(&mut writer)?;
                if s3_action(&resource) != Some("putObject") {
                    self.error_in(&writer, "Resource", "must be s3:putObject");
                }
                let arguments = self.template(&mut writer, "Arguments", Moment::Before, uses);
                self.known_arguments(&writer, &["Bucket"], "Prefix");
                Some(ResultDestination { resource, arguments })
            }
        };
        let (mut transformation, mut output_type) = (Transformation::None, OutputType::Json);
        match writer.get("WriterConfig") {
            None if destination.is_none() => {
                self.error_in(&writer, "WriterConfig", "one of Resource and WriterConfig is needed");
            }
            None => {}
            Some(value) => {
                let mut config = self.object(value, &writer.state.clone(), "ResultWriter/WriterConfig")?;
                match self.choice_of(&mut config, "Transformation", &["NONE", "COMPACT", "FLATTEN"]) {
                    Some("COMPACT") => transformation = Transformation::Compact,
                    Some("FLATTEN") => transformation = Transformation::Flatten,
                    _ => {}
                }
                if self.choice_of(&mut config, "OutputType", &["JSON", "JSONL"]) == Some("JSONL") {
                    output_type = OutputType::JsonLines;
                    if destination.is_none() {
                        self.error_in(&config, "OutputType", "JSONL is not supported without Resource");
                    }
                }
                self.finish(&config);
            }
        }
        self.finish(&writer);
        Some(ResultWriter {
            destination,
            transformation,
            output_type,
        })
    }

    /// A constant that is one of these.
    fn choice_of<'k>(&mut self, fields: &mut Fields<'_>, name: &'static str, known: &[&'k str]) -> Option<&'k str> {
        let value = fields.get(name)?;
        let found = known.iter().find(|known| value == **known).copied();
        if found.is_none() {
            let known = known.join(", ");
            self.error_in(fields, name, format!("{value} is not supported; it can be: {known}"));
        }
        found
    }

    /// Refuses `Arguments` that Step Functions does not take, as far as they are written out.
    fn known_arguments(&mut self, fields: &Fields<'_>, required: &[&str], optional: &str) {
        match fields.object.get("Arguments") {
            None => self.error_in(fields, "Arguments", "is missing"),
            Some(Value::Object(arguments)) => {
                for key in arguments
                    .keys()
                    .filter(|key| *key != optional && !required.contains(&key.as_str()))
                {
                    self.error_in(fields, &format!("Arguments/{key}"), "is not supported");
                }
                for missing in required.iter().filter(|key| !arguments.contains_key(**key)) {
                    self.error_in(fields, &format!("Arguments/{missing}"), "is missing");
                }
            }
            Some(_) => {}
        }
    }

    fn retry(&mut self, fields: &mut Fields<'_>) -> Vec<Retrier> {
        let mut retriers = Vec::new();
        for (mut fields, error_equals) in self.error_handlers(fields, "Retry") {
            let interval_seconds = self.whole(&mut fields, "IntervalSeconds", 1, LONGEST_DELAY_SECONDS);
            let max_attempts = self.whole(&mut fields, "MaxAttempts", 0, LONGEST_SECONDS);
            let max_delay_seconds = self.whole(&mut fields, "MaxDelaySeconds", 1, LONGEST_DELAY_SECONDS);
            let interval_seconds = interval_seconds.unwrap_or(1);
            if max_delay_seconds.is_some_and(|longest| longest <= interval_seconds) {
                self.error_in(&fields, "MaxDelaySeconds", "must be larger than IntervalSeconds");
            }
            let backoff_rate = match fields.get("BackoffRate") {
                None => 2.0,
                Some(value) => match value.as_f64() {
                    Some(rate) if rate >= 1.0 => rate,
                    _ => {
                        self.error_in(&fields, "BackoffRate", "must be a number, at least 1.0");
                        2.0
                    }
                },
            };
            let full_jitter = match self.text(&mut fields, "JitterStrategy").as_deref() {
                None | Some("NONE") => false,
                Some("FULL") => true,
                Some(_) => {
                    self.error_in(&fields, "JitterStrategy", "must be FULL or NONE");
                    false
                }
            };
            self.finish(&fields);
            retriers.push(Retrier {
                error_equals,
                interval_seconds,
                max_attempts: max_attempts.unwrap_or(3),
                backoff_rate,
                max_delay_seconds,
                full_jitter,
            });
        }
        retriers
    }

    fn catch(&mut self, fields: &mut Fields<'_>, uses: &mut Uses) -> Vec<Catcher> {
        let mut catchers = Vec::new();
        for (mut fields, error_equals) in self.error_handlers(fields, "Catch") {
            let next = self.required_text(&mut fields, "Next");
            let output = self.template(&mut fields, "Output", Moment::Caught, uses);
            let assign = self.assign(&mut fields, Moment::Caught, uses);
            self.finish(&fields);
            if let Some(next) = next {
                catchers.push(Catcher {
                    error_equals,
                    next,
                    output,
                    assign,
                });
            }
        }
        catchers
    }

    /// What `Retry` and `Catch` have in common: an array of objects with `ErrorEquals`.
    fn error_handlers<'v>(&mut self, fields: &mut Fields<'v>, name: &'static str) -> Vec<(Fields<'v>, Vec<String>)> {
        let entries = match fields.get(name) {
            None => return Vec::new(),
            Some(Value::Array(entries)) => entries,
            Some(_) => {
                self.error_in(fields, name, "must be an array");
                return Vec::new();
            }
        };
        let mut handlers = Vec::new();
        for (i, entry) in entries.iter().enumerate() {
            let at = format!("{name}[{i}]");
            let Some(mut entry) = self.object(entry, &fields.state.clone(), &at) else {
                continue;
            };
            self.text(&mut entry, "Comment");
            let errors: Option<Vec<String>> = match entry.get("ErrorEquals") {
                Some(Value::Array(errors)) if !errors.is_empty() => {
                    errors.iter().map(|error| error.as_str().map(str::to_owned)).collect()
                }
                _ => None,
            };
            let Some(errors) = errors else {
                self.error_in(&entry, "ErrorEquals", "must be an array with at least one name");
                continue;
            };
            for error in &errors {
                if let Err(problem) = check_error_name(error) {
                    self.error_in(&entry, "ErrorEquals", problem);
                }
            }
            if errors.iter().any(|error| error == names::ALL) {
                if errors.len() > 1 {
                    self.error_in(&entry, "ErrorEquals", "States.ALL must stand alone");
                }
                if i + 1 < entries.len() {
                    self.error_in(&entry, "ErrorEquals", format!("States.ALL must be last in {name}"));
                }
            }
            handlers.push((entry, errors));
        }
        handlers
    }

    fn assign(&mut self, fields: &mut Fields<'_>, moment: Moment, uses: &mut Uses) -> Assign {
        let variables = match fields.get("Assign") {
            None => return Assign::default(),
            Some(Value::Object(variables)) => variables,
            Some(_) => {
                self.error_in(fields, "Assign", "must be an object");
                return Assign::default();
            }
        };
        let mut assign = Vec::new();
        let sorted: BTreeMap<&String, &Value> = variables.iter().collect();
        for (name, value) in sorted {
            let at = fields.at(&format!("Assign/{name}"));
            let mut letters = name.chars();
            let identifier = letters.next().is_some_and(|c| c.is_alphabetic() || c == '_')
                && letters.all(|c| c.is_alphanumeric() || c == '_')
                && name.chars().count() <= 80;
            if name == "states" {
                self.error(&fields.state.clone(), &at, "`$states` cannot be assigned");
            } else if !identifier {
                self.error(
                    &fields.state.clone(),
                    &at,
                    "a variable's name is an identifier of at most 80 characters",
                );
            }
            let state = fields.state.clone();
            if let Some(template) = self.template_value(&state, &at, value, moment, uses) {
                assign.push((name.clone(), template));
            }
        }
        Assign(assign)
    }

    fn template(
        &mut self,
        fields: &mut Fields<'_>,
        name: &'static str,
        moment: Moment,
        uses: &mut Uses,
    ) -> Option<Template> {
        let value = fields.get(name)?;
        self.template_value(&fields.state.clone(), &fields.at(name), value, moment, uses)
    }

    fn template_value(
        &mut self,
        state: &str,
        at: &str,
        value: &Value,
        moment: Moment,
        uses: &mut Uses,
    ) -> Option<Template> {
        match value {
            Value::String(text) => match expression::classify(text) {
                Text::Literal => Some(Template::Literal(value.clone())),
                Text::Suspicious(problem) => {
                    self.error(state, at, problem);
                    None
                }
                Text::Jsonata(source) => match expression::parse(source, moment) {
                    Ok(parsed) => {
                        uses.expressions.push((at.to_owned(), source.to_owned()));
                        uses.variables
                            .extend(parsed.variables.into_iter().map(|variable| (at.to_owned(), variable)));
                        Some(Template::Expression(Box::new(parsed.expression)))
                    }
                    Err(problems) => {
                        for problem in problems {
                            self.error(state, at, format!("{problem} (in `{source}`)"));
                        }
                        None
                    }
                },
            },
            Value::Array(items) => {
                let templates: Vec<Option<Template>> = items
                    .iter()
                    .enumerate()
                    .map(|(i, item)| self.template_value(state, &format!("{at}[{i}]"), item, moment, uses))
                    .collect();
                let templates: Vec<Template> = templates.into_iter().collect::<Option<_>>()?;
                if templates.iter().all(|t| t.as_literal().is_some()) {
                    return Some(Template::Literal(value.clone()));
                }
                Some(Template::Array(templates))
            }
            Value::Object(fields) => {
                let mut templates = Vec::new();
                for (key, field) in fields {
                    let at = format!("{at}/{key}");
                    if key.ends_with(".$") {
                        self.error(
                            state,
                            &at,
                            "a field name that ends in `.$` is JSONPath, which is not supported",
                        );
                    }
                    templates.push(
                        self.template_value(state, &at, field, moment, uses)
                            .map(|template| (key.clone(), template)),
                    );
                }
                let templates: Vec<(String, Template)> = templates.into_iter().collect::<Option<_>>()?;
                if templates.iter().all(|(_, t)| t.as_literal().is_some()) {
                    return Some(Template::Literal(value.clone()));
                }
                Some(Template::Object(templates))
            }
            _ => Some(Template::Literal(value.clone())),
        }
    }

    /// A whole number, or an expression that gives one.
    fn whole_template(
        &mut self,
        fields: &mut Fields<'_>,
        name: &'static str,
        least: u64,
        most: u64,
        uses: &mut Uses,
    ) -> Option<Template> {
        match fields.get(name)? {
            Value::String(text) if matches!(expression::classify(text), Text::Jsonata(_)) => {
                self.template(fields, name, Moment::Before, uses)
            }
            value @ Value::Number(_) => {
                self.whole(fields, name, least, most)?;
                Some(Template::Literal(value.clone()))
            }
            _ => {
                self.error_in(
                    fields,
                    name,
                    format!("must be a whole number from {least} to {most}, or an expression"),
                );
                None
            }
        }
    }

    /// A string, or an expression that gives one.
    fn text_template(&mut self, fields: &mut Fields<'_>, name: &'static str, uses: &mut Uses) -> Option<Template> {
        if !fields.get(name)?.is_string() {
            self.error_in(fields, name, "must be a string");
            return None;
        }
        self.template(fields, name, Moment::Before, uses)
    }

    fn whole(&mut self, fields: &mut Fields<'_>, name: &'static str, least: u64, most: u64) -> Option<u64> {
        let value = fields.get(name)?;
        let number = value.as_u64().filter(|n| (least..=most).contains(n));
        if number.is_none() {
            self.error_in(fields, name, format!("must be a whole number from {least} to {most}"));
        }
        number
    }

    fn text(&mut self, fields: &mut Fields<'_>, name: &'static str) -> Option<String> {
        match fields.get(name)? {
            Value::String(text) => Some(text.clone()),
            _ => {
                self.error_in(fields, name, "must be a string");
                None
            }
        }
    }

    fn required_text(&mut self, fields: &mut Fields<'_>, name: &'static str) -> Option<String> {
        if !fields.has(name) {
            fields.asked.insert(name);
            self.error_in(fields, name, "is missing");
        }
        self.text(fields, name)
    }

    fn boolean(&mut self, fields: &mut Fields<'_>, name: &'static str) -> Option<bool> {
        match fields.get(name)? {
            Value::Bool(value) => Some(*value),
            _ => {
                self.error_in(fields, name, "must be true or false");
                None
            }
        }
    }

    fn object<'v>(&mut self, value: &'v Value, state: &str, at: &str) -> Option<Fields<'v>> {
        match value {
            Value::Object(object) => Some(Fields::new(object, state, at)),
            _ => {
                self.error(state, at, "must be an object");
                None
            }
        }
    }

    /// Refuses every field that nobody has asked for.
    fn finish(&mut self, fields: &Fields<'_>) {
        for name in fields.object.keys() {
            if fields.asked.contains(name.as_str()) {
                continue;
            }
            let message = if is_jsonpath(name) {
                "is a field of JSONPath, which is not supported"
            } else {
                "is no known field here"
            };
            self.error_in(fields, name, message);
        }
    }
}

/// What a `Resource` asks of S3: `getObject` in `arn:aws:states:::s3:getObject`.
fn s3_action(resource: &str) -> Option<&str> {
    let (partition, action) = resource.split_once(":states:::s3:")?;
    partition.starts_with("arn:aws").then_some(action)
}

/// What the ending of a `Resource` asks for.
fn integration(resource: &str) -> Integration {
    if resource.ends_with(".waitForTaskToken") {
        Integration::WaitForTaskToken
    } else if resource.ends_with(".sync") || resource.ends_with(".sync:2") {
        Integration::Sync
    } else {
        Integration::RequestResponse
    }
}

fn is_jsonpath(field: &str) -> bool {
    field.ends_with(".$")
        || field.ends_with("Path")
        || matches!(field, "Parameters" | "ResultSelector" | "Result" | "Variable")
}

/// Names that begin with `States.` are AWS's own.
fn check_error_name(name: &str) -> Result<(), String> {
    const KNOWN: [&str; 12] = [
        names::ALL,
        names::DATA_LIMIT_EXCEEDED,
        names::EXCEED_TOLERATED_FAILURE_THRESHOLD,
        names::HEARTBEAT_TIMEOUT,
        names::ITEM_READER_FAILED,
        names::PERMISSIONS,
        names::QUERY_EVALUATION_ERROR,
        names::RESULT_WRITER_FAILED,
        names::TASK_FAILED,
        names::TIMEOUT,
        "States.Http.Socket",
        "States.Http.StatusCode",
    ];
    match name {
        names::RUNTIME => Err("States.Runtime always ends the execution; naming it has no effect".into()),
        "States.NoChoiceMatched" => Err(
            "Step Functions reports a Choice without a match as States.Runtime, which nothing catches; \
             give the Choice a Default"
                .into(),
        ),
        "States.BranchFailed" => {
            Err("a Parallel fails with the error of the branch that failed; name that error, or States.ALL".into())
        }
        _ if name.starts_with("States.") && !KNOWN.contains(&name) => {
            Err(format!("`{name}` is no error of Step Functions"))
        }
        _ => Ok(()),
    }
}

/// Puts the nested workflows into the states that hold them.
fn assemble(scope: Scope) -> Workflow {
    let Scope {
        mut workflow,
        uses,
        nested,
    } = scope;
    for ((path, _), (inner, _)) in uses.iter().zip(nested) {
        let Some(state) = workflow.states.values_mut().find(|s| &s.path == path) else {
            continue;
        };
        let mut inner = inner.into_iter().map(assemble);
        match &mut state.kind {
            StateKind::Parallel(parallel) => parallel.branches = inner.collect(),
            StateKind::Map(map) => {
                if let Some(processor) = inner.next() {
                    map.processor = processor;
                }
            }
            _ => {}
        }
    }
    workflow
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holes_are_filled_and_missed() {
        let values = BTreeMap::from([("A".to_owned(), "x".to_owned())]);
        let (text, missing) = substitute("${A}-${B.C}-${ not a hole}-$${A}", &values);
        assert_eq!(text, "x-B.C-${ not a hole}-$x");
        assert_eq!(missing, BTreeSet::from(["B.C".to_owned()]));
    }

    #[test]
    fn endings_of_resources() {
        assert_eq!(
            integration("arn:aws:states:::lambda:invoke"),
            Integration::RequestResponse
        );
        assert_eq!(
            integration("arn:aws:states:::states:startExecution.sync:2"),
            Integration::Sync
        );
        assert_eq!(
            integration("arn:aws:states:::sqs:sendMessage.waitForTaskToken"),
            Integration::WaitForTaskToken
        );
    }
}
