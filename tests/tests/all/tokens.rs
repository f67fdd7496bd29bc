//! Rust as tokens, without what is only built for tests.

use proc_macro2::{Delimiter, TokenStream, TokenTree};

/// The tokens of a file or of a group of it.
#[derive(Default)]
pub struct Outside {
    /// What is built for more than tests, without comments of documentation.
    pub tokens: Vec<TokenTree>,
    /// The modules in files of their own that are only built for tests.
    pub test_modules: Vec<String>,
}

/// Leaves out what `#[cfg(test)]` stands before. Groups within are as they were.
pub fn outside_of_tests(tokens: TokenStream) -> Outside {
    let tokens: Vec<TokenTree> = tokens.into_iter().collect();
    let mut outside = Outside::default();
    let mut at = 0;
    while let Some(token) = tokens.get(at) {
        at += 1;
        let is = |token: &TokenTree, sign| matches!(token, TokenTree::Punct(punct) if punct.as_char() == sign);
        // An attribute of what it stands in has a `!`.
        let is_inner = tokens.get(at).is_some_and(|next| is(next, '!'));
        let group = tokens.get(at + usize::from(is_inner)).filter(|_| is(token, '#'));
        let Some(TokenTree::Group(attribute)) = group else {
            outside.tokens.push(token.clone());
            continue;
        };
        at += 1 + usize::from(is_inner);
        let said = attribute.stream().to_string().replace(' ', "");
        if said == "cfg(test)" {
            let item = &tokens[at..at + item_length(&tokens[at..])];
            outside.test_modules.extend(module_in_its_own_file(item));
            at += item.len();
        } else if !said.starts_with("doc=") {
            outside.tokens.push(TokenTree::Group(attribute.clone()));
        }
    }
    outside
}

/// How many tokens an item has: until its semicolon or its braces.
fn item_length(tokens: &[TokenTree]) -> usize {
    let end = tokens.iter().position(|token| match token {
        TokenTree::Punct(punct) => punct.as_char() == ';',
        TokenTree::Group(group) => group.delimiter() == Delimiter::Brace,
        _ => false,
    });
    end.map_or(tokens.len(), |end| end + 1)
}

fn module_in_its_own_file(item: &[TokenTree]) -> Option<String> {
    match item {
        [.., TokenTree::Ident(word), TokenTree::Ident(name), TokenTree::Punct(_)] if word == "mod" => {
            Some(name.to_string())
        }
        _ => None,
    }
}
