//! The door to the simulated AWS: an HTTP client for the SDK, and one for the public internet.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_smithy_async::rt::sleep::{SharedAsyncSleep, TokioSleep};
use aws_smithy_async::time::{SharedTimeSource, TimeSource};
use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::config_bag::ConfigBag;
use bytes::Bytes;
use http::HeaderMap;
use shared::aws::{Aws, World};

use crate::aws::wire::{Answer, Call, Reply, UNKNOWN};
use crate::aws::{failures, resources};
use crate::cloud::{AwsCall, Cloud, Touched};
use crate::faults::{CallEffect, Touchable};
use crate::workload::Platform;

/// The world of one caller: who it is, and from where it calls.
#[derive(Clone)]
pub struct Door {
    cloud: Arc<Cloud>,
    platform: Arc<Platform>,
    function: String,
    region: String,
}

impl fmt::Debug for Door {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Door")
            .field("function", &self.function)
            .field("region", &self.region)
            .finish_non_exhaustive()
    }
}

impl Door {
    /// The door of `function` in `region`.
    pub fn new(cloud: &Arc<Cloud>, platform: &Arc<Platform>, function: &str, region: &str) -> Self {
        Self {
            cloud: Arc::clone(cloud),
            platform: Arc::clone(platform),
            function: function.to_owned(),
            region: region.to_owned(),
        }
    }

    /// The simulated AWS as this caller sees it; `table` is the table of records.
    pub fn aws(&self, table: &str) -> Aws {
        let credentials = Credentials::new("SIMULATED", "SIMULATED", None, None, "simulator");
        let world = World {
            http_client: SharedHttpClient::new(self.clone()),
            web: SharedHttpConnector::new(Web { door: self.clone() }),
            time: SharedTimeSource::new(FunctionClock(self.clone())),
            sleep: SharedAsyncSleep::new(TokioSleep::new()),
            credentials: SharedCredentialsProvider::new(credentials),
        };
        Aws::simulated(world, &self.region, table.to_owned())
    }

    async fn answer(&self, request: HttpRequest) -> Result<HttpResponse, ConnectorError> {
        let call = Call::read(&request)?;
        self.touch(&call);
        let latency = self.latency(&call.region);
        // Half of the way there, half of the way back. A Region that is away neither asks nor answers; one whose APIs are
        // away does not answer.
        tokio::time::sleep(latency / 2).await;
        if !self.connects_to(&call.region) {
            self.count(&call, NO_ANSWER);
            std::future::pending::<()>().await;
        }
        let (operation, reply) = self.perform(&call).await;
        self.count(&call, &operation);
        let Some(reply) = reply else {
            return std::future::pending().await;
        };
        tokio::time::sleep(latency - latency / 2).await;
        if !self.connects_to(&call.region) {
            std::future::pending::<()>().await;
        }
        reply.into_response()
    }

    /// What AWS makes of a call: which operation it was, and the answer, if one comes.
    async fn perform(&self, call: &Call) -> (String, Option<Reply>) {
        let Some((effect, operation)) = self.fault_on(call) else {
            let Answer { operation, reply } = dispatch(&self.cloud, call).await;
            return (operation, Some(reply));
        };
        let reply = match effect {
            CallEffect::Throttled => Some(failures::throttled(call)),
            CallEffect::ServerError => Some(failures::server_error(call)),
            CallEffect::LostReply => {
                dispatch(&self.cloud, call).await;
                None
            }
            CallEffect::NoAnswer => None,
            CallEffect::Denied => Some(failures::denied(call, &operation)),
        };
        (operation, reply)
    }

