//! What the names of operations say.

/// How operations that change nothing are named.
const READS: [&str; 10] = [
    "BatchGet",
    "Describe",
    "Filter",
    "Get",
    "Head",
    "List",
    "Query",
    "Scan",
    "TransactGet",
    "Simulate",
];

/// Whether operations with such a name change nothing.
pub(crate) fn is_read(operation: &str) -> bool {
    READS.iter().any(|beginning| operation.starts_with(beginning))
}
