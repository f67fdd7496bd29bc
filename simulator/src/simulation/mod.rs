//! A simulation: the platform, what watches it, and state machines with the functions that they invoke, in one process
//! and in virtual time.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;
use shared::aws::Aws;
use shared::plan::Plan;
use states_language::{StateMachine, TaskFailure};

use self::deployed::Functions;
use self::running::Inner;
use crate::aws::cloudwatch::{self, Alarm, CompositeAlarm};
use crate::aws::events::{self, Rule, Schedule};
use crate::aws::rds;
use crate::aws::route53;
use crate::aws::service::Service;
use crate::clock::Clock;
use crate::cloud::{AwsCall, Cloud, Touched};
use crate::cost::Usage;
use crate::faults::{End, InvocationFault, Which};
use crate::timings::Timings;
use crate::workload::{self, Platform};

pub use self::deployed::{MakeHandler, Wrap, function_arn};
pub use self::running::{EndedExecution, Invoked, InvokedBy, Observer};

mod deliveries;
mod deployed;
mod executions;
mod functions;
mod running;
#[cfg(test)]
mod tests;
mod urls;

/// What is deployed in one Region beside the platform itself.
#[derive(Clone)]
pub struct Deployment {
    /// The Region.
    pub region: String,
    /// Functions, by name.
    pub functions: Vec<(&'static str, MakeHandler)>,
    /// Whether each function has reserved concurrency.
    pub reserves_concurrency: bool,
    /// State machines: name, and text in the States Language with a `${Hole}` for each function ([`hole`]) and machine
    /// ([`machine_hole`]) that is deployed with it.
    pub machines: Vec<(&'static str, &'static str)>,
    /// What fills the machines' other holes: name and text.
    pub substitutions: Vec<(String, String)>,
    /// Alarms on metrics.
    pub alarms: Vec<Alarm>,
    /// Alarms on these alarms, and on those before them.
    pub composite_alarms: Vec<CompositeAlarm>,
    /// Rules.
    pub rules: Vec<Rule>,
    /// Schedules, all in this Region.
    pub schedules: Vec<Schedule>,
}

impl Deployment {
    /// Nothing, in this Region.
    pub fn empty(region: &str) -> Self {
        Self {
            region: region.to_owned(),
            functions: Vec::new(),
            reserves_concurrency: false,
            machines: Vec::new(),
            substitutions: Vec::new(),
            alarms: Vec::new(),
            composite_alarms: Vec::new(),
            rules: Vec::new(),
            schedules: Vec::new(),
        }
    }
}

/// What a simulation is like, beside what is deployed in it.
pub struct Conditions {
    /// What chance is drawn from: the same seed draws the same.
    pub seed: u64,
    /// What its clock shows when it begins.
    pub began_at: Timestamp,
    /// How long things take.
    pub timings: Timings,
    /// Services beside those of the simulator.
    pub services: Vec<Arc<dyn Service>>,
}

/// ARN of the first version of a state machine that is deployed: what other machines start.
fn version_arn(account: &str, region: &str, name: &str) -> String {
    format!("{}:1", machine_arn(account, region, name))
}

/// ARN of a state machine that is deployed, without a version.
pub fn machine_arn(account: &str, region: &str, name: &str) -> String {
    format!("arn:aws:states:{region}:{account}:stateMachine:{name}")
}

/// The `${Hole}` of a function: its name in Pascal case.
pub fn hole(name: &str) -> String {
    name.split('-')
        .map(|word| word[..1].to_uppercase() + &word[1..])
        .collect()
}

/// The `${Hole}` of a state machine: its name in Pascal case, and `Machine`.
pub fn machine_hole(name: &str) -> String {
    hole(name) + "Machine"
}

/// A running simulation. It lives on a current-thread runtime with a paused clock, inside a `LocalSet`, and goes on until
/// that runtime ends. One at a time on a thread: the SDK's back-off draws from the thread's generator of chance. Clones
/// are one and the same.
#[derive(Clone)]
pub struct Simulation {
    inner: Rc<Inner>,
}

impl Simulation {
    /// Builds the platform of `plan` and deploys `deployments` beside it, one for each Region; everything begins to run.
    /// Errors: a text, if there is no deployment or two in one Region, if a machine cannot be loaded, or if a resource
    /// cannot be made.
    pub async fn begin(
        plan: &Plan,
        deployments: Vec<Deployment>,
        seed: u64,
        began_at: Timestamp,
        observer: Observer,
    ) -> Result<Self, String> {
        let conditions = Conditions {
            seed,
            began_at,
            timings: Timings::built_in()?,
            services: Vec::new(),
        };
        Self::begin_in(plan, deployments, conditions, observer).await
    }

