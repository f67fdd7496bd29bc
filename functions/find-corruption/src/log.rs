//! What the log of the cluster's PostgreSQL shows, as far as it is exported to CloudWatch Logs and has statements.
//!
//! Nothing of a statement's literals leaves this module: of a statement are kept its verb, its table, its time and its user.

use std::collections::BTreeMap;
use std::time::Duration;

use aws_sdk_cloudwatchlogs::Client;
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use shared::error::{ErrorKind, StepError};
use tokio::time::Instant;

use crate::statement::{Found, Verb, found_in, is_of_rows, plain};

/// How long reading the log may take at most. It is evidence, and people can do without.
const WITHIN: Duration = Duration::from_secs(10);
/// How far back a statement of any kind is looked for, to see whether statements are logged. The heartbeat is one every few seconds.
const ANY_WITHIN: SignedDuration = SignedDuration::from_hours(1);
/// How many answers are read at most: of what destroys data, and of statements of any kind. One has 10,000 lines or 1 MB at most.
const PAGES_AT_MOST: usize = 20;
const PAGES_OF_ANY: usize = 3;
/// How many statements are kept.
const KEPT: usize = 20;
/// Lines with a verb that may destroy data, in any case; and what goes on from the line before, should one be cut at its line ends. Patterns
/// tell upper from lower case, know no groups and no blanks. Source: CloudWatch Logs User Guide, "Supported regular expressions (regex) syntax".
const MAY_DESTROY: &str =
    r"%[Dd][Ee][Ll][Ee][Tt][Ee]|[Uu][Pp][Dd][Aa][Tt][Ee]|[Dd][Rr][Oo][Pp]|[Tt][Rr][Uu][Nn][Cc][Aa][Tt][Ee]|^\s%";
/// Lines with any statement.
const STATEMENTS: &str = r"%LOG:\s+statement:|LOG:\s+execute\s%";
/// Who keeps the server of an Aurora cluster. What it does is none of the platform's.
const OF_AWS: &str = "rdsadmin";

/// What the log shows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "log", rename_all = "kebab-case")]
pub enum Logged {
    /// Statements are in it.
    Read(Read),
    /// There is no log group: the cluster's log is not exported.
    NotExported,
    /// It has no statements: `log_statement` is off.
    WithoutStatements,
    /// This function may not read it.
    Denied {
        /// The error.
        because: String,
    },
    /// It could not be read in time, or at all.
    Unread {
        /// The error.
        because: String,
    },
}

/// What was read.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Read {
    /// Whether changes of rows are logged too, and not of the schema alone.
    pub has_rows: bool,
    /// Until when it was read, where it has more lines than were read.
    pub cut_off_at: Option<Timestamp>,
    /// The statements that destroy data, oldest first: the first ones, if there are more.
    pub statements: Vec<Statement>,
    /// How many more there are.
    pub more: usize,
}

/// A statement that destroys data, as it was asked for: whether it was carried out, the log does not say.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Statement {
    /// When, to the second.
    pub at: Timestamp,
    /// What it does.
    pub verb: Verb,
    /// To which table.
    pub table: String,
    /// As which user of the database.
    pub user: String,
}

impl Statement {
    /// For people: `DELETE on orders without a condition by app at 2026-01-06T02:03:11Z`.
    pub(crate) fn in_words(&self) -> String {
        let Self { at, verb, table, user } = self;
        let what = match verb {
            Verb::Delete | Verb::Update => format!("on {table} without a condition"),
            Verb::Truncate | Verb::Drop => format!("of {table}"),
            Verb::Alter => format!("with DROP on {table}"),
        };
        format!("{} {what} by {user} at {at}", verb.keyword())
    }

    /// The last moment to the second that is before it.
    pub(crate) fn before(&self) -> Timestamp {
        self.at - SignedDuration::from_secs(1)
    }
}

impl Logged {
    /// What destroys data, as far as it is shown.
    pub(crate) fn statements(&self) -> &[Statement] {
        match self {
            Self::Read(read) => &read.statements,
            _ => &[],
        }
    }

