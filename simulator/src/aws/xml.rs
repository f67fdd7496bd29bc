//! As much of XML as the SDK sends: elements, text, and no attribute that means anything.

/// An element.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Element {
    /// Its name.
    pub name: String,
    /// The text directly inside.
    pub text: String,
    /// The elements directly inside.
    pub children: Vec<Element>,
}

impl Element {
    /// Reads a document. Nothing, if it is not well-formed or has what the SDK does not send.
    pub fn read(document: &str) -> Option<Self> {
        let document = document.trim();
        let document = match document.strip_prefix("<?xml") {
            Some(rest) => rest.split_once("?>")?.1.trim_start(),
            None => document,
        };
        let (element, rest) = element(document)?;
        rest.is_empty().then_some(element)
    }

    /// The text of a child.
    pub fn text_of(&self, name: &str) -> Option<&str> {
        self.child(name).map(|child| child.text.as_str())
    }

    /// The first child of this name.
    pub fn child(&self, name: &str) -> Option<&Self> {
        self.children.iter().find(|child| child.name == name)
    }
}

/// An element at the beginning of `text`, and what follows it.
fn element(text: &str) -> Option<(Element, &str)> {
    let (tag, mut rest) = text.strip_prefix('<')?.split_once('>')?;
    let (tag, is_empty) = match tag.strip_suffix('/') {
        Some(tag) => (tag, true),
        None => (tag, false),
    };
    let name = tag.split_whitespace().next()?;
    let mut element = Element {
        name: name.to_owned(),
        ..Element::default()
    };
    if is_empty {
        return Some((element, rest));
    }
    loop {
        let (data, tag) = rest.split_at(rest.find('<')?);
        element.text.push_str(&unescaped(data)?);
        if let Some(after) = tag.strip_prefix("</") {
            let (closed, after) = after.split_once('>')?;
            return (closed.trim_end() == name).then_some((element, after));
        }
        let child;
        (child, rest) = self::element(tag)?;
        element.children.push(child);
    }
}

fn unescaped(data: &str) -> Option<String> {
    let mut text = String::new();
    let mut rest = data;
    while let Some((before, reference)) = rest.split_once('&') {
        let (name, after) = reference.split_once(';')?;
        text.push_str(before);
        text.push(match name {
            "lt" => '<',
            "gt" => '>',
            "amp" => '&',
            "quot" => '"',
            "apos" => '\'',
            _ => char::from_u32(u32::from_str_radix(name.strip_prefix("#x")?, 16).ok()?)?,
        });
        rest = after;
    }
    Some(text + rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_and_text_are_read() {
        let read = Element::read("<?xml version=\"1.0\"?>\n<a xmlns=\"n\"><b>1 &lt; &#x32;</b><c/><b x='y'>z</b></a>")
            .unwrap();
        assert_eq!((read.name.as_str(), read.text.as_str()), ("a", ""));
        assert_eq!(
            (read.text_of("b"), read.text_of("c"), read.text_of("d")),
            (Some("1 < 2"), Some(""), None)
        );
        assert_eq!((read.children.len(), read.children[2].text.as_str()), (3, "z"));
    }

    #[test]
    fn what_is_not_well_formed_is_not_read() {
        for text in [
            "",
            "text",
            "<a>",
            "<a></b>",
            "<a><b></a></b>",
            "<a/><b/>",
            "<a>&what;</a>",
            "<a><!-- b --></a>",
        ] {
            assert_eq!(Element::read(text), None, "{text}");
        }
    }
}
