//! How a step reaches the world: AWS, the public internet, the clock.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use aws_config::environment::EnvironmentVariableCredentialsProvider;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig, retry::RetryConfig};
#[cfg(feature = "sign")]
use aws_credential_types::provider::ProvideCredentials;
use aws_credential_types::provider::SharedCredentialsProvider;
#[cfg(feature = "sign")]
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
#[cfg(feature = "sign")]
use aws_sigv4::sign::v4;
use aws_smithy_async::rt::sleep::{SharedAsyncSleep, TokioSleep};
use aws_smithy_async::time::{SharedTimeSource, SystemTimeSource};
use aws_smithy_http_client::{Connector, tls};
use aws_smithy_runtime_api::client::http::{HttpConnector, SharedHttpClient, SharedHttpConnector};
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_types::service_config::{LoadServiceConfig, ServiceConfigKey};
use jiff::Timestamp;

use crate::dial::{Dial, Endpoint, Sockets, Stream};
use crate::recovery::Mode;
use crate::waiting::{MeteredSleep, awaited};

/// Time to open a connection in the function's own Region.
const CONNECT: Duration = Duration::from_secs(2);
/// Time for one try of a call in the function's own Region.
const ATTEMPT: Duration = Duration::from_secs(5);
/// Time for a call in the function's own Region, all tries together.
const OPERATION: Duration = Duration::from_secs(15);
/// Time for a call of a function for which nobody waits, all tries together, and how often it is tried.
const OPERATION_AT_LEISURE: Duration = Duration::from_secs(45);
const TRIES_AT_LEISURE: u32 = 12;
/// The longest first pause between these tries; each further one is twice as long, up to 20 s. The SDK's own is 1 s, with which
/// four tries fit into the time in which a recovery is closed.
const FIRST_PAUSE_AT_LEISURE: Duration = Duration::from_millis(250);
/// Time to open a connection to another Region, which may be down.
const CONNECT_ELSEWHERE: Duration = Duration::from_secs(1);
/// Time for a call to another Region, all tries together.
const OPERATION_ELSEWHERE: Duration = Duration::from_secs(2);
/// Time for one try of a look at a Region that may be down.
const LOOK: Duration = Duration::from_secs(2);
/// The largest body of a web answer that is read, in bytes.
const WEB_BODY_LIMIT: usize = 64 * 1024;

/// What a step may reach: AWS clients' configuration, the public internet, the clock, the table of records. The real
/// ones in Lambda, simulated ones in rehearsals and tests.
#[derive(Clone)]
pub struct Aws {
    config: SdkConfig,
    time: SharedTimeSource,
    web: SharedHttpConnector,
    network: Arc<dyn Dial>,
    table: String,
    is_simulated: bool,
}

impl fmt::Debug for Aws {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Aws")
            .field("region", &self.region())
            .field("table", &self.table)
            .finish_non_exhaustive()
    }
}

/// Another world than the real one, for [`Aws::simulated`].
#[derive(Clone, Debug)]
pub struct World {
    /// Carries every AWS call.
    pub http_client: SharedHttpClient,
    /// Carries requests to the public internet.
    pub web: SharedHttpConnector,
    /// Opens connections to servers inside the platform's network.
    pub network: Arc<dyn Dial>,
    /// Tells the time.
    pub time: SharedTimeSource,
    /// Waits, for time limits and the SDK's own back-off.
    pub sleep: SharedAsyncSleep,
    /// Whose permissions the calls carry.
    pub credentials: SharedCredentialsProvider,
}

/// The answer of a web server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebAnswer {
    /// The HTTP status.
    pub status: u16,
    /// The first 64 KiB of the body.
    pub body: Vec<u8>,
}

/// The variable that names what stands in for every service of AWS; `AWS_ENDPOINT_URL_<SERVICE>` does for one of them, and
/// comes first (AWS SDKs and Tools Reference Guide, "Service-specific endpoints").
const ENDPOINT: &str = "AWS_ENDPOINT_URL";

/// What stands in for services of AWS, by variables.
pub(crate) struct Endpoints {
    /// Reads a variable.
    pub variable: fn(&str) -> Option<String>,
}

impl fmt::Debug for Endpoints {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Endpoints")
    }
}

impl LoadServiceConfig for Endpoints {
    fn load_config(&self, key: ServiceConfigKey<'_>) -> Option<String> {
        let service = key.service_id().replace([' ', '-'], "_").to_uppercase();
        (self.variable)(&format!("{}_{service}", key.env()))
    }
}

impl Aws {
    /// The real AWS, as a person's environment and files configure it; `table` is the table of records.
    pub async fn from_environment(table: String) -> Self {
        let config = aws_config::defaults(BehaviorVersion::latest())
            .timeout_config(timeouts(CONNECT, Some(ATTEMPT), OPERATION))
            .sleep_impl(MeteredSleep::shared(SharedAsyncSleep::new(TokioSleep::new())))
            .load()
            .await;
        Self::real(config, table)
    }