    /// How many more there are.
    pub(crate) fn more(&self) -> usize {
        match self {
            Self::Read(read) => read.more,
            _ => 0,
        }
    }

    /// The only statement that destroys data, where the log would show others too.
    pub(crate) fn only_one(&self) -> Option<&Statement> {
        match self {
            Self::Read(Read {
                has_rows: true,
                cut_off_at: None,
                statements,
                more: 0,
            }) => match statements.as_slice() {
                [only] => Some(only),
                _ => None,
            },
            _ => None,
        }
    }

    /// Why it does not show everything, for people; nothing, where it does.
    pub(crate) fn lacks(&self) -> Option<String> {
        match self {
            Self::Read(read) => {
                let rows = (!read.has_rows).then(|| {
                    "the database's log cannot show UPDATE and DELETE: it has statements that change the schema only (log_statement)".to_owned()
                });
                let cut = read
                    .cut_off_at
                    .map(|at| format!("the database's log was read until {at} only: it has too many lines"));
                let both: Vec<String> = rows.into_iter().chain(cut).collect();
                (!both.is_empty()).then(|| both.join("; "))
            }
            Self::NotExported => Some(
                "the database's log cannot show changes: it is not exported to CloudWatch Logs (there is no log group)"
                    .to_owned(),
            ),
            Self::WithoutStatements => Some(
                "the database's log cannot show changes: it has no statements (log_statement is off by default)"
                    .to_owned(),
            ),
            Self::Denied { .. } => {
                Some("the database's log was not read: this function may not read it (logs:FilterLogEvents)".to_owned())
            }
            Self::Unread { .. } => Some("the database's log could not be read, or not in time".to_owned()),
        }
    }
}

/// What is read.
pub(crate) struct Asked<'a> {
    /// The cluster's identifier.
    pub(crate) cluster: &'a str,
    /// The schema of this automation's own tables.
    pub(crate) own: &'a str,
    /// From when on.
    pub(crate) since: Timestamp,
    /// Until when.
    pub(crate) now: Timestamp,
}

/// Reads the log. It never fails: people can do without.
pub(crate) async fn read(client: &Client, asked: &Asked<'_>) -> Logged {
    let until = Instant::now() + WITHIN;
    let of = |pattern: &'static str, since: Timestamp| {
        move |token| page(client, asked.cluster, pattern, since, asked.now, token)
    };
    let mut gathered = Gathered::new(asked.own);
    let ended = read_pages(PAGES_AT_MOST, until, &mut gathered, of(MAY_DESTROY, asked.since)).await;
    let cut_off_at = match ended {
        Ok(ended) => (ended == Ended::CutOff).then(|| gathered.last_at.unwrap_or(asked.since)),
        Err(error) => return why_unread(&error),
    };
    let (mut all, shows) = gathered.end();
    let shows = match shows {
        Shows::Rows => Shows::Rows,
        shows => {
            // No line with such a verb does not say that statements are logged.
            let mut any = Gathered::new(asked.own);
            let since = asked.since.max(asked.now - ANY_WITHIN);
            match read_pages(PAGES_OF_ANY, until, &mut any, of(STATEMENTS, since)).await {
                Ok(_) => shows.max(any.end().1),
                Err(error) if all.is_empty() => return why_unread(&error),
                Err(_) => shows,
            }
        }
    };
    if shows == Shows::Nothing && all.is_empty() {
        return Logged::WithoutStatements;
    }
    all.sort_by_key(|statement| statement.at);
    Logged::Read(Read {
        has_rows: shows == Shows::Rows,
        cut_off_at,
        more: all.len().saturating_sub(KEPT),
        statements: {
            all.truncate(KEPT);
            all
        },
    })
}

fn why_unread(error: &StepError) -> Logged {
    let because = error.to_string();
    match error.kind {
        ErrorKind::NotFound => Logged::NotExported,
        ErrorKind::Denied => Logged::Denied { because },
        _ => Logged::Unread { because },
    }
}

/// One event of the log: a line, or a part of one.
#[derive(Debug)]
struct Event {
    stream: String,
    at: Timestamp,
    text: String,
}

