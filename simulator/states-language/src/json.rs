//! Between `serde_json` and JSONata values, and how large a payload is.

use std::io;
use std::rc::Rc;

use jsonata_core::value::{JMap, JValue};
use serde::Serialize;
use serde_json::{Map, Number, Value};

/// The largest payload that Step Functions passes on (bytes of JSON).
pub const PAYLOAD_LIMIT_BYTES: usize = 262_144;

/// The size of a value's JSON text, in bytes.
pub(crate) fn size(value: &impl Serialize) -> usize {
    struct Counter(usize);
    impl io::Write for Counter {
        fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
            self.0 += buffer.len();
            Ok(buffer.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let mut counter = Counter(0);
    // Neither counting nor serializing a JSON value can fail.
    let _ = serde_json::to_writer(&mut counter, value);
    counter.0
}

/// A JSONata value with the same content.
pub(crate) fn to_jsonata(value: &Value) -> JValue {
    match value {
        Value::Null => JValue::Null,
        Value::Bool(b) => JValue::Bool(*b),
        Value::Number(n) => JValue::Number(n.as_f64().unwrap_or(f64::NAN)),
        Value::String(s) => JValue::String(s.as_str().into()),
        Value::Array(items) => JValue::array(items.iter().map(to_jsonata).collect()),
        Value::Object(fields) => object(fields.iter().map(|(k, v)| (k.clone(), to_jsonata(v)))),
    }
}

/// A JSONata object of these fields.
pub(crate) fn object(fields: impl IntoIterator<Item = (String, JValue)>) -> JValue {
    JValue::Object(Rc::new(fields.into_iter().collect::<JMap>()))
}

/// The JSON of a JSONata result, or why it has none.
pub(crate) fn from_jsonata(value: &JValue) -> Result<Value, &'static str> {
    Ok(match value {
        JValue::Null => Value::Null,
        JValue::Bool(b) => Value::Bool(*b),
        JValue::Number(n) => number(*n)?,
        JValue::String(s) => Value::String(s.to_string()),
        JValue::Array(items) => Value::Array(
            items
                .iter()
                .filter(|item| !item.is_undefined())
                .map(from_jsonata)
                .collect::<Result<_, _>>()?,
        ),
        JValue::Object(fields) => Value::Object(
            fields
                .iter()
                .filter(|(_, field)| !field.is_undefined())
                .map(|(key, field)| Ok((key.clone(), from_jsonata(field)?)))
                .collect::<Result<Map<_, _>, &'static str>>()?,
        ),
        JValue::Undefined => return Err("returned nothing (undefined)"),
        JValue::Lambda(_) | JValue::Builtin { .. } | JValue::Regex { .. } => {
            return Err("returned a function, which is no JSON value");
        }
    })
}

/// JSONata has one kind of number; whole ones become JSON integers, as far as a double is exact.
fn number(n: f64) -> Result<Value, &'static str> {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    if n.fract() == 0.0 && n.abs() <= EXACT {
        #[expect(clippy::cast_possible_truncation, reason = "whole and within 2^53")]
        return Ok(Value::from(n as i64));
    }
    Number::from_f64(n)
        .map(Value::Number)
        .ok_or("returned a number that is not finite")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn whole_numbers_stay_integers() {
        let text = |n| number(n).map(|v| v.to_string());
        assert_eq!(text(5.0), Ok("5".into()));
        assert_eq!(text(-0.5), Ok("-0.5".into()));
        assert_eq!(text(9_007_199_254_740_992.0), Ok("9007199254740992".into()));
        assert!(text(f64::INFINITY).is_err());
    }

    #[test]
    fn there_and_back() {
        let value = json!({"a": [1, 2.5, null, true, "x"], "b": {"c": []}});
        assert_eq!(from_jsonata(&to_jsonata(&value)), Ok(value));
    }

    #[test]
    fn size_is_that_of_compact_json() {
        assert_eq!(size(&json!({"a": [1, "é"]})), "{\"a\":[1,\"é\"]}".len());
    }
}
