//! How CloudWatch Logs refuses a request.

/// How a request is refused.
pub(super) struct Refusal(pub(super) u16, pub(super) &'static str, pub(super) String);
