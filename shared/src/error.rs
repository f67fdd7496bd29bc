//! The one closed set of errors, named by what the workflow does next.

use std::fmt;

use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;

/// What the workflow does with an error. The variant's name is the error's name in Step Functions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ErrorKind {
    /// AWS asks for fewer calls. Retried.
    Throttled,
    /// No answer, or a server's fault. Retried.
    Unavailable,
    /// Something else is being done to the resource. Retried.
    Conflict,
    /// Another recovery holds the lock. Nothing more is changed.
    Preempted,
    /// The input is not what this step takes.
    InvalidInput,
    /// A resource that the plan names does not exist.
    NotFound,
    /// The role lacks a permission, or credentials are not accepted.
    Denied,
    /// A guard says no.
    Refused,
    /// A quota of the account is reached.
    LimitExceeded,
    /// What was done does not hold up when it is looked at.
    VerificationFailed,
    /// A defect, here or in AWS.
    Internal,
}

impl ErrorKind {
    /// Every kind. The machines' error names are held equal to this list by a test.
    pub const ALL: [Self; 11] = [
        Self::Throttled,
        Self::Unavailable,
        Self::Conflict,
        Self::Preempted,
        Self::InvalidInput,
        Self::NotFound,
        Self::Denied,
        Self::Refused,
        Self::LimitExceeded,
        Self::VerificationFailed,
        Self::Internal,
    ];

    /// The error's name as Step Functions sees it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Throttled => "Throttled",
            Self::Unavailable => "Unavailable",
            Self::Conflict => "Conflict",
            Self::Preempted => "Preempted",
            Self::InvalidInput => "InvalidInput",
            Self::NotFound => "NotFound",
            Self::Denied => "Denied",
            Self::Refused => "Refused",
            Self::LimitExceeded => "LimitExceeded",
            Self::VerificationFailed => "VerificationFailed",
            Self::Internal => "Internal",
        }
    }

    /// Whether trying again may help.
    pub const fn is_retryable(self) -> bool {
        matches!(self, Self::Throttled | Self::Unavailable | Self::Conflict)
    }

    /// What a person does about it, where the error itself does not say.
    const fn advice(self) -> &'static str {
        match self {
            Self::Throttled => "it is tried again; if it goes on, ask AWS for a higher rate",
            Self::Unavailable => "it is tried again; if it goes on, look at the AWS Health Dashboard for this Region",
            Self::Conflict => "it is tried again; if it goes on, see what else is changing this resource",
            Self::NotFound => "compare the plan with what exists: drctl plan check, then the console",
            Self::Denied => "give the function's role this action on this resource",
            Self::LimitExceeded => "ask for a higher quota, or free what is not needed",
            Self::InvalidInput => "compare the plan with what AWS takes",
            Self::Preempted | Self::Refused | Self::VerificationFailed | Self::Internal => {
                "see the log of this function"
            }
        }
    }
}

/// Why a step did not do its work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StepError {
    /// What the workflow does next.
    pub kind: ErrorKind,
    /// The operation, the resource, what went wrong, and what to do. Never a secret.
    pub message: String,
    /// The answer of AWS to a call: the message without the operation, the resource and what to do. Nothing in errors of our
    /// own.
    pub answer: Option<String>,
}

impl StepError {
    /// An error of our own; `message` says what, on which resource, and what to do.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            answer: None,
        }
    }

    /// A guard's refusal.
    pub fn refused(reason: impl Into<String>) -> Self {
        Self::new(ErrorKind::Refused, reason)
    }

    /// A failed AWS call. `operation` is written like `rds:FailoverGlobalCluster`; `resource` names what it was called
    /// on and in which Region. The text carries AWS's own code, message and request id.
    pub fn aws<E>(operation: &str, resource: &str, error: SdkError<E, HttpResponse>) -> Self
    where
        E: ProvideErrorMetadata + std::error::Error + 'static,
    {
        let status = error.raw_response().map(|response| response.status().as_u16());
        let kind = match &error {
            SdkError::ServiceError(service) => classify(service.err().code(), status),
            SdkError::DispatchFailure(_) if lacks_credentials(&error) => ErrorKind::Denied,
            SdkError::TimeoutError(_) | SdkError::DispatchFailure(_) | SdkError::ResponseError(_) => {
                ErrorKind::Unavailable
            }
            // What it was given makes no request.
            SdkError::ConstructionFailure(_) => ErrorKind::InvalidInput,
            _ => ErrorKind::Internal,
        };
        if kind == ErrorKind::Denied && lacks_credentials(&error) {
            let text = format!(
                "{operation} on {resource}: there are no AWS credentials that can be used; set them up, then try again"
            );
            return Self::new(kind, text);
        }
        let what = match &error {
            SdkError::ServiceError(service) => describe_service_error(service.err(), status),
            other => source_chain(other),
        };
        Self {
            kind,
            message: format!("{operation} on {resource}: {what}; {}", kind.advice()),
            answer: Some(what),
        }
    }
}

