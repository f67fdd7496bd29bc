//! The SQL of the steps, each statement by itself, and what a server refuses.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use aws_sdk_rdsdata::types::{Field, SqlParameter};
use proc_macro2::{TokenStream, TokenTree};
use shared::error::ErrorKind;
use shared::plan::DatabaseCheck;
use shared::sql::{Found, Reached, Refusal, number, text, unless_waking};
use syn::LitStr;

use crate::postgresql::{Server, eventually};
use crate::world::{World, in_real_time};

/// Where the product's own SQL is.
const SOURCES: [&str; 2] = ["../functions", "../shared/src"];
/// How a statement begins.
const VERBS: [&str; 7] = ["SELECT ", "INSERT ", "UPDATE ", "DELETE ", "WITH ", "ALTER ", "DO "];

/// The Rust files of a folder.
fn sources(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let each = entries.flat_map(|path| match path.is_dir() {
        true => sources(&path),
        false => vec![path],
    });
    each.filter(|path| path.extension().is_some_and(|is| is == "rs"))
        .collect()
}

/// The literals of a file that are SQL; those of its tests are not the product's.
fn statements_in(source: &str) -> Vec<String> {
    let product = source.split("#[cfg(test)]").next().unwrap_or_default();
    let mut streams: Vec<TokenStream> = vec![product.parse().unwrap()];
    let mut found = Vec::new();
    while let Some(stream) = streams.pop() {
        for token in stream {
            match token {
                TokenTree::Group(group) => streams.push(group.stream()),
                TokenTree::Literal(literal) => found.extend(syn::parse_str::<LitStr>(&literal.to_string())),
                TokenTree::Ident(_) | TokenTree::Punct(_) => {}
            }
        }
    }
    let texts = found.iter().map(LitStr::value);
    texts
        .filter(|text| VERBS.iter().any(|verb| text.starts_with(verb)))
        .collect()
}

/// What a statement is given for its parameters.
fn parameters(sql: &str) -> Vec<SqlParameter> {
    let all = [
        text("recovery", "a-recovery"),
        number("now", 1_000),
        number("decided", 2_000),
        number("since", 0),
        number("until", 2_000),
        number("page", 10),
        number("skip", 0),
        text("sequence", "public.payments_id_seq"),
        number("number", 5_000),
    ];
    let is_named = |parameter: &SqlParameter| sql.contains(&format!(":{}", parameter.name().unwrap_or_default()));
    all.into_iter().filter(is_named).collect()
}

impl World {
    /// Runs one statement on production by the Data API, as the steps do.
    async fn sql(&self, sql: &str, parameters: Vec<SqlParameter>) -> Result<Option<Field>, Refusal> {
        let site = &self.plan.regions.primary;
        let (cluster, database) = (self.cluster(), &self.plan.database.name);
        let reached = Reached {
            cluster_arn: &cluster,
            secret_arn: &site.database_secret,
            database,
        };
        reached.first_field(&self.data_api(), sql, parameters).await
    }

    /// What keeps a statement waiting; nothing, where it was run.
    async fn missing(&self, sql: &str) -> Option<String> {
        match unless_waking(self.sql(sql, parameters(sql)).await).unwrap() {
            Found::Missing(missing) => Some(missing),
            Found::Field(_) => None,
        }
    }
}

#[test]
fn every_statement_of_the_steps_is_one_of_postgresql() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let files = SOURCES.iter().flat_map(|folder| sources(&here.join(folder)));
    let mut statements: Vec<String> = files
        .flat_map(|file| statements_in(&fs::read_to_string(file).unwrap()))
        .collect();
    // A database that was set to be read only takes no more of the others.
    statements.sort_by_key(|sql| (sql.starts_with("ALTER"), sql.clone()));
    statements.dedup();
    assert!(statements.len() >= 6, "{statements:#?}");
    in_real_time(async {
        let world = World::begin().await;
        let (schema, database) = (&world.plan.database.heartbeat.schema, &world.plan.database.name);
        for statement in statements {
            let named = statement.replace("\"{}\"", database);
            let sql = named.replace("{schema}", schema).replace("{}", schema);
            let found = world.sql(&sql, parameters(&sql)).await;
            assert!(found.is_ok(), "{sql}: {found:?}");
        }
    });
}

