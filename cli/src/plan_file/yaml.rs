//! YAML as a tree that knows where everything stands.
//!
//! Built from the parser's events, because loaders stop at the first duplicate key and forget the lines of keys. Scalars
//! are read as YAML 1.2's core schema says.

use std::collections::HashMap;

use saphyr_parser::{Event, Parser, ScalarStyle, Span, Tag};
use serde_json::{Map, Number, Value};

use super::finding::{Finding, Position};
use crate::output::{one_line, quote};

/// A plan is five levels deep. Deeper files are refused before anything that recurses sees them.
const DEEPEST: usize = 32;

/// How many values all aliases together may stand for: plenty for a plan, and little for a file made to explode.
const MOST_FROM_ALIASES: usize = 10_000;

/// A value and where it stands.
#[derive(Clone, Debug)]
pub struct Node {
    pub position: Position,
    content: Content,
}

#[derive(Clone, Debug)]
enum Content {
    /// The value, and the text that stands for it.
    Scalar(Value, String),
    List(Vec<Node>),
    Map(Vec<Entry>),
}

#[derive(Clone, Debug)]
struct Entry {
    key: String,
    position: Position,
    value: Node,
}

impl Node {
    /// The same as JSON.
    pub fn to_value(&self) -> Value {
        match &self.content {
            Content::Scalar(value, _) => value.clone(),
            Content::List(items) => items.iter().map(Self::to_value).collect(),
            Content::Map(entries) => {
                let pairs = entries.iter().map(|entry| (entry.key.clone(), entry.value.to_value()));
                Value::Object(pairs.collect::<Map<_, _>>())
            }
        }
    }

    /// Where the value that `path` (a JSON Pointer) leads to stands, or as much of the way as there is. Something that
    /// has several lines stands where its key is.
    pub fn find(&self, path: &str) -> Position {
        let (mut node, mut position) = (self, self.position);
        for step in steps(path) {
            match node.child(&step) {
                None => break,
                Some((child, key)) => {
                    node = child;
                    position = match (&child.content, key) {
                        (Content::List(_) | Content::Map(_), Some(key)) => key,
                        _ => child.position,
                    };
                }
            }
        }
        position
    }

    /// Where `key` of the map at `path` stands.
    pub fn find_key(&self, path: &str, key: &str) -> Position {
        let entry = self
            .get(path)
            .and_then(|node| node.child(key))
            .and_then(|(_, position)| position);
        entry.unwrap_or_else(|| self.find(path))
    }

    /// The text of the scalar at `path`.
    pub fn text(&self, path: &str) -> Option<&str> {
        match &self.get(path)?.content {
            Content::Scalar(_, text) => Some(text),
            _ => None,
        }
    }

    fn get(&self, path: &str) -> Option<&Self> {
        steps(path)
            .iter()
            .try_fold(self, |node, step| node.child(step).map(|(child, _)| child))
    }

    /// The child that `step` leads to, and where its key stands.
    fn child(&self, step: &str) -> Option<(&Self, Option<Position>)> {
        match &self.content {
            Content::Scalar(..) => None,
            Content::List(items) => items.get(step.parse::<usize>().ok()?).map(|item| (item, None)),
            Content::Map(entries) => entries
                .iter()
                .find(|entry| entry.key == step)
                .map(|entry| (&entry.value, Some(entry.position))),
        }
    }

    fn count(&self) -> usize {
        1 + match &self.content {
            Content::Scalar(..) => 0,
            Content::List(items) => items.iter().map(Self::count).sum(),
            Content::Map(entries) => entries.iter().map(|entry| entry.value.count()).sum(),
        }
    }
}

/// The steps of a JSON Pointer.
fn steps(path: &str) -> Vec<String> {
    path.split('/')
        .skip(1)
        .map(|step| step.replace("~1", "/").replace("~0", "~"))
        .collect()
}

/// `key` as a step of a JSON Pointer, with the slash before it.
pub fn step(key: &str) -> String {
    format!("/{}", key.replace('~', "~0").replace('/', "~1"))
}

/// What a text says.
pub struct Document {
    /// The tree; none if the text is empty or not YAML.
    pub root: Option<Node>,
    /// What is wrong with it as YAML.
    pub findings: Vec<Finding>,
}

