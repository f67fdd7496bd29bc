//! The door to the simulated AWS: an HTTP client for the SDK, and one for the public internet.

use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

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
use shared::aws::{Aws, World};
use shared::dial::Dial;

use super::inside::Inside;
use super::resources;
use super::service::Service;
use super::services::Services;
use super::wire::{Call, Reply, UNKNOWN};
use crate::cloud::{AwsCall, Cloud, Moment, Touched};
use crate::faults::{CallEffect, Touchable};
use crate::workload::{NoAnswer, Platform};

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
        self.aws_through(SharedHttpClient::new(self.clone()), table)
    }

    /// Likewise, with another client in front of the door.
    pub fn aws_through(&self, http_client: SharedHttpClient, table: &str) -> Aws {
        let inside = Inside::new(&self.cloud, &self.function, &self.region);
        self.aws_on(Arc::new(inside), http_client, table)
    }

    /// Likewise, with another network inside the platform.
    pub fn aws_on(&self, network: Arc<dyn Dial>, http_client: SharedHttpClient, table: &str) -> Aws {
        let credentials = Credentials::new("SIMULATED", "SIMULATED", None, None, "simulator");
        let world = World {
            http_client,
            web: SharedHttpConnector::new(Web { door: self.clone() }),
            network,
            time: SharedTimeSource::new(FunctionClock(self.clone())),
            sleep: SharedAsyncSleep::new(TokioSleep::new()),
            credentials: SharedCredentialsProvider::new(credentials),
        };
        Aws::simulated(world, &self.region, table.to_owned())
    }

    async fn answer(&self, request: HttpRequest) -> Result<HttpResponse, ConnectorError> {
        let (service, call) = read(&self.cloud.services, request)?;
        let operation = service.operation(&call);
        self.touch(service, &call, operation.as_deref());
        let latency = self.cloud.latency(&self.region, &call.region);
        // Half of the way there, half of the way back. A Region that is away neither asks nor answers; one whose APIs are
        // away does not answer.
        tokio::time::sleep(latency / 2).await;
        if !self.cloud.connects(&self.region, &call.region) {
            self.count(&call, NO_ANSWER);
            std::future::pending::<()>().await;
        }
        let reply = self.perform(service, &call, operation.as_deref()).await;
        self.count(&call, operation.as_deref().unwrap_or(UNKNOWN));
        let Some(reply) = reply else {
            return std::future::pending().await;
        };
        tokio::time::sleep(latency - latency / 2).await;
        if !self.cloud.connects(&self.region, &call.region) {
            std::future::pending::<()>().await;
        }
        response(reply)
    }

    /// What AWS makes of a call: the answer, if one comes. A call of an operation that the service does not have is left to
    /// the service, which says so.
    async fn perform(&self, service: &dyn Service, call: &Call, operation: Option<&str>) -> Option<Reply> {
        let Some(operation) = operation else {
            return Some(service.answer(&self.cloud, call, UNKNOWN).reply().await);
        };
        match self.fault_on(service, call, operation) {
            None => Some(self.dispatch(service, call, operation).await),
            Some(CallEffect::Throttled) => Some(service.throttled(call)),
            Some(CallEffect::ServerError) => Some(service.server_error(call)),
            Some(CallEffect::LostReply) => {
                self.dispatch(service, call, operation).await;
                None
            }
            Some(CallEffect::NoAnswer) => None,
            Some(CallEffect::Denied) => Some(service.denied(call, operation)),
        }
    }

    async fn dispatch(&self, service: &dyn Service, call: &Call, operation: &str) -> Reply {
        let cloud = &self.cloud;
        match service.quota(operation) {
            Some(quota) if !quota.takes(&call.region, cloud.now()) => service.throttled(call),
            _ => self.watched(service, call, operation).await,
        }
    }

    /// Has a service answer, while the watcher looks if there is one.
    async fn watched(&self, service: &dyn Service, call: &Call, operation: &str) -> Reply {
        let watcher = self.cloud.watcher().filter(|_| service.can_change(call, operation));
        let watch = |moment| {
            if let Some(watcher) = watcher {
                watcher(&self.kind_of(call, operation), moment);
            }
        };
        watch(Moment::Before);
        let reply = service.answer(&self.cloud, call, operation).reply().await;
        watch(Moment::After);
        reply
    }

    /// How a call fails; nothing, if it does not.
    fn fault_on(&self, service: &dyn Service, call: &Call, operation: &str) -> Option<CallEffect> {
        let cloud = &self.cloud;
        if let Some(effect) = service.failure(cloud, &call.region) {
            return Some(effect);
        }
        if !cloud.faults.any() {
            return None;
        }
        let touchable = Touchable {
            from_region: &self.region,
            caller: &self.function,
            service: &call.service,
            region: &call.region,
            operation,
            can_change: service.can_change(call, operation),
        };
        cloud.faults.touch(cloud.now(), &cloud.chance, &touchable)
    }

    /// Keeps what a call touches, before anything becomes of it: its caller has to be allowed to make it.
    fn touch(&self, service: &dyn Service, call: &Call, operation: Option<&str>) {
        let known = operation.and_then(|operation| service.touched(&self.cloud, call, operation));
        let can_change = operation.is_none_or(|operation| service.can_change(call, operation));
        let operation = operation.unwrap_or(UNKNOWN);
        self.cloud.touch(Touched {
            function: self.function.clone(),
            from_region: self.region.clone(),
            region: call.region.clone(),
            service: call.service.clone(),
            operation: operation.to_owned(),
            can_change,
            resources: resources::of(known, call, operation),
        });
    }

    fn count(&self, call: &Call, operation: &str) {
        self.cloud.count(self.kind_of(call, operation));
    }

    fn kind_of(&self, call: &Call, operation: &str) -> AwsCall {
        AwsCall {
            function: self.function.clone(),
            region: call.region.clone(),
            service: call.service.clone(),
            operation: operation.to_owned(),
        }
    }
}

