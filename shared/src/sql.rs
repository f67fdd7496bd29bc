//! Statements through the RDS Data API: how they are run, and which refusals pass by themselves.

use std::time::Duration;

use aws_sdk_rdsdata::Client;
use aws_sdk_rdsdata::error::ProvideErrorMetadata;
use aws_sdk_rdsdata::types::{Field, SqlParameter};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
use futures::StreamExt;

use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use crate::aws::Aws;
use crate::error::{ErrorKind, StepError};
use crate::plan::DatabaseCheck;
use crate::slices::{DatabaseSlice, SiteSlice};

/// The Data API itself gives up after 45 s; a shorter limit would leave it open whether the statement was run.
const STATEMENT: Duration = Duration::from_secs(47);

/// What makes a transaction read only, as its first statement.
const READ_ONLY: &str = "SET TRANSACTION READ ONLY";
/// How many statements are under way at once where there are many: few enough for the smallest instance's connections.
const AT_ONCE: usize = 8;

/// A client that runs each statement once, and waits for its end.
pub fn client(aws: &Aws) -> Client {
    Client::new(&aws.config_without_retries(STATEMENT))
}

/// A database, as the Data API reaches it.
#[derive(Clone, Copy, Debug)]
pub struct Reached<'a> {
    /// ARN of the cluster.
    pub cluster_arn: &'a str,
    /// ARN of the secret with the credentials.
    pub secret_arn: &'a str,
    /// The database inside the cluster.
    pub database: &'a str,
}

impl Reached<'_> {
    /// Runs one statement, and gives the first field of its first row. Errors: what the Data API answers.
    pub async fn first_field(
        &self,
        client: &Client,
        sql: &str,
        parameters: Vec<SqlParameter>,
    ) -> Result<Option<Field>, Refusal> {
        let rows = self.rows(client, sql, parameters).await?;
        Ok(rows.into_iter().next().and_then(|row| row.into_iter().next()))
    }

    /// Runs one statement, and gives its rows. Errors: what the Data API answers.
    pub async fn rows(
        &self,
        client: &Client,
        sql: &str,
        parameters: Vec<SqlParameter>,
    ) -> Result<Vec<Vec<Field>>, Refusal> {
        self.run(client, sql, parameters, None).await
    }

    async fn run(
        &self,
        client: &Client,
        sql: &str,
        parameters: Vec<SqlParameter>,
        transaction: Option<&str>,
    ) -> Result<Vec<Vec<Field>>, Refusal> {
        let output = client
            .execute_statement()
            .resource_arn(self.cluster_arn)
            .secret_arn(self.secret_arn)
            .database(self.database)
            .sql(sql)
            .set_parameters(Some(parameters))
            .set_transaction_id(transaction.map(str::to_owned))
            .send()
            .await
            .map_err(|error| self.refusal("rds-data:ExecuteStatement", error))?;
        Ok(output.records.unwrap_or_default())
    }

    fn refusal<E>(&self, operation: &str, error: SdkError<E, HttpResponse>) -> Refusal
    where
        E: ProvideErrorMetadata + std::error::Error + 'static,
    {
        let mut refusal = Refusal {
            code: error.code().map(str::to_owned),
            error: StepError::aws(operation, self.cluster_arn, error),
        };
        // Nothing is wrong with the request, whatever the code says.
        if refusal.is_of_the_password() {
            refusal.error.kind = ErrorKind::Denied;
            refusal.error.message = format!(
                "{operation} on {}: the database does not take the password of secret {} (SQLSTATE 28P01); give both the same one",
                self.cluster_arn, self.secret_arn
            );
        }
        refusal
    }

    /// Runs one statement with each of these parameters, a few at once. Errors: the first refusal; the others may have been run.
    pub async fn run_each(&self, client: &Client, sql: &str, each: Vec<Vec<SqlParameter>>) -> Result<(), Refusal> {
        let each = each.into_iter().map(|parameters| self.rows(client, sql, parameters));
        let all: Vec<_> = futures::stream::iter(each).buffered(AT_ONCE).collect().await;
        all.into_iter().try_for_each(|rows| rows.map(|_| ()))
    }
}

/// What became of statements, by their names.
#[derive(Debug, Default)]
pub struct Ran {
    /// Those that were run.
    pub run: Vec<String>,
    /// The others, and why.
    pub refused: Vec<(String, StepError)>,
}

/// What one of the plan's checks found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checked {
    /// Its name.
    pub name: String,
    /// What it finds where the data are right.
    pub expected: String,
    /// What it found; nothing where it could not be run.
    pub found: Option<String>,
    /// Why it could not be run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

impl Checked {
    /// Whether it found what it finds where the data are right.
    pub fn passed(&self) -> bool {
        self.found.as_ref() == Some(&self.expected)
    }

