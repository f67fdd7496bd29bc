//! What a Task does: whom it calls, starts and waits for.

use states_language::{Integration, Task, Template};

/// What a hole is filled with: nothing that a machine could have written itself.
pub(super) fn filling(folder: &str) -> String {
    format!("function:{folder}")
}

/// Whether a Task waits for people.
pub(super) fn asks_people(task: &Task) -> bool {
    task.integration == Integration::WaitForTaskToken
}

/// Whether a Task starts an execution.
pub(super) fn starts_execution(task: &Task) -> bool {
    task.resource.starts_with("arn:aws:states:::states:startExecution")
}

/// Whether a Task calls a Lambda function.
pub(super) fn calls_function(task: &Task) -> bool {
    task.resource.starts_with("arn:aws:states:::lambda:invoke")
}

/// The folder of the function that a Task calls, if it names it by a hole.
pub(super) fn called_folder(task: &Task) -> Option<&str> {
    let arguments = task.arguments.as_ref().filter(|_| calls_function(task))?;
    let name = match arguments {
        Template::Object(fields) => field(fields, "FunctionName")?.as_literal()?,
        Template::Literal(value) => value.get("FunctionName")?,
        _ => return None,
    };
    name.as_str()?.strip_prefix(&filling(""))
}

pub(super) fn field<'a>(fields: &'a [(String, Template)], name: &str) -> Option<&'a Template> {
    fields.iter().find(|(key, _)| key == name).map(|(_, template)| template)
}
