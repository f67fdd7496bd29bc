//! Services of the simulated AWS on a running clock, for `tests/e2e`: what the emulator there lacks.
//!
//! Usage: `simulated-services PLAN DISASTER SCALE SEED`. DISASTER is what may happen there: its world is set up. SCALE multiplies what
//! the simulator's durations are drawn from. One request is a line of JSON on standard input, one answer a line on standard output; they are joined by `id`, and come in any order. A call that
//! nobody would answer on AWS gets no answer here. The process ends with its input.

use std::collections::BTreeMap;
use std::io::{BufRead, Write};
use std::rc::Rc;
use std::time::Duration;

use aws_smithy_runtime_api::client::http::HttpConnector;
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_types::base64;
use aws_smithy_types::body::SdkBody;
use jiff::Timestamp;
use rehearsal::{Disaster, World, scenarios, world_of};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use shared::plan::Plan;
use shared::record::{Record, committed_heartbeat};
use simulator::aws::cloudwatch::{Alarm, Metric};
use simulator::aws::door::Door;
use simulator::environment::Reach;
use simulator::simulation::{Conditions, Deployment, Simulation};
use simulator::timings::Timings;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

#[derive(Deserialize)]
struct Line {
    id: u64,
    #[serde(flatten)]
    request: Request,
}

#[derive(Deserialize)]
#[serde(tag = "do", rename_all = "kebab-case", deny_unknown_fields)]
enum Request {
    /// A call to AWS.
    Call(Call),
    /// A request to the public internet from a Region.
    Get { from: String, host: String, path: String },
    /// Takes a part of a Region away.
    TakeAway { region: String, what: Part },
    /// The disaster happens.
    Strike,
    /// The alarms of the platform's own that watch for it.
    Alarms,
    /// Gives a Region back.
    GiveBack { region: String },
    /// What customers and the databases are like now.
    Look,
}

#[derive(Deserialize)]
struct Call {
    /// The Region of the caller.
    from: String,
    /// Who calls: the function's name.
    caller: String,
    method: String,
    /// The address at AWS: `https://rds.us-east-1.amazonaws.com/`.
    url: String,
    headers: BTreeMap<String, String>,
    /// In Base64: some protocols are no text.
    body: String,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Part {
    Whole,
    Apis,
    Customers,
    Database,
}

#[derive(Serialize)]
struct Answer {
    id: u64,
    #[serde(flatten)]
    is: Value,
}

fn main() -> Result<(), String> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [plan, disaster, scale, seed] = &*arguments else {
        return Err("usage: simulated-services PLAN DISASTER SCALE SEED".to_owned());
    };
    let text = std::fs::read_to_string(plan).map_err(|error| format!("{plan}: {error}"))?;
    let plan: Plan = serde_saphyr::from_str(&text).map_err(|error| format!("{plan}: {error}"))?;
    let known = scenarios::ALL.iter().find(|known| known.name() == disaster);
    let disaster = *known.ok_or_else(|| format!("no scenario {disaster}"))?;
    let scale: f64 = scale.parse().map_err(|error| format!("SCALE: {error}"))?;
    let seed = seed.parse().map_err(|error| format!("SEED: {error}"))?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .map_err(|error| format!("no runtime: {error}"))?;
    tokio::task::LocalSet::new().block_on(&runtime, serve(plan, disaster, scale, seed))
}

async fn serve(plan: Plan, disaster: &'static dyn Disaster, scale: f64, seed: u64) -> Result<(), String> {
    // It lives as long as this process, and so does what is made of it.
    let plan: &'static Plan = Box::leak(Box::new(plan));
    let (lines, mut requests) = unbounded_channel();
    std::thread::spawn(move || {
        for line in std::io::stdin().lock().lines().map_while(Result::ok) {
            if lines.send(line).is_err() {
                break;
            }
        }
    });
    let regions = [&plan.regions.primary.region, &plan.regions.standby.region];
    let deployments = regions.map(|region| Deployment::empty(region)).into();
    let conditions = Conditions {
        seed,
        began_at: Timestamp::now(),
        timings: Timings::built_in()?.scaled(scale),
        services: Vec::new(),
    };
    let simulation = Simulation::begin_in(plan, deployments, conditions, Box::new(|_| {})).await?;
    let world = world_of(disaster, plan, simulation)?;
    disaster.set_up(&world).await?;
    follow(&Rc::new(Served { disaster, world }), &mut requests).await
}

