//! What people read is plain: no text of a person has one of the forbidden patterns, and no sentence has more than 25 words.
//!
//! Texts are string literals of Rust outside of tests, machines, the stack's template and pages. Comments of Rust are held to the
//! patterns.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use proc_macro2::{Literal, TokenStream, TokenTree};
use syn::LitStr;
use tests::template::root;

use crate::tokens::outside_of_tests;

/// Folders and files with texts.
const PLACES: [&str; 17] = [
    "functions",
    "shared/src",
    "report/src",
    "cli/src",
    "rehearsal/src",
    "statemachines",
    "infra/template.yaml.j2",
    "README.md",
    "ARCHITECTURE.md",
    "docs/adding-a-scenario.md",
    "docs/ci.md",
    "docs/deploy.md",
    "docs/platform.md",
    "docs/rehearsing.md",
    "docs/runbooks",
    "docs/starting.md",
    "docs/try-it.md",
];

/// What no text says, in lower case, with the plain words for it.
const FORBIDDEN: [(&str, &str); 35] = [
    ("go on with", "resume, continue"),
    ("goes on with", "resumes, continues"),
    ("going on with", "resuming, continuing"),
    ("gone on with", "resumed"),
    ("went on with", "resumed"),
    ("is seen to", "is confirmed, or: could not confirm that"),
    ("are seen to", "are confirmed, or: could not confirm that"),
    ("was seen to", "AWS showed that"),
    ("cannot be seen", "did not answer, could not check"),
    ("it went by", "evidence"),
    ("came of", "result, outcome"),
    ("came to", "result, outcome"),
    ("mend", "fix"),
    ("mends", "fixes"),
    ("mended", "fixed"),
    ("nobody had to", "no approval needed"),
    ("nobody has to", "no approval needed"),
    ("is told that", "the error for, the message to"),
    ("so that it may", "so it can"),
    ("where there is none", "if there is none"),
    ("what is to be done now", "next steps"),
    ("nowhere to go", "no standby"),
    ("held nothing up", "not on the critical path"),
    ("goes wrong beside", "injected fault"),
    ("but not as it should be", "say what is wrong"),
    ("why is said at the top", "reason above"),
    ("state by state", "live view"),
    ("as it seems", "could not confirm that"),
    ("broke off", "ended early, failed"),
    ("broken off", "ended early, failed"),
    ("nobody but", "only"),
    ("nothing but", "only"),
    ("seen to be", "confirmed"),
    ("must never be and was", "the rule that was broken"),
    ("it is not known whether", "could not confirm that"),
];

/// The longest sentence.
const WORDS_AT_MOST: usize = 25;
/// A literal of fewer words is a name, a key or a format.
const LEAST_WORDS: usize = 3;
/// How literals begin that are statements and commands.
const NO_TEXT: [&str; 6] = ["SELECT ", "INSERT ", "CREATE ", "SET ", "REMOVE ", "curl "];

/// A text, and the line on which it begins.
#[derive(Debug, PartialEq, Eq)]
struct Text {
    line: usize,
    text: String,
}

/// A text that breaks a rule.
struct Breach {
    file: String,
    line: usize,
    what: String,
}

impl fmt::Display for Breach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.file, self.line, self.what)
    }
}

/// The string literals of Rust, and the modules in files of their own that are only built for tests.
fn of_rust(source: &str) -> (Vec<Text>, Vec<String>) {
    let tokens: TokenStream = source.parse().expect("Rust");
    let (mut texts, mut test_modules) = (Vec::new(), Vec::new());
    let mut streams = vec![tokens];
    while let Some(stream) = streams.pop() {
        let outside = outside_of_tests(stream);
        test_modules.extend(outside.test_modules);
        for token in outside.tokens {
            match token {
                TokenTree::Group(group) => streams.push(group.stream()),
                TokenTree::Literal(literal) => texts.extend(text_of(&literal)),
                TokenTree::Ident(_) | TokenTree::Punct(_) => {}
            }
        }
    }
    texts.sort_by_key(|text| text.line);
    (texts, test_modules)
}

/// The lines that are comments, of documentation or not.
fn comments(source: &str) -> impl Iterator<Item = Text> {
    let lines = source.lines().enumerate();
    let comments = lines.filter(|(_, line)| line.trim_start().starts_with("//"));
    comments.map(|(index, line)| Text {
        line: index + 1,
        text: line.to_owned(),
    })
}

/// The text of a literal; nothing for a number, a character or bytes.
fn text_of(literal: &Literal) -> Option<Text> {
    let text = syn::parse_str::<LitStr>(&literal.to_string()).ok()?;
    Some(Text {
        line: literal.span().start().line,
        text: text.value(),
    })
}

