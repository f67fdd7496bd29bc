//! What people are asked, as a test reads it.

use serde_json::Value;

/// The body by which a question says that it is approved; nothing, where a message asks nothing.
pub fn body(text: &str) -> Option<Value> {
    let bodies = text
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line.trim()).ok());
    let mut approving = bodies.filter(|body| body["answer"] == "approve");
    approving.next()
}
