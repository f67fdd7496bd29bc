//! The databases inside simulated clusters: real SQL (SQLite's), with a log of what was committed when, so that a copy
//! as of any moment can be made.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use jiff::Timestamp;
use rusqlite::functions::FunctionFlags;
use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{Connection, ToSql};

use crate::lock::lock;

/// A value in SQL.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// NULL.
    Null,
    /// A whole number.
    Integer(i64),
    /// A real number.
    Real(f64),
    /// Text.
    Text(String),
}

impl ToSql for Value {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(match self {
            Self::Null => ToSqlOutput::Borrowed(ValueRef::Null),
            Self::Integer(number) => (*number).into(),
            Self::Real(number) => (*number).into(),
            Self::Text(text) => text.as_str().into(),
        })
    }
}

/// One statement that was committed.
#[derive(Clone, Debug)]
struct Commit {
    at: Timestamp,
    sql: Arc<str>,
    parameters: BTreeMap<String, Value>,
}

/// What a database answers to a statement.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Rows {
    /// The rows.
    pub rows: Vec<Vec<Value>>,
    /// How many rows were changed.
    pub changed: u64,
}

/// One database. All that its life brings is one transaction of SQLite, which is left open: to begin and end one takes longer
/// than most statements. Only a schema cannot be made within one. A statement that fails leaves no trace, as on its own.
pub struct Database {
    connection: Connection,
    log: Vec<Commit>,
    writable: Arc<Mutex<bool>>,
    /// What `default_transaction_read_only` is for a new session, which each statement has.
    reads_by_default: Arc<Mutex<bool>>,
    sequences: Arc<Mutex<Sequences>>,
}

/// The last number that each sequence gave out, if it gave out any. SQLite has none; a rolled back statement does not give its number
/// back, as in PostgreSQL.
type Sequences = BTreeMap<String, Option<i64>>;

impl Database {
    /// An empty database that takes writes. Errors: SQLite's, as text.
    pub fn new() -> Result<Self, String> {
        let connection = Connection::open_in_memory().map_err(|error| error.to_string())?;
        let writable = Arc::new(Mutex::new(true));
        let in_recovery = Arc::clone(&writable);
        connection
            .create_scalar_function("pg_is_in_recovery", 0, FunctionFlags::SQLITE_UTF8, move |_| {
                Ok(if *lock(&in_recovery) { "false" } else { "true" })
            })
            .map_err(|error| error.to_string())?;
        let sequences = Arc::default();
        let reads_by_default = Arc::new(Mutex::new(false));
        has_sessions(&connection, &reads_by_default).map_err(|error| error.to_string())?;
        has_sequences(&connection, &sequences).map_err(|error| error.to_string())?;
        let database = Self {
            connection,
            log: Vec::new(),
            writable,
            reads_by_default,
            sequences,
        };
        database.run("BEGIN")?;
        Ok(database)
    }

    /// Runs SQL that is not kept. Errors: SQLite's, as text.
    fn run(&self, sql: &str) -> Result<(), String> {
        self.connection.execute_batch(sql).map_err(|error| error.to_string())
    }

    /// A copy that holds what was committed up to `until`. Errors: SQLite's, as text.
    pub fn copy_as_of(&self, until: Timestamp) -> Result<Self, String> {
        let mut copy = Self::new()?;
        let (schemas, statements): (Vec<&Commit>, Vec<&Commit>) = self
            .log
            .iter()
            .filter(|commit| commit.at <= until)
            .partition(|commit| schema(&commit.sql).is_some());
        for commit in schemas.into_iter().chain(statements) {
            copy.execute(commit.at, &commit.sql, &commit.parameters)?;
        }
        copy.log.sort_by_key(|commit| commit.at);
        Ok(copy)
    }

    /// Lets the database take writes, or read only.
    pub fn set_writable(&mut self, writable: bool) {
        *lock(&self.writable) = writable;
    }

    /// Runs one statement at the moment `at`. Errors: PostgreSQL's words where it is read-only, SQLite's otherwise.
    pub fn execute(&mut self, at: Timestamp, sql: &str, parameters: &BTreeMap<String, Value>) -> Result<Rows, String> {
        // SQLite has no schemas; a database attached under the name serves as one.
        if let Some(name) = schema(sql) {
            self.run("COMMIT")?;
            let attached = self.run(&format!("ATTACH DATABASE ':memory:' AS {name}"));
            self.run("BEGIN")?;
            attached?;
            self.keep(at, sql, parameters);
            return Ok(Rows::default());
        }
        if let Some(reads) = read_only_from_now_on(sql) {
            *lock(&self.reads_by_default) = reads;
            self.keep(at, sql, parameters);
            return Ok(Rows::default());
        }
        if let Some(name) = second_word(sql, "CREATE", "SEQUENCE") {
            lock(&self.sequences).entry(name.to_owned()).or_default();
            self.keep(at, sql, parameters);
            return Ok(Rows::default());
        }
        let may_write = *lock(&self.writable) && !*lock(&self.reads_by_default);
        self.run_statement(at, sql, parameters, may_write)
    }

