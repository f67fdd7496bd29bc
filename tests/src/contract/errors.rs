//! Names of errors that AWS raises, and no step.

use states_language::names;

/// What Lambda and Step Functions themselves raise when a function dies, hangs, or cannot be reached. Design, section 5.
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