/// How a call is counted that nobody answered.
pub const NO_ANSWER: &str = "(no answer)";

/// Reads a call, and finds the service that it is for.
fn read(services: &Services, request: HttpRequest) -> Result<(&dyn Service, Call), ConnectorError> {
    let refuse = |why: String| ConnectorError::user(why.into());
    let address = request.uri().to_owned();
    let request = request.try_into_http1x();
    let request = request.map_err(|error| refuse(format!("not a request of HTTP/1: {error}")))?;
    let uri = request.uri();
    let host = uri.host().unwrap_or_default();
    let endpoint = services.at(host);
    let endpoint = endpoint.ok_or_else(|| refuse(format!("not an AWS endpoint: {host}")))?;
    let body = request.body().bytes();
    let body = body.ok_or_else(|| refuse("the simulator takes no streamed bodies".to_owned()))?;
    let service = endpoint.service;
    let call = Call {
        service: endpoint.name.to_owned(),
        region: endpoint.region.to_owned(),
        method: request.method().as_str().to_owned(),
        path: service.path(host, uri.path()).into_owned(),
        body: Bytes::copy_from_slice(body),
        uri: address,
        headers: request.into_parts().0.headers,
    };
    Ok((service, call))
}

fn response(reply: Reply) -> Result<HttpResponse, ConnectorError> {
    let status = reply
        .status
        .try_into()
        .map_err(|error| ConnectorError::other(Box::new(error), None))?;
    let mut response = HttpResponse::new(status, SdkBody::from(reply.body));
    for (name, value) in reply.headers {
        response.headers_mut().insert(name, value);
    }
    response.headers_mut().insert("x-amzn-requestid", "simulated");
    Ok(response)
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

/// The bucket and the Region that a host name of S3 has.
fn bucket_of(host: &str) -> Option<(&str, &str)> {
    host.strip_suffix(".amazonaws.com")?.split_once(".s3.")
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
            let (host, path) = (uri.host().unwrap_or_default(), uri.path());
            if let Some((bucket, its_region)) = bucket_of(host) {
                tokio::time::sleep(cloud.latency(&region, its_region)).await;
                // S3's data plane is a part of the Region that customers reach.
                let is_reached = cloud.reaches_internet(&region) && cloud.passes(&region, its_region);
                if !is_reached || !cloud.is_up(its_region) {
                    std::future::pending::<()>().await;
                }
                // Whoever may not list a bucket is not told whether an object is there (S3 API Reference, GetObject).
                let is_there = cloud.s3.is_publicly_there(bucket, path.trim_start_matches('/'));
                return response(Reply::new(if is_there { 200 } else { 403 }, "application/xml", ""));
            }
            match platform.get_from(&cloud, &region, host, path).await {
                Ok(answer) => response(Reply::new(answer.status, "application/json", answer.body)),
                Err(NoAnswer::CertificateExpired) => Err(ConnectorError::io("certificate has expired".into())),
                Err(NoAnswer::NoSuchHost) => outside(&cloud, &platform, &region, host).await,
            }
        })
    }
}

/// What is on the public internet beside the platform: AWS's endpoints, and the hosts that the plan names. Whatever they
/// answer, they are reached.
async fn outside(cloud: &Cloud, platform: &Platform, from: &str, host: &str) -> Result<HttpResponse, ConnectorError> {
    let of_aws = cloud.services.at(host);
    if of_aws.is_none() && !platform.is_of_others(host) {
        return Err(ConnectorError::io("no such host".into()));
    }
    let takes = cloud.draw("outside-answer", &cloud.timings.web_answer);
    tokio::time::sleep(takes).await;
    let is_reached = match of_aws {
        Some(endpoint) => cloud.reaches_internet(from) && cloud.connects(from, endpoint.region),
        None => cloud.reaches_internet(from),
    };
    if !is_reached {
        std::future::pending::<()>().await;
    }
    response(Reply::new(200, "text/plain", "healthy".to_owned()))
}
