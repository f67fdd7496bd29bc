//! Which statements of SQL destroy data, told by their words: never by what stands in a literal or a comment, and nothing of a literal
//! is kept.

use serde::Serialize;

/// What a statement does to a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verb {
    /// DELETE without a condition.
    Delete,
    /// UPDATE without a condition.
    Update,
    /// TRUNCATE.
    Truncate,
    /// DROP of what holds data.
    Drop,
    /// ALTER that drops a column.
    Alter,
}

impl Verb {
    /// As SQL has it.
    pub(crate) fn keyword(self) -> &'static str {
        match self {
            Self::Delete => "DELETE",
            Self::Update => "UPDATE",
            Self::Truncate => "TRUNCATE",
            Self::Drop => "DROP",
            Self::Alter => "ALTER",
        }
    }
}

/// What destroys data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) verb: Verb,
    /// The first table, or what else is dropped: bounded, and of plain characters.
    pub(crate) table: String,
}

/// The longest name that is kept, in characters. PostgreSQL's have 63 bytes at most, and a schema may come before.
const NAME_AT_MOST: usize = 64;
/// What can be dropped without losing data.
const HOLDS_NO_DATA: [&str; 23] = [
    "ACCESS",
    "AGGREGATE",
    "CAST",
    "COLLATION",
    "CONVERSION",
    "EVENT",
    "FUNCTION",
    "GROUP",
    "INDEX",
    "LANGUAGE",
    "OPERATOR",
    "POLICY",
    "PROCEDURE",
    "PUBLICATION",
    "ROLE",
    "ROUTINE",
    "RULE",
    "STATISTICS",
    "SUBSCRIPTION",
    "TEXT",
    "TRIGGER",
    "USER",
    "VIEW",
];
/// What can be dropped from a table without losing data.
const OF_TABLES: [&str; 5] = ["CONSTRAINT", "DEFAULT", "EXPRESSION", "IDENTITY", "NOT"];
/// Words between a verb and what it names.
const BEFORE_NAMES: [&str; 11] = [
    "BY",
    "CONCURRENTLY",
    "EXISTS",
    "FOREIGN",
    "FROM",
    "IF",
    "MATERIALIZED",
    "ONLY",
    "OWNED",
    "TABLE",
    "VIEW",
];
/// Statements that change no rows, and that are logged from `log_statement = ddl` on.
const OF_SCHEMAS: [&str; 8] = [
    "ALTER", "COMMENT", "CREATE", "DROP", "GRANT", "IMPORT", "REFRESH", "REVOKE",
];

/// A part of SQL. Literals and comments are none.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Token {
    Word(String),
    /// A name in quotes.
    Quoted(String),
    Sign(char),
}

impl Token {
    fn is(&self, word: &str) -> bool {
        matches!(self, Self::Word(text) if text.eq_ignore_ascii_case(word))
    }

    fn is_one_of(&self, words: &[&str]) -> bool {
        words.iter().any(|word| self.is(word))
    }

    fn is_sign(&self, sign: char) -> bool {
        *self == Self::Sign(sign)
    }
}

/// What in this text destroys data, outside of the schema `own`.
pub(crate) fn found_in(sql: &str, own: &str) -> Vec<Found> {
    let tokens = tokens(sql);
    let mut found = Vec::new();
    for statement in statements(&tokens) {
        // A body in SQL has statements that are not executed now.
        if statement[0].is("CREATE")
            && statement
                .iter()
                .take(4)
                .any(|token| token.is_one_of(&["FUNCTION", "PROCEDURE"]))
        {
            break;
        }
        found.extend(destroyed_by(statement, own));
    }
    found
}

/// Whether this text has a statement that is logged only where changes of rows are.
pub(crate) fn is_of_rows(sql: &str) -> bool {
    let tokens = tokens(sql);
    statements(&tokens).any(|statement| !statement[0].is_one_of(&OF_SCHEMAS))
}

/// Statements, each with a token at least.
fn statements(tokens: &[Token]) -> impl Iterator<Item = &[Token]> {
    let mut depth = 0_usize;
    let parts = tokens.split(move |token| {
        match token {
            Token::Sign('(') => depth += 1,
            Token::Sign(')') => depth = depth.saturating_sub(1),
            _ => {}
        }
        depth == 0 && token.is_sign(';')
    });
    parts.filter(|part| !part.is_empty())
}

