//! A service that only this scenario has: queues with a dead-letter queue each, and a client of it.

use std::borrow::Cow;
use std::cell::Cell;
use std::sync::{Arc, Mutex};

use aws_smithy_runtime::client::orchestrator::operation::Operation;
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, OrchestratorError};
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::error::ErrorMetadata;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use shared::aws::Aws;
use shared::error::StepError;
use simulator::aws::resources::Resource;
use simulator::aws::service::{Answer, Parts, Service};
use simulator::aws::wire::{Call, Reply, UNKNOWN, target_operation};
use simulator::environment::Environment;

/// What its endpoints and its calls are named by.
pub const SERVICE: &str = "queues";
/// How long it takes to move what is lost back.
const MOVING_TAKES: SignedDuration = SignedDuration::from_secs(47);

thread_local! {
    /// How much longer it takes in the rehearsal of this thread.
    pub static TAKES_LONGER: Cell<SignedDuration> = const { Cell::new(SignedDuration::ZERO) };
}

/// What `DescribeQueue` answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Described {
    /// Whether messages are delivered.
    pub delivering: bool,
    /// How many messages are in the dead-letter queue.
    pub lost: u64,
    /// When the first of them came there.
    pub lost_since: Option<Timestamp>,
    /// Whether they are being moved back.
    pub moving: bool,
}

/// One queue.
#[derive(Debug)]
struct Queue {
    is_held: bool,
    lost: u64,
    lost_since: Option<Timestamp>,
    moved_at: Option<Timestamp>,
    /// How often messages were moved; each time all of them, so that a second time delivers twice.
    moves: u64,
    served_again_at: Option<Timestamp>,
}

/// The service.
#[derive(Debug)]
pub struct Queues(Mutex<Queue>);

impl Queues {
    /// One queue, in which all is well.
    pub fn service() -> Arc<dyn Service> {
        Arc::new(Self(Mutex::new(Queue {
            is_held: false,
            lost: 0,
            lost_since: None,
            moved_at: None,
            moves: 0,
            served_again_at: None,
        })))
    }
}

impl Queue {
    /// What has come of a move until `now`.
    fn settle(&mut self, now: Timestamp) {
        if self.moved_at.is_some_and(|at| at <= now) {
            self.moved_at = None;
            self.lost = 0;
        }
    }

    fn answer(&mut self, operation: &str, now: Timestamp) -> Reply {
        self.settle(now);
        match operation {
            "DescribeQueue" => {}
            "FailMessages" => {
                self.lost += 40;
                self.lost_since.get_or_insert(now);
            }
            "HoldQueue" => self.is_held = true,
            "ReleaseQueue" => {
                self.is_held = false;
                if self.lost == 0 && self.moves > 0 {
                    self.served_again_at.get_or_insert(now);
                }
            }
            "StartMessageMove" => {
                self.moves += 1;
                self.moved_at = Some(now + MOVING_TAKES + TAKES_LONGER.get());
            }
            _ => return Reply::json_error(400, "UnknownOperationException", "there is no such operation"),
        }
        let described = Described {
            delivering: !self.is_held,
            lost: self.lost,
            lost_since: self.lost_since,
            moving: self.moved_at.is_some(),
        };
        Reply::json(200, &json!(described))
    }
}

impl Service for Queues {
    fn endpoint(&self) -> Option<&'static str> {
        Some(SERVICE)
    }

    fn operation<'a>(&self, call: &'a Call) -> Option<Cow<'a, str>> {
        let operation = target_operation(&call.headers)?;
        (operation != UNKNOWN).then_some(Cow::Borrowed(operation))
    }

    fn touched(&self, environment: &Environment, call: &Call, _: &str) -> Option<Vec<Resource>> {
        let body: Value = serde_json::from_slice(&call.body).ok()?;
        let (region, account, name) = (&call.region, &environment.account, body["Name"].as_str()?);
        Some(vec![Resource::new(format!(
            "arn:aws:{SERVICE}:{region}:{account}:{name}"
        ))])
    }

    fn answer<'a>(&'a self, environment: &'a Arc<Environment>, _: &'a Call, operation: &'a str) -> Answer<'a> {
        self.0.lock().unwrap().answer(operation, environment.now()).into()
    }

    fn snapshot(&self, _: &Environment) -> Parts {
        let queue = self.0.lock().unwrap();
        Parts::from_iter([("queue".to_owned(), json!({ "is_held": queue.is_held }))])
    }

    fn journal(&self, environment: &Environment) -> Parts {
        let mut queue = self.0.lock().unwrap();
        queue.settle(environment.now());
        let messages = json!({
            "lost": queue.lost,
            "moves": queue.moves,
            "served_again_at": queue.served_again_at,
        });
        Parts::from_iter([("queued_messages".to_owned(), messages)])
    }
}

/// Calls an operation on a queue, once.
pub async fn call(aws: &Aws, region: &str, operation: &'static str, queue: &str) -> Result<Described, StepError> {
    let config = aws.config_to_change_once(region);
    let body = json!({ "Name": queue }).to_string();
    let calling = Operation::builder()
        .service_name(SERVICE)
        .operation_name(operation)
        .http_client(config.http_client().unwrap())
        .sleep_impl(config.sleep_impl().unwrap())
        .time_source(config.time_source().unwrap())
        .timeout_config(config.timeout_config().unwrap().clone())
        .endpoint_url(&format!("https://{SERVICE}.{region}.amazonaws.com"))
        .no_auth()
        .no_retry()
        .serializer(move |body: String| {
            let mut request = HttpRequest::new(SdkBody::from(body));
            request.set_method("POST")?;
            request
                .headers_mut()
                .insert("x-amz-target", format!("Queues.{operation}"));
            Ok(request)
        })
        .deserializer(|response| {
            let body = response.body().bytes().unwrap_or_default();
            if response.status().is_success() {
                return serde_json::from_slice::<Described>(body).map_err(OrchestratorError::other);
            }
            let error: Value = serde_json::from_slice(body).unwrap_or_default();
            let text = |name: &str| error[name].as_str().unwrap_or_default();
            let error = ErrorMetadata::builder()
                .code(text("__type"))
                .message(text("message"))
                .build();
            Err(OrchestratorError::operation(error))
        })
        .build();
    let called = calling.invoke(body).await;
    called.map_err(|error| {
        StepError::aws(
            &format!("{SERVICE}:{operation}"),
            &format!("queue {queue} in {region}"),
            error,
        )
    })
}