async fn follow(served: &Rc<Served>, requests: &mut UnboundedReceiver<String>) -> Result<(), String> {
    while let Some(line) = requests.recv().await {
        let Line { id, request } = serde_json::from_str(&line).map_err(|error| format!("{error}: {line}"))?;
        let served = Rc::clone(served);
        tokio::task::spawn_local(async move {
            let is = served
                .answer(request)
                .await
                .unwrap_or_else(|why| json!({ "error": why }));
            let mut out = std::io::stdout().lock();
            // Whoever asked may have gone.
            if serde_json::to_writer(&mut out, &Answer { id, is }).is_ok() {
                drop(out.write_all(b"\n").and_then(|()| out.flush()));
            }
        });
    }
    // Answers that are on their way may still be written.
    tokio::time::sleep(Duration::from_millis(10)).await;
    Ok(())
}

struct Served {
    disaster: &'static dyn Disaster,
    world: World<'static>,
}

impl Served {
    async fn answer(&self, request: Request) -> Result<Value, String> {
        let cloud = self.world.cloud();
        match request {
            Request::Call(call) => self.call(call).await,
            Request::Get { from, host, path } => {
                let simulation = &self.world.simulation;
                let answer = simulation
                    .platform()
                    .get_from(simulation.cloud(), &from, &host, &path)
                    .await;
                Ok(answer.map_or_else(
                    |_| json!({ "status": 0 }),
                    |answer| json!({ "status": answer.status, "body": answer.body }),
                ))
            }
            Request::TakeAway { region, what } => {
                cloud.take_away(&region, reach(what));
                Ok(json!({}))
            }
            Request::Strike => {
                self.disaster.strike(&self.world).await?;
                Ok(json!({}))
            }
            Request::Alarms => self.alarms(),
            Request::GiveBack { region } => {
                cloud.give_region_back(&region);
                Ok(json!({}))
            }
            Request::Look => self.look().await,
        }
    }

    async fn call(&self, call: Call) -> Result<Value, String> {
        let door = Door::new(
            self.world.simulation.cloud(),
            self.world.simulation.platform(),
            &call.caller,
            &call.from,
        );
        let body = base64::decode(&call.body).map_err(|error| format!("body: {error}"))?;
        let mut request = HttpRequest::new(SdkBody::from(body));
        request.set_method(&call.method).map_err(|error| error.to_string())?;
        request.set_uri(call.url).map_err(|error| error.to_string())?;
        for (name, value) in call.headers {
            request.headers_mut().insert(name, value);
        }
        let response = door.call(request).await.map_err(|error| format!("{error:?}"))?;
        let headers: BTreeMap<&str, &str> = response.headers().iter().collect();
        let body = response.body().bytes().unwrap_or_default();
        Ok(json!({
            "status": response.status().as_u16(),
            "headers": headers,
            "body": base64::encode(body),
        }))
    }