/// The texts of a page, paragraph by paragraph, and cell by cell in tables; without blocks of commands.
fn of_page(page: &str) -> Vec<Text> {
    let mut texts: Vec<Text> = Vec::new();
    let (mut is_code, mut is_new) = (false, true);
    for (index, line) in page.lines().enumerate() {
        if line.starts_with("```") {
            is_code = !is_code;
            is_new = true;
            continue;
        }
        let begins = ["- ", "* ", "| ", "#", "> "];
        if is_code || line.starts_with("    ") || line.trim().is_empty() {
            is_new = true;
            continue;
        }
        is_new |= begins.iter().any(|begin| line.trim_start().starts_with(begin));
        match texts.last_mut() {
            Some(text) if !is_new => {
                text.text.push(' ');
                text.text.push_str(line.trim());
            }
            _ => texts.push(Text {
                line: index + 1,
                text: line.trim().replace('|', "\n"),
            }),
        }
        is_new = false;
    }
    texts
}

/// The texts of a machine or of a template: each line for the patterns; `full` are those whose sentences are counted too.
fn of_lines(file: &str) -> Vec<Text> {
    let lines = file.lines().enumerate();
    lines
        .map(|(index, line)| Text {
            line: index + 1,
            text: line.trim().to_owned(),
        })
        .collect()
}

/// What a line of a machine or of a template says in sentences, if it does.
fn sentences_of_line(line: &str) -> Option<&str> {
    ["\"Comment\": ", "AlarmDescription: ", "Description: "]
        .into_iter()
        .find_map(|key| line.strip_prefix(key))
}

/// The forbidden patterns of a text, as words of it.
fn forbidden(text: &str) -> impl Iterator<Item = String> {
    let words: Vec<String> = text
        .split(|c: char| !c.is_alphanumeric() && c != '\'')
        .filter(|word| !word.is_empty())
        .map(str::to_lowercase)
        .collect();
    let text = format!(" {} ", words.join(" "));
    FORBIDDEN
        .into_iter()
        .filter(move |(pattern, _)| text.contains(&format!(" {pattern} ")))
        .map(|(pattern, plain)| format!("says '{pattern}'; plain: {plain}"))
}

/// The sentences of a text that are too long. A colon and a semicolon end one too: what follows can be read by itself.
fn too_long(text: &str) -> impl Iterator<Item = String> {
    let text = without_code(text);
    let mut sentences = vec![Vec::new()];
    for line in text.lines().filter(|line| !line.starts_with("    ")) {
        sentences.push(Vec::new());
        for word in line.split_whitespace() {
            let is_word = word.contains(|c: char| c.is_alphanumeric() || c == '{') && !word.starts_with("--");
            if is_word && let Some(sentence) = sentences.last_mut() {
                sentence.push(word.to_owned());
            }
            if word
                .trim_end_matches(['"', '\'', ')', '*'])
                .ends_with(['.', '!', '?', ';', ':'])
            {
                sentences.push(Vec::new());
            }
        }
    }
    let long = sentences.into_iter().filter(|words| words.len() > WORDS_AT_MOST);
    long.map(|words| format!("a sentence of {} words: {}", words.len(), words.join(" ")))
}

/// A text with one word for each piece of code in it, and without the addresses of links.
fn without_code(text: &str) -> String {
    let pieces = text.split('`').enumerate();
    let text: String = pieces
        .map(|(index, piece)| if index % 2 == 0 { piece } else { "code" })
        .collect();
    let mut parts = text.split("](");
    let mut plain = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        plain.push_str(part.split_once(')').map_or("", |(_, after)| after));
    }
    plain
}

fn breaches(file: &str, source: &str) -> Vec<Breach> {
    let counted = |text: &Text| -> Vec<String> { forbidden(&text.text).chain(too_long(&text.text)).collect() };
    let found: Vec<(usize, Vec<String>)> = match file.rsplit('.').next() {
        Some("rs") => {
            let of_comments = comments(source).map(|text| (text.line, forbidden(&text.text).collect()));
            let (texts, _) = of_rust(source);
            let of_texts = texts
                .iter()
                .filter(|text| text.text.split_whitespace().count() >= LEAST_WORDS)
                .filter(|text| !NO_TEXT.iter().any(|begin| text.text.starts_with(begin)))
                .map(|text| (text.line, counted(text)));
            let mut found: Vec<_> = of_texts.chain(of_comments).collect();
            found.sort_by_key(|(line, _)| *line);
            found
        }
        Some("md") => of_page(source).iter().map(|text| (text.line, counted(text))).collect(),
        _ => of_lines(source)
            .iter()
            .map(|text| {
                let long = sentences_of_line(&text.text).into_iter().flat_map(too_long);
                (text.line, forbidden(&text.text).chain(long).collect())
            })
            .collect(),
    };
    let all = found
        .into_iter()
        .flat_map(|(line, what)| what.into_iter().map(move |what| (line, what)));
    let file = file.to_owned();
    all.map(|(line, what)| Breach {
        file: file.clone(),
        line,
        what,
    })
    .collect()
}

