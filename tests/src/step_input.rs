//! What a step takes, read from its source: the payload of a machine is held against it.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use syn::{Attribute, Field, Fields, Item, Type};

/// What one step takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StepInput {
    /// The step's folder in `functions/`, such as `promote-database`.
    pub folder: String,
    /// The fields of its `Input`, and whether each must be there.
    pub fields: BTreeMap<String, bool>,
}

impl StepInput {
    /// Reads what the step in `functions/<folder>` takes: from its `input.rs`, where it has one, else from its `lib.rs`.
    /// Errors: as `read`, or the file cannot be read.
    pub fn of_step(functions: &Path, folder: &str) -> Result<Self, String> {
        let source = functions.join(folder).join("src");
        let files = ["input.rs", "lib.rs"].map(|name| source.join(name));
        let file = files.iter().find(|file| file.exists()).unwrap_or(&files[1]);
        let text = fs::read_to_string(file).map_err(|error| format!("{}: {error}", file.display()))?;
        Self::read(folder, &text)
    }

    /// Reads `pub struct Input` in the text of a step. Errors: the text is not Rust, has no such struct, or the struct reads
    /// its fields in a way that is not understood here; the message says which.
    pub fn read(folder: &str, source: &str) -> Result<Self, String> {
        let file = syn::parse_file(source).map_err(|error| format!("functions/{folder} is not Rust: {error}"))?;
        let input = file.items.iter().find_map(|item| match item {
            Item::Struct(found) if found.ident == "Input" => Some(found),
            _ => None,
        });
        let input =
            input.ok_or_else(|| format!("functions/{folder} has no `struct Input` in its input.rs or lib.rs"))?;
        if !serde_words(&input.attrs)?
            .iter()
            .any(|word| word == "deny_unknown_fields")
        {
            return Err(format!(
                "functions/{folder}: Input lacks #[serde(deny_unknown_fields)]: a typing error would pass"
            ));
        }
        let Fields::Named(fields) = &input.fields else {
            return Err(format!("functions/{folder}: the fields of Input have no names"));
        };
        let fields = fields.named.iter().map(field).collect::<Result<_, _>>();
        let fields = fields.map_err(|error| format!("functions/{folder}: {error}"))?;
        Ok(Self {
            folder: folder.to_owned(),
            fields,
        })
    }

    /// A function that takes what an AWS service sends: no machine passes it anything.
    pub fn of_events(folder: &str) -> Self {
        Self {
            folder: folder.to_owned(),
            fields: BTreeMap::new(),
        }
    }

    /// The hole that stands for the function in a machine: `PromoteDatabase`.
    pub fn hole(&self) -> String {
        pascal_case(&self.folder)
    }
}

/// `promote-database` → `PromoteDatabase`.
pub fn pascal_case(kebab: &str) -> String {
    let mut name = String::with_capacity(kebab.len());
    for word in kebab.split('-') {
        let mut letters = word.chars();
        name.extend(letters.next().map(|first| first.to_ascii_uppercase()));
        name.push_str(letters.as_str());
    }
    name
}

/// A field's name and whether it must be there.
fn field(field: &Field) -> Result<(String, bool), String> {
    let name = field.ident.as_ref().map(ToString::to_string).unwrap_or_default();
    let name = name.trim_start_matches("r#").to_owned();
    let words = serde_words(&field.attrs)?;
    let understood = ["default", "deserialize_with"];
    if let Some(strange) = words.iter().find(|word| !understood.contains(&word.as_str())) {
        return Err(format!(
            "`{name}` has #[serde({strange})], which the contract test does not understand; teach it"
        ));
    }
    // With a reader of its own, an `Option` must be there too.
    let may_be_left_out = words.iter().any(|word| word == "default") || words.is_empty() && is_option(&field.ty);
    let required = !may_be_left_out;
    Ok((name, required))
}

fn is_option(ty: &Type) -> bool {
    matches!(ty, Type::Path(path) if path.path.segments.last().is_some_and(|segment| segment.ident == "Option"))
}

/// The words inside `#[serde(…)]`, without their values.
fn serde_words(attributes: &[Attribute]) -> Result<Vec<String>, String> {
    let mut words = Vec::new();
    for attribute in attributes.iter().filter(|attribute| attribute.path().is_ident("serde")) {
        let read = attribute.parse_nested_meta(|meta| {
            words.extend(meta.path.get_ident().map(ToString::to_string));
            if meta.input.peek(syn::Token![=]) {
                meta.value()?.parse::<syn::Expr>()?;
            }
            Ok(())
        });
        read.map_err(|error| format!("#[serde] is not understood: {error}"))?;
    }
    Ok(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(fields: &str) -> Result<StepInput, String> {
        StepInput::read(
            "do-it",
            &format!("#[serde(deny_unknown_fields)] pub struct Input {{ {fields} }}"),
        )
    }

    #[test]
    fn optional_fields_are_told_from_required_ones() {
        let input = read(
            r#"a: A, b: Option<B>, #[serde(default)] c: C, #[serde(default = "d")] d: D, r#type: T,
            #[serde(deserialize_with = "e")] e: Option<E>, #[serde(default, deserialize_with = "e")] f: F"#,
        )
        .unwrap();
        let expected = [
            ("a", true),
            ("b", false),
            ("c", false),
            ("d", false),
            ("e", true),
            ("f", false),
            ("type", true),
        ];
        assert_eq!(
            input.fields,
            expected.map(|(name, required)| (name.to_owned(), required)).into()
        );
        assert_eq!(input.hole(), "DoIt");
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        for (source, text) in [
            ("pub struct Input {", "is not Rust: "),
            ("pub struct Output {}", "no `struct Input`"),
            ("pub struct Input { a: A }", "lacks #[serde(deny_unknown_fields)]"),
            ("#[serde(deny_unknown_fields)] pub struct Input(A);", "have no names"),
            (
                "#[serde(deny_unknown_fields)] pub struct Input { #[serde(rename = \"b\")] a: A }",
                "#[serde(rename)]",
            ),
            (
                "#[serde(deny_unknown_fields)] pub struct Input { #[serde(flatten)] a: A }",
                "#[serde(flatten)]",
            ),
        ] {
            let error = StepInput::read("do-it", source).unwrap_err();
            assert!(error.contains(text), "{error}");
        }
    }
}