    /// The real AWS, as Lambda configures a function in `region`: its role's credentials are in the environment, and it has no
    /// files. `endpoints` stand in for services of AWS. Without the search for other credentials, and the clients that takes,
    /// a function is smaller and starts faster.
    pub(crate) fn in_lambda(region: String, endpoints: Endpoints, table: String) -> Self {
        let mut config = SdkConfig::builder();
        config.set_endpoint_url((endpoints.variable)(ENDPOINT));
        let config = config
            .service_config(endpoints)
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new(region))
            .credentials_provider(SharedCredentialsProvider::new(
                EnvironmentVariableCredentialsProvider::new(),
            ))
            .time_source(SharedTimeSource::new(SystemTimeSource::new()))
            .sleep_impl(MeteredSleep::shared(SharedAsyncSleep::new(TokioSleep::new())))
            .retry_config(RetryConfig::standard())
            .timeout_config(timeouts(CONNECT, Some(ATTEMPT), OPERATION))
            .build();
        Self::real(config, table)
    }

    fn real(config: SdkConfig, table: String) -> Self {
        let time = config.time_source().unwrap_or_default();
        // No connection is kept: a kept one would go on answering from where the name pointed before.
        let web = Connector::builder()
            .tls_provider(tls::Provider::Rustls(tls::rustls_provider::CryptoMode::AwsLc))
            .pool_max_idle_per_host(0)
            .build();
        Self {
            config,
            time,
            web: SharedHttpConnector::new(web),
            network: Arc::new(Sockets::default()),
            table,
            is_simulated: false,
        }
    }

    /// A world of one's own, seen from `region`.
    pub fn simulated(world: World, region: &str, table: String) -> Self {
        let config = SdkConfig::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new(region.to_owned()))
            .credentials_provider(world.credentials)
            .http_client(world.http_client)
            .time_source(world.time.clone())
            .sleep_impl(MeteredSleep::shared(world.sleep))
            .retry_config(RetryConfig::standard())
            .timeout_config(timeouts(CONNECT, Some(ATTEMPT), OPERATION))
            .build();
        Self {
            config,
            time: world.time,
            web: world.web,
            network: world.network,
            table,
            is_simulated: true,
        }
    }

    /// The same world for what nobody waits for, or is not started again soon: calls in the own Region
    /// may take 45 s and 12 tries.
    pub fn at_leisure(&self) -> Self {
        let retries = RetryConfig::standard()
            .with_max_attempts(TRIES_AT_LEISURE)
            .with_initial_backoff(FIRST_PAUSE_AT_LEISURE);
        let timeouts = timeouts(CONNECT, Some(ATTEMPT), OPERATION_AT_LEISURE);
        let config = self.config.to_builder().retry_config(retries).timeout_config(timeouts);
        Self {
            config: config.build(),
            ..self.clone()
        }
    }

    /// Configuration for clients of the function's own Region.
    pub fn config(&self) -> &SdkConfig {
        &self.config
    }

    /// Configuration for clients of `region`. For another Region than the function's own, calls are bounded to 2 s in
    /// all, because that Region may be down.
    pub fn config_in(&self, region: &str) -> SdkConfig {
        if region == self.region() {
            return self.config.clone();
        }
        self.config
            .to_builder()
            .region(Region::new(region.to_owned()))
            .retry_config(RetryConfig::disabled())
            .timeout_config(timeouts(CONNECT_ELSEWHERE, None, OPERATION_ELSEWHERE))
            .build()
    }

    /// Configuration for a client that looks at `region`, which may be down: two tries of 2 s each. The first one of a function
    /// that has just started also opens the connection.
    pub fn config_to_look(&self, region: &str) -> SdkConfig {
        let retries = RetryConfig::standard()
            .with_max_attempts(2)
            .with_initial_backoff(FIRST_PAUSE_AT_LEISURE);
        self.config
            .to_builder()
            .region(Region::new(region.to_owned()))
            .retry_config(retries)
            .timeout_config(timeouts(CONNECT, Some(LOOK), 2 * LOOK + FIRST_PAUSE_AT_LEISURE))
            .build()
    }

    /// Configuration for clients of `region`, with the time limits of the function's own Region: for a change there, whose
    /// answer must not be lost for want of patience.
    pub fn config_to_change(&self, region: &str) -> SdkConfig {
        self.config.to_builder().region(Region::new(region.to_owned())).build()
    }

    /// Configuration for a client of `region` that makes each call once, with 15 s for its answer: for a change that must not
    /// be asked for twice. Whoever calls looks first what became of the call before.
    pub fn config_to_change_once(&self, region: &str) -> SdkConfig {
        self.config
            .to_builder()
            .region(Region::new(region.to_owned()))
            .retry_config(RetryConfig::disabled())
            .timeout_config(timeouts(CONNECT, None, OPERATION))
            .build()
    }

    /// Configuration for a client whose one try may take `attempt`, and which does not try again by itself.
    pub fn config_without_retries(&self, attempt: Duration) -> SdkConfig {
        self.config
            .to_builder()
            .retry_config(RetryConfig::disabled())
            .timeout_config(timeouts(CONNECT, Some(attempt), attempt))
            .build()
    }

    /// The Region that this function runs in; empty if the environment names none.
    pub fn region(&self) -> &str {
        self.config.region().map(Region::as_ref).unwrap_or_default()
    }

    /// Whether this is a rehearsal's world and not the real one.
    pub fn is_simulated(&self) -> bool {
        self.is_simulated
    }

    /// What people are told that this is: a rehearsal in its own world, and live in the real one, drills apart.
    pub fn mode(&self) -> Mode {
        match self.is_simulated {
            true => Mode::Rehearsal,
            false => Mode::Live,
        }
    }

    /// The name of the DynamoDB table with the lock and the records.
    pub fn table(&self) -> &str {
        &self.table
    }

    /// The clock itself.
    pub(crate) fn time(&self) -> SharedTimeSource {
        self.time.clone()
    }

    /// The time, to the millisecond.
    pub fn now(&self) -> Timestamp {
        let now = Timestamp::try_from(self.time.now()).unwrap_or_default();
        Timestamp::from_millisecond(now.as_millisecond()).unwrap_or(now)
    }

    /// Opens a connection to a server inside the platform's network. Errors: those of [`Dial::dial`], and `TimedOut` after `limit`.
    pub async fn connect(&self, to: &Endpoint, limit: Duration) -> io::Result<Box<dyn Stream>> {
        let dialled = awaited(tokio::time::timeout(limit, self.network.dial(to.clone()))).await;
        dialled.unwrap_or_else(|_| {
            Err(io::Error::new(
                io::ErrorKind::TimedOut,
                format!("no answer within {limit:?}"),
            ))
        })
    }

    /// Asks the public internet for `url`, over a new connection, so that the name is resolved anew. Errors: a text
    /// that says why there was no answer within `limit`.
    pub async fn get(&self, url: &str, limit: Duration) -> Result<WebAnswer, String> {
        let mut request = HttpRequest::get(url).map_err(|error| format!("'{url}' is not a URL: {error}"))?;
        // Web application firewalls refuse requests that do not say who asks.
        request.headers_mut().insert("user-agent", "radiant-dr");
        self.ask(request, url, limit).await
    }

    /// Posts JSON to the URL of a Lambda function in `region`, signed with the caller's own credentials. Errors: a text that says
    /// why it could not be signed, or why there was no answer within `limit`.
    #[cfg(feature = "sign")]
    pub async fn post_signed(
        &self,
        region: &str,
        url: &str,
        body: String,
        limit: Duration,
    ) -> Result<WebAnswer, String> {
        let headers = [("content-type", "application/json")];
        let credentials = match self.config.credentials_provider() {
            Some(provider) => provider.provide_credentials().await,
            None => return Err("there are no credentials; sign in, or set AWS_PROFILE".to_owned()),
        };
        let identity = credentials
            .map_err(|error| {
                format!(
                    "there are no credentials: {}",
                    aws_smithy_types::error::display::DisplayErrorContext(&error)
                )
            })?
            .into();
        let wrong = |error: &dyn fmt::Display| format!("the request to {url} could not be signed: {error}");
        let params = v4::SigningParams::builder()
            .identity(&identity)
            .region(region)
            .name("lambda")
            .time(self.time.now())
            .settings(SigningSettings::default())
            .build()
            .map_err(|error| wrong(&error))?;
        let signable = SignableRequest::new("POST", url, headers.into_iter(), SignableBody::Bytes(body.as_bytes()));
        let signed = sign(signable.map_err(|error| wrong(&error))?, &params.into());
        let (instructions, _) = signed.map_err(|error| wrong(&error))?.into_parts();
        let mut request = HttpRequest::new(body.into());
        request.set_method("POST").map_err(|error| wrong(&error))?;
        request
            .set_uri(url)
            .map_err(|error| format!("'{url}' is not a URL: {error}"))?;
        for (name, value) in headers.into_iter().chain(instructions.headers()) {
            request.headers_mut().insert(name.to_owned(), value.to_owned());
        }
        self.ask(request, url, limit).await
    }

    async fn ask(&self, request: HttpRequest, url: &str, limit: Duration) -> Result<WebAnswer, String> {
        let asked = awaited(async {
            let response = self
                .web
                .call(request)
                .await
                .map_err(|error| format!("no answer from {url}: {error:?}"))?;
            let status = response.status().as_u16();
            let body = aws_smithy_types::byte_stream::ByteStream::new(response.into_body())
                .collect()
                .await
                .map_err(|error| format!("the answer of {url} ended early: {error}"))?;
            let mut body = body.to_vec();
            body.truncate(WEB_BODY_LIMIT);
            Ok(WebAnswer { status, body })
        });
        tokio::time::timeout(limit, asked)
            .await
            .unwrap_or_else(|_| Err(format!("no answer from {url} within {limit:?}")))
    }
}

fn timeouts(connect: Duration, attempt: Option<Duration>, operation: Duration) -> TimeoutConfig {
    let mut timeouts = TimeoutConfig::builder()
        .connect_timeout(connect)
        .operation_timeout(operation);
    timeouts.set_operation_attempt_timeout(attempt);
    timeouts.build()
}
