//! The JSON Schema of plans, where the types alone say too little.

use schemars::{JsonSchema, SchemaGenerator};
use serde_json::{Map, Value, json};

use super::{Duration, Plan, ScenarioPolicy, Severity};
use crate::scenario::Scenario;
use crate::scenario::module::SetBy;

impl Plan {
    /// The plan's JSON Schema.
    pub fn schema() -> Value {
        let mut generator = SchemaGenerator::default();
        let mut schema = generator.root_schema_for::<Self>();
        let policy = ScenarioPolicy::json_schema(&mut generator).to_value();
        let scenarios = Scenario::all().into_iter().map(|scenario| {
            let mut policy = policy.clone();
            policy["properties"]["deadlines"] = deadlines(&mut generator, scenario);
            (scenario.name(), policy)
        });
        let scenarios = one_of_each(scenarios);
        let severity = json!({ "$ref": "#/$defs/SeverityPolicy" });
        let severities = one_of_each(Severity::ALL.map(|severity_of| (severity_of.name(), severity.clone())));
        // The derived schemas of maps let any key pass, and give every scenario the same deadlines.
        if let Some(properties) = schema.get_mut("properties") {
            for (field, entries) in [("scenarios", scenarios), ("severities", severities)] {
                if let Some(map) = properties[field].as_object_mut() {
                    map.extend(entries);
                }
            }
        }
        if let Some(definitions) = schema.get_mut("$defs").and_then(Value::as_object_mut) {
            definitions.remove("ScenarioPolicy");
        }
        // Some crates switch serde_json to the order of insertion; the committed schema must not depend on who is built.
        let mut schema = schema.to_value();
        schema.sort_all_objects();
        schema
    }
}

/// What the schema of a map says that may have these entries and no others.
fn one_of_each(entries: impl IntoIterator<Item = (&'static str, Value)>) -> Map<String, Value> {
    let properties: Map<_, _> = entries
        .into_iter()
        .map(|(name, schema)| (name.to_owned(), schema))
        .collect();
    Map::from_iter([
        ("properties".to_owned(), properties.into()),
        ("additionalProperties".to_owned(), false.into()),
        ("minProperties".to_owned(), 1.into()),
    ])
}

fn deadlines(generator: &mut SchemaGenerator, scenario: Scenario) -> Value {
    let (mut properties, mut required) = (Map::new(), Vec::new());
    for deadline in scenario.definition().deadlines {
        let mut schema = Duration::json_schema(generator).to_value();
        schema["description"] = deadline.until.into();
        match deadline.set_by {
            SetBy::Plan => required.push(deadline.name),
            SetBy::PlanOr(default) => schema["default"] = default.to_string().into(),
            SetBy::Machine => continue,
        }
        properties.insert(deadline.name.to_owned(), schema);
    }
    json!({
        "type": "object",
        "description": "How long each wait may last.",
        "properties": properties,
        "required": required,
        "additionalProperties": false,
    })
}
