//! What the services' wire formats have in common.

use std::borrow::Cow;
use std::collections::BTreeMap;

use bytes::Bytes;
use http::HeaderMap;
use jiff::Timestamp;
use serde_json::{Value, json};

/// One call, as it came over the wire.
pub struct Call {
    /// The service's endpoint prefix.
    pub service: String,
    /// The Region of the endpoint.
    pub region: String,
    /// The HTTP method.
    pub method: String,
    /// The address, for services that read it themselves.
    pub uri: String,
    /// The path.
    pub path: String,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
}

/// What stands for the name of an operation that a service does not have.
pub const UNKNOWN: &str = "(unknown)";

/// An HTTP answer.
pub struct Reply {
    /// The status.
    pub status: u16,
    /// The headers.
    pub headers: Vec<(Cow<'static, str>, String)>,
    /// The body.
    pub body: Vec<u8>,
}

impl Reply {
    /// An answer with a body of this type.
    pub fn new(status: u16, content_type: &str, body: impl Into<Vec<u8>>) -> Self {
        Self {
            status,
            headers: vec![("content-type".into(), content_type.to_owned())],
            body: body.into(),
        }
    }

    /// JSON, for services that speak REST.
    pub fn json(status: u16, body: &Value) -> Self {
        Self::new(status, "application/json", body.to_string())
    }

    /// An error of a service that speaks JSON.
    pub fn json_error(status: u16, code: &str, message: &str) -> Self {
        let mut reply = Self::json(
            status,
            &json!({ "__type": code, "message": message, "Message": message }),
        );
        reply.headers.push(("x-amzn-errortype".into(), code.to_owned()));
        reply
    }

    /// The answer to an operation of a service that speaks the query protocol.
    pub fn query(operation: &str, result: &str) -> Self {
        let body = format!(
            "<{operation}Response xmlns=\"urn:simulated\"><{operation}Result>{result}</{operation}Result>\
             <ResponseMetadata><RequestId>simulated</RequestId></ResponseMetadata></{operation}Response>"
        );
        Self::new(200, "text/xml", body)
    }

    /// An error of a service that speaks the query protocol.
    pub fn query_error(status: u16, code: &str, message: &str) -> Self {
        let body = format!(
            "<ErrorResponse><Error><Type>{}</Type><Code>{}</Code><Message>{}</Message></Error>\
             <RequestId>simulated</RequestId></ErrorResponse>",
            if status < 500 { "Sender" } else { "Receiver" },
            escape(code),
            escape(message)
        );
        Self::new(status, "text/xml", body)
    }
}

/// The parameters of a call that speaks the query protocol.
pub fn query_parameters(body: &[u8]) -> BTreeMap<String, String> {
    form_urlencoded::parse(body).into_owned().collect()
}

/// The operation of a call that speaks the query protocol.
pub fn query_operation(body: &[u8]) -> Option<Cow<'_, str>> {
    let operation = query_parameter(body, "Action")?;
    (!operation.is_empty()).then_some(operation)
}

/// A parameter of a call that speaks the query protocol, without reading what follows it.
pub fn query_parameter<'a>(body: &'a [u8], wanted: &str) -> Option<Cow<'a, str>> {
    let mut parameters = form_urlencoded::parse(body);
    let found = parameters.find(|(name, _)| name == wanted);
    found.map(|(_, value)| value)
}

/// The operation of a call that names it in `x-amz-target`.
pub fn target_operation(headers: &HeaderMap) -> Option<&str> {
    let target = headers.get("x-amz-target")?.to_str().ok()?;
    let operation = target.rsplit('.').next()?;
    (!operation.is_empty()).then_some(operation)
}

/// A moment as HTTP headers have it.
pub fn http_date(at: Timestamp) -> String {
    at.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string()
}

/// Text as XML.
pub fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// `<name>value</name>`.
pub fn element(name: &str, value: &str) -> String {
    format!("<{name}>{}</{name}>", escape(value))
}