/// One answer.
struct Page {
    events: Vec<Event>,
    /// What the next one is asked for with.
    next: Option<String>,
}

async fn page(
    client: &Client,
    cluster: &str,
    pattern: &str,
    since: Timestamp,
    until: Timestamp,
    token: Option<String>,
) -> Result<Page, StepError> {
    let group = format!("/aws/rds/cluster/{cluster}/postgresql");
    let answer = client
        .filter_log_events()
        .log_group_name(&group)
        .filter_pattern(pattern)
        .start_time(since.as_millisecond())
        .end_time(until.as_millisecond())
        .set_next_token(token)
        .send()
        .await
        .map_err(|error| StepError::aws("logs:FilterLogEvents", &group, error))?;
    let events = answer.events.unwrap_or_default().into_iter().filter_map(|event| {
        Some(Event {
            stream: event.log_stream_name.unwrap_or_default(),
            at: Timestamp::from_millisecond(event.timestamp?).ok()?,
            text: event.message?,
        })
    });
    Ok(Page {
        events: events.collect(),
        next: answer.next_token,
    })
}

/// Whether everything was read.
#[derive(Debug, PartialEq, Eq)]
enum Ended {
    Whole,
    CutOff,
}

/// Reads answer after answer, as many as there may be and until that moment. Errors: that of the first one; later ones cut it off.
async fn read_pages<F, P>(
    at_most: usize,
    until: Instant,
    gathered: &mut Gathered<'_>,
    mut page: F,
) -> Result<Ended, StepError>
where
    F: FnMut(Option<String>) -> P,
    P: Future<Output = Result<Page, StepError>>,
{
    let mut token = None;
    for number in 0..at_most {
        let read = tokio::time::timeout_at(until, page(token)).await.unwrap_or_else(|_| {
            let text = format!("logs:FilterLogEvents did not answer within {WITHIN:?}; the step continues without it");
            Err(StepError::new(ErrorKind::Unavailable, text))
        });
        let read = match read {
            Ok(read) => read,
            Err(error) if number == 0 => return Err(error),
            Err(_) => return Ok(Ended::CutOff),
        };
        for event in read.events {
            gathered.take(event);
        }
        token = read.next;
        if token.is_none() {
            return Ok(Ended::Whole);
        }
    }
    Ok(Ended::CutOff)
}

/// Which statements a log has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Shows {
    Nothing,
    /// Those that change the schema.
    Schema,
    /// Those that change rows too.
    Rows,
}

/// What is read event by event.
struct Gathered<'a> {
    own: &'a str,
    /// The lines that may go on, by stream.
    open: BTreeMap<String, Event>,
    found: Vec<Statement>,
    shows: Shows,
    last_at: Option<Timestamp>,
}

impl<'a> Gathered<'a> {
    fn new(own: &'a str) -> Self {
        Self {
            own,
            open: BTreeMap::new(),
            found: Vec::new(),
            shows: Shows::Nothing,
            last_at: None,
        }
    }

    fn take(&mut self, event: Event) {
        self.last_at = self.last_at.max(Some(event.at));
        // PostgreSQL indents what goes on.
        if event.text.starts_with(char::is_whitespace) {
            if let Some(open) = self.open.get_mut(&event.stream) {
                open.text.push('\n');
                open.text.push_str(&event.text);
            }
            return;
        }
        if let Some(ended) = self.open.insert(event.stream.clone(), event) {
            self.judge(&ended);
        }
    }

    fn end(mut self) -> (Vec<Statement>, Shows) {
        for event in std::mem::take(&mut self.open).into_values() {
            self.judge(&event);
        }
        (self.found, self.shows)
    }

    fn judge(&mut self, event: &Event) {
        let Some(line) = Line::read(&event.text).filter(|line| line.user != OF_AWS) else {
            return;
        };
        // A slow statement is logged whatever `log_statement` is.
        if !line.is_timed {
            let shows = if is_of_rows(line.sql) {
                Shows::Rows
            } else {
                Shows::Schema
            };
            self.shows = self.shows.max(shows);
        }
        let found = found_in(line.sql, self.own)
            .into_iter()
            .map(|Found { verb, table }| Statement {
                at: line.at.unwrap_or(event.at),
                verb,
                table,
                user: plain(line.user),
            });
        self.found.extend(found);
    }
}

