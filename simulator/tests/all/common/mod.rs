//! The world that the tests of this folder share: the platform of the plan, seen from the Region that stands by.
#![allow(dead_code, reason = "each file of tests uses a part of it")]

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use shared::aws::Aws;
use shared::plan::Plan;
use simulator::aws::door::Door;
use simulator::aws::rds;
use simulator::clock::Clock;
use simulator::cloud::{AwsCall, Cloud};
use simulator::timings::{Range, Timings};
use simulator::workload::Platform;

pub const EAST: &str = "us-east-1";
pub const WEST: &str = "us-west-2";
pub const GLOBAL: &str = "radiant-global";

pub struct World {
    pub cloud: Arc<Cloud>,
    pub platform: Arc<Platform>,
    pub plan: Plan,
    pub aws: Aws,
}

fn exactly(milliseconds: u64) -> Range {
    let duration = Duration::from_millis(milliseconds);
    Range {
        from: duration,
        to: duration,
        source: "a test".to_owned(),
    }
}

/// The moment `second` seconds after the beginning.
pub fn at(second: i64) -> Timestamp {
    let beginning: Timestamp = "2026-01-01T12:00:00Z".parse().unwrap();
    Timestamp::from_second(beginning.as_second() + second).unwrap()
}

impl World {
    /// The platform at 12:00:00, replicating. A call takes 40 ms, to another Region 60 ms more.
    pub async fn new() -> Self {
        let plan: Plan = serde_saphyr::from_str(include_str!("../../../../radiant.plan.yaml")).unwrap();
        let timings = Timings {
            api_latency: exactly(40),
            cross_region_latency: exactly(60),
            replication_lag: exactly(500),
            global_failover_pending: exactly(4_000),
            global_failover: exactly(60_000),
            global_switchover: exactly(40_000),
            global_resync: exactly(1_200_000),
            data_api_ready: exactly(5_000),
            dns_change: exactly(30_000),
            event_source_change: exactly(20_000),
            health_event_delay: exactly(600_000),
            ..Timings::built_in().unwrap()
        };
        let cloud = Cloud::new(&plan.account, 7, Clock::starting_at(at(0)), timings);
        let platform = Platform::deploy(&cloud, &plan).await.unwrap();
        let aws = Door::new(&cloud, &platform, "caller", WEST).aws("table");
        tokio::spawn(rds::replicate(
            Arc::clone(&cloud.rds),
            cloud.environment(),
            GLOBAL.to_owned(),
        ));
        Self {
            cloud,
            platform,
            plan,
            aws,
        }
    }

    pub async fn wait_until(&self, second: i64) {
        self.cloud.clock.wait_until(at(second)).await;
    }

    /// How often the tests' own calls of this kind were made.
    pub fn counted(&self, region: &str, service: &str, operation: &str) -> u64 {
        let call = AwsCall {
            function: "caller".to_owned(),
            region: region.to_owned(),
            service: service.to_owned(),
            operation: operation.to_owned(),
        };
        self.cloud.calls().get(&call).copied().unwrap_or_default()
    }

    pub fn lambda(&self, region: &str) -> aws_sdk_lambda::Client {
        aws_sdk_lambda::Client::new(&self.aws.config_in(region))
    }

    pub fn rds(&self, region: &str) -> aws_sdk_rds::Client {
        aws_sdk_rds::Client::new(&self.aws.config_in(region))
    }
}
