//! The fields of a call, and how one is refused.

use std::collections::BTreeMap;

use ciborium::Value as Cbor;
use jiff::Timestamp;

use crate::aws::cbor::{cbor_map, cbor_reply};
use crate::aws::wire::Reply;

/// Why a call is refused.
pub(super) struct Refusal {
    pub(super) status: u16,
    pub(super) code: &'static str,
    pub(super) message: String,
}

pub(super) fn refuse(code: &'static str, message: impl Into<String>) -> Refusal {
    Refusal {
        status: 400,
        code,
        message: message.into(),
    }
}

pub(super) fn invalid(message: impl Into<String>) -> Refusal {
    refuse("InvalidParameterValue", message)
}

pub(super) fn validation(message: impl Into<String>) -> Refusal {
    refuse("ValidationError", message)
}

pub(super) fn not_simulated(what: impl Into<String>) -> Refusal {
    Refusal {
        status: 501,
        code: "NotSimulated",
        message: format!("CloudWatch in the simulator: not simulated: {}", what.into()),
    }
}

impl Refusal {
    pub(super) fn reply(self) -> Reply {
        error(self.status, self.code, &self.message)
    }
}

/// An error as CloudWatch tells it.
pub(super) fn error(status: u16, code: &str, message: &str) -> Reply {
    let mut reply = cbor_reply(
        status,
        &cbor_map([("__type", Cbor::from(code)), ("message", Cbor::from(message))]),
    );
    let who = if status < 500 { "Sender" } else { "Receiver" };
    // CloudWatch spoke the query protocol before, and still tells that protocol's code.
    reply
        .headers
        .push(("x-amzn-query-error".into(), format!("{code};{who}")));
    reply
}

/// A structure's fields. Each is taken out once; what is left over at the end is not simulated.
pub(super) struct Fields {
    pub(super) of: String,
    pub(super) fields: BTreeMap<String, Cbor>,
}

impl Fields {
    pub(super) fn read(of: &str, value: Cbor) -> Result<Self, Refusal> {
        let wrong = || refuse("SerializationException", format!("{of} is not a structure"));
        let mut fields = BTreeMap::new();
        for (name, value) in value.into_map().map_err(|_| wrong())? {
            if !value.is_null() {
                fields.insert(name.into_text().map_err(|_| wrong())?, value);
            }
        }
        Ok(Self {
            of: of.to_owned(),
            fields,
        })
    }

    pub(super) fn take<T>(&mut self, name: &str, read: impl FnOnce(Cbor) -> Option<T>) -> Result<Option<T>, Refusal> {
        let Some(value) = self.fields.remove(name) else {
            return Ok(None);
        };
        let wrong = || {
            refuse(
                "SerializationException",
                format!("{}.{name} has the wrong type", self.of),
            )
        };
        read(value).map(Some).ok_or_else(wrong)
    }

    pub(super) fn any(&mut self, name: &str) -> Result<Option<Cbor>, Refusal> {
        self.take(name, Some)
    }

    pub(super) fn text(&mut self, name: &str) -> Result<Option<String>, Refusal> {
        self.take(name, |value| value.into_text().ok())
    }

    pub(super) fn list(&mut self, name: &str) -> Result<Option<Vec<Cbor>>, Refusal> {
        self.take(name, |value| value.into_array().ok())
    }

    pub(super) fn boolean(&mut self, name: &str) -> Result<Option<bool>, Refusal> {
        self.take(name, |value| value.as_bool())
    }

    pub(super) fn integer(&mut self, name: &str) -> Result<Option<i64>, Refusal> {
        self.take(name, |value| {
            value.as_integer().and_then(|integer| i64::try_from(integer).ok())
        })
    }

    pub(super) fn number(&mut self, name: &str) -> Result<Option<f64>, Refusal> {
        self.take(name, |value| number(&value))
    }

    pub(super) fn time(&mut self, name: &str) -> Result<Option<Timestamp>, Refusal> {
        self.take(name, |value| match value {
            Cbor::Tag(1, seconds) => {
                let milliseconds = (number(&seconds)? * 1000.0).round();
                Timestamp::from_millisecond(milliseconds as i64).ok()
            }
            _ => None,
        })
    }

    pub(super) fn required<T>(
        &mut self,
        name: &str,
        take: impl FnOnce(&mut Self, &str) -> Result<Option<T>, Refusal>,
    ) -> Result<T, Refusal> {
        let missing = format!("The parameter {name} is required.");
        take(self, name)?.ok_or_else(|| refuse("MissingParameter", missing))
    }

    pub(super) fn end(self) -> Result<(), Refusal> {
        match self.fields.into_keys().next() {
            Some(name) => Err(not_simulated(format!("{name} in {}", self.of))),
            None => Ok(()),
        }
    }
}

pub(super) fn number(value: &Cbor) -> Option<f64> {
    match value {
        Cbor::Float(number) => Some(*number),
        Cbor::Integer(number) => Some(i128::from(*number) as f64),
        _ => None,
    }
}

pub(super) fn numbers(list: Vec<Cbor>, of: &str) -> Result<Vec<f64>, Refusal> {
    let read = list.iter().map(number).collect::<Option<Vec<_>>>();
    read.ok_or_else(|| refuse("SerializationException", format!("{of} has the wrong type")))
}

pub(super) fn text(value: Cbor, of: &str) -> Result<String, Refusal> {
    value
        .into_text()
        .map_err(|_| refuse("SerializationException", format!("{of} has the wrong type")))
}