/// A line with a statement, after `log_line_prefix`: `%t:%r:%u@%d:[%p]:`, or RDS's other one, which has more after the process.
#[derive(Debug, PartialEq, Eq)]
struct Line<'a> {
    /// When, if the line says it in UTC.
    at: Option<Timestamp>,
    user: &'a str,
    /// Whether it says how long the statement took.
    is_timed: bool,
    sql: &'a str,
}

impl<'a> Line<'a> {
    /// Nothing, if the line has no statement that is executed.
    fn read(text: &'a str) -> Option<Self> {
        let mut brackets = text.match_indices(":[");
        let (head, rest) = brackets.find_map(|(at, mark)| {
            let (process, rest) = text[at + mark.len()..].split_once("]:")?;
            let is_process = !process.is_empty() && process.bytes().all(|byte| byte.is_ascii_digit());
            is_process.then_some((&text[..at], rest))
        })?;
        // What comes before the severity has no two blanks; the text of an error may have anything.
        let (before, message) = rest.split_once(":  ")?;
        if !before.ends_with("LOG") {
            return None;
        }
        let (user, _) = head.rsplit_once(':')?.1.rsplit_once('@')?;
        let message = without_state(message);
        let timed = message
            .strip_prefix("duration: ")
            .and_then(|rest| rest.split_once(" ms  "));
        let message = timed.map_or(message, |(_, rest)| rest);
        let sql = message.strip_prefix("statement: ").or_else(|| {
            let (_, sql) = message.strip_prefix("execute ")?.split_once(": ")?;
            Some(sql)
        })?;
        Some(Self {
            at: time_of(head),
            user,
            is_timed: timed.is_some(),
            sql,
        })
    }
}

/// A message without the state that comes before it where `log_error_verbosity` is verbose.
fn without_state(message: &str) -> &str {
    match message.split_once(": ") {
        Some((state, rest)) if state.len() == 5 && state.bytes().all(|byte| byte.is_ascii_digit()) => rest,
        _ => message,
    }
}