fn destroyed_by(statement: &[Token], own: &str) -> Vec<Found> {
    let (first, rest) = (&statement[0], &statement[1..]);
    let of = |verb: Verb, names: Vec<Name>| {
        let mut others = names.into_iter().filter(|name| !name.is_in(own));
        let found = others.next().map(|name| Found { verb, table: name.text });
        found.into_iter().collect()
    };
    if first.is("DROP") {
        return match rest.first() {
            Some(kind) if !kind.is_one_of(&HOLDS_NO_DATA) => of(Verb::Drop, names(&rest[kind_length(rest)..])),
            _ => Vec::new(),
        };
    }
    if first.is("TRUNCATE") {
        return of(Verb::Truncate, names(rest));
    }
    if first.is("ALTER") {
        return match drops_a_column(rest) {
            true => of(
                Verb::Alter,
                names(&rest[kind_length(rest)..]).into_iter().take(1).collect(),
            ),
            false => Vec::new(),
        };
    }
    changes_of_rows(statement, own)
}

/// How many words say of what kind is what is named: one, as in `TABLE`, but for what [`names`] leaves out anyway.
fn kind_length(after_verb: &[Token]) -> usize {
    match after_verb.first() {
        Some(kind) if !kind.is_one_of(&BEFORE_NAMES) => 1,
        _ => 0,
    }
}

fn drops_a_column(after_alter: &[Token]) -> bool {
    let is_of_a_table = after_alter
        .iter()
        .take(2)
        .any(|token| token.is_one_of(&["TABLE", "TYPE"]));
    let mut pairs = after_alter.windows(2);
    is_of_a_table && pairs.any(|pair| pair[0].is("DROP") && !pair[1].is_one_of(&OF_TABLES))
}

/// The DELETEs and UPDATEs that are executed and have no condition of their own.
fn changes_of_rows(statement: &[Token], own: &str) -> Vec<Found> {
    let is_explained = statement[0].is("EXPLAIN");
    let is_executed = !is_explained || statement.iter().any(|token| token.is_one_of(&["ANALYZE", "ANALYSE"]));
    let has_parts = statement.iter().any(|token| token.is("WITH"));
    let mut found = Vec::new();
    for (at, token) in statement.iter().enumerate() {
        let verb = match token {
            token if token.is("DELETE") => Verb::Delete,
            token if token.is("UPDATE") => Verb::Update,
            _ => continue,
        };
        // It begins a statement, a part of a WITH, or what comes after that or after EXPLAIN.
        let begins = match at.checked_sub(1).map(|before| &statement[before]) {
            None | Some(Token::Sign('(')) => true,
            Some(Token::Sign(')')) => has_parts || is_explained,
            Some(before) => is_explained && before.is_one_of(&["ANALYZE", "ANALYSE", "EXPLAIN", "VERBOSE"]),
        };
        let rest = &statement[at + 1..];
        if !begins || !is_executed || has_condition(rest) {
            continue;
        }
        let named = names(rest).into_iter().next();
        found.extend(
            named
                .filter(|name| !name.is_in(own))
                .map(|name| Found { verb, table: name.text }),
        );
    }
    found
}

/// Whether a WHERE belongs to the statement that these tokens are the rest of, and not to one inside.
fn has_condition(rest: &[Token]) -> bool {
    let mut depth = 0_usize;
    for token in rest {
        match token {
            Token::Sign('(') => depth += 1,
            Token::Sign(')') if depth == 0 => return false,
            Token::Sign(')') => depth -= 1,
            token if depth == 0 && token.is("WHERE") => return true,
            _ => {}
        }
    }
    false
}

/// A name, perhaps with its schema before it.
struct Name {
    text: String,
    schema: Option<String>,
}

impl Name {
    fn is_in(&self, schema: &str) -> bool {
        self.schema.as_deref() == Some(schema)
    }
}

/// The names that these tokens begin with, with commas between them.
fn names(tokens: &[Token]) -> Vec<Name> {
    let mut rest = tokens.iter().peekable();
    let mut names = Vec::new();
    loop {
        while rest.next_if(|token| token.is_one_of(&BEFORE_NAMES)).is_some() {}
        let mut parts: Vec<String> = Vec::new();
        while let Some(part) = rest.peek().and_then(|token| as_name(token)) {
            rest.next();
            parts.push(part);
            if rest.next_if(|token| token.is_sign('.')).is_none() {
                break;
            }
        }
        if parts.is_empty() {
            return names;
        }
        names.push(Name {
            text: plain(&parts.join(".")),
            schema: (parts.len() > 1).then(|| parts[parts.len() - 2].clone()),
        });
        // A table and those that inherit from it.
        rest.next_if(|token| token.is_sign('*'));
        if rest.next_if(|token| token.is_sign(',')).is_none() {
            return names;
        }
    }
}

/// As PostgreSQL understands it: in lower case, but in quotes.
fn as_name(token: &Token) -> Option<String> {
    match token {
        Token::Word(word) => Some(word.to_ascii_lowercase()),
        Token::Quoted(name) => Some(name.clone()),
        Token::Sign(_) => None,
    }
}

