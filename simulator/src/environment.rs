//! What every simulated service stands in: the account, time, chance, how long things take, and what is away or goes wrong.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use jiff::Timestamp;

use crate::chance::Chance;
use crate::clock::Clock;
use crate::faults::{FaultId, Faults};
use crate::lock::lock;
use crate::timings::{Range, Timings};

/// What of a Region is taken away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// All of it: nothing in it answers, and nothing in it reaches anything.
    Whole,
    /// Its control planes and APIs: no AWS call aimed at it is answered, and no alarm in it is evaluated. Customers reach
    /// the platform there, whose functions reach their own database and the other Region, and replication goes on.
    Apis,
    /// The way of customers to it. AWS calls are answered, and replication goes on.
    Customers,
    /// RDS in it: its control plane and the Data API fail or do not answer, its clusters take neither reads nor writes, and
    /// nothing is replicated from or to them. Everything else in the Region works.
    Database,
}

impl Reach {
    /// Whether databases and their replication stand still.
    fn stops_databases(self) -> bool {
        matches!(self, Self::Whole | Self::Database)
    }
}

/// A way that nothing passes any more, in either direction. What is at its ends goes on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cut {
    /// From this Region to every other one and to the public internet. Customers and people still reach it.
    Around(String),
    /// Between these two Regions, also over the public internet. Both reach everything else.
    Between(String, String),
}

impl Cut {
    fn is_between(&self, one: &str, other: &str) -> bool {
        match self {
            Self::Around(region) => region == one || region == other,
            Self::Between(a, b) => (a == one && b == other) || (a == other && b == one),
        }
    }
}

/// A time in which a Region, or a part of what it does, was away.
#[derive(Clone, Debug)]
pub(crate) struct Outage {
    /// What is away.
    pub what: Reach,
    /// Since when.
    pub from: Timestamp,
    /// Until when; nothing while it lasts.
    pub until: Option<Timestamp>,
}

/// What every service stands in.
pub struct Environment {
    /// The account's number.
    pub account: String,
    /// The virtual clock.
    pub clock: Clock,
    /// How long things take.
    pub timings: Timings,
    /// The streams of chance.
    pub chance: Chance,
    outages: Mutex<BTreeMap<String, Vec<Outage>>>,
    /// The ways that are cut, and since when.
    cuts: Mutex<Vec<(Cut, Timestamp)>>,
    /// What goes wrong in calls, deliveries, invocations, databases and clocks.
    pub faults: Faults,
}

impl Environment {
    /// An account in which nothing is away. The same seed draws the same durations.
    pub fn new(account: &str, seed: u64, clock: Clock, timings: Timings) -> Arc<Self> {
        Arc::new(Self {
            account: account.to_owned(),
            clock,
            timings,
            chance: Chance::new(seed),
            outages: Mutex::default(),
            cuts: Mutex::default(),
            faults: Faults::default(),
        })
    }

    /// The virtual time.
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Draws from a stream of chance of its own name, so that one part drawing more leaves the others as they were.
    pub fn chance<T>(&self, stream: &'static str, draw: impl FnOnce(&mut fastrand::Rng) -> T) -> T {
        self.chance.draw(stream, draw)
    }

    /// Draws a duration, to the millisecond.
    pub fn draw(&self, stream: &'static str, range: &Range) -> Duration {
        let (from, to) = (range.from.as_millis() as u64, range.to.as_millis() as u64);
        Duration::from_millis(self.chance(stream, |rng| rng.u64(from..=to)))
    }

    /// How long a call from one Region to another takes, its answer included.
    pub(crate) fn latency(&self, from: &str, to: &str) -> Duration {
        let latency = self.draw("api-latency", &self.timings.api_latency);
        if from == to {
            return latency;
        }
        latency + self.draw("api-latency", &self.timings.cross_region_latency)
    }

    /// Whether a call from one Region reaches another, and its answer the caller.
    pub(crate) fn connects(&self, from: &str, to: &str) -> bool {
        self.runs(from) && self.apis_answer(to) && self.passes(from, to)
    }

    /// Cuts a way, from now on.
    pub fn cut(&self, cut: Cut) {
        lock(&self.cuts).push((cut, self.now()));
    }

    /// Gives every way back that was cut.
    pub fn mend_ways(&self) {
        lock(&self.cuts).clear();
    }

    /// Whether anything passes between two Regions.
    pub fn passes(&self, from: &str, to: &str) -> bool {
        self.cut_since(from, to).is_none()
    }

    /// Since when nothing passes between two Regions; nothing, where it does.
    pub(crate) fn cut_since(&self, from: &str, to: &str) -> Option<Timestamp> {
        let cuts = lock(&self.cuts);
        let such = cuts.iter().filter(|(cut, _)| from != to && cut.is_between(from, to));
        such.map(|(_, since)| *since).min()
    }

    /// Whether what runs in a Region reaches the public internet.
    pub(crate) fn reaches_internet(&self, region: &str) -> bool {
        let is_around = |cut: &Cut| matches!(cut, Cut::Around(around) if around == region);
        self.runs(region) && !lock(&self.cuts).iter().any(|(cut, _)| is_around(cut))
    }