impl fmt::Display for StepError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.kind.name(), self.message)
    }
}

impl std::error::Error for StepError {}

impl From<StepError> for lambda_runtime::Diagnostic {
    fn from(error: StepError) -> Self {
        Self {
            error_type: error.kind.name().to_owned(),
            error_message: error.message,
        }
    }
}

/// The text of an error without what a person was advised to do at the time, where the error is of one of these kinds.
pub fn without_advice(text: &str, kinds: impl Fn(ErrorKind) -> bool) -> String {
    let kinds = ErrorKind::ALL.into_iter().filter(|kind| kinds(*kind));
    kinds.fold(text.to_owned(), |text, kind| {
        text.replace(&format!("; {}", kind.advice()), "")
    })
}

fn describe_service_error<E: ProvideErrorMetadata + std::error::Error>(error: &E, status: Option<u16>) -> String {
    let meta = error.meta();
    let mut text = meta.code().unwrap_or("an error without a code").to_owned();
    if let Some(message) = meta.message() {
        text = format!("{text}: {message}");
    }
    let status = status.map(|status| format!("HTTP {status}"));
    let request = meta.extra("aws_request_id").map(|id| format!("request {id}"));
    let details: Vec<String> = [status, request].into_iter().flatten().collect();
    if details.is_empty() {
        text
    } else {
        format!("{text} ({})", details.join(", "))
    }
}

/// Whether a call never left, for want of credentials. The SDK has no kind of its own for it.
fn lacks_credentials(error: &(dyn std::error::Error + 'static)) -> bool {
    let mut source = error.source();
    while let Some(cause) = source {
        if cause.is::<aws_credential_types::provider::error::CredentialsError>() {
            return true;
        }
        source = cause.source();
    }
    false
}

/// `SdkError` alone prints as "service error" or "dispatch failure"; the cause is further down.
fn source_chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut parts = vec![error.to_string()];
    let mut source = error.source();
    while let Some(cause) = source {
        let text = cause.to_string();
        if parts.last() != Some(&text) {
            parts.push(text);
        }
        source = cause.source();
    }
    parts.join(": ")
}

/// Nothing was changed yet: a database that is missing, or may not be seen, is a reason not to begin, and no failure on the way.
pub fn refused_for_good(error: StepError) -> StepError {
    match error.kind.is_retryable() {
        true => error,
        false => StepError::refused(error.to_string()),
    }
}

