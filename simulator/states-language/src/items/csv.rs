//! An object of delimited text: each record is an item, its fields by the names of the header. Source: Step Functions
//! Developer Guide, "How Step Functions parses input CSV files".

use serde_json::{Map, Value};

use super::parser::{ByteOrderMark, Parser, add, each_byte};
use super::place::reader_failed;
use crate::errors::TaskFailure;

/// The largest header, in bytes.
const HEADER_LIMIT_BYTES: usize = 10 * 1024;

pub(super) struct Csv {
    delimiter: u8,
    mark: ByteOrderMark,
    headers: Option<Vec<String>>,
    record: Vec<String>,
    field: Vec<u8>,
    stage: Stage,
    /// Whether the record has anything, so that its end is not a blank line.
    has_begun: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// At the beginning of a field.
    Beginning,
    Plain,
    /// Behind a quotation mark within a plain field.
    PlainQuote,
    Quoted,
    /// Behind a quotation mark within a quoted field: its end, or the first of two.
    QuotedQuote,
    /// Behind a backslash.
    Escape {
        is_quoted: bool,
    },
}

impl Csv {
    /// `headers` are those that the machine gives; without them they are the first record.
    pub fn new(delimiter: u8, headers: Option<Vec<String>>) -> Result<Self, TaskFailure> {
        if let Some(headers) = &headers {
            check(headers).map_err(|why| reader_failed(&why))?;
        }
        Ok(Self {
            delimiter,
            mark: ByteOrderMark::default(),
            headers,
            record: Vec::new(),
            field: Vec::new(),
            stage: Stage::Beginning,
            has_begun: false,
        })
    }

    fn end_field(&mut self) -> Result<(), String> {
        let field = String::from_utf8(std::mem::take(&mut self.field));
        self.record.push(field.map_err(|_| "a field is no UTF-8".to_owned())?);
        self.stage = Stage::Beginning;
        Ok(())
    }

    fn end_record(&mut self) -> Result<Option<Value>, String> {
        if !self.has_begun {
            return Ok(None);
        }
        self.end_field()?;
        self.has_begun = false;
        let record = std::mem::take(&mut self.record);
        let Some(headers) = &self.headers else {
            check(&record)?;
            self.headers = Some(record);
            return Ok(None);
        };
        // Missing fields are empty, and those behind the last header are skipped.
        let fields = record.into_iter().chain(std::iter::repeat_with(String::new));
        let item: Map<String, Value> = headers.iter().cloned().zip(fields.map(Value::String)).collect();
        Ok(Some(Value::Object(item)))
    }

    fn is_special(&self, byte: u8) -> bool {
        byte == b'\\' || byte == b'"' || byte == self.delimiter
    }

    fn plain(&mut self, byte: u8) -> Result<Option<Value>, String> {
        match byte {
            b'\n' => return self.end_record(),
            // It ends a record only with the newline that follows.
            b'\r' => return Ok(None),
            b'\\' => self.stage = Stage::Escape { is_quoted: false },
            b'"' if self.stage == Stage::Beginning => self.stage = Stage::Quoted,
            b'"' => self.stage = Stage::PlainQuote,
            _ if byte == self.delimiter => {
                self.has_begun = true;
                self.end_field()?;
                return Ok(None);
            }
            _ => {
                add(&mut self.field, &[byte])?;
                self.stage = Stage::Plain;
            }
        }
        self.has_begun = true;
        Ok(None)
    }

    fn feed_byte(&mut self, byte: u8) -> Result<Option<Value>, String> {
        if self.mark.skips(byte) {
            return Ok(None);
        }
        match self.stage {
            Stage::Beginning | Stage::Plain => return self.plain(byte),
            Stage::PlainQuote => {
                add(&mut self.field, b"\"")?;
                self.stage = Stage::Plain;
                if byte != b'"' {
                    return self.plain(byte);
                }
            }
            Stage::Quoted => match byte {
                b'"' => self.stage = Stage::QuotedQuote,
                b'\\' => self.stage = Stage::Escape { is_quoted: true },
                _ => add(&mut self.field, &[byte])?,
            },
            Stage::QuotedQuote if byte == b'"' => {
                add(&mut self.field, b"\"")?;
                self.stage = Stage::Quoted;
            }
            Stage::QuotedQuote => {
                self.stage = Stage::Plain;
                return self.plain(byte);
            }
            Stage::Escape { is_quoted } => {
                self.stage = if is_quoted { Stage::Quoted } else { Stage::Plain };
                if !self.is_special(byte) {
                    return self.feed_byte(byte);
                }
                add(&mut self.field, &[byte])?;
            }
        }
        Ok(None)
    }
}

