//! An object of JSON Lines: each line is an item.

use serde_json::Value;

use super::parser::{ByteOrderMark, Parser, add};

#[derive(Default)]
pub(super) struct JsonLines {
    line: Vec<u8>,
    number: u64,
}

impl JsonLines {
    fn take(&mut self) -> Result<Option<Value>, String> {
        self.number += 1;
        let mark = if self.number == 1 {
            &ByteOrderMark::BYTES[..]
        } else {
            &[]
        };
        let line = self.line.strip_prefix(mark).unwrap_or(&self.line).trim_ascii();
        let item = match line {
            [] => Ok(None),
            line => serde_json::from_slice(line).map(Some),
        };
        self.line.clear();
        item.map_err(|error| format!("line {} is no JSON: {error}", self.number))
    }
}

impl Parser for JsonLines {
    fn feed(&mut self, bytes: &[u8]) -> Result<(usize, Option<Value>), String> {
        match bytes.iter().position(|&byte| byte == b'\n') {
            Some(newline) => {
                add(&mut self.line, &bytes[..newline])?;
                Ok((newline + 1, self.take()?))
            }
            None => {
                add(&mut self.line, bytes)?;
                Ok((bytes.len(), None))
            }
        }
    }

    fn end(&mut self) -> Result<Option<Value>, String> {
        self.take()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::items::parser::parsed;

    #[test]
    fn each_line_is_an_item() {
        let read = |text| parsed(JsonLines::default(), text);
        assert_eq!(
            read("\u{feff}{\"a\":1}\r\n\n[2]\n\"three\""),
            Ok(vec![json!({"a": 1}), json!([2]), json!("three")])
        );
        assert_eq!(read(""), Ok(vec![]));
        let error = read("1\n{\n").unwrap_err();
        assert!(error.starts_with("line 2 is no JSON"), "{error}");
    }
}