/// Reads one document.
pub fn read(text: &str) -> Document {
    let mut builder = Builder::default();
    for event in Parser::new_from_str(text) {
        let go_on = match event {
            Ok((event, span)) => builder.take(event, span),
            Err(error) => builder.stop(
                (*error.marker()).into(),
                format!("not YAML: {}", one_line(&error.info())),
            ),
        };
        if go_on.is_none() {
            return Document {
                root: None,
                findings: builder.findings,
            };
        }
    }
    let empty = builder
        .root
        .as_ref()
        .is_none_or(|root| matches!(root.content, Content::Scalar(Value::Null, _)));
    if empty {
        builder.stop(
            Position { line: 1, column: 1 },
            "the file is empty; a plan is expected".to_owned(),
        );
        builder.root = None;
    }
    Document {
        root: builder.root,
        findings: builder.findings,
    }
}

#[derive(Default)]
struct Builder {
    open: Vec<Open>,
    root: Option<Node>,
    documents: usize,
    anchors: HashMap<usize, Node>,
    from_aliases: usize,
    findings: Vec<Finding>,
}

/// A list or map whose end was not seen yet.
struct Open {
    position: Position,
    anchor: usize,
    kind: Kind,
}

enum Kind {
    List(Vec<Node>),
    /// The entries so far, and the key whose value comes next.
    Map(Vec<Entry>, Option<(String, Position)>),
}

impl Builder {
    /// Takes in one event. None: the rest of the file cannot be read.
    fn take(&mut self, event: Event<'_>, span: Span) -> Option<()> {
        let position = Position::from(span.start);
        match event {
            Event::DocumentStart(_) => {
                self.documents += 1;
                if self.documents > 1 {
                    return self.stop(
                        position,
                        "a second document begins here; a plan is one document".to_owned(),
                    );
                }
            }
            Event::Scalar(text, style, anchor, tag) => {
                let value = self.scalar(&text, style, tag.as_deref(), position);
                self.place(
                    Node {
                        position,
                        content: Content::Scalar(value, text.into_owned()),
                    },
                    anchor,
                );
            }
            Event::SequenceStart(anchor, _) => self.begin(position, anchor, Kind::List(Vec::new()))?,
            Event::MappingStart(anchor, _) => self.begin(position, anchor, Kind::Map(Vec::new(), None))?,
            Event::SequenceEnd | Event::MappingEnd => {
                let Open { position, anchor, kind } = self.open.pop()?;
                let content = match kind {
                    Kind::List(items) => Content::List(items),
                    Kind::Map(entries, _) => Content::Map(entries),
                };
                self.place(Node { position, content }, anchor);
            }
            Event::Alias(anchor) => {
                // An anchor is known once its value is complete, so an alias inside its own value is not.
                let Some(node) = self.anchors.get(&anchor) else {
                    return self.stop(
                        position,
                        "this alias stands for a value that contains it; write it out".to_owned(),
                    );
                };
                self.from_aliases += node.count();
                if self.from_aliases > MOST_FROM_ALIASES {
                    let message = format!("aliases stand for more than {MOST_FROM_ALIASES} values; write them out");
                    return self.stop(position, message);
                }
                let node = node.clone();
                self.place(node, 0);
            }
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => {}
        }
        Some(())
    }

    fn begin(&mut self, position: Position, anchor: usize, kind: Kind) -> Option<()> {
        if self.open.len() == DEEPEST {
            return self.stop(
                position,
                format!("nested deeper than {DEEPEST} levels, the limit of a plan"),
            );
        }
        self.open.push(Open { position, anchor, kind });
        Some(())
    }