    /// What it found, for people.
    pub fn in_words(&self) -> String {
        match (&self.found, &self.error) {
            (Some(found), _) if *found == self.expected => format!("{}: passed, found {found}", self.name),
            (Some(found), _) => format!("{}: FAILED, found {found} instead of {}", self.name, self.expected),
            (None, why) => format!(
                "{}: could not be run: {}",
                self.name,
                why.as_deref().unwrap_or("no answer")
            ),
        }
    }
}

impl<'a> Reached<'a> {
    /// The plan's cluster in a Region.
    pub fn of(site: &'a SiteSlice, database: &'a DatabaseSlice) -> Self {
        Self {
            cluster_arn: &site.cluster_arn,
            secret_arn: &site.secret_arn,
            database: &database.name,
        }
    }

    /// The same database in another cluster, such as a restored one.
    #[must_use]
    pub fn in_cluster(self, cluster_arn: &'a str) -> Self {
        Self { cluster_arn, ..self }
    }

    /// Runs one statement, and gives why it was refused for good, if it was. Errors: a refusal that may pass by itself.
    pub async fn refused(
        &self,
        client: &Client,
        sql: &str,
        parameters: Vec<SqlParameter>,
    ) -> Result<Option<Refusal>, StepError> {
        match self.rows(client, sql, parameters).await {
            Ok(_) => Ok(None),
            Err(refusal) if refusal.error.kind.is_retryable() => Err(refusal.error),
            Err(refusal) => Ok(Some(refusal)),
        }
    }

    /// Runs statements one after the other. Gives the names of those that were run, and why the others were refused for good.
    pub async fn run_named(
        &self,
        client: &Client,
        statements: impl Iterator<Item = (&str, &str)>,
    ) -> Result<Ran, StepError> {
        let mut ran = Ran::default();
        for (name, sql) in statements {
            match self.refused(client, sql, Vec::new()).await? {
                None => ran.run.push(name.to_owned()),
                Some(refusal) => ran.refused.push((name.to_owned(), refusal.error)),
            }
        }
        Ok(ran)
    }

    /// Runs the plan's checks one after the other; those that are not run within that time have found nothing.
    pub async fn check_all(&self, client: &Client, checks: &[DatabaseCheck], within: Duration) -> Vec<Checked> {
        let until = Instant::now() + within;
        let mut found = Vec::new();
        for check in checks {
            let checked = tokio::time::timeout_at(until, self.check(client, check)).await;
            found.push(checked.unwrap_or_else(|_| Checked {
                name: check.name.clone(),
                expected: check.finds.clone(),
                found: None,
                error: Some(format!("all checks together took longer than {within:?}")),
            }));
        }
        found
    }

    /// Runs one statement in a transaction that is read only, and gives the first field of its first row.
    async fn read_only(&self, client: &Client, sql: &str) -> Result<Option<Field>, Refusal> {
        let begun = client
            .begin_transaction()
            .resource_arn(self.cluster_arn)
            .secret_arn(self.secret_arn)
            .database(self.database)
            .send()
            .await
            .map_err(|error| self.refusal("rds-data:BeginTransaction", error))?;
        let transaction = begun.transaction_id.unwrap_or_default();
        let found = match self.run(client, READ_ONLY, Vec::new(), Some(&transaction)).await {
            Ok(_) => self.run(client, sql, Vec::new(), Some(&transaction)).await,
            Err(refusal) => Err(refusal),
        };
        // One that is not ended is ended by the Data API after three minutes; it holds back nobody.
        let ended = client
            .rollback_transaction()
            .resource_arn(self.cluster_arn)
            .secret_arn(self.secret_arn)
            .transaction_id(&transaction)
            .send()
            .await;
        if let Err(error) = ended {
            let refusal = self.refusal("rds-data:RollbackTransaction", error);
            tracing::warn!(error = %refusal.error, "the transaction of a check was not ended");
        }
        Ok(found?.into_iter().next().and_then(|row| row.into_iter().next()))
    }

    /// Runs one of the plan's checks, in a transaction that can write nothing, whatever the check calls. That it could not be run is a
    /// result.
    async fn check(&self, client: &Client, check: &DatabaseCheck) -> Checked {
        let answer = self.read_only(client, &check.sql).await;
        let (found, error) = match answer {
            Ok(field) => (Some(shown(field.as_ref())), None),
            // Whoever wrote the check needs the database's own words.
            Err(Refusal { error, .. }) => (None, Some(error.answer.unwrap_or(error.message))),
        };
        Checked {
            name: check.name.clone(),
            expected: check.finds.clone(),
            found,
            error,
        }
    }
}

/// A value as text; of other kinds than these, which kind it is.
fn shown(field: Option<&Field>) -> String {
    match field {
        None => "no row".to_owned(),
        Some(Field::StringValue(text)) => text.clone(),
        Some(Field::LongValue(number)) => number.to_string(),
        Some(Field::DoubleValue(number)) => number.to_string(),
        Some(Field::BooleanValue(is)) => is.to_string(),
        Some(Field::IsNull(_)) => "null".to_owned(),
        Some(other) => format!("a value that is no text: {other:?}"),
    }
}