/// A name for people: of plain characters, and not too long. Anything can stand in quotes.
pub(crate) fn plain(name: &str) -> String {
    let is_plain = |c: &char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | '$');
    let mut characters = name.chars().map(|c| if is_plain(&c) { c } else { '?' });
    let mut text: String = characters.by_ref().take(NAME_AT_MOST).collect();
    if characters.next().is_some() {
        text.push('…');
    }
    text
}

fn tokens(sql: &str) -> Vec<Token> {
    let mut tokens = Vec::new();
    let mut rest = sql;
    while let Some(first) = rest.chars().next() {
        if first.is_whitespace() {
            rest = &rest[first.len_utf8()..];
        } else if let Some(comment) = rest.strip_prefix("--") {
            rest = comment.find(['\n', '\r']).map_or("", |end| &comment[end..]);
        } else if let Some(comment) = rest.strip_prefix("/*") {
            rest = after_comment(comment);
        } else if let Some(literal) = rest.strip_prefix('\'') {
            rest = after_quoted(literal, '\'', false);
        } else if let Some(literal) = rest.strip_prefix("E'").or_else(|| rest.strip_prefix("e'")) {
            rest = after_quoted(literal, '\'', true);
        } else if let Some(name) = rest.strip_prefix('"') {
            let after = after_quoted(name, '"', false);
            let inside = name[..name.len() - after.len()].trim_end_matches('"');
            tokens.push(Token::Quoted(inside.replace("\"\"", "\"")));
            rest = after;
        } else if let Some(after) = after_dollar_quoted(rest) {
            rest = after;
        } else if is_of_words(first) {
            let end = rest.find(|c| !is_of_words(c)).unwrap_or(rest.len());
            tokens.push(Token::Word(rest[..end].to_owned()));
            rest = &rest[end..];
        } else {
            tokens.push(Token::Sign(first));
            rest = &rest[first.len_utf8()..];
        }
    }
    tokens
}

fn is_of_words(c: char) -> bool {
    c.is_alphanumeric() || c == '_' || c == '$'
}

/// What comes after a comment, which may have others inside.
fn after_comment(comment: &str) -> &str {
    let (mut depth, mut rest) = (1_usize, comment);
    while let Some(at) = rest.find(['/', '*']) {
        rest = &rest[at..];
        if let Some(after) = rest.strip_prefix("/*") {
            (depth, rest) = (depth + 1, after);
        } else if let Some(after) = rest.strip_prefix("*/") {
            (depth, rest) = (depth - 1, after);
            if depth == 0 {
                return rest;
            }
        } else {
            rest = &rest[1..];
        }
    }
    ""
}

/// What comes after the quote that ends this: two of them stand for one, and `escapes` says whether a backslash does so too.
fn after_quoted(quoted: &str, quote: char, escapes: bool) -> &str {
    let mut characters = quoted.char_indices().peekable();
    while let Some((at, c)) = characters.next() {
        if escapes && c == '\\' {
            characters.next();
        } else if c == quote && characters.next_if(|(_, next)| *next == quote).is_none() {
            return &quoted[at + quote.len_utf8()..];
        }
    }
    ""
}