/// Which kind of error a service's code and HTTP status mean. Sources: the services' API models; a code that is not
/// known is `Internal` unless the status says that the server is at fault.
fn classify(code: Option<&str>, status: Option<u16>) -> ErrorKind {
    let code = code.unwrap_or_default();
    let code = code.strip_suffix("Exception").unwrap_or(code);
    let code = code.strip_suffix("Fault").unwrap_or(code);
    match code {
        "Throttling"
        | "Throttled"
        | "TooManyRequests"
        | "RequestLimitExceeded"
        | "ProvisionedThroughputExceeded"
        | "SlowDown"
        | "RequestThrottled"
        | "BandwidthLimitExceeded" => ErrorKind::Throttled,
        "AccessDenied"
        | "Forbidden"
        | "UnauthorizedOperation"
        | "AuthorizationError"
        | "NotAuthorized"
        | "UnrecognizedClient"
        | "InvalidClientTokenId"
        | "ExpiredToken"
        | "SignatureDoesNotMatch"
        | "HttpEndpointNotEnabled"
        | "InvalidSecret"
        | "SecretsError" => ErrorKind::Denied,
        "ResourceConflict"
        | "ConditionalCheckFailed"
        | "PreconditionFailed"
        | "InvalidDBClusterState"
        | "InvalidGlobalClusterState"
        | "InvalidDBInstanceState"
        | "PriorRequestNotComplete"
        | "TransactionInProgress"
        | "TransactionConflict"
        | "OperationAborted" => ErrorKind::Conflict,
        "NoSuchBucket" | "NoSuchKey" | "ResourceNotFound" => ErrorKind::NotFound,
        "ValidationError"
        | "Validation"
        | "InvalidParameter"
        | "InvalidParameterValue"
        | "InvalidParameterCombination"
        | "BadRequest" => ErrorKind::InvalidInput,
        "RequestTimeout"
        | "InternalFailure"
        | "InternalServerError"
        | "InternalError"
        | "ServiceUnavailable"
        | "DatabaseResuming"
        | "DatabaseUnavailable" => ErrorKind::Unavailable,
        code if code.ends_with("NotFound") || code.starts_with("NoSuch") || code.ends_with("DoesNotExist") => {
            ErrorKind::NotFound
        }
        code if code.ends_with("LimitExceeded") || code.ends_with("QuotaExceeded") => ErrorKind::LimitExceeded,
        _ => match status {
            Some(429) => ErrorKind::Throttled,
            // S3 sends whoever asks in the wrong Region elsewhere: there is no such bucket here.
            Some(301) => ErrorKind::NotFound,
            Some(401 | 403) => ErrorKind::Denied,
            Some(500..=599) => ErrorKind::Unavailable,
            _ => ErrorKind::Internal,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_that_never_left_for_want_of_credentials_is_not_taken_for_an_outage() {
        use aws_credential_types::provider::error::CredentialsError;
        use aws_sdk_dynamodb::operation::get_item::GetItemError;
        use aws_smithy_runtime_api::client::result::ConnectorError;
        let failed = |cause: Box<dyn std::error::Error + Send + Sync>| {
            let error = SdkError::<GetItemError, HttpResponse>::dispatch_failure(ConnectorError::other(cause, None));
            StepError::aws("dynamodb:GetItem", "the lock", error)
        };
        let error = failed(Box::new(CredentialsError::not_loaded("nothing is set")));
        assert_eq!(error.kind, ErrorKind::Denied);
        assert!(error.message.contains("no AWS credentials"), "{error}");
        assert_eq!(failed("no route".into()).kind, ErrorKind::Unavailable);
    }

    #[test]
    fn codes_of_aws_get_the_kind_that_the_workflow_needs() {
        for (code, status, kind) in [
            ("TooManyRequestsException", 429, ErrorKind::Throttled),
            ("ThrottlingException", 400, ErrorKind::Throttled),
            ("", 301, ErrorKind::NotFound),
            ("AccessDeniedException", 400, ErrorKind::Denied),
            ("InvalidSecretException", 400, ErrorKind::Denied),
            ("InvalidGlobalClusterStateFault", 400, ErrorKind::Conflict),
            ("ConditionalCheckFailedException", 400, ErrorKind::Conflict),
            ("DBClusterNotFoundFault", 404, ErrorKind::NotFound),
            ("NoSuchBucket", 404, ErrorKind::NotFound),
            ("DBClusterQuotaExceededFault", 400, ErrorKind::LimitExceeded),
            ("DatabaseUnavailableException", 504, ErrorKind::Unavailable),
            ("SomethingNew", 503, ErrorKind::Unavailable),
            ("SomethingNew", 403, ErrorKind::Denied),
            ("SomethingNew", 400, ErrorKind::Internal),
        ] {
            assert_eq!(classify(Some(code), Some(status)), kind, "{code} {status}");
        }
        assert_eq!(classify(None, None), ErrorKind::Internal);
    }

    #[test]
    fn only_three_kinds_are_retried() {
        let retryable: Vec<_> = ErrorKind::ALL.into_iter().filter(|kind| kind.is_retryable()).collect();
        assert_eq!(
            retryable,
            [ErrorKind::Throttled, ErrorKind::Unavailable, ErrorKind::Conflict]
        );
    }
}