    /// Puts a complete value where it belongs.
    fn place(&mut self, node: Node, anchor: usize) {
        if anchor > 0 {
            self.anchors.insert(anchor, node.clone());
        }
        let path = self.path();
        let Some(open) = self.open.last_mut() else {
            self.root = Some(node);
            return;
        };
        match &mut open.kind {
            Kind::List(items) => items.push(node),
            Kind::Map(entries, key) => match key.take() {
                None => match node.content {
                    Content::Scalar(_, text) => *key = Some((text, node.position)),
                    _ => {
                        let message = "a list or mapping cannot be a key; give a name".to_owned();
                        self.findings.push(Finding {
                            position: node.position,
                            path,
                            message,
                        });
                        *key = Some((String::new(), node.position));
                    }
                },
                Some((key, position)) => match entries.iter().find(|entry| entry.key == key) {
                    None => entries.push(Entry {
                        key,
                        position,
                        value: node,
                    }),
                    Some(first) => {
                        let message = format!(
                            "the key is already in line {}; keep one of the two",
                            first.position.line
                        );
                        self.findings.push(Finding {
                            position,
                            path,
                            message,
                        });
                    }
                },
            },
        }
    }

    /// The JSON Pointer of the value that comes next.
    fn path(&self) -> String {
        let steps = self.open.iter().map(|open| match &open.kind {
            Kind::List(items) => step(&items.len().to_string()),
            Kind::Map(_, Some((key, _))) => step(key),
            Kind::Map(_, None) => String::new(),
        });
        steps.collect()
    }

    fn scalar(&mut self, text: &str, style: ScalarStyle, tag: Option<&Tag>, position: Position) -> Value {
        match tag {
            None if style == ScalarStyle::Plain => plain(text),
            None => Value::String(text.to_owned()),
            // "!" alone means text, as "!!str" does.
            Some(tag) if (tag.is_yaml_core_schema() && tag.suffix == "str") || tag.suffix.is_empty() => {
                Value::String(text.to_owned())
            }
            Some(tag) if tag.is_yaml_core_schema() => plain(text),
            Some(tag) => {
                let message = format!(
                    "the tag {} means nothing in a plan; leave it out",
                    quote(&tag.to_string())
                );
                self.findings.push(Finding {
                    position,
                    path: self.path(),
                    message,
                });
                plain(text)
            }
        }
    }

    /// Notes why the rest cannot be read.
    fn stop(&mut self, position: Position, message: String) -> Option<()> {
        self.findings.push(Finding {
            position,
            path: String::new(),
            message,
        });
        None
    }
}

/// A scalar without quotes, by YAML 1.2's core schema.
pub fn plain(text: &str) -> Value {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Value::Null,
        "true" | "True" | "TRUE" => return Value::Bool(true),
        "false" | "False" | "FALSE" => return Value::Bool(false),
        _ => {}
    }
    let number = integer(text).or_else(|| float(text));
    number.map_or_else(|| Value::String(text.to_owned()), Value::Number)
}

fn integer(text: &str) -> Option<Number> {
    if let Some(digits) = text.strip_prefix("0x").filter(|digits| !digits.starts_with(['+', '-'])) {
        return u64::from_str_radix(digits, 16).ok().map(Number::from);
    }
    if let Some(digits) = text.strip_prefix("0o").filter(|digits| !digits.starts_with(['+', '-'])) {
        return u64::from_str_radix(digits, 8).ok().map(Number::from);
    }
    text.parse::<i64>()
        .map(Number::from)
        .or_else(|_| text.parse::<u64>().map(Number::from))
        .ok()
}

