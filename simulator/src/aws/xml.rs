//! XML as the SDK sends it: elements and text, and no attribute that means anything.

use roxmltree::{Document, Node};

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
    /// Reads a document. Nothing, if it is not well-formed.
    pub fn read(document: &str) -> Option<Self> {
        let document = Document::parse(document).ok()?;
        Some(Self::of(document.root_element()))
    }

    fn of(node: Node<'_, '_>) -> Self {
        Self {
            name: node.tag_name().name().to_owned(),
            text: node
                .children()
                .filter_map(|child| child.text().filter(|_| child.is_text()))
                .collect(),
            children: node.children().filter(Node::is_element).map(Self::of).collect(),
        }
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
        ] {
            assert_eq!(Element::read(text), None, "{text}");
        }
    }
}