impl Parser for Csv {
    fn feed(&mut self, bytes: &[u8]) -> Result<(usize, Option<Value>), String> {
        each_byte(bytes, |byte| self.feed_byte(byte))
    }

    fn end(&mut self) -> Result<Option<Value>, String> {
        match self.stage {
            Stage::Quoted | Stage::Escape { is_quoted: true } => return Err("a quoted field has no end".to_owned()),
            Stage::PlainQuote => add(&mut self.field, b"\"")?,
            _ => {}
        }
        self.end_record()
    }
}

fn check(headers: &[String]) -> Result<(), String> {
    let bytes: usize = headers.iter().map(String::len).sum();
    if bytes > HEADER_LIMIT_BYTES {
        return Err(format!("the CSV header is larger than {HEADER_LIMIT_BYTES} bytes"));
    }
    let mut sorted: Vec<&String> = headers.iter().collect();
    sorted.sort();
    if sorted.windows(2).any(|pair| pair[0] == pair[1]) {
        return Err("CSV headers cannot contain duplicates.".to_owned());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::items::parser::parsed;

    fn given(headers: &[&str], delimiter: u8, text: &str) -> Result<Vec<Value>, String> {
        let headers = headers.iter().map(|&header| header.to_owned()).collect();
        parsed(Csv::new(delimiter, Some(headers)).unwrap(), text)
    }

    /// The example of the Developer Guide.
    #[test]
    fn the_guides_own_file_is_parsed_as_it_says() {
        let text = "abc,123,\"This string contains commas, a double quotation marks (\"\"), and a newline (\n)\",\
                    {\"\"MyKey\"\":\"\"MyValue\"\"},\"[1,2,3]\"\n";
        let headers = ["MyLetters", "MyNumbers", "MyString", "MyObject", "MyArray"];
        assert_eq!(
            given(&headers, b',', text),
            Ok(vec![json!({
                "MyLetters": "abc",
                "MyNumbers": "123",
                "MyString": "This string contains commas, a double quotation marks (\"), and a newline (\n)",
                "MyObject": "{\"MyKey\":\"MyValue\"}",
                "MyArray": "[1,2,3]",
            })])
        );
    }

    #[test]
    fn the_first_record_is_the_header() {
        let read = |text: &str| parsed(Csv::new(b',', None).unwrap(), text);
        assert_eq!(
            read("\u{feff}path,size\r\nC:\\\\Program Files\\\\MyApp.exe,6534512\r\n\r\n\"\",x"),
            Ok(vec![
                json!({"path": "C:\\Program Files\\MyApp.exe", "size": "6534512"}),
                json!({"path": "", "size": "x"}),
            ])
        );
        assert_eq!(read("a,b\n"), Ok(vec![]));
        assert_eq!(read(""), Ok(vec![]));
        assert!(read("a,a\n1,2").unwrap_err().contains("duplicates"));
        assert!(read(&"x".repeat(10 * 1024 + 1)).unwrap_err().contains("header"));
        assert!(read("a\n\"b").is_err());
    }

    #[test]
    fn missing_fields_are_empty_and_further_ones_are_skipped() {
        assert_eq!(
            given(&["a", "b"], b'|', "1\n1|2|3"),
            Ok(vec![json!({"a": "1", "b": ""}), json!({"a": "1", "b": "2"})])
        );
    }

    #[test]
    fn a_backslash_escapes_itself_quotation_marks_and_the_delimiter() {
        assert_eq!(
            given(&["a", "b"], b';', "x\\;y;\\\"z\\\"\n\\a,b;\"p\\\"q\""),
            Ok(vec![
                json!({"a": "x;y", "b": "\"z\""}),
                json!({"a": "a,b", "b": "p\"q"})
            ])
        );
    }
}
