//! Choice.

use std::sync::Arc;

use serde_json::Value;

use super::{Done, Extra, Visit};
use crate::definition::Choice;
use crate::errors::TaskFailure;

impl<'a> Visit<'a> {
    /// The first rule that holds decides, with its own `Assign` and `Output`; without one, the
    /// default, with the state's.
    pub(super) fn choice(&self, choice: &'a Choice) -> Result<Done<'a>, TaskFailure> {
        let mut bench = self.bench(Extra::Nothing);
        let mut chosen = None;
        for (i, rule) in choice.rules.iter().enumerate() {
            let field = format!("Choices[{i}]/Condition");
            match bench.evaluate(&rule.condition, &field)? {
                Value::Bool(true) => {
                    chosen = Some((&rule.next, &rule.assign, &rule.output));
                    break;
                }
                Value::Bool(false) => {}
                other => return Err(bench.wrong(&rule.condition, &field, "true or false", &other)),
            }
        }
        let default = choice
            .default
            .as_ref()
            .map(|next| (next, &self.state.assign, &self.state.output));
        let Some((next, assign, output)) = chosen.or(default) else {
            return Err(TaskFailure::runtime(format!(
                "An error occurred while executing the state '{}'. Failed to transition out of the \
                 state. The state does not point to a next state.",
                self.state.name
            )));
        };
        let assigned = bench.assign(assign, "Assign")?;
        let output = match output {
            Some(template) => Arc::new(bench.evaluate(template, "Output")?),
            None => Arc::clone(&self.input),
        };
        self.done(output, assigned, Some(next))
    }
}