/// `2026-01-06 02:00:03 UTC`, perhaps with parts of the second, which are left out.
fn time_of(head: &str) -> Option<Timestamp> {
    let (time, rest) = head.split_at_checked(19)?;
    let zone = rest.trim_start_matches(|c: char| c == '.' || c.is_ascii_digit());
    let (day, clock) = time.split_once(' ')?;
    zone.starts_with(" UTC:")
        .then(|| format!("{day}T{clock}Z").parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    const PREFIX: &str = "2026-01-06 02:00:03 UTC:10.0.1.5(53412):app@radiant:[4711]:LOG:  ";
    const AT: &str = "2026-01-06T02:00:03Z";

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn event(text: &str) -> Event {
        Event {
            stream: "writer".to_owned(),
            at: at("2026-01-06T02:00:00Z"),
            text: text.to_owned(),
        }
    }

    fn gathered(lines: &[&str]) -> (Vec<Statement>, Shows) {
        let mut gathered = Gathered::new("recovery");
        for line in lines {
            gathered.take(event(line));
        }
        gathered.end()
    }

    fn words(lines: &[&str]) -> Vec<String> {
        gathered(lines).0.iter().map(Statement::in_words).collect()
    }

    #[test]
    fn both_forms_of_lines_are_read_with_time_and_user() {
        let by_app = format!("DELETE on orders without a condition by app at {AT}");
        for message in [
            "statement: DELETE FROM orders;",
            "statement: delete\n\tfrom orders",
            "execute <unnamed>: DELETE FROM orders",
            "execute S_1: DELETE FROM orders",
            "00000: statement: DELETE FROM orders",
            "duration: 12.345 ms  statement: DELETE FROM orders",
        ] {
            assert_eq!(words(&[&format!("{PREFIX}{message}")]).join("; "), by_app, "{message}");
        }
        let longer = "2026-01-06 02:00:03.123 UTC:[local]:app@radiant:[4711]:12:00000:2026-01-06 01:00:00 UTC:3/45:0:65:psqlLOG:  \
                      statement: DROP TABLE a";
        assert_eq!(words(&[longer]), [format!("DROP of a by app at {AT}")]);
    }

    #[test]
    fn what_is_no_executed_statement_is_not_read() {
        for line in [
            "2026-01-06 02:00:03 UTC::@:[402]:LOG:  checkpoint starting: time",
            "2026-01-06 02:00:03 UTC:10.0.1.5(5):app@radiant:[4711]:ERROR:  relation \"LOG:  statement: DROP TABLE a\" does not exist",
            "2026-01-06 02:00:03 UTC:10.0.1.5(5):app@radiant:[4711]:STATEMENT:  DROP TABLE a",
            "2026-01-06 02:00:03 UTC:10.0.1.5(5):app@radiant:[4711]:DETAIL:  parameters: $1 = 'DROP TABLE a'",
            "2026-01-06 02:00:03 UTC:10.0.1.5(5):app@radiant:[4711]:LOG:  duration: 1.0 ms  bind <unnamed>: DROP TABLE a",
            "2026-01-06 02:00:03 UTC:10.0.1.5(5):rdsadmin@radiant:[4711]:LOG:  statement: DROP TABLE a",
            "nothing of the kind",
            "",
        ] {
            assert_eq!(gathered(&[line]), (Vec::new(), Shows::Nothing), "{line}");
        }
    }

    #[test]
    fn a_line_that_is_cut_at_its_ends_is_put_together() {
        let first = format!("{PREFIX}statement: DELETE FROM orders");
        assert_eq!(words(&[&first, "\tWHERE id = 1"]), Vec::<String>::new());
        assert_eq!(words(&[&first, "\tUSING old"]).len(), 1);
        let other = Event {
            stream: "reader".to_owned(),
            ..event("\tWHERE id = 1")
        };
        let mut gathered = Gathered::new("recovery");
        gathered.take(event(&first));
        gathered.take(other);
        assert_eq!(gathered.end().0.len(), 1, "it is another server's");
    }

    #[test]
    fn nothing_of_a_literal_is_kept() {
        let lines = [
            "statement: ALTER ROLE app PASSWORD 'hunter2'; DROP TABLE a",
            "statement: DROP TABLE a /* hunter2 */",
            "statement: UPDATE people SET password = 'hunter2'",
            "execute <unnamed>: UPDATE people SET name = $a$hunter2$a$",
            "statement: DELETE FROM people; SELECT 'hunter2",
        ];
        let lines = lines.map(|line| format!("{PREFIX}{line}"));
        let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        let (found, shows) = gathered(&lines);
        assert_eq!((found.len(), shows), (5, Shows::Rows));
        let read = Logged::Read(Read {
            statements: found.clone(),
            ..Read::default()
        });
        let kept = format!("{} {read:?} {:?}", serde_json::to_string(&read).unwrap(), words(&lines));
        assert!(!kept.contains("hunter2"), "{kept}");
        assert!(kept.contains("people"), "{kept}");
    }

    #[test]
    fn a_users_name_is_of_plain_characters() {
        let line = PREFIX.replace("app@", "a'pp <x>@") + "statement: DROP TABLE a";
        assert_eq!(words(&[&line]), [format!("DROP of a by a?pp??x? at {AT}")]);
    }

    #[test]
    fn a_slow_statement_does_not_show_that_statements_are_logged() {
        let of = |message: &str| gathered(&[&format!("{PREFIX}{message}")]).1;
        assert_eq!(
            of("duration: 1.0 ms  statement: INSERT INTO a VALUES (1)"),
            Shows::Nothing
        );
        assert_eq!(of("statement: INSERT INTO a VALUES (1)"), Shows::Rows);
        assert_eq!(of("statement: CREATE TABLE a ()"), Shows::Schema);
    }

    /// Reads pages of one line each.
    fn paged(
        pages: usize,
        at_most: usize,
        fails_at: Option<usize>,
    ) -> (Result<Ended, StepError>, usize, Vec<Option<String>>) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
        let mut asked = Vec::new();
        let mut gathered = Gathered::new("recovery");
        let ended = runtime.unwrap().block_on(async {
            let until = Instant::now() + Duration::from_secs(60);
            let next = |token: Option<String>| {
                let number = asked.len() + 1;
                asked.push(token);
                let page = Page {
                    events: vec![event(&format!("{PREFIX}statement: DROP TABLE t{number}"))],
                    next: (number < pages).then(|| number.to_string()),
                };
                let error = || StepError::new(ErrorKind::Throttled, "later");
                std::future::ready(match fails_at {
                    Some(at) if at == number => Err(error()),
                    _ => Ok(page),
                })
            };
            read_pages(at_most, until, &mut gathered, next).await
        });
        (ended, gathered.end().0.len(), asked)
    }

    #[test]
    fn every_page_is_read_as_far_as_there_may_be() {
        let (ended, found, asked) = paged(3, 20, None);
        assert_eq!((ended, found), (Ok(Ended::Whole), 3));
        assert_eq!(asked, [None, Some("1".to_owned()), Some("2".to_owned())]);
        let (ended, found, _) = paged(30, 20, None);
        assert_eq!((ended, found), (Ok(Ended::CutOff), 20));
        let (ended, found, _) = paged(3, 20, Some(2));
        assert_eq!((ended, found), (Ok(Ended::CutOff), 1), "what was read is kept");
        assert!(paged(3, 20, Some(1)).0.is_err());
    }

    #[test]
    fn no_answer_in_time_is_an_error() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
        let read = runtime.unwrap().block_on(async {
            let until = Instant::now() + Duration::from_millis(1);
            read_pages(20, until, &mut Gathered::new(""), |_| std::future::pending()).await
        });
        let unread = why_unread(&read.unwrap_err());
        assert!(unread.lacks().unwrap().contains("not in time"));
    }

    #[test]
    fn why_it_shows_nothing_is_told_apart() {
        let of = |kind| why_unread(&StepError::new(kind, "why"));
        assert_eq!(of(ErrorKind::NotFound), Logged::NotExported);
        assert!(matches!(of(ErrorKind::Denied), Logged::Denied { .. }));
        assert!(matches!(of(ErrorKind::Throttled), Logged::Unread { .. }));
        assert!(Logged::NotExported.lacks().unwrap().contains("no log group"));
        assert!(
            Logged::WithoutStatements
                .lacks()
                .unwrap()
                .contains("log_statement is off")
        );
        let whole = Read {
            has_rows: true,
            ..Read::default()
        };
        assert_eq!(Logged::Read(whole.clone()).lacks(), None);
        let cut = Logged::Read(Read {
            cut_off_at: Some(at(AT)),
            ..whole
        });
        assert!(cut.lacks().unwrap().contains(&format!("until {AT} only")));
        assert!(
            Logged::Read(Read::default())
                .lacks()
                .unwrap()
                .contains("cannot show UPDATE")
        );
    }

    #[test]
    fn one_statement_is_the_only_one_where_the_log_would_show_others() {
        let statement = gathered(&[&format!("{PREFIX}statement: DROP TABLE a")]).0.remove(0);
        assert_eq!(statement.before(), at("2026-01-06T02:00:02Z"));
        let one = Read {
            has_rows: true,
            statements: vec![statement.clone()],
            ..Read::default()
        };
        let only = |read: Read| Logged::Read(read).only_one().is_some();
        assert!(only(one.clone()));
        assert!(!only(Read {
            has_rows: false,
            ..one.clone()
        }));
        assert!(!only(Read {
            cut_off_at: Some(at(AT)),
            ..one.clone()
        }));
        assert!(!only(Read { more: 1, ..one.clone() }));
        assert!(!only(Read {
            statements: vec![statement.clone(), statement],
            ..one
        }));
    }
}