/// What comes after a literal between dollars, if one begins here: `$$…$$` or `$name$…$name$`.
fn after_dollar_quoted(text: &str) -> Option<&str> {
    let inside = text.strip_prefix('$')?;
    let name = inside.split_once('$')?.0;
    let is_name = |c: char| c.is_alphanumeric() || c == '_';
    if name.starts_with(|c: char| c.is_ascii_digit()) || !name.chars().all(is_name) {
        return None;
    }
    let (mark, body) = text.split_at(name.len() + 2);
    Some(body.find(mark).map_or("", |end| &body[end + mark.len()..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn finds(sql: &str, wanted: &[(Verb, &str)]) {
        let found = found_in(sql, "recovery");
        let found: Vec<(Verb, &str)> = found.iter().map(|one| (one.verb, one.table.as_str())).collect();
        assert_eq!(found, wanted, "{sql}");
    }

    #[test]
    fn what_destroys_data_is_found_in_any_case_and_layout() {
        use Verb::{Alter, Delete, Drop, Truncate, Update};
        finds("DELETE FROM orders", &[(Delete, "orders")]);
        finds("delete from only Public.Orders;", &[(Delete, "public.orders")]);
        finds("Update\n\torders\n\tSET amount = -amount", &[(Update, "orders")]);
        finds("TRUNCATE TABLE a, b CASCADE", &[(Truncate, "a")]);
        finds("truncate orders", &[(Truncate, "orders")]);
        finds("DROP TABLE IF EXISTS orders CASCADE", &[(Drop, "orders")]);
        finds("drop schema shop", &[(Drop, "shop")]);
        finds("DROP DATABASE shop", &[(Drop, "shop")]);
        finds("DROP MATERIALIZED VIEW totals", &[(Drop, "totals")]);
        finds("ALTER TABLE orders DROP COLUMN amount", &[(Alter, "orders")]);
        finds(
            "alter table if exists orders add column b int, drop amount",
            &[(Alter, "orders")],
        );
        finds("DELETE FROM \"Order Lines\"", &[(Delete, "Order?Lines")]);
        finds("/* a job */ DELETE FROM orders -- WHERE id = 1", &[(Delete, "orders")]);
    }

    #[test]
    fn a_condition_counts_where_it_is_the_statements_own() {
        use Verb::{Delete, Update};
        finds("DELETE FROM orders WHERE id = 1", &[]);
        finds("UPDATE orders SET amount = 1\nwhere id = $1", &[]);
        finds("UPDATE orders SET note = 'WHERE'", &[(Update, "orders")]);
        finds("UPDATE orders SET note = E'it\\'s WHERE'", &[(Update, "orders")]);
        finds("UPDATE orders SET note = $x$ WHERE $x$", &[(Update, "orders")]);
        finds("DELETE FROM orders /* WHERE /* id */ = 1 */", &[(Delete, "orders")]);
        finds("UPDATE orders SET \"WHERE\" = 1", &[(Update, "orders")]);
        finds(
            "UPDATE orders SET amount = (SELECT max(amount) FROM old WHERE id = 1)",
            &[(Update, "orders")],
        );
        finds(
            "WITH gone AS (DELETE FROM orders RETURNING id) SELECT id FROM gone WHERE id > 1",
            &[(Delete, "orders")],
        );
        finds(
            "WITH old AS (SELECT id FROM orders WHERE id > 1) DELETE FROM lines USING old",
            &[(Delete, "lines")],
        );
    }

    #[test]
    fn what_only_names_such_a_word_is_not_found() {
        for sql in [
            "INSERT INTO orders VALUES ('DELETE FROM orders')",
            "INSERT INTO health (id) VALUES (1) ON CONFLICT (id) DO UPDATE SET id = 1",
            "SELECT id FROM orders FOR UPDATE",
            "CREATE TABLE lines (id int REFERENCES orders ON DELETE CASCADE)",
            "CREATE FUNCTION f() RETURNS void BEGIN ATOMIC DELETE FROM a; DELETE FROM b; END",
            "CREATE TRIGGER t BEFORE UPDATE ON orders EXECUTE FUNCTION f()",
            "EXPLAIN DELETE FROM orders",
            "DROP INDEX CONCURRENTLY orders_by_day",
            "DROP FUNCTION f",
            "ALTER TABLE orders ALTER COLUMN amount DROP NOT NULL",
            "ALTER TABLE orders DROP CONSTRAINT positive",
            "ALTER ROLE app PASSWORD 'DROP TABLE orders'",
            "MERGE INTO a USING b ON a.id = b.id WHEN MATCHED THEN DELETE",
            "COMMENT ON TABLE orders IS 'do not DROP'",
            "'unended DELETE FROM orders",
            "",
            ";;",
        ] {
            finds(sql, &[]);
        }
        finds("EXPLAIN (ANALYZE) DELETE FROM orders", &[(Verb::Delete, "orders")]);
    }

    #[test]
    fn each_statement_of_a_text_is_found() {
        finds(
            "BEGIN; DELETE FROM a; UPDATE b SET c = ';' ; DELETE FROM d WHERE e; COMMIT",
            &[(Verb::Delete, "a"), (Verb::Update, "b")],
        );
    }

    #[test]
    fn what_this_automation_writes_is_never_found() {
        finds("DELETE FROM recovery.heartbeat", &[]);
        finds("UPDATE \"recovery\".canary SET written_ms = 1", &[]);
        finds("TRUNCATE recovery.heartbeat, orders", &[(Verb::Truncate, "orders")]);
        finds("DELETE FROM heartbeat", &[(Verb::Delete, "heartbeat")]);
    }

    #[test]
    fn a_name_is_of_plain_characters_and_bounded() {
        let long = format!("DROP TABLE \"{}\"", "x".repeat(500));
        let name = found_in(&long, "")[0].table.clone();
        assert_eq!(name.chars().count(), NAME_AT_MOST + 1);
        finds(
            "DROP TABLE \"a\"\"b<script>\u{202e}ü\"",
            &[(Verb::Drop, "a?b?script???")],
        );
    }

    #[test]
    fn only_what_is_no_ddl_shows_that_changes_of_rows_are_logged() {
        assert!(is_of_rows("INSERT INTO recovery.heartbeat VALUES ($1)"));
        assert!(is_of_rows("select 1"));
        assert!(!is_of_rows("CREATE TABLE a ()"));
        assert!(!is_of_rows("drop table a; -- INSERT"));
    }
}
