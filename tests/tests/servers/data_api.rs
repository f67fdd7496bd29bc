//! A small Data API in front of a real PostgreSQL server: what `rds-data` makes of `ExecuteStatement`.
//!
//! Source: RDS Data API Reference, `ExecuteStatement` and `Field`; Aurora User Guide, "Using the Amazon RDS Data API".

use std::error::Error;

use bytes::BytesMut;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::task::JoinHandle;
use tokio_postgres::types::{FromSql, IsNull, ToSql, Type, to_sql_checked};
use tokio_postgres::{Client, Config, NoTls};

/// Why a statement was not run, as the Data API says it.
#[derive(Debug, PartialEq, Eq)]
pub struct Refusal {
    pub status: u16,
    pub code: &'static str,
    pub message: String,
}

/// What is asked. Who asks, and for which cluster, is not for here.
#[derive(Deserialize)]
pub struct Statement {
    pub sql: String,
    #[serde(default)]
    parameters: Vec<Parameter>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Parameter {
    name: String,
    value: Field,
}

/// A value, as the Data API writes it.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
enum Field {
    IsNull(bool),
    BooleanValue(bool),
    LongValue(i64),
    DoubleValue(f64),
    StringValue(String),
}

impl Field {
    /// The type that a parameter is sent with.
    fn sent_as(&self) -> Type {
        match self {
            // The server finds it out.
            Self::IsNull(_) => Type::UNKNOWN,
            Self::BooleanValue(_) => Type::BOOL,
            Self::LongValue(_) => Type::INT8,
            Self::DoubleValue(_) => Type::FLOAT8,
            Self::StringValue(_) => Type::VARCHAR,
        }
    }

    fn written(&self) -> Value {
        match self {
            Self::IsNull(value) => json!({ "isNull": value }),
            Self::BooleanValue(value) => json!({ "booleanValue": value }),
            Self::LongValue(value) => json!({ "longValue": value }),
            Self::DoubleValue(value) => json!({ "doubleValue": value }),
            Self::StringValue(value) => json!({ "stringValue": value }),
        }
    }
}

impl ToSql for Field {
    fn to_sql(&self, of: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        match self {
            Self::IsNull(_) => Ok(IsNull::Yes),
            Self::BooleanValue(value) => value.to_sql(of, out),
            Self::LongValue(value) => value.to_sql(of, out),
            Self::DoubleValue(value) => value.to_sql(of, out),
            Self::StringValue(value) => value.to_sql(of, out),
        }
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    to_sql_checked!();
}

impl<'a> FromSql<'a> for Field {
    fn from_sql(of: &Type, raw: &'a [u8]) -> Result<Self, Box<dyn Error + Sync + Send>> {
        Ok(match *of {
            Type::BOOL => Self::BooleanValue(bool::from_sql(of, raw)?),
            Type::INT2 => Self::LongValue(i16::from_sql(of, raw)?.into()),
            Type::INT4 => Self::LongValue(i32::from_sql(of, raw)?.into()),
            Type::INT8 => Self::LongValue(i64::from_sql(of, raw)?),
            Type::OID => Self::LongValue(u32::from_sql(of, raw)?.into()),
            Type::FLOAT4 => Self::DoubleValue(f32::from_sql(of, raw)?.into()),
            Type::FLOAT8 => Self::DoubleValue(f64::from_sql(of, raw)?),
            _ => Self::StringValue(String::from_sql(of, raw)?),
        })
    }

    fn from_sql_null(_: &Type) -> Result<Self, Box<dyn Error + Sync + Send>> {
        Ok(Self::IsNull(true))
    }

    fn accepts(of: &Type) -> bool {
        let numbers = [
            Type::INT2,
            Type::INT4,
            Type::INT8,
            Type::OID,
            Type::FLOAT4,
            Type::FLOAT8,
        ];
        numbers.contains(of) || *of == Type::BOOL || <String as FromSql>::accepts(of)
    }
}

/// A session with a server.
pub struct Session {
    client: Client,
    serving: JoinHandle<Result<(), tokio_postgres::Error>>,
}

impl Session {
    /// Begins one in the database that `config` reaches. Errors: what the Data API refuses with.
    pub async fn begin(config: &Config) -> Result<Self, Refusal> {
        let (client, connection) = config.connect(NoTls).await.map_err(|error| refusal(&error))?;
        let serving = tokio::spawn(connection);
        Ok(Self { client, serving })
    }

    /// Likewise, with a transaction that ends with it, and keeps nothing.
    pub async fn begin_transaction(config: &Config) -> Result<Self, Refusal> {
        let session = Self::begin(config).await?;
        let begun = session.client.batch_execute("BEGIN").await;
        begun.map_err(|error| refusal(&error))?;
        Ok(session)
    }

    /// Runs one statement; gives the answer's body. Errors: what the Data API refuses with.
    pub async fn execute(&self, statement: &Statement) -> Result<Value, Refusal> {
        execute(&self.client, statement).await
    }

