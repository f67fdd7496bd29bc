//! How each service refuses one call too many, and how it fails by itself; and which operation a call asks for.

use super::wire::{Call, Reply, UNKNOWN, query_operation, target_operation};
use super::{apigateway, cloudwatch, health, lambda, rds_data, route53, s3};

/// What most services say to one call too many.
const RATE_EXCEEDED: &str = "Rate exceeded";
/// What DynamoDB says to a table on demand that is asked more than it takes for now. Source: DynamoDB Developer Guide,
/// "Troubleshooting throttling".
const THROUGHPUT_EXCEEDED: &str = "Throughput exceeds the current capacity of your table or index. DynamoDB is automatically \
     scaling your table or index so please try again shortly.";
/// What most services say when they fail.
const INTERNAL_FAILURE: &str = "The request processing has failed because of an unknown error, exception or failure.";
/// How operations that change nothing are named.
const READS: [&str; 8] = [
    "BatchGet",
    "Describe",
    "Get",
    "Head",
    "List",
    "Query",
    "Scan",
    "TransactGet",
];

/// The operation that a call asks for; nothing, if its service is not simulated or has none such.
pub(super) fn operation(call: &Call) -> Option<String> {
    let operation = match call.service.as_str() {
        "apigateway" => apigateway::operation(call).to_owned(),
        "dynamodb" | "states" => target_operation(&call.headers),
        "health" => health::operation(call).to_owned(),
        "lambda" => lambda::operation(call).to_owned(),
        "monitoring" => cloudwatch::operation(call).to_owned(),
        "rds" | "sns" => query_operation(&call.body),
        "rds-data" => rds_data::operation(call).to_owned(),
        "route53" => route53::operation(call).to_owned(),
        "s3" => s3::operation(call).to_owned(),
        _ => return None,
    };
    (operation != UNKNOWN && !operation.is_empty()).then_some(operation)
}

/// Whether a call of this operation can change something.
pub(super) fn can_change(call: &Call, operation: &str) -> bool {
    match call.service.as_str() {
        "rds-data" => !rds_data::only_reads(call),
        _ => !READS.iter().any(|beginning| operation.starts_with(beginning)),
    }
}

/// What the service answers to one call too many. Where its API Reference names no error for that, it is the common one.
pub(super) fn throttled(call: &Call) -> Reply {
    match call.service.as_str() {
        "apigateway" => Reply::json_error(429, apigateway::THROTTLED.0, apigateway::THROTTLED.1),
        "dynamodb" => dynamodb_error(400, "ThrottlingException", THROUGHPUT_EXCEEDED),
        "health" => health::error(400, "ThrottlingException", RATE_EXCEEDED),
        "lambda" => lambda::throttled(),
        "monitoring" => cloudwatch::error(400, "Throttling", RATE_EXCEEDED),
        "rds" | "sns" => Reply::query_error(400, "Throttling", RATE_EXCEEDED),
        "route53" => Reply::query_error(400, route53::THROTTLED.0, route53::THROTTLED.1),
        "s3" => s3_error(call, 503, "SlowDown", "Please reduce your request rate."),
        _ => Reply::json_error(400, "ThrottlingException", RATE_EXCEEDED),
    }
}

/// What the service answers to whoever may not make a call.
pub(super) fn denied(call: &Call, operation: &str) -> Reply {
    let message = format!("User is not authorized to perform: {}:{operation}", call.service);
    match call.service.as_str() {
        "monitoring" => cloudwatch::error(403, "AccessDenied", &message),
        "rds" | "route53" | "sns" => Reply::query_error(403, "AccessDenied", &message),
        "s3" => s3_error(call, 403, "AccessDenied", "Access Denied"),
        "dynamodb" => dynamodb_error(400, "AccessDeniedException", &message),
        "states" => Reply::json_error(400, "AccessDeniedException", &message),
        _ => Reply::json_error(403, "AccessDeniedException", &message),
    }
}

/// What the service answers when it fails by itself: the error that its API Reference names, or the common one.
pub(super) fn server_error(call: &Call) -> Reply {
    match call.service.as_str() {
        "apigateway" => Reply::json_error(503, "ServiceUnavailableException", "Service Unavailable"),
        "dynamodb" => dynamodb_error(500, "InternalServerError", "Internal server error"),
        "health" => health::error(500, "InternalFailure", INTERNAL_FAILURE),
        "lambda" => Reply::json_error(
            500,
            "ServiceException",
            "An error occurred and the request cannot be processed.",
        ),
        "monitoring" => cloudwatch::error(500, "InternalServiceError", INTERNAL_FAILURE),
        "rds-data" => Reply::json_error(500, "InternalServerErrorException", "An internal error occurred."),
        "s3" => {
            let message = "We encountered an internal error. Please try again.";
            s3_error(call, 500, "InternalError", message)
        }
        "sns" => Reply::query_error(500, "InternalError", INTERNAL_FAILURE),
        "rds" | "route53" => Reply::query_error(500, "InternalFailure", INTERNAL_FAILURE),
        _ => Reply::json_error(500, "InternalFailure", INTERNAL_FAILURE),
    }
}

fn dynamodb_error(status: u16, code: &str, message: &str) -> Reply {
    Reply::json_error(status, &format!("com.amazonaws.dynamodb.v20120810#{code}"), message)
}

fn s3_error(call: &Call, status: u16, code: &str, message: &str) -> Reply {
    let mut reply = s3::error(status, code, message);
    if call.method == "HEAD" {
        reply.body.clear();
    }
    reply
}
