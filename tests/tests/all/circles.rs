//! No two files of a crate import each other, directly or through others.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use proc_macro2::{Delimiter, TokenStream, TokenTree};

use crate::tokens::outside_of_tests;

type Module = Vec<String>;

/// What a file says of others.
#[derive(Default)]
struct Mentions {
    /// The modules that it declares, but for tests.
    children: BTreeSet<String>,
    /// The paths in it.
    paths: BTreeSet<Vec<String>>,
}

impl Mentions {
    fn of(text: &str) -> Self {
        let mut mentions = Self::default();
        let tokens: TokenStream = text.parse().expect("Rust");
        mentions.read(tokens, &[]);
        mentions
    }

    /// Reads tokens, whose paths continue `prefix` if they are in the braces of a `use`.
    fn read(&mut self, tokens: TokenStream, prefix: &[String]) {
        let tokens = outside_of_tests(tokens).tokens;
        let mut at = 0;
        while let Some(token) = tokens.get(at) {
            at += 1;
            match token {
                TokenTree::Group(group) => self.read(group.stream(), &[]),
                TokenTree::Ident(first) if first == "mod" => {
                    if let (Some(TokenTree::Ident(name)), Some(TokenTree::Punct(end))) =
                        (tokens.get(at), tokens.get(at + 1))
                        && end.as_char() == ';'
                    {
                        self.children.insert(name.to_string());
                    }
                }
                TokenTree::Ident(first) if first == "as" => at += 1,
                TokenTree::Ident(first) => {
                    let mut path = prefix.to_vec();
                    path.push(first.to_string());
                    while is_separator(&tokens[at..]) {
                        match tokens.get(at + 2) {
                            Some(TokenTree::Ident(next)) => path.push(next.to_string()),
                            Some(TokenTree::Group(group)) if group.delimiter() == Delimiter::Brace => {
                                self.read(group.stream(), &path);
                            }
                            _ => path.push(String::new()),
                        }
                        at += 3;
                    }
                    self.paths.insert(path);
                }
                TokenTree::Punct(_) | TokenTree::Literal(_) => {}
            }
        }
    }
}

fn is_separator(tokens: &[TokenTree]) -> bool {
    let is_colon = |token: &TokenTree| matches!(token, TokenTree::Punct(punct) if punct.as_char() == ':');
    tokens.len() > 2 && is_colon(&tokens[0]) && is_colon(&tokens[1])
}

/// The files of a crate, by module, and what each mentions.
fn files(module: Module, file: PathBuf, found: &mut BTreeMap<Module, (PathBuf, Mentions)>) {
    let mentions = Mentions::of(&fs::read_to_string(&file).expect("a file"));
    let folder = match file.file_stem().and_then(|stem| stem.to_str()) {
        Some("lib" | "main" | "mod") => file.with_file_name(""),
        _ => file.with_extension(""),
    };
    for child in &mentions.children {
        let own = folder.join(format!("{child}.rs"));
        let own = if own.exists() {
            own
        } else {
            folder.join(child).join("mod.rs")
        };
        let child = module.iter().chain([child]).cloned().collect();
        files(child, own, found);
    }
    found.insert(module, (file, mentions));
}

/// The file that a path leads to, seen from `module`; nothing, if that is no file of this crate.
fn target<'a>(
    path: &[String],
    module: &[String],
    found: &'a BTreeMap<Module, (PathBuf, Mentions)>,
) -> Option<&'a Module> {
    // `pub(crate)` is no import.
    if path.len() == 1 {
        return None;
    }
    let mut rest = path.iter().peekable();
    let mut base = match path.first()?.as_str() {
        "crate" => Vec::new(),
        "super" | "self" => module.to_vec(),
        child if found[module].1.children.contains(child) => module.to_vec(),
        _ => return None,
    };
    rest.next_if(|first| *first == "crate");
    while let Some(step) = rest.next_if(|step| *step == "super" || *step == "self") {
        if step == "super" {
            base.pop();
        }
    }
    for step in rest {
        base.push(step.clone());
        if !found.contains_key(&base) {
            base.pop();
            break;
        }
    }
    found.get_key_value(&base).map(|(module, _)| module)
}