    /// Likewise, with the conditions spelled out.
    pub async fn begin_in(
        plan: &Plan,
        deployments: Vec<Deployment>,
        conditions: Conditions,
        observer: Observer,
    ) -> Result<Self, String> {
        let Conditions {
            seed,
            began_at,
            timings,
            services,
        } = conditions;
        // The SDK's back-off draws from this thread's generator.
        fastrand::seed(seed);
        let clock = Clock::starting_at(began_at);
        let cloud = Cloud::with_services(&plan.account, seed, clock, timings, services)?;
        let platform = Platform::deploy(&cloud, plan).await?;
        let mut regions: Vec<String> = Vec::new();
        let mut makers = BTreeMap::new();
        let mut reserving = BTreeSet::new();
        for deployment in deployments {
            let region = deployment.region.clone();
            if regions.contains(&region) {
                return Err(format!("there are two deployments in {region}"));
            }
            cloud
                .faults
                .deploy(&region, deployment.functions.iter().map(|(name, _)| *name));
            cloud
                .faults
                .deploy_machines(&region, deployment.machines.iter().map(|(name, _)| *name));
            for (name, make) in &deployment.functions {
                makers.insert((region.clone(), (*name).to_owned()), *make);
            }
            if deployment.reserves_concurrency {
                reserving.insert(region.clone());
            }
            deploy(&cloud, deployment)?;
            regions.push(region);
        }
        let region = regions.first().cloned().ok_or("nothing is deployed")?;
        let inner = Rc::new(Inner {
            cloud: Arc::clone(&cloud),
            platform: Arc::clone(&platform),
            table: plan.automation.table.clone(),
            region,
            functions: Functions::new(makers, reserving),
            observer,
            usage: RefCell::default(),
            invoked_by_machines: RefCell::default(),
            invoked: RefCell::default(),
            ended: RefCell::default(),
        });
        tokio::spawn(workload::run_customers(Arc::clone(&cloud), Arc::clone(&platform)));
        tokio::spawn(workload::run_heartbeat(Arc::clone(&cloud), Arc::clone(&platform)));
        tokio::spawn(workload::run_queues(Arc::clone(&cloud), platform));
        tokio::spawn(rds::replicate(
            Arc::clone(&cloud.rds),
            cloud.environment(),
            plan.database.global_cluster.clone(),
        ));
        tokio::spawn(route53::watch_health(
            Arc::clone(&cloud.route53),
            cloud.environment(),
            plan.dns.name.clone(),
        ));
        tokio::spawn(cloudwatch::evaluate_alarms(
            Arc::clone(&cloud.cloudwatch),
            cloud.environment(),
        ));
        let deliveries = cloud.events.deliveries();
        tokio::spawn(events::run_schedules(Arc::clone(&cloud.events), cloud.environment()));
        tokio::task::spawn_local(deliveries::deliver(Rc::clone(&inner), deliveries));
        let orders = cloud.executions.orders();
        tokio::task::spawn_local(executions::follow_orders(Rc::clone(&inner), orders));
        Ok(Self { inner })
    }

    /// The simulated AWS.
    pub fn cloud(&self) -> &Arc<Cloud> {
        &self.inner.cloud
    }

    /// The platform.
    pub fn platform(&self) -> &Arc<Platform> {
        &self.inner.platform
    }

    /// The simulated AWS as `caller` sees it from the first deployment's Region.
    pub fn aws(&self, caller: &str) -> Aws {
        self.aws_in(caller, &self.inner.region)
    }

    /// The simulated AWS as `caller` sees it from `region`.
    pub fn aws_in(&self, caller: &str, region: &str) -> Aws {
        self.inner.aws_in(caller, region)
    }

    /// Starts a machine in `region` by hand. Errors: a text, if the Region is away, if there is no such machine, or if
    /// Step Functions refuses the name or the input.
    pub fn start(&self, region: &str, machine: &str, name: &str, input: Value) -> Result<(), String> {
        let cloud = &self.inner.cloud;
        if !cloud.is_up(region) {
            return Err(format!("{region} does not answer"));
        }
        let arn = machine_arn(&cloud.account, region, machine);
        cloud
            .executions
            .start(cloud, region, &arn, Some(name), &input.to_string())
            .map(|_| ())
            .map_err(|refusal| refusal.to_string())
    }