/// The files below a place that have texts, in order.
fn files(path: &Path) -> Vec<PathBuf> {
    if path.is_file() {
        return vec![path.to_owned()];
    }
    let entries = fs::read_dir(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    let has_texts = |path: &PathBuf| {
        path.is_dir()
            || path
                .extension()
                .is_some_and(|end| ["rs", "md", "json", "yaml"].iter().any(|known| end == *known))
    };
    paths
        .iter()
        .filter(|path| has_texts(path))
        .flat_map(|path| files(path))
        .collect()
}

/// The files that a file declares as modules for tests.
fn declared_for_tests(file: &Path, source: &str) -> Vec<PathBuf> {
    let is_root = ["lib.rs", "main.rs", "mod.rs"].iter().any(|name| file.ends_with(name));
    let folder = match is_root {
        true => file.parent().unwrap().to_owned(),
        false => file.with_extension(""),
    };
    let modules = of_rust(source).1.into_iter();
    modules
        .flat_map(|name| [folder.join(format!("{name}.rs")), folder.join(name)])
        .collect()
}

#[test]
fn what_people_read_is_plain() {
    let pages = files(&root().join("docs")).into_iter();
    let mut of_this_folder = pages.filter(|page| page.parent() == Some(&root().join("docs")));
    let is_listed = |page: &PathBuf| PLACES.iter().any(|place| root().join(place) == *page);
    assert!(
        of_this_folder.all(|page| is_listed(&page)),
        "a page of docs is in no place"
    );
    let mut all = Vec::new();
    let mut read = 0;
    for place in PLACES {
        let path = root().join(place);
        let files: Vec<(PathBuf, String)> = files(&path)
            .into_iter()
            .map(|file| (file.clone(), fs::read_to_string(&file).unwrap()))
            .collect();
        assert!(!files.is_empty(), "{place} has no file");
        let of_tests: Vec<PathBuf> = files
            .iter()
            .filter(|(file, _)| file.extension().is_some_and(|end| end == "rs"))
            .flat_map(|(file, source)| declared_for_tests(file, source))
            .collect();
        for (file, source) in &files {
            if of_tests.iter().any(|of_tests| file.starts_with(of_tests)) {
                continue;
            }
            read += 1;
            let name = file.strip_prefix(root()).unwrap().display().to_string();
            all.extend(breaches(&name, source));
        }
    }
    assert!(read > 50, "{read} files were read");
    let all: Vec<String> = all.iter().map(Breach::to_string).collect();
    assert!(all.is_empty(), "{} texts are not plain:\n{}", all.len(), all.join("\n"));
}

#[test]
fn a_planted_sentence_is_found_with_its_line() {
    let planted = r##"
/// A comment that is wide, as what cannot be seen is not.
fn f<'a>(c: &'a str) -> String {
    let quote = '"'; // "it was gone on with"
    let escaped = '\''; /* "it was gone on with" */
    let joined = format!("whether {c} runs a recovery cannot \
                          be seen");
    let raw = r#"recovery "x" was gone on with"#;
    let escape = "a \"quoted\" recovery was gone on with";
    let short = "came to";
    let other = "we recommend to do it so that the Region can serve";
    joined
}

#[cfg(test)]
mod tests {
    const TEXT: &str = "} it was gone on with";
}

fn g() -> &'static str {
    "Mend what failed, then resume"
}

#[cfg(test)]
mod elsewhere;
"##;
    let found: Vec<String> = breaches("f.rs", planted).iter().map(Breach::to_string).collect();
    assert_eq!(
        found,
        [
            "f.rs:2: says 'cannot be seen'; plain: did not answer, could not check",
            "f.rs:6: says 'cannot be seen'; plain: did not answer, could not check",
            "f.rs:8: says 'gone on with'; plain: resumed",
            "f.rs:9: says 'gone on with'; plain: resumed",
            "f.rs:21: says 'mend'; plain: fix",
        ]
    );
    let file = Path::new("a/src/lib.rs");
    assert_eq!(
        declared_for_tests(file, planted),
        [Path::new("a/src/elsewhere.rs"), Path::new("a/src/elsewhere")]
    );
}

#[test]
fn a_long_sentence_is_found_in_each_kind_of_file() {
    let long = "word ".repeat(WORDS_AT_MOST + 1);
    let fits = format!("{}. {}", "word ".repeat(WORDS_AT_MOST), "word ".repeat(WORDS_AT_MOST));
    for (file, text, line) in [
        ("f.rs", format!("\nconst A: &str = \"{long}\";"), Some(2)),
        (
            "f.rs",
            format!("\nconst A: &str = \"{}\";", fits.replace(" .", ".")),
            None,
        ),
        ("m.asl.json", format!("{{\n  \"Comment\": \"{long}\"\n}}"), Some(2)),
        ("m.asl.json", format!("{{\n  \"Key\": \"{long}\"\n}}"), None),
        ("t.yaml.j2", format!("a:\n  Description: {long}"), Some(2)),
        ("p.md", format!("# Page\n\n{}\n{long}\n", "word"), Some(3)),
        ("p.md", format!("```\n{long}\n```\n\n| a | `{long}` |\n"), None),
    ] {
        let lines: Vec<usize> = breaches(file, &text).iter().map(|breach| breach.line).collect();
        assert_eq!(lines, Vec::from_iter(line), "{file}: {text}");
    }
}