    /// As `PutMetricAlarm` takes them; those on metric math are the stack's own.
    fn alarms(&self) -> Result<Value, String> {
        let watching = self.disaster.watching(self.world.plan)?;
        let alarms = watching.iter().flat_map(|watching| {
            let plain = watching.alarms.iter().filter(|alarm| alarm.or_metrics.is_empty());
            plain.map(|alarm| {
                json!({
                    "region": watching.region,
                    "alarm": {
                        "AlarmName": alarm.name,
                        "Namespace": alarm.metric.namespace,
                        "MetricName": alarm.metric.name,
                        "Dimensions": dimensions(&alarm.metric),
                        "Statistic": alarm.statistic.name(),
                        "Period": alarm.period.as_secs(),
                        "EvaluationPeriods": alarm.evaluation_periods,
                        "DatapointsToAlarm": alarm.datapoints_to_alarm,
                        "Threshold": alarm.threshold,
                        "ComparisonOperator": alarm.comparison.name(),
                        "ActionsEnabled": alarm.actions_enabled,
                    },
                })
            })
        });
        Ok(json!({ "alarms": alarms.collect::<Vec<_>>() }))
    }

    /// What the platform and RDS leave behind outside the database, for the emulator's own table and metrics; and what is true.
    async fn look(&self) -> Result<Value, String> {
        let (cloud, plan) = (self.world.cloud(), self.world.plan);
        let (primary, standby) = (&plan.regions.primary, &plan.regions.standby);
        let mut left = Vec::new();
        for (from, to) in [(primary, standby), (standby, primary)] {
            // Nobody asks there what was left.
            if !cloud.environment().runs(&to.region) {
                continue;
            }
            let record = self.record(&to.region);
            let beat = record.last_committed_heartbeat(&plan.workload, &from.region).await;
            if let Some(at) = beat.map_err(|error| error.to_string())? {
                let item: BTreeMap<_, _> = committed_heartbeat(&plan.workload, &from.region, at).into();
                left.push(json!({ "region": to.region, "item": item }));
            }
        }
        let here = self.world.here;
        let ledger = match cloud.environment().runs(here) {
            true => self
                .record(here)
                .ledger_since(&plan.workload, Timestamp::UNIX_EPOCH)
                .await
                .map_err(|error| error.to_string())?,
            false => Vec::new(),
        };
        let lags = [primary, standby].map(|site| {
            let metric = Metric {
                namespace: "AWS/RDS".to_owned(),
                name: "AuroraGlobalDBRPOLag".to_owned(),
                dimensions: BTreeMap::from([("DBClusterIdentifier".to_owned(), site.cluster.clone())]),
            };
            (site.region.clone(), metric)
        });
        let watching = self.disaster.watching(plan)?;
        let watched = watching.iter().flat_map(|watching| {
            let metrics = watching.alarms.iter().flat_map(Alarm::metrics);
            metrics.map(|metric| (watching.region.clone(), metric.clone()))
        });
        let metrics = lags.into_iter().chain(watched).map(|(region, metric)| {
            let values = cloud.cloudwatch.largest(&region, &metric);
            // Each minute that there is anything to say; what is not published any more is not 0.
            json!({
                "region": region,
                "namespace": metric.namespace,
                "name": metric.name,
                "dimensions": dimensions(&metric),
                "minutes": values.len(),
                "value": values.last(),
            })
        });
        Ok(json!({
            "now": cloud.now(),
            "writer": cloud.rds.writer_of(&cloud.environment(), &plan.database.global_cluster),
            "heartbeats": left,
            "ledger": { "region": here, "entries": ledger },
            "metrics": metrics.collect::<Vec<_>>(),
            "snapshot": cloud.snapshot(),
        }))
    }

    fn record(&self, region: &str) -> Record {
        Record::in_region(&self.world.simulation.aws_in("platform", region), region)
    }
}

/// A metric's dimensions, as CloudWatch takes them.
fn dimensions(metric: &Metric) -> Vec<Value> {
    let dimensions = metric.dimensions.iter();
    dimensions
        .map(|(name, value)| json!({ "Name": name, "Value": value }))
        .collect()
}

fn reach(part: Part) -> Reach {
    match part {
        Part::Whole => Reach::Whole,
        Part::Apis => Reach::Apis,
        Part::Customers => Reach::Customers,
        Part::Database => Reach::Database,
    }
}