    /// Deploys the next revision of a machine, and publishes a version of it; gives that one's ARN. Its functions are those
    /// that are deployed, and machines that were there before start the versions that they were made with. Errors: a text,
    /// if it cannot be loaded.
    pub fn update(
        &self,
        region: &str,
        machine: &str,
        text: &str,
        holes: &BTreeMap<String, String>,
    ) -> Result<String, String> {
        let cloud = &self.inner.cloud;
        let functions = self.inner.functions.names_in(region);
        let functions = functions.map(|name| (hole(name), function_arn(&cloud.account, region, name)));
        let holes = functions.chain(holes.clone()).collect();
        let parsed = StateMachine::parse(machine, text, &holes).map_err(|errors| errors.to_string())?;
        let arn = machine_arn(&cloud.account, region, machine);
        Ok(cloud.executions.publish(&arn, Arc::new(parsed)))
    }

    /// Waits until an execution was started, for `longest` at most; says whether one was.
    pub async fn wait_for_a_start(&self, longest: Duration) -> bool {
        let started = async {
            while self.inner.cloud.executions.started() == 0 {
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        };
        tokio::time::timeout(longest, started).await.is_ok()
    }

    /// Waits until an execution was started and all have ended, for `longest` at most; says whether that came about.
    pub async fn wait_for_executions(&self, longest: Duration) -> bool {
        let all_ended = async {
            loop {
                let (started, ended) = (self.inner.cloud.executions.started(), self.inner.ended.borrow().len());
                if started > 0 && ended >= started {
                    return;
                }
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        };
        tokio::time::timeout(longest, all_ended).await.is_ok()
    }

    /// The executions that have ended, in that order.
    pub fn ended(&self) -> Vec<EndedExecution> {
        self.inner.ended.borrow().clone()
    }

    /// From now on each invocation of a function in a Region fails at once with this error, as if its role were taken
    /// away. `error` is the name and `message` the cause that a state machine sees. Errors: a text, if there is no such
    /// function.
    pub fn break_function(&self, region: &str, function: &str, error: &str, message: &str) -> Result<(), String> {
        let failure = TaskFailure::new(error, message);
        self.inner
            .functions
            .change(region, function, |treatment| treatment.broken = Some(failure))
    }

    /// A function that was broken works again. Errors: a text, if there is no such function.
    pub fn mend_function(&self, region: &str, function: &str) -> Result<(), String> {
        self.inner
            .functions
            .change(region, function, |treatment| treatment.broken = None)
    }

    /// From now on, `wrap` makes the handlers of all functions: for tests that watch invocations, or repeat them.
    pub fn wrap_functions(&self, wrap: Wrap) {
        self.inner.functions.wrap(wrap);
    }

    /// Each invocation of a function in a Region that begins from now on is dropped when it has made `after_calls` AWS
    /// calls: the last has reached AWS, its answer has not come back. Forgets whether it was killed before. Errors: a
    /// text, if there is no such function.
    pub fn kill_function(&self, region: &str, function: &str, after_calls: u64) -> Result<(), String> {
        let faults = &self.inner.cloud.faults;
        self.inner.functions.change(region, function, |treatment| {
            if let Some(before) = treatment.killed_by {
                faults.lift(before);
            }
            let kill = InvocationFault {
                region: Some(region.to_owned()),
                function: Some(function.to_owned()),
                which: Which::EVERY,
                after_calls: after_calls..=after_calls,
                end: End::ProcessExited,
            };
            treatment.killed_by = Some(faults.on_invocations(kill));
        })
    }

    /// Invocations that begin from now on are not killed any more. Errors: a text, if there is no such function.
    pub fn let_live(&self, region: &str, function: &str) -> Result<(), String> {
        let faults = &self.inner.cloud.faults;
        self.inner.functions.change(region, function, |treatment| {
            if let Some(kill) = treatment.killed_by {
                faults.lift(kill);
            }
        })
    }

    /// Whether an invocation was killed since [`Simulation::kill_function`]: one that ends before its last call is not.
    pub fn was_killed(&self, region: &str, function: &str) -> bool {
        let killed_by = self.inner.functions.treatment(region, function).killed_by;
        killed_by.is_some_and(|kill| self.inner.cloud.faults.applied(kill) > 0)
    }

    /// Sends a POST request with a JSON body to the URL of a function, signed by `caller_arn` (a user, or a role's
    /// session); gives the answer's status and body. Errors: a text, if the Region is away or has no such function, if
    /// the caller is none that can sign, or if the answer is one that the simulator does not understand.
    pub async fn post_to_function(
        &self,
        region: &str,
        function: &str,
        caller_arn: &str,
        body: &str,
    ) -> Result<(u16, String), String> {
        urls::post(&self.inner, region, function, caller_arn, body).await
    }

    /// How often each deployed function made each kind of AWS call.
    pub fn calls(&self) -> Vec<(AwsCall, u64)> {
        let calls = self.inner.cloud.calls().into_iter();
        calls
            .filter(|(call, _)| self.inner.functions.has_name(&call.function))
            .collect()
    }

    /// What each deployed function touched with its AWS calls.
    pub fn touched(&self) -> BTreeSet<Touched> {
        let mut touched = self.inner.cloud.touched();
        touched.retain(|touched| self.inner.functions.has_name(&touched.function));
        touched
    }

    /// Who invoked what: machines, schedules, rules and people through functions' URLs.
    pub fn invoked(&self) -> BTreeSet<Invoked> {
        self.inner.invoked.borrow().clone()
    }

    /// What the executions and the functions that they invoked used, and those functions.
    pub fn usage(&self) -> (Usage, BTreeSet<String>) {
        let transitions = self
            .inner
            .ended
            .borrow()
            .iter()
            .map(|ended| ended.result.transitions)
            .sum();
        let usage = Usage {
            transitions,
            ..*self.inner.usage.borrow()
        };
        (usage, self.inner.invoked_by_machines.borrow().clone())
    }
}

/// Makes the machines, alarms, rules and schedules of a deployment.
fn deploy(cloud: &Arc<Cloud>, deployment: Deployment) -> Result<(), String> {
    let Deployment {
        region,
        functions,
        machines,
        substitutions,
        alarms,
        composite_alarms,
        rules,
        schedules,
        reserves_concurrency: _,
    } = deployment;
    let account = &cloud.account;
    let functions = functions
        .iter()
        .map(|(name, _)| (hole(name), function_arn(account, &region, name)));
    let holes = machines
        .iter()
        .map(|(name, _)| (machine_hole(name), version_arn(account, &region, name)))
        .chain(functions)
        .chain(substitutions)
        .collect();
    for (name, text) in machines {
        let machine = parsed(name, text, &holes)?;
        let arn = machine_arn(account, &region, name);
        cloud.executions.publish(&arn, machine);
    }
    for alarm in alarms {
        cloud.cloudwatch.put_alarm(cloud, &region, alarm)?;
    }
    for alarm in composite_alarms {
        cloud.cloudwatch.put_composite_alarm(cloud, &region, alarm)?;
    }
    for rule in rules {
        cloud.events.put_rule(&region, rule)?;
    }
    for schedule in schedules {
        if schedule.region != region {
            return Err(format!("schedule {} is not in {region}", schedule.name));
        }
        cloud.events.put_schedule(cloud, schedule)?;
    }
    Ok(())
}

/// A machine that was parsed, and of what.
struct Parsed {
    name: &'static str,
    text: &'static str,
    /// What was put into its holes.
    holes: BTreeMap<String, String>,
    machine: Arc<StateMachine>,
}

thread_local! {
    /// What this thread parsed before: campaigns deploy the same machines a thousand times.
    static PARSED: RefCell<Vec<Parsed>> = const { RefCell::new(Vec::new()) };
}

/// The machine `name` of this text, with its holes filled. Errors: a text, if it is not one.
fn parsed(
    name: &'static str,
    text: &'static str,
    holes: &BTreeMap<String, String>,
) -> Result<Arc<StateMachine>, String> {
    let before = PARSED.with_borrow(|parsed| {
        let mut parsed = parsed.iter();
        let same = parsed.find(|before| (before.name, before.text, &before.holes) == (name, text, holes));
        same.map(|before| Arc::clone(&before.machine))
    });
    if let Some(machine) = before {
        return Ok(machine);
    }
    let machine = Arc::new(StateMachine::parse(name, text, holes).map_err(|errors| errors.to_string())?);
    let new = Parsed {
        name,
        text,
        holes: holes.clone(),
        machine: Arc::clone(&machine),
    };
    PARSED.with_borrow_mut(|parsed| parsed.push(new));
    Ok(machine)
}