    /// How a call fails, and which operation it is; nothing, if it does not fail. A call that no service knows is left to
    /// the service, which says so.
    fn fault_on(&self, call: &Call) -> Option<(CallEffect, String)> {
        let cloud = &self.cloud;
        let of_database = match call.service.as_str() {
            "rds" | "rds-data" => cloud.rds.failure(cloud, &call.region),
            _ => None,
        };
        if of_database.is_none() && !cloud.faults.any() {
            return None;
        }
        let operation = failures::operation(call)?;
        let effect = of_database.or_else(|| {
            let call = Touchable {
                from_region: &self.region,
                caller: &self.function,
                service: &call.service,
                region: &call.region,
                operation: &operation,
                can_change: failures::can_change(call, &operation),
            };
            cloud.faults.touch(cloud, &call)
        })?;
        Some((effect, operation))
    }

    /// How long a call to `region` takes, its answer included.
    pub(crate) fn latency(&self, region: &str) -> Duration {
        let (cloud, timings) = (&self.cloud, &self.cloud.timings);
        let latency = cloud.draw("api-latency", &timings.api_latency);
        if region == self.region {
            return latency;
        }
        latency + cloud.draw("api-latency", &timings.cross_region_latency)
    }

    /// Whether a call to `region` reaches it, and its answer this caller.
    pub(crate) fn connects_to(&self, region: &str) -> bool {
        self.cloud.runs(&self.region) && self.cloud.apis_answer(region)
    }

    /// Keeps what a call touches, before anything becomes of it: its caller has to be allowed to make it.
    fn touch(&self, call: &Call) {
        let operation = failures::operation(call);
        let resources = match &operation {
            Some(operation) => resources::touched_by(&self.cloud, call, operation),
            None => Err(resources::unknown(call, UNKNOWN)),
        };
        self.cloud.touch(Touched {
            function: self.function.clone(),
            from_region: self.region.clone(),
            region: call.region.clone(),
            service: call.service.clone(),
            operation: operation.unwrap_or_else(|| UNKNOWN.to_owned()),
            resources,
        });
    }

    fn count(&self, call: &Call, operation: &str) {
        self.cloud.count(AwsCall {
            function: self.function.clone(),
            region: call.region.clone(),
            service: call.service.clone(),
            operation: operation.to_owned(),
        });
    }
}

/// The services that are simulated, by their endpoint prefixes.
pub const SERVICES: [&str; 11] = [
    "apigateway",
    "dynamodb",
    "health",
    "lambda",
    "monitoring",
    "rds",
    "rds-data",
    "route53",
    "s3",
    "sns",
    "states",
];

/// How a call is counted that nobody answered.
pub const NO_ANSWER: &str = "(no answer)";

async fn dispatch(cloud: &Arc<Cloud>, call: &Call) -> Answer {
    match call.service.as_str() {
        "apigateway" => cloud.apigateway.answer(cloud, call),
        "dynamodb" => cloud.dynamodb.answer(call).await,
        "health" => cloud.health.answer(cloud, call),
        "lambda" => cloud.lambda.answer(cloud, call),
        "monitoring" => cloud.cloudwatch.answer(cloud, call),
        "rds" => cloud.rds.answer(cloud, call),
        "rds-data" => cloud.rds.answer_data(cloud, call),
        "route53" => cloud.route53.answer(cloud, call),
        "s3" => cloud.s3.answer(call),
        "sns" => cloud.sns.answer(cloud, call),
        "states" => cloud.executions.answer(cloud, call),
        other => Answer {
            operation: UNKNOWN.to_owned(),
            reply: Reply::json_error(501, "NotSimulated", &format!("the simulator has no service {other}")),
        },
    }
}