/// Why a statement was not run.
#[derive(Debug)]
pub struct Refusal {
    /// The code of the Data API, if it answered.
    pub code: Option<String>,
    /// The error.
    pub error: StepError,
}

impl Refusal {
    /// Whether the database did not take the secret's password. Source: PostgreSQL, SQLSTATE 28P01.
    pub fn is_of_the_password(&self) -> bool {
        let says = |what: &str| self.error.message.contains(what);
        says("28P01") || says("password authentication failed")
    }
}

/// What a statement found.
#[derive(Debug)]
pub enum Found {
    /// The first field of the first row, if there is one.
    Field(Option<Field>),
    /// The database does not answer yet: what is missing.
    Missing(String),
}

/// A database that has just been promoted, or made, refuses for a while; that is waited for. Any other error stays one: a table that
/// is missing does not come by waiting.
pub fn unless_waking(found: Result<Option<Field>, Refusal>) -> Result<Found, StepError> {
    let Refusal { code, mut error } = match found {
        Ok(field) => return Ok(Found::Field(field)),
        Err(refusal) => refusal,
    };
    match code.as_deref() {
        // DatabaseNotFoundException: the cluster has no writer instance yet.
        Some(
            code @ ("DatabaseNotFoundException"
            | "DatabaseUnavailableException"
            | "DatabaseResumingException"
            | "InvalidResourceStateException"
            | "StatementTimeoutException"
            | "ServiceUnavailableError"
            | "InternalServerErrorException"),
        ) => Ok(Found::Missing(format!("the Data API answers {code}"))),
        // What the Data API says when its connection to the database ended early.
        Some("BadRequestException") if error.message.contains("Communications link failure") => Ok(Found::Missing(
            "the Data API has no connection to the database".to_owned(),
        )),
        Some("DatabaseErrorException") => match WAKING.iter().find(|waking| error.message.contains(*waking)) {
            Some(waking) => Ok(Found::Missing(format!("the database answers \"{waking}\""))),
            None => {
                error.kind = ErrorKind::VerificationFailed;
                Err(error)
            }
        },
        _ => Err(error),
    }
}

/// What PostgreSQL says while it starts or is still a replica: SQLSTATE 25006 and 57P03. Source: PostgreSQL's own messages.
const WAKING: [&str; 7] = [
    "read-only transaction",
    "during recovery",
    "the database system is starting up",
    "the database system is in recovery mode",
    "the database system is not accepting connections",
    "the database system is not yet accepting connections",
    "the database system is shutting down",
];

/// A parameter that is a text.
pub fn text(name: &str, value: &str) -> SqlParameter {
    SqlParameter::builder()
        .name(name)
        .value(Field::StringValue(value.to_owned()))
        .build()
}

/// A parameter that is a whole number.
pub fn number(name: &str, value: i64) -> SqlParameter {
    SqlParameter::builder()
        .name(name)
        .value(Field::LongValue(value))
        .build()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_database_that_wakes_up_is_waited_for() {
        let refusal = |code: &str| {
            let error = StepError::new(ErrorKind::Denied, "no");
            unless_waking(Err(Refusal {
                code: Some(code.to_owned()),
                error,
            }))
        };
        assert!(matches!(refusal("DatabaseNotFoundException"), Ok(Found::Missing(_))));
        let says = |message: &str| {
            let error = StepError::new(ErrorKind::Internal, message);
            unless_waking(Err(Refusal {
                code: Some("DatabaseErrorException".to_owned()),
                error,
            }))
        };
        let replica = says("ERROR: cannot execute INSERT in a read-only transaction; SQLState: 25006");
        assert!(matches!(replica, Ok(Found::Missing(missing)) if missing.contains("read-only")));
        for waking in [
            "the database system is starting up",
            "the database system is in recovery mode",
            "the database system is not yet accepting connections",
        ] {
            let said = says(&format!("FATAL: {waking}; SQLState: 57P03"));
            assert!(
                matches!(&said, Ok(Found::Missing(missing)) if missing.contains(waking)),
                "{said:?}"
            );
        }
        let link = Refusal {
            code: Some("BadRequestException".to_owned()),
            error: StepError::new(
                ErrorKind::InvalidInput,
                "BadRequestException: Communications link failure",
            ),
        };
        assert!(matches!(unless_waking(Err(link)), Ok(Found::Missing(_))));
        assert_eq!(refusal("BadRequestException").unwrap_err().kind, ErrorKind::Denied);
        let missing_table = says("ERROR: relation \"recovery.canary\" does not exist; Position: 13; SQLState: 42P01");
        assert_eq!(missing_table.unwrap_err().kind, ErrorKind::VerificationFailed);
        assert_eq!(refusal("AccessDeniedException").unwrap_err().kind, ErrorKind::Denied);
        assert_eq!(
            refusal("HttpEndpointNotEnabledException").unwrap_err().kind,
            ErrorKind::Denied
        );
    }
}
