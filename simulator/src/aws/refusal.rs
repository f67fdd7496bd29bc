//! How services refuse a call.

/// The HTTP status, the code and the message.
pub(super) struct Refusal(pub(super) u16, pub(super) &'static str, pub(super) String);
