//! Smithy RPC v2 CBOR, which some services speak.

use ciborium::Value as Cbor;
use jiff::Timestamp;

use super::wire::Reply;

pub(super) fn cbor_reply(status: u16, body: &Cbor) -> Reply {
    let mut bytes = Vec::new();
    // Writing to memory does not fail.
    let _ = ciborium::into_writer(body, &mut bytes);
    let mut reply = Reply::new(status, "application/cbor", bytes);
    reply.headers.push(("smithy-protocol".into(), "rpc-v2-cbor".to_owned()));
    reply
}

pub(super) fn cbor_map<const N: usize>(fields: [(&str, Cbor); N]) -> Cbor {
    Cbor::Map(fields.into_iter().map(|(name, value)| (name.into(), value)).collect())
}

/// A time: tag 1, seconds since the epoch (RFC 8949, section 3.4.2).
pub(super) fn cbor_time(at: Timestamp) -> Cbor {
    Cbor::Tag(1, Box::new(Cbor::Float(at.as_millisecond() as f64 / 1000.0)))
}