    /// Takes a Region away: nothing in it answers from now on, and nothing in it reaches anything.
    pub fn take_region_away(&self, region: &str) {
        self.take_away(region, Reach::Whole);
    }

    /// Takes away what `what` says of a Region, on top of what is away already.
    pub fn take_away(&self, region: &str, what: Reach) {
        if !self.is_away(region, &[what]) {
            let outage = Outage {
                what,
                from: self.now(),
                until: None,
            };
            lock(&self.outages).entry(region.to_owned()).or_default().push(outage);
        }
    }

    /// Gives a Region back, whatever of it was away.
    pub fn give_region_back(&self, region: &str) {
        self.end_outages(region, |_| true);
    }

    /// Gives back this part of a Region; what else of it is away stays away.
    pub fn give_back(&self, region: &str, what: Reach) {
        self.end_outages(region, |outage| outage.what == what);
    }

    fn end_outages(&self, region: &str, which: impl Fn(&Outage) -> bool) {
        let now = self.now();
        if let Some(outages) = lock(&self.outages).get_mut(region) {
            for outage in outages.iter_mut().filter(|outage| which(outage)) {
                outage.until.get_or_insert(now);
            }
        }
    }

    /// Whether neither a Region is away nor its APIs or the way of customers to it.
    pub fn is_up(&self, region: &str) -> bool {
        !self.is_away(region, &[Reach::Whole, Reach::Apis, Reach::Customers])
    }

    /// Whether what is in a Region runs, as far as it does not need its databases.
    pub fn runs(&self, region: &str) -> bool {
        !self.is_away(region, &[Reach::Whole])
    }

    /// Whether a Region's control planes and APIs answer.
    pub fn apis_answer(&self, region: &str) -> bool {
        !self.is_away(region, &[Reach::Whole, Reach::Apis])
    }

    /// Whether customers, and everybody else on the public internet, reach the platform in a Region.
    pub fn customers_reach(&self, region: &str) -> bool {
        !self.is_away(region, &[Reach::Whole, Reach::Customers])
    }

    /// Whether the databases in a Region and their replication run.
    pub fn databases_run(&self, region: &str) -> bool {
        !self.is_away(region, &[Reach::Whole, Reach::Database])
    }

    /// Whether the databases in a Region alone are away.
    pub(crate) fn database_is_away(&self, region: &str) -> bool {
        self.is_away(region, &[Reach::Database])
    }

    fn is_away(&self, region: &str, parts: &[Reach]) -> bool {
        lock(&self.outages).get(region).is_some_and(|outages| {
            let mut open = outages.iter().filter(|outage| outage.until.is_none());
            open.any(|outage| parts.contains(&outage.what))
        })
    }

    /// Since when the databases in a Region stood still, the first time that they did between `from` and `to`, both
    /// included. Nothing, if they ran all the time.
    pub(crate) fn databases_away_between(&self, region: &str, from: Timestamp, to: Timestamp) -> Option<Timestamp> {
        lock(&self.outages)
            .get(region)?
            .iter()
            .filter(|outage| outage.what.stops_databases())
            .find(|outage| outage.from <= to && outage.until.is_none_or(|until| from < until))
            .map(|outage| outage.from)
    }

    /// When the databases in these Regions had all run for `length` without a break, counted from `from` at the earliest.
    /// Nothing, if some stand still and that is not known yet.
    pub(crate) fn databases_had_run_for(
        &self,
        regions: &[&str],
        from: Timestamp,
        length: Duration,
    ) -> Option<Timestamp> {
        let outages = lock(&self.outages);
        let of_these = regions.iter().filter_map(|region| outages.get(*region)).flatten();
        let mut breaks: Vec<&Outage> = of_these.filter(|outage| outage.what.stops_databases()).collect();
        breaks.sort_by_key(|outage| outage.from);
        let mut start = from;
        for outage in breaks {
            if outage.from >= start.checked_add(length).unwrap_or(Timestamp::MAX) {
                break;
            }
            start = start.max(outage.until?);
        }
        start.checked_add(length).ok()
    }

    /// Every outage that there was or is, of whatever part of a Region: the Region, and when.
    pub(crate) fn outages(&self) -> Vec<(String, Outage)> {
        let outages = lock(&self.outages);
        let each = outages.iter().flat_map(|(region, outages)| {
            let outages = outages.iter();
            outages.map(|outage| (region.clone(), outage.clone()))
        });
        each.collect()
    }