impl Call {
    fn read(request: &HttpRequest) -> Result<Self, ConnectorError> {
        let refuse = |why: String| ConnectorError::user(why.into());
        let uri: http::Uri = request
            .uri()
            .parse()
            .map_err(|_| refuse(format!("not an address: {}", request.uri())))?;
        let host = uri.host().unwrap_or_default();
        let (service, region) =
            service_and_region(host).ok_or_else(|| refuse(format!("not an AWS endpoint: {host}")))?;
        let body = request
            .body()
            .bytes()
            .ok_or_else(|| refuse("the simulator takes no streamed bodies".to_owned()))?;
        let mut headers = HeaderMap::new();
        for (name, value) in request.headers() {
            if let (Ok(name), Ok(value)) = (http::HeaderName::try_from(name), http::HeaderValue::try_from(value)) {
                headers.append(name, value);
            }
        }
        // A bucket in the host name is put back in the path.
        let bucket = host.strip_suffix(&format!(".s3.{region}.amazonaws.com"));
        let path = bucket.map_or_else(|| uri.path().to_owned(), |bucket| format!("/{bucket}{}", uri.path()));
        Ok(Self {
            service,
            region,
            method: request.method().to_owned(),
            uri: request.uri().to_owned(),
            path,
            headers,
            body: Bytes::copy_from_slice(body),
        })
    }
}

/// `rds.us-west-2.amazonaws.com` → `rds`, `us-west-2`. Route 53 has one host for the whole world, and AWS Health one beside
/// that of its only active Region; both are in us-east-1.
fn service_and_region(host: &str) -> Option<(String, String)> {
    let parts: Vec<&str> = host.strip_suffix(".amazonaws.com")?.split('.').collect();
    let (service, region) = match parts.as_slice() {
        ["route53"] => ("route53", "us-east-1"),
        ["global", "health"] => ("health", "us-east-1"),
        ["health", region] if *region != "us-east-1" => return None,
        [.., service, region] => (*service, *region),
        _ => return None,
    };
    Some((service.to_owned(), region.to_owned()))
}

impl Reply {
    fn into_response(self) -> Result<HttpResponse, ConnectorError> {
        let status = self
            .status
            .try_into()
            .map_err(|error| ConnectorError::other(Box::new(error), None))?;
        let mut response = HttpResponse::new(status, SdkBody::from(self.body));
        for (name, value) in self.headers {
            response.headers_mut().insert(name, value);
        }
        response.headers_mut().insert("x-amzn-requestid", "simulated");
        Ok(response)
    }
}

impl HttpConnector for Door {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let door = self.clone();
        HttpConnectorFuture::new(async move { door.answer(request).await })
    }
}

impl HttpClient for Door {
    fn http_connector(&self, _: &HttpConnectorSettings, _: &RuntimeComponents) -> SharedHttpConnector {
        SharedHttpConnector::new(self.clone())
    }

    /// The one place where a client shows, before each operation, how it is configured.
    fn validate_final_config(&self, components: &RuntimeComponents, config: &ConfigBag) -> Result<(), BoxError> {
        self.cloud.retry_quotas.fill(components, config)
    }
}

/// The clock of a caller.
#[derive(Debug)]
struct FunctionClock(Door);

impl TimeSource for FunctionClock {
    fn now(&self) -> SystemTime {
        let Door {
            cloud,
            function,
            region,
            ..
        } = &self.0;
        let now = cloud.now();
        let skew = cloud.faults.skew(region, function);
        skew.and_then(|skew| now.checked_add(skew).ok()).unwrap_or(now).into()
    }
}

/// The public internet, as a caller in a Region sees it.
#[derive(Clone, Debug)]
struct Web {
    door: Door,
}

impl HttpConnector for Web {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let Door {
            cloud,
            platform,
            region,
            ..
        } = self.door.clone();
        HttpConnectorFuture::new(async move {
            let uri: http::Uri = request
                .uri()
                .parse()
                .map_err(|_| ConnectorError::user(format!("not an address: {}", request.uri()).into()))?;
            let resolver = cloud.route53.resolver_of(&region);
            let Some(answer) = platform
                .get(&cloud, &resolver, uri.host().unwrap_or_default(), uri.path())
                .await
            else {
                return Err(ConnectorError::io("no such host".into()));
            };
            Reply::new(answer.status, "application/json", answer.body).into_response()
        })
    }
}
