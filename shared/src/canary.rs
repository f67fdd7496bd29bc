//! The row that shows that a database takes writes.

/// The statement that writes the row of `:recovery` with `:now`, in milliseconds. Run again, it changes nothing else.
pub fn write(schema: &str) -> String {
    format!(
        "INSERT INTO {schema}.canary (recovery, written_ms) VALUES (:recovery, :now) \
         ON CONFLICT (recovery) DO UPDATE SET written_ms = excluded.written_ms"
    )
}