    /// Sets the clocks of the functions that are deployed now off: each, by Region and function, by a time of its own,
    /// drawn from up to `by` in either direction. What AWS itself writes stays right. It has come about once for each
    /// function that has read its clock since.
    pub fn skew_clocks(&self, by: Duration) -> FaultId {
        self.faults.skew_clocks(&self.chance, by)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn environment() -> Arc<Environment> {
        Environment::new(
            "123456789012",
            1,
            Clock::starting_at(at(0)),
            Timings::built_in().unwrap(),
        )
    }

    #[tokio::test(start_paused = true)]
    async fn outages_are_remembered() {
        let environment = environment();
        environment.give_region_back("us-west-2");
        for (from, until) in [(10, 20), (30, 40)] {
            environment.clock.wait_until(at(from)).await;
            environment.take_region_away("us-west-2");
            environment.clock.wait_until(at(from + 5)).await;
            // It is away already.
            environment.take_region_away("us-west-2");
            assert!(!environment.is_up("us-west-2") && environment.is_up("us-east-1"));
            environment.clock.wait_until(at(until)).await;
            environment.give_region_back("us-west-2");
            assert!(environment.is_up("us-west-2"));
        }
        let away = |from, to| environment.databases_away_between("us-west-2", at(from), at(to));
        assert_eq!(
            (away(0, 9), away(9, 10), away(19, 19)),
            (None, Some(at(10)), Some(at(10)))
        );
        assert_eq!(
            (away(20, 29), away(20, 35), away(15, 35)),
            (None, Some(at(30)), Some(at(10)))
        );
        assert_eq!(
            (
                away(40, 99),
                environment.databases_away_between("us-east-1", at(0), at(99))
            ),
            (None, None)
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_part_of_a_region_is_away_alone_and_comes_back_with_the_rest() {
        let environment = environment();
        let answers = || {
            let (environment, region) = (&environment, "us-west-2");
            [
                environment.is_up(region),
                environment.runs(region),
                environment.apis_answer(region),
                environment.customers_reach(region),
            ]
        };
        assert_eq!(answers(), [true; 4]);
        for (what, expected) in [
            (Reach::Whole, [false; 4]),
            (Reach::Apis, [false, true, false, true]),
            (Reach::Customers, [false, true, true, false]),
            (Reach::Database, [true; 4]),
        ] {
            environment.take_away("us-west-2", what);
            assert_eq!(answers(), expected, "{what:?}");
            let stops_databases = matches!(what, Reach::Whole | Reach::Database);
            assert_eq!(environment.databases_run("us-west-2"), !stops_databases, "{what:?}");
            environment.give_region_back("us-west-2");
            assert_eq!(answers(), [true; 4], "{what:?}");
        }
        environment.take_away("us-west-2", Reach::Apis);
        environment.take_away("us-west-2", Reach::Customers);
        assert_eq!(answers(), [false, true, false, false]);
        environment.give_back("us-west-2", Reach::Apis);
        assert_eq!(answers(), [false, true, true, false]);
        environment.take_region_away("us-west-2");
        assert_eq!(answers(), [false; 4]);
        environment.give_region_back("us-west-2");
        assert_eq!(answers(), [true; 4]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_way_that_is_cut_leaves_the_others() {
        let environment = environment();
        let (a, b, c) = ("a", "b", "c");
        let passes = |pairs: [(&str, &str); 4]| pairs.map(|(from, to)| environment.connects(from, to));
        let pairs = [(a, b), (b, a), (a, c), (a, a)];
        environment.cut(Cut::Between(b.to_owned(), a.to_owned()));
        assert_eq!(passes(pairs), [false, false, true, true]);
        assert!(environment.reaches_internet(a) && environment.reaches_internet(b));
        environment.mend_ways();
        assert_eq!(passes(pairs), [true; 4]);
        environment.cut(Cut::Around(a.to_owned()));
        assert_eq!(passes(pairs), [false, false, false, true]);
        assert!(environment.connects(b, c));
        assert_eq!(
            (environment.reaches_internet(a), environment.reaches_internet(b)),
            (false, true)
        );
        environment.clock.wait_until(at(10)).await;
        environment.cut(Cut::Between(a.to_owned(), b.to_owned()));
        assert_eq!(
            (environment.cut_since(a, b), environment.cut_since(b, c)),
            (Some(at(0)), None)
        );
    }

    #[tokio::test(start_paused = true)]
    async fn what_takes_its_time_begins_anew_after_a_break() {
        let environment = environment();
        for (region, from, until) in [("a", 10, 20), ("b", 30, 40)] {
            environment.clock.wait_until(at(from)).await;
            environment.take_region_away(region);
            environment.clock.wait_until(at(until)).await;
            environment.give_region_back(region);
        }
        environment.take_away("a", Reach::Apis);
        let had_run = |regions: &[&str], from, length| {
            let length = Duration::from_secs(length);
            environment
                .databases_had_run_for(regions, at(from), length)
                .map(Timestamp::as_second)
        };
        assert_eq!((had_run(&["a"], 0, 10), had_run(&["a"], 0, 11)), (Some(10), Some(31)));
        assert_eq!((had_run(&["a"], 12, 5), had_run(&["a"], 25, 5)), (Some(25), Some(30)));
        assert_eq!(
            (had_run(&["a", "b"], 0, 10), had_run(&["b", "a"], 0, 11)),
            (Some(10), Some(51))
        );
        environment.take_region_away("b");
        assert_eq!((had_run(&["a", "b"], 0, 11), had_run(&["b"], 0, 30)), (None, Some(30)));
    }
}
