//! Names of errors that AWS raises, and no step.

use shared::error::ErrorKind;
use states_language::names;

/// What does not go away by itself: our own errors that say so, and an expression of the machine that cannot be evaluated.
/// Whatever else a function ends with may pass: Lambda's errors are many, and new ones come.
pub fn final_errors() -> Vec<&'static str> {
    let kinds = ErrorKind::ALL.into_iter().filter(|kind| !kind.is_retryable());
    kinds
        .map(ErrorKind::name)
        .chain([names::QUERY_EVALUATION_ERROR])
        .collect()
}

/// What Lambda and Step Functions themselves raise when a function dies, hangs, or cannot be reached: what a question is asked
/// again for.
pub const SERVICE_ERRORS: [&str; 8] = [
    "Lambda.Unknown",
    "Lambda.ServiceException",
    "Lambda.AWSLambdaException",
    "Lambda.SdkClientException",
    "Lambda.TooManyRequestsException",
    "Sandbox.Timedout",
    "Runtime.ExitError",
    names::TIMEOUT,
];

/// What Step Functions itself raises where it does not start an execution that a Task asks for, and may the next time. Names
/// of the optimised integration begin with `StepFunctions`, and are those of the API with `Exception` at the end; the
/// Developer Guide's own example has one without.
pub const START_ERRORS: [&str; 7] = [
    "StepFunctions.ThrottlingException",
    "StepFunctions.ExecutionLimitExceededException",
    "StepFunctions.ExecutionLimitExceeded",
    "StepFunctions.AWSStepFunctionsException",
    "StepFunctions.InternalFailureException",
    "StepFunctions.ServiceUnavailableException",
    "StepFunctions.SdkClientException",
];
