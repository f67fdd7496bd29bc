//! What a recovery costs: AWS's list prices for us-east-1, in US dollars, without any free tier.

/// For each Step Functions state transition (Standard). Source: Step Functions pricing, 25 USD for a million.
const TRANSITION: f64 = 0.000_025;
/// For each Lambda request. Source: Lambda pricing, 0.20 USD for a million.
const INVOCATION: f64 = 0.000_000_2;
/// For a second of a Lambda function with 256 MB on arm64. Source: Lambda pricing, 0.0000133334 USD for a GB-second.
const FUNCTION_SECOND: f64 = 0.000_013_333_4 * 0.25;
/// For each DynamoDB call, all taken as the dearest kind, a transactional write. Source: DynamoDB on-demand pricing,
/// 0.625 USD for a million write units, two units each, for up to four items.
const DYNAMODB_CALL: f64 = 0.000_000_625 * 2.0 * 4.0;
/// For each CloudWatch call, two metrics each. Source: CloudWatch pricing, 0.01 USD for a thousand metrics requested.
const CLOUDWATCH_CALL: f64 = 0.000_01 * 2.0;
/// For each S3 call, all taken as PUT. Source: S3 pricing, 0.005 USD for a thousand.
const S3_CALL: f64 = 0.000_005;
/// For each SNS call. Source: SNS pricing, 0.50 USD for a million requests.
const SNS_CALL: f64 = 0.000_000_5;
/// For each Data API call. Source: Aurora pricing, 0.35 USD for a million requests.
const DATA_API_CALL: f64 = 0.000_000_35;

/// What was used.
#[derive(Clone, Copy, Debug, Default)]
pub struct Usage {
    /// State transitions.
    pub transitions: u64,
    /// Invocations of functions.
    pub invocations: u64,
    /// How long functions ran, in seconds.
    pub function_seconds: f64,
}

/// The price of one call to `service`; the control planes of RDS, Lambda and Step Functions cost nothing.
fn price_of_call(service: &str) -> f64 {
    match service {
        "dynamodb" => DYNAMODB_CALL,
        "monitoring" => CLOUDWATCH_CALL,
        "s3" => S3_CALL,
        "sns" => SNS_CALL,
        "rds-data" => DATA_API_CALL,
        _ => 0.0,
    }
}

/// The price of what was used, in US dollars; `calls` are services and how often each was called.
pub fn dollars<'a>(usage: &Usage, calls: impl Iterator<Item = (&'a str, u64)>) -> f64 {
    usage.transitions as f64 * TRANSITION
        + usage.invocations as f64 * INVOCATION
        + usage.function_seconds * FUNCTION_SECOND
        + calls
            .map(|(service, count)| price_of_call(service) * count as f64)
            .sum::<f64>()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prices_add_up() {
        let usage = Usage {
            transitions: 1_000,
            invocations: 1_000_000,
            function_seconds: 0.0,
        };
        let total = dollars(&usage, [("s3", 1_000), ("rds", 5)].into_iter());
        assert!((total - (0.025 + 0.2 + 0.005)).abs() < 1e-9, "{total}");
    }
}