    pub async fn end(self) {
        drop(self.client);
        let _ = self.serving.await;
    }
}

async fn execute(client: &Client, statement: &Statement) -> Result<Value, Refusal> {
    let (sql, names) = numbered(&statement.sql);
    let mut values = Vec::new();
    for name in &names {
        let named = statement.parameters.iter().find(|parameter| parameter.name == *name);
        let missing = || bad_request(format!("Cannot find parameter: {name}"));
        values.push(named.ok_or_else(missing)?.value.clone());
    }
    if let Some(unused) = statement
        .parameters
        .iter()
        .find(|parameter| !names.contains(&parameter.name))
    {
        return Err(bad_request(format!("the statement has no parameter {}", unused.name)));
    }
    run(client, &sql, &values).await
}

async fn run(client: &Client, sql: &str, values: &[Field]) -> Result<Value, Refusal> {
    let types: Vec<Type> = values.iter().map(Field::sent_as).collect();
    let values: Vec<&(dyn ToSql + Sync)> = values.iter().map(|value| value as _).collect();
    let prepared = client
        .prepare_typed(sql, &types)
        .await
        .map_err(|error| refusal(&error))?;
    if prepared.columns().is_empty() {
        let changed = client
            .execute(&prepared, &values)
            .await
            .map_err(|error| refusal(&error))?;
        return Ok(json!({ "numberOfRecordsUpdated": changed, "generatedFields": [] }));
    }
    let rows = client
        .query(&prepared, &values)
        .await
        .map_err(|error| refusal(&error))?;
    let mut records = Vec::new();
    for row in &rows {
        let fields = (0..row.len()).map(|column| row.try_get::<_, Field>(column).map(|field| field.written()));
        let fields: Result<Vec<Value>, _> = fields.collect();
        records.push(fields.map_err(|error| Refusal {
            status: 400,
            code: "UnsupportedResultException",
            message: format!("The result is of a type that is not supported; cast it to text: {error}"),
        })?);
    }
    Ok(json!({ "numberOfRecordsUpdated": 0, "records": records }))
}

/// A statement with PostgreSQL's parameters, `$1`, in place of named ones, `:name`; and their names in that order.
fn numbered(sql: &str) -> (String, Vec<String>) {
    let (mut numbered, mut names) = (String::new(), Vec::<String>::new());
    let mut rest = sql;
    while let Some(at) = rest.find([':', '\'', '"']) {
        let (before, found) = rest.split_at(at);
        numbered.push_str(before);
        let ends = |quote: char| found[1..].find(quote).map_or(found.len(), |end| end + 2);
        let taken = match found.chars().next() {
            Some(quote @ ('\'' | '"')) => ends(quote),
            _ if found.starts_with("::") => 2,
            _ => {
                1 + found[1..]
                    .find(|next: char| !next.is_alphanumeric() && next != '_')
                    .unwrap_or(found.len() - 1)
            }
        };
        let (taken, after) = found.split_at(taken);
        match taken
            .strip_prefix(':')
            .filter(|name| name.starts_with(|first: char| first.is_alphabetic() || first == '_'))
        {
            Some(name) => {
                let index = names.iter().position(|known| known == name).unwrap_or_else(|| {
                    names.push(name.to_owned());
                    names.len() - 1
                });
                numbered.push_str(&format!("${}", index + 1));
            }
            None => numbered.push_str(taken),
        }
        rest = after;
    }
    (numbered + rest, names)
}

fn bad_request(message: String) -> Refusal {
    Refusal {
        status: 400,
        code: "BadRequestException",
        message,
    }
}

/// What the Data API makes of what PostgreSQL says, and of a server that is not there.
fn refusal(error: &tokio_postgres::Error) -> Refusal {
    match error.as_db_error() {
        // The Data API runs one statement, like the protocol below it.
        Some(said) if said.message() == "cannot insert multiple commands into a prepared statement" => Refusal {
            status: 400,
            code: "ValidationException",
            message: "Multistatements aren't supported.".to_owned(),
        },
        Some(said) => {
            let (severity, message, state) = (said.severity(), said.message(), said.code().code());
            let detail = said
                .detail()
                .map(|detail| format!(" Detail: {detail};"))
                .unwrap_or_default();
            Refusal {
                status: 400,
                code: "DatabaseErrorException",
                message: format!("{severity}: {message};{detail} SQLState: {state}"),
            }
        }
        None if error.is_closed() => bad_request(format!("Communications link failure: {error}")),
        None => Refusal {
            status: 504,
            code: "DatabaseUnavailableException",
            message: format!("The writer instance in the DB cluster isn't available: {error:?}"),
        },
    }
}

#[test]
fn named_parameters_become_numbered_ones_and_texts_stay() {
    let (sql, names) =
        numbered("SELECT ':no', \"a:b\", CAST(:a AS text), :b::text, :a, x[1:2] FROM t WHERE c = 'it''s :not'");
    assert_eq!(names, ["a", "b"]);
    assert_eq!(
        sql,
        "SELECT ':no', \"a:b\", CAST($1 AS text), $2::text, $1, x[1:2] FROM t WHERE c = 'it''s :not'"
    );
}