#[test]
fn what_a_server_refuses_is_an_error_that_says_what_it_said() {
    in_real_time(async {
        let world = World::begin().await;
        for (sql, code, says) in [
            (
                "SELECT 1; SELECT 2",
                "ValidationException",
                "Multistatements aren't supported",
            ),
            (
                "SELECT * FROM nowhere",
                "DatabaseErrorException",
                "relation \"nowhere\" does not exist; SQLState: 42P01",
            ),
            ("SELECT pg_switch_wal()", "DatabaseErrorException", "permission denied"),
            ("SELECT 1.5", "UnsupportedResultException", "cast it to text"),
            (
                "SELECT :nothing",
                "BadRequestException",
                "Cannot find parameter: nothing",
            ),
        ] {
            let refusal = world.sql(sql, Vec::new()).await.unwrap_err();
            assert_eq!(refusal.code.as_deref(), Some(code), "{sql}: {refusal:?}");
            assert!(refusal.error.message.contains(says), "{sql}: {refusal:?}");
        }
        let gone = unless_waking(world.sql("SELECT * FROM nowhere", Vec::new()).await).unwrap_err();
        assert_eq!(gone.kind, ErrorKind::VerificationFailed);
    });
}

#[test]
fn a_server_that_wakes_up_is_waited_for() {
    in_real_time(async {
        let mut world = World::with_backup().await;
        world.customers_leave().await;
        let servers = &world.servers;
        servers.production().archive_all(&servers.folder).await;
        let write = shared::canary::write(&world.plan.database.heartbeat.schema);
        assert_eq!(world.missing(&write).await, None);
        servers.replace_production(None);
        assert!(
            world
                .missing(&write)
                .await
                .unwrap()
                .contains("DatabaseUnavailableException")
        );
        let first_alone = servers.folder.gives(&servers.folder.first_file());
        for (name, settings, says) in [
            (
                "starting",
                &["restore_command=false"][..],
                "the database system is starting up",
            ),
            (
                "half",
                &[&*first_alone],
                "the database system is not yet accepting connections",
            ),
            (
                "closed",
                &["hot_standby=off"],
                "the database system is not accepting connections",
            ),
            ("reading", &[], "read-only transaction"),
        ] {
            servers.replace_production(Some(Server::in_recovery(&servers.folder, name, settings)));
            eventually(says, async || match world.missing(&write).await {
                Some(missing) if missing.contains(says) => Ok(()),
                other => Err(format!("{other:?}")),
            })
            .await;
        }
        let in_recovery = world.sql("SELECT CAST(pg_is_in_recovery() AS text)", Vec::new()).await;
        assert_eq!(in_recovery.unwrap(), Some(Field::StringValue("true".to_owned())));
    });
}

/// A plan's check may call a function that writes, whatever words it has.
#[test]
fn a_check_writes_nothing_whatever_it_calls() {
    in_real_time(async {
        let world = World::begin().await;
        let check = |sql: &str, finds: &str| DatabaseCheck {
            name: "check".to_owned(),
            sql: sql.to_owned(),
            finds: finds.to_owned(),
        };
        let writes = check("SELECT setval('payments_id_seq', 1)", "1");
        let fails = check("SELECT 1 / 0", "0");
        let reads = check("SELECT count(*) FROM account", "2");
        let (cluster, site) = (world.cluster(), &world.plan.regions.primary);
        let reached = Reached {
            cluster_arn: &cluster,
            secret_arn: &site.database_secret,
            database: &world.plan.database.name,
        };
        let all = [writes, fails, reads];
        let found = reached
            .check_all(&world.data_api(), &all, Duration::from_secs(20))
            .await;
        let errors: Vec<&str> = found.iter().filter_map(|checked| checked.error.as_deref()).collect();
        let [written, failed] = errors[..] else {
            panic!("{found:?}");
        };
        assert!(
            written.contains("cannot execute setval() in a read-only transaction"),
            "{written}"
        );
        assert!(failed.contains("division by zero"), "{failed}");
        assert!(found[2].passed(), "{found:?}");
    });
}
