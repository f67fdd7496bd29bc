//! Functions whose clocks are off.

use serde_json::json;
use states_language::ExecutionStatus;

use super::super::*;
use super::world::{ELSEWHERE, HERE, play, task};

fn machines() -> Vec<(&'static str, &'static str)> {
    let read = json!({
        "Resource": "arn:aws:states:::lambda:invoke",
        "Arguments": { "FunctionName": "${Clockwork}" },
        "Output": "{% $states.result.Payload %}",
    });
    vec![("reads", task(read))]
}

impl Simulation {
    /// How far the clock of the function is ahead, in milliseconds.
    async fn ahead(&self, region: &str, name: &str) -> i64 {
        self.start(region, "reads", name, json!({})).unwrap();
        let arn = super::world::arn(region, "reads", name);
        self.cloud().executions.ended(&arn).await.unwrap();
        let ExecutionStatus::Succeeded { output } = self.how_ended(region, "reads", name) else {
            panic!("{name} failed");
        };
        output.as_i64().unwrap() - self.cloud().now().as_millisecond()
    }
}

#[test]
fn each_function_has_a_clock_of_its_own_that_is_off_by_the_same_time() {
    play(machines(), |simulation| async move {
        let cloud = simulation.cloud();
        assert_eq!(simulation.ahead(HERE, "before").await, 0);
        let fault = cloud.skew_clocks(Duration::from_secs(90));
        assert_eq!(cloud.faults.applied(fault), 0);
        let (here, elsewhere) = (
            simulation.ahead(HERE, "one").await,
            simulation.ahead(ELSEWHERE, "one").await,
        );
        assert!(here != 0 && elsewhere != 0 && here != elsewhere, "{here}, {elsewhere}");
        assert!(here.abs() <= 90_000 && elsewhere.abs() <= 90_000, "{here}, {elsewhere}");
        tokio::time::sleep(Duration::from_secs(100)).await;
        assert_eq!(simulation.ahead(HERE, "two").await, here);
        assert_eq!(cloud.faults.applied(fault), 2, "once for each function");
        // Whoever is no function has the right time, and so has AWS.
        assert_eq!(simulation.aws("somebody").now(), cloud.now());
        let record = cloud.executions.get(&super::world::arn(HERE, "reads", "two")).unwrap();
        assert_eq!(record.stopped_at, Some(cloud.now()));
        // Another one holds in its place, until it is lifted.
        let another = cloud.skew_clocks(Duration::ZERO);
        assert_eq!(simulation.ahead(HERE, "three").await, 0);
        assert_eq!(cloud.faults.applied(another), 0);
        cloud.faults.lift(another);
        assert_eq!(simulation.ahead(HERE, "four").await, here);
        cloud.faults.lift_all();
        assert_eq!(simulation.ahead(HERE, "five").await, 0);
    });
}