    /// Likewise, in a transaction that is read only.
    pub fn read(&mut self, at: Timestamp, sql: &str, parameters: &BTreeMap<String, Value>) -> Result<Rows, String> {
        self.run_statement(at, sql, parameters, false)
    }

    fn run_statement(
        &mut self,
        at: Timestamp,
        sql: &str,
        parameters: &BTreeMap<String, Value>,
        may_write: bool,
    ) -> Result<Rows, String> {
        let rows = {
            let mut statement = self.connection.prepare_cached(sql).map_err(|error| error.to_string())?;
            let reads = statement.readonly() && !moves_a_sequence(sql);
            if !reads && !may_write {
                let verb = sql.split_whitespace().next().unwrap_or_default();
                return Err(format!(
                    "ERROR: cannot execute {verb} in a read-only transaction; SQLState: 25006"
                ));
            }
            for (name, value) in parameters {
                let index = statement
                    .parameter_index(&format!(":{name}"))
                    .map_err(|error| error.to_string())?;
                let index = index.ok_or_else(|| format!("the statement has no parameter {name}"))?;
                statement
                    .raw_bind_parameter(index, value)
                    .map_err(|error| error.to_string())?;
            }
            let columns = statement.column_count();
            let mut found = Vec::new();
            let mut rows = statement.raw_query();
            while let Some(row) = rows.next().map_err(|error| error.to_string())? {
                let row: Result<Vec<Value>, String> = (0..columns)
                    .map(|column| row.get_ref(column).map(value).map_err(|error| error.to_string()))
                    .collect();
                found.push(row?);
            }
            (found, reads)
        };
        let (rows, reads) = rows;
        if reads {
            return Ok(Rows { rows, changed: 0 });
        }
        self.keep(at, sql, parameters);
        Ok(Rows {
            rows,
            changed: self.connection.changes(),
        })
    }

    /// How many statements it holds the effects of.
    pub(crate) fn commits(&self) -> usize {
        self.log.len()
    }

    fn keep(&mut self, at: Timestamp, sql: &str, parameters: &BTreeMap<String, Value>) {
        // The same few statements are made again and again.
        let before = self.log.iter().rev().take(4).find(|commit| *commit.sql == *sql);
        let sql = before.map_or_else(|| Arc::from(sql), |commit| Arc::clone(&commit.sql));
        self.log.push(Commit {
            at,
            sql,
            parameters: parameters.clone(),
        });
    }
}

/// The schema that a statement makes.
fn schema(sql: &str) -> Option<&str> {
    second_word(sql, "CREATE", "SCHEMA")
}

/// What is named by a statement of three words that begins with these two.
fn second_word<'a>(sql: &'a str, verb: &str, kind: &str) -> Option<&'a str> {
    let mut words = sql.split_whitespace();
    let is_one = words.next() == Some(verb) && words.next() == Some(kind);
    words.next().filter(|_| is_one && words.next().is_none())
}

/// Whether a statement changes a sequence, which SQLite takes for reading.
pub(crate) fn moves_a_sequence(sql: &str) -> bool {
    ["nextval(", "setval("].iter().any(|function| sql.contains(function))
}

/// Whether a statement sets its database to be read only for new sessions, or no longer so.
fn read_only_from_now_on(sql: &str) -> Option<bool> {
    let what = sql.strip_prefix("ALTER DATABASE ")?.split_once(' ')?.1;
    match what {
        "SET default_transaction_read_only = on" => Some(true),
        "RESET default_transaction_read_only" => Some(false),
        _ => None,
    }
}

/// What PostgreSQL has for sessions, of which there are none beside the one that asks.
fn has_sessions(connection: &Connection, reads_by_default: &Arc<Mutex<bool>>) -> rusqlite::Result<()> {
    let flags = FunctionFlags::SQLITE_UTF8;
    let of = Arc::clone(reads_by_default);
    connection.create_scalar_function("current_setting", 1, flags, move |call| {
        match call.get::<String>(0)?.as_str() {
            "default_transaction_read_only" => Ok(if *lock(&of) { "on" } else { "off" }),
            other => {
                let message = format!("the setting {other} is not simulated");
                Err(rusqlite::Error::UserFunctionError(message.into()))
            }
        }
    })?;
    connection.create_scalar_function("pg_terminate_backend", 1, flags, |_| Ok(true))?;
    connection.create_scalar_function("pg_backend_pid", 0, flags, |_| Ok(1))?;
    connection.create_scalar_function("current_database", 0, flags, |_| Ok("database"))?;
    connection.execute_batch(
        "CREATE TEMP VIEW pg_stat_activity AS SELECT 1 AS pid, 'database' AS datname, 'application' AS usename WHERE false",
    )
}

