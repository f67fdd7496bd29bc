//! An object that is one JSON array: each of its elements is an item.

use serde_json::Value;

use super::parser::{ByteOrderMark, Parser, add, each_byte};

#[derive(Default)]
pub(super) struct JsonArray {
    mark: ByteOrderMark,
    stage: Stage,
    element: Vec<u8>,
    depth: usize,
    in_text: bool,
    is_escaped: bool,
    /// Whether an element has ended with a comma, so that another must follow.
    expects_element: bool,
}

#[derive(Default, PartialEq, Eq)]
enum Stage {
    #[default]
    Before,
    Within,
    After,
}

impl JsonArray {
    fn element(&mut self) -> Result<Value, String> {
        let element = serde_json::from_slice(&self.element);
        self.element.clear();
        element.map_err(|error| format!("an element of the JSON array cannot be read: {error}"))
    }

    fn feed_within(&mut self, byte: u8) -> Result<Option<Value>, String> {
        if self.in_text {
            (self.in_text, self.is_escaped) = match byte {
                _ if self.is_escaped => (true, false),
                b'\\' => (true, true),
                b'"' => (false, false),
                _ => (true, false),
            };
            add(&mut self.element, &[byte])?;
            return Ok(None);
        }
        match byte {
            b',' if self.depth == 0 => {
                self.expects_element = true;
                return self.element().map(Some);
            }
            b']' if self.depth == 0 => {
                self.stage = Stage::After;
                let is_blank = self.element.iter().all(u8::is_ascii_whitespace);
                return match is_blank && !self.expects_element {
                    true => Ok(None),
                    false => self.element().map(Some),
                };
            }
            b'"' => self.in_text = true,
            b'{' | b'[' => self.depth += 1,
            b'}' | b']' => self.depth = self.depth.saturating_sub(1),
            _ => {}
        }
        add(&mut self.element, &[byte])?;
        Ok(None)
    }

    fn feed_byte(&mut self, byte: u8) -> Result<Option<Value>, String> {
        if self.mark.skips(byte) {
            return Ok(None);
        }
        match self.stage {
            Stage::Within => self.feed_within(byte),
            _ if byte.is_ascii_whitespace() => Ok(None),
            Stage::Before if byte == b'[' => {
                self.stage = Stage::Within;
                Ok(None)
            }
            Stage::Before => Err("the object must be a JSON array".to_owned()),
            Stage::After => Err("something follows the JSON array".to_owned()),
        }
    }
}

impl Parser for JsonArray {
    fn feed(&mut self, bytes: &[u8]) -> Result<(usize, Option<Value>), String> {
        each_byte(bytes, |byte| self.feed_byte(byte))
    }

    fn end(&mut self) -> Result<Option<Value>, String> {
        match self.stage {
            Stage::After => Ok(None),
            _ => Err("the JSON array has no end".to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::items::parser::parsed;

    #[test]
    fn each_element_is_an_item() {
        let read = |text| parsed(JsonArray::default(), text);
        assert_eq!(read("[]"), Ok(vec![]));
        assert_eq!(read(" [ 1 ]\n"), Ok(vec![json!(1)]));
        assert_eq!(
            read("\u{feff}[{\"a\": [1, {\"b\": \"],\\\"}\"}]}, \"x,y\", null]"),
            Ok(vec![json!({"a": [1, {"b": "],\"}"}]}), json!("x,y"), Value::Null])
        );
    }

    #[test]
    fn what_is_no_array_is_refused() {
        for text in ["", "{}", "1", "[1", "[1,]", "[,1]", "[1] 2", "[1 2]", "[\"]"] {
            assert!(parsed(JsonArray::default(), text).is_err(), "{text}");
        }
    }
}