/// The circles among the files of a crate: for each the files that reach each other.
fn circles(root: PathBuf) -> BTreeSet<BTreeSet<PathBuf>> {
    let mut found = BTreeMap::new();
    files(Vec::new(), root, &mut found);
    let imports: BTreeMap<&Module, BTreeSet<&Module>> = found
        .iter()
        .map(|(module, (_, mentions))| {
            let targets = mentions.paths.iter().filter_map(|path| target(path, module, &found));
            (module, targets.filter(|target| *target != module).collect())
        })
        .collect();
    let reached = |from: &Module| {
        let mut reached: BTreeSet<&Module> = BTreeSet::new();
        let mut open: Vec<&Module> = imports[from].iter().copied().collect();
        while let Some(next) = open.pop() {
            if reached.insert(next) {
                open.extend(&imports[next]);
            }
        }
        reached
    };
    let reached: BTreeMap<&Module, BTreeSet<&Module>> = found.keys().map(|module| (module, reached(module))).collect();
    let in_circles = found.keys().filter(|module| reached[module].contains(module));
    let circle = |module: &Module| {
        let others = reached[module].iter().filter(|other| reached[*other].contains(module));
        others.map(|other| found[*other].0.clone()).collect()
    };
    in_circles.map(circle).collect()
}

/// The root file of each crate of the workspace by the crate's folder, but for programs beside a library.
fn roots(workspace: &Path) -> BTreeMap<String, PathBuf> {
    let crates = [
        "cli",
        "rehearsal",
        "report",
        "shared",
        "simulator",
        "simulator/states-language",
        "tests",
    ];
    let functions = fs::read_dir(workspace.join("functions")).expect("the functions");
    let functions = functions.map(|entry| entry.expect("a function"));
    let functions = functions.filter(|entry| entry.path().is_dir());
    let functions = functions.map(|entry| format!("functions/{}", entry.file_name().display()));
    let root = |folder: String| {
        let files = ["lib.rs", "main.rs"].map(|name| workspace.join(&folder).join("src").join(name));
        files.into_iter().find(|file| file.exists()).map(|file| (folder, file))
    };
    crates
        .map(str::to_owned)
        .into_iter()
        .chain(functions)
        .filter_map(root)
        .collect()
}

#[test]
fn no_files_import_each_other() {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace");
    let roots = roots(workspace);
    assert!(roots.len() > 20, "{roots:?}");
    for (folder, root) in roots {
        let circles = circles(root);
        assert!(
            circles.is_empty(),
            "{folder} has files that import each other: {circles:#?}"
        );
    }
}

#[test]
fn a_circle_is_found_through_others_and_tests_do_not_count() {
    let folder = std::env::temp_dir().join(format!("circles-{}", std::process::id()));
    fs::create_dir_all(folder.join("a")).unwrap();
    for (name, text) in [
        ("lib.rs", "mod a; mod b; mod c; #[cfg(test)] mod d;"),
        (
            "a/mod.rs",
            "pub mod inner; use crate::{b::{self, B as _}}; pub struct A;",
        ),
        ("a/inner.rs", "pub fn f() {}"),
        (
            "b.rs",
            "pub struct B; fn f() { super::c::f(); } #[cfg(test)] mod tests { use crate::c::X; }",
        ),
        (
            "c.rs",
            "pub fn f() -> Vec<crate::a::A> { vec![] } use crate::a::inner::f as g;",
        ),
    ] {
        fs::write(folder.join(name), text).unwrap();
    }
    let there = circles(folder.join("lib.rs"));
    let circle = ["a/mod.rs", "b.rs", "c.rs"].map(|name| folder.join(name));
    fs::remove_dir_all(&folder).unwrap();
    assert_eq!(there, BTreeSet::from([circle.into()]));
}