/// What PostgreSQL has for sequences, as far as it is simulated: they go up by one, and all are in one schema.
fn has_sequences(connection: &Connection, sequences: &Arc<Mutex<Sequences>>) -> rusqlite::Result<()> {
    let flags = FunctionFlags::SQLITE_UTF8;
    let of = Arc::clone(sequences);
    connection.create_scalar_function("nextval", 1, flags, move |call| {
        moved(&mut lock(&of), &call.get::<String>(0)?, |last| last.unwrap_or(0) + 1)
    })?;
    let of = Arc::clone(sequences);
    connection.create_scalar_function("setval", 2, flags, move |call| {
        let to: i64 = call.get(1)?;
        moved(&mut lock(&of), &call.get::<String>(0)?, |_| to)
    })?;
    let of = Arc::clone(sequences);
    connection.create_scalar_function("sequences", 0, flags, move |_| {
        Ok(serde_json::json!(*lock(&of)).to_string())
    })?;
    connection.create_scalar_function("quote_ident", 1, flags, |call| call.get::<String>(0))?;
    connection.create_scalar_function("has_sequence_privilege", 2, flags, |_| Ok("true"))?;
    connection.execute_batch(
        "CREATE TEMP VIEW pg_sequences AS
            SELECT 'public' AS schemaname, key AS sequencename, 1 AS min_value, 9223372036854775807 AS max_value, 1 AS increment_by,
                'false' AS cycle, value AS last_value
            FROM json_each(sequences())",
    )
}

/// Moves a sequence, and gives its number. Errors: PostgreSQL's words where there is none of that name.
fn moved(sequences: &mut Sequences, name: &str, to: impl Fn(Option<i64>) -> i64) -> rusqlite::Result<i64> {
    let name = name.strip_prefix("public.").unwrap_or(name);
    let last = sequences.get_mut(name).ok_or_else(|| {
        let missing = format!("ERROR: relation \"{name}\" does not exist; SQLState: 42P01");
        rusqlite::Error::UserFunctionError(missing.into())
    })?;
    let number = to(*last);
    *last = Some(number);
    Ok(number)
}