fn float(text: &str) -> Option<Number> {
    // Rust also reads "inf" and "nan" as numbers; in YAML they are words.
    if !text.bytes().any(|byte| byte.is_ascii_digit()) || !text.bytes().all(|byte| b"+-.eE0123456789".contains(&byte)) {
        return None;
    }
    let number = text.parse::<f64>().ok()?;
    // JSON Schema takes 3.0 for an integer, serde does not.
    let whole = number.fract() == 0.0 && number.abs() < 1e15;
    if whole {
        Some(Number::from(number as i64))
    } else {
        Number::from_f64(number)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn value(text: &str) -> Value {
        let document = read(text);
        assert_eq!(document.findings, []);
        document.root.unwrap().to_value()
    }

    fn findings(text: &str) -> Vec<(usize, String)> {
        read(text)
            .findings
            .into_iter()
            .map(|finding| (finding.position.line, finding.text()))
            .collect()
    }

    #[test]
    fn scalars_as_in_yaml_1_2() {
        let text = "[1, -2, 0x10, 0o17, 1.5, 3.0, 1e3, true, off, ~, '1', \"true\", !!str 5, 10s, .inf, inf, 0x-1, 18446744073709551615]";
        let expected = json!([
            1,
            -2,
            16,
            15,
            1.5,
            3,
            1000,
            true,
            "off",
            null,
            "1",
            "true",
            "5",
            "10s",
            ".inf",
            "inf",
            "0x-1",
            u64::MAX
        ]);
        assert_eq!(value(text), expected);
    }

    #[test]
    fn knows_where_things_stand() {
        let root = read("a: 1\nb:\n  - x\n  - c: 2\n    d/e: {}\n").root.unwrap();
        for (path, line, column) in [
            ("", 1, 1),
            ("/a", 1, 4),
            ("/b", 2, 1),
            ("/b/0", 3, 5),
            ("/b/1", 4, 5),
            ("/b/1/d~1e", 5, 5),
            ("/b/9", 2, 1),
        ] {
            assert_eq!(root.find(path), Position { line, column }, "{path}");
        }
        assert_eq!(root.find_key("/b/1", "c"), Position { line: 4, column: 5 });
        assert_eq!(root.text("/b/0"), Some("x"));
    }

    #[test]
    fn aliases_stand_for_their_values() {
        assert_eq!(value("a: &a [1, 2]\nb: *a"), json!({"a": [1, 2], "b": [1, 2]}));
    }

    #[test]
    fn a_bomb_does_not_go_off() {
        let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
        for i in 1..30 {
            let all = vec![format!("*a{}", i - 1); 10].join(", ");
            bomb += &format!("a{i}: &a{i} [{all}]\n");
        }
        assert_eq!(
            findings(&bomb),
            [(4, "aliases stand for more than 10000 values; write them out".to_owned())]
        );
        assert_eq!(findings("a: &a [*a]")[0].0, 1);
    }

    #[test]
    fn deep_nesting_is_refused() {
        // The parser has a limit of its own for brackets, and may meet it first.
        let messages = [
            "nested deeper than 32 levels, the limit of a plan",
            "not YAML: recursion limit exceeded",
        ];
        for text in [
            "[".repeat(40),
            "[".repeat(65_000),
            "{a: ".repeat(16_000),
            "- ".repeat(32_000),
        ] {
            let findings = findings(&text);
            assert!(
                matches!(&findings[..], [(1, message)] if messages.contains(&message.as_str())),
                "{findings:?}"
            );
        }
    }

    #[test]
    fn every_duplicate_key_is_found() {
        let found = findings("a: 1\nb:\n  c: 1\n  c: 2\na: 3\na: 4\n");
        assert_eq!(
            found,
            [
                (4, "/b/c: the key is already in line 3; keep one of the two".to_owned()),
                (5, "/a: the key is already in line 1; keep one of the two".to_owned()),
                (6, "/a: the key is already in line 1; keep one of the two".to_owned()),
            ]
        );
    }

    #[test]
    fn what_is_found_before_a_syntax_error_is_kept() {
        let found = findings("a: 1\na: 2\nb: [1\nc: 3\n");
        assert_eq!(found.len(), 2, "{found:?}");
        assert_eq!(found[0].0, 2);
        assert!(found[1].1.starts_with("not YAML: "), "{found:?}");
    }

    #[test]
    fn one_document_only() {
        assert_eq!(
            findings("a: 1\n---\nb: 2\n"),
            [(2, "a second document begins here; a plan is one document".to_owned())]
        );
    }

    #[test]
    fn nothing_is_said_to_be_nothing() {
        for text in ["", "# only a comment\n", "---\n", "~"] {
            assert_eq!(
                findings(text),
                [(1, "the file is empty; a plan is expected".to_owned())],
                "{text:?}"
            );
        }
    }

    #[test]
    fn strange_keys_and_tags_are_found() {
        assert_eq!(
            findings("? [a]\n: 1\n"),
            [(1, "a list or mapping cannot be a key; give a name".to_owned())]
        );
        assert_eq!(
            findings("a: !secret x\n"),
            [(
                1,
                "/a: the tag !secret means nothing in a plan; leave it out".to_owned()
            )]
        );
    }
}