fn value(value: ValueRef<'_>) -> Value {
    match value {
        ValueRef::Null => Value::Null,
        ValueRef::Integer(number) => Value::Integer(number),
        ValueRef::Real(number) => Value::Real(number),
        ValueRef::Text(text) | ValueRef::Blob(text) => Value::Text(String::from_utf8_lossy(text).into_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn number(name: &str, value: i64) -> BTreeMap<String, Value> {
        BTreeMap::from([(name.to_owned(), Value::Integer(value))])
    }

    fn with_rows(seconds: &[i64]) -> Database {
        let mut database = Database::new().unwrap();
        database.execute(at(0), "CREATE SCHEMA dr", &BTreeMap::new()).unwrap();
        database
            .execute(at(0), "CREATE TABLE dr.beat (ms BIGINT PRIMARY KEY)", &BTreeMap::new())
            .unwrap();
        for second in seconds {
            database
                .execute(at(*second), "INSERT INTO dr.beat VALUES (:ms)", &number("ms", *second))
                .unwrap();
        }
        database
    }

    fn newest(database: &mut Database) -> Value {
        database
            .execute(at(99), "SELECT max(ms) FROM dr.beat", &BTreeMap::new())
            .unwrap()
            .rows[0][0]
            .clone()
    }

    #[test]
    fn a_copy_holds_what_was_committed_until_then() {
        let database = with_rows(&[5, 10, 15]);
        assert_eq!(newest(&mut database.copy_as_of(at(14)).unwrap()), Value::Integer(10));
        assert_eq!(newest(&mut database.copy_as_of(at(15)).unwrap()), Value::Integer(15));
        let mut copy_of_copy = database.copy_as_of(at(14)).unwrap().copy_as_of(at(9)).unwrap();
        assert_eq!(newest(&mut copy_of_copy), Value::Integer(5));
    }

    #[test]
    fn a_database_in_recovery_reads_and_does_not_write() {
        let mut database = with_rows(&[5]);
        database.set_writable(false);
        let refused = database
            .execute(at(6), "INSERT INTO dr.beat VALUES (:ms)", &number("ms", 6))
            .unwrap_err();
        assert!(refused.contains("read-only transaction"), "{refused}");
        let recovery = database
            .execute(at(6), "SELECT CAST(pg_is_in_recovery() AS text)", &BTreeMap::new())
            .unwrap();
        assert_eq!(recovery.rows, [[Value::Text("true".to_owned())]]);
        let with = "WITH beats AS (SELECT ms FROM dr.beat) SELECT max(ms) FROM beats";
        let read = database.execute(at(6), with, &BTreeMap::new()).unwrap();
        assert_eq!(read.rows, [[Value::Integer(5)]]);
        assert_eq!(newest(&mut database), Value::Integer(5));
    }

    #[test]
    fn a_statement_that_fails_leaves_what_was_there_and_nothing_of_its_own() {
        let mut database = with_rows(&[5, 10]);
        let all_or_nothing = "INSERT INTO dr.beat VALUES (11), (12), (10)";
        assert!(database.execute(at(11), all_or_nothing, &BTreeMap::new()).is_err());
        database
            .execute(at(12), "CREATE SCHEMA late", &BTreeMap::new())
            .unwrap();
        database
            .execute(at(13), "INSERT INTO dr.beat VALUES (:ms)", &number("ms", 13))
            .unwrap();
        let held = |database: &mut Database| {
            let rows = database.execute(at(99), "SELECT ms FROM dr.beat ORDER BY ms", &BTreeMap::new());
            rows.unwrap().rows.concat()
        };
        let expected = [5, 10, 13].map(Value::Integer);
        assert_eq!(held(&mut database), expected);
        assert_eq!(held(&mut database.copy_as_of(at(20)).unwrap()), expected);
    }

    #[test]
    fn a_sequence_gives_each_number_once_and_a_copy_has_those_of_then() {
        let mut database = with_rows(&[]);
        database
            .execute(at(1), "CREATE SEQUENCE beat_id", &BTreeMap::new())
            .unwrap();
        let next = "INSERT INTO dr.beat VALUES (nextval('beat_id')) RETURNING ms";
        let given = |database: &mut Database, second| {
            database.execute(at(second), next, &BTreeMap::new()).unwrap().rows[0][0].clone()
        };
        assert_eq!(given(&mut database, 2), Value::Integer(1));
        assert_eq!(given(&mut database, 3), Value::Integer(2));
        let mut copy = database.copy_as_of(at(2)).unwrap();
        let all = "SELECT sequencename, last_value FROM pg_sequences";
        let held = copy.execute(at(4), all, &BTreeMap::new()).unwrap().rows;
        assert_eq!(held, [[Value::Text("beat_id".to_owned()), Value::Integer(1)]]);
        let raise = "SELECT setval('public.beat_id', 9)";
        copy.execute(at(5), raise, &BTreeMap::new()).unwrap();
        assert_eq!(given(&mut copy, 6), Value::Integer(10));
        assert_eq!(given(&mut copy.copy_as_of(at(5)).unwrap(), 7), Value::Integer(10));
        let unknown = copy.execute(at(8), "SELECT nextval('nothing')", &BTreeMap::new());
        assert!(unknown.unwrap_err().contains("does not exist"));
        copy.set_writable(false);
        let refused = copy.execute(at(9), raise, &BTreeMap::new()).unwrap_err();
        assert!(refused.contains("read-only transaction"), "{refused}");
    }

    #[test]
    fn a_database_that_is_read_only_by_default_takes_no_writes_until_that_is_reset() {
        let mut database = with_rows(&[5]);
        let set = "ALTER DATABASE \"d\" SET default_transaction_read_only = on";
        database.execute(at(6), set, &BTreeMap::new()).unwrap();
        let write = |database: &mut Database| database.execute(at(7), "DELETE FROM dr.beat", &BTreeMap::new());
        assert!(write(&mut database).unwrap_err().contains("read-only transaction"));
        let setting = "SELECT current_setting('default_transaction_read_only')";
        let found = database.execute(at(8), setting, &BTreeMap::new()).unwrap().rows;
        assert_eq!(found, [[Value::Text("on".to_owned())]]);
        assert!(write(&mut database.copy_as_of(at(5)).unwrap()).is_ok());
        let reset = "ALTER DATABASE \"d\" RESET default_transaction_read_only";
        database.execute(at(9), reset, &BTreeMap::new()).unwrap();
        assert!(write(&mut database).is_ok());
    }

    #[test]
    fn a_mistake_in_sql_is_an_error() {
        let mut database = with_rows(&[]);
        assert!(
            database
                .execute(at(1), "SELECT * FROM nowhere", &BTreeMap::new())
                .is_err()
        );
        assert!(database.execute(at(1), "SELECT 1", &number("unused", 1)).is_err());
    }
}
