//! What follows from the evidence: which way to go, what forbids it, and who must approve.

use aws_sdk_rds::types::DbCluster;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use shared::approval::Ask;
use shared::global_database::{GlobalDatabase, Promotion, serves};
use shared::plan::Objective;
use shared::record::{Warning, WarningCode};
use shared::recovery::Way;
use shared::scenario::region_failure::Intent;

use crate::evidence::{Evidence, Metrics};
use crate::input::Input;
use crate::loss::{Against, ExpectedLoss, Known, expected_loss};
use crate::signals::{
    OBSERVER, OTHER_SIDE, PROBE, REPLICATION, Says, Signal, beginning_of_outage, may_have_begun_before,
    observer_signal, other_side_signal, probe_signal, replication_signal,
};
use crate::versions;
use crate::{heartbeats, writer};

/// What was found, and what follows.
#[derive(Debug, PartialEq, Serialize)]
pub struct Output {
    /// What each source says of the Region that may be lost.
    pub signals: Vec<Signal>,
    /// What forbids going on. Empty means go.
    pub blockers: Vec<String>,
    /// What a person should know.
    pub warnings: Vec<Warning>,
    /// What AWS Health says, for people.
    pub health: Vec<String>,
    /// Whether it answered.
    pub health_answered: bool,
    /// When customers first suffered, as far as is known.
    pub impact_at: Timestamp,
    /// Whether nobody saw that: it may have been before. The first bad minute stands in for it where the probe was silent just before,
    /// and else the start.
    pub impact_assumed: bool,
    /// How much would be lost.
    pub expected_loss: ExpectedLoss,
    /// The same in words, with what it follows from.
    pub expected_loss_in_words: String,
    /// The way to go, if nothing forbids it.
    pub way: Way,
    /// Whether that way can lose writes.
    pub can_lose_writes: bool,
    /// Whether this Region's cluster took the writes before this recovery had decided anything: nothing is promoted, and
    /// what came before it is not measured.
    pub already_here: bool,
    /// Whether the other Region answers, so that it can be seen whether a fence holds.
    pub fence_confirmable: bool,
    /// What people are asked, and how many of them.
    pub ask: Ask,
    /// The other Region's topic, where a signal is unknown: whatever keeps this Region from knowing may keep its topic from telling.
    pub also_tell: Option<String>,
    /// When this was decided.
    pub decided_at: Timestamp,
}

/// What is kept of a decision for a resumed recovery.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Decision {
    pub(crate) way: Way,
    pub(crate) impact_at: Timestamp,
    pub(crate) decided_at: Timestamp,
    pub(crate) expected_loss: ExpectedLoss,
    /// As in [`Output`].
    #[serde(default)]
    pub(crate) already_here: bool,
    /// As in [`Output`].
    #[serde(default)]
    pub(crate) impact_assumed: bool,
}

/// Whether this Region's cluster took the writes before this recovery had decided anything.
pub(crate) fn already_here(input: &Input, database: &GlobalDatabase, before: Option<Decision>) -> bool {
    database.promotion(&input.here.cluster_arn) == Promotion::Done && before.is_none_or(|before| before.already_here)
}

/// Since when heartbeats must show that it wrote, so that nothing is lost.
pub(crate) fn heartbeats_since(evidence: &Evidence) -> Timestamp {
    let last_committed = evidence.last_committed.as_ref().ok().copied().flatten();
    let probe = evidence.metrics.as_ref().map(|metrics| &metrics.probe);
    let outage = probe
        .ok()
        .and_then(|probe| beginning_of_outage(probe, last_committed, evidence.now));
    let since = match outage {
        Some(outage) => outage.checked_sub(heartbeats::BEFORE_AN_OUTAGE),
        None => evidence.now.checked_sub(heartbeats::WINDOW),
    };
    since.unwrap_or(evidence.now)
}

/// Everything that this step decides. `before` is what this recovery decided earlier, if it is resumed.
pub(crate) fn assess(input: &Input, evidence: &Evidence, before: Option<Decision>) -> Output {
    let none = Metrics::default();
    let metrics = evidence.metrics.as_ref().unwrap_or(&none);
    let mut warnings = Vec::new();
    if let Err(error) = &evidence.metrics {
        warnings.push(Warning::new(WarningCode::MetricsUnread, "could not read the metrics").because(error));
    }
    if let Err(error) = &evidence.last_committed {
        let region = &input.other.region;
        let text = format!("could not read the last heartbeat of {region}");
        warnings.push(
            Warning::new(WarningCode::HeartbeatUnread, text)
                .about(region)
                .because(error),
        );
    }
    let last_committed = evidence.last_committed.as_ref().ok().copied().flatten();
    let outage = beginning_of_outage(&metrics.probe, last_committed, evidence.now);
    // A probe publishes that the service is down only with proof, where the plan names what proves it.
    let named = input.probe.outside.as_ref().map(|_| ());
    let of_probes = named.ok_or_else(|| "the plan names nothing outside to prove it with (probe.outside)".to_owned());
    let mut signals = vec![
        probe_signal(PROBE, &metrics.probe, &evidence.probed, evidence.now).proved_by(&of_probes),
        replication_signal(&metrics.lag, &metrics.no_lag, outage, evidence.now).proved_by(&evidence.proof),
        other_side_signal(&input.other, &evidence.other, evidence.is_silent).proved_by(&evidence.proof),
    ];
    let observed = evidence.observer.as_ref();
    signals.extend(observed.map(|observed| observer_signal(observed, evidence.now).proved_by(&of_probes)));
    let mut blockers = blockers_here(input, evidence);
    let promotion = match evidence.database.promotion(&input.here.cluster_arn) {
        // Whoever wants a failover does not want the switchover that goes on.
        Promotion::Underway(transition)
            if transition.way == Some(Way::Switchover) && input.intent == Intent::Failover =>
        {
            Promotion::NotStarted
        }
        promotion => promotion,
    };
    let impact_assumed = match (before, outage) {
        (Some(before), Some(outage)) if outage <= before.impact_at => may_have_begun_before(&metrics.probe, outage),
        (Some(before), _) => before.impact_assumed,
        (None, Some(outage)) => may_have_begun_before(&metrics.probe, outage),
        // A planned move begins with its start: nobody suffered before it.
        (None, None) => input.intent != Intent::Switchover,
    };
    let impact_at = match (before, outage) {
        // It is the same disaster, also where the probe has recovered meanwhile or reads another Region's metrics.
        (Some(before), Some(outage)) => before.impact_at.min(outage),
        (Some(before), None) => before.impact_at,
        (None, Some(outage)) => outage,
        (None, None) => {
            if input.intent != Intent::Switchover {
                let text = "the probe's metric shows no outage; the time of the start is used as the time of the \
                            impact";
                warnings.push(Warning::new(WarningCode::NoOutageSeen, text));
            }
            input.triggered_at
        }
    };
    // A promotion that has begun or is done continues as it was decided.
    let already_here = already_here(input, &evidence.database, before);
    let (way, decided_at) = match (&promotion, before) {
        (Promotion::Done, Some(before)) if !already_here => (before.way, before.decided_at),
        (Promotion::Underway(transition), before) => (
            transition
                .way
                .or(before.map(|before| before.way))
                .unwrap_or(Way::Failover),
            before.map_or(evidence.now, |before| before.decided_at),
        ),
        (Promotion::Done, _) => {
            let text = "this Region's cluster already took the writes before this recovery began; nothing is \
                        promoted";
            warnings.push(Warning::new(WarningCode::PromotedBefore, text));
            blockers.extend(way(input, &signals).err());
            let way = match input.intent {
                Intent::Switchover => Way::Switchover,
                Intent::Failover | Intent::Decide => Way::Failover,
            };
            (way, evidence.now)
        }
        (Promotion::NotStarted | Promotion::Elsewhere(_) | Promotion::Unclear(_), _) => {
            let way = way(input, &signals);
            (
                way.unwrap_or_else(|blocker| {
                    blockers.push(blocker);
                    Way::Switchover
                }),
                evidence.now,
            )
        }
    };
    if promotion == Promotion::NotStarted && way == Way::Switchover && blockers.is_empty() {
        blockers.extend(switchover_blockers(&signals));
    }
    // What goes on already needs no more of this than what it had.
    let begins = already_here || promotion == Promotion::NotStarted;
    if begins {
        warnings.extend(evidence.fitness.quota.iter().cloned());
    }
    match way {
        Way::Switchover if begins => blockers.extend(evidence.fitness.blockers(input)),
        _ => warnings.extend(evidence.fitness.warnings(input)),
    }
    let (expected_loss, loss_in_words) = match (way, before) {
        _ if already_here => loss_where_it_was_here(input, evidence),
        (Way::Switchover, _) => in_words(ExpectedLoss::None),
        // After the promotion began, lag says nothing any more.
        (Way::Failover, Some(before)) if promotion != Promotion::NotStarted => in_words(before.expected_loss),
        (Way::Failover, _) => in_words(expected_loss(&Known {
            lag: &metrics.lag,
            impact_at,
            last_committed,
            heartbeat_seconds: input.database.heartbeat_seconds,
            now: evidence.now,
        })),
    };
    let fence_confirmable = evidence.other.is_ok();
    let proposal = Proposal {
        input,
        way,
        expected_loss,
        loss_in_words: &loss_in_words,
        signals: &signals,
        fence_confirmable,
        already_here,
        promotion: match (&promotion, before) {
            (Promotion::NotStarted | Promotion::Elsewhere(_) | Promotion::Unclear(_), _) => Begun::Not,
            (_, Some(_)) if !already_here => Begun::ByThisRecovery,
            (_, _) => Begun::BySomebody,
        },
        more_doubts: [
            writer::doubt(&evidence.database),
            evidence.fitness.doubt(input),
            stopped_on_purpose(input, evidence),
        ]
        .into_iter()
        .flatten()
        .filter(|_| promotion == Promotion::NotStarted)
        .collect(),
    };
    let ask = proposal.ask(&warnings, &evidence.health.says);
    let is_unknown = signals.iter().any(|signal| signal.says == Says::Unknown);
    let also_tell = is_unknown.then(|| input.other.topic_arn.clone());
    Output {
        signals,
        blockers,
        warnings,
        health: evidence.health.says.clone(),
        health_answered: evidence.health.answered,
        impact_at,
        impact_assumed,
        expected_loss_in_words: loss_in_words,
        expected_loss,
        way,
        can_lose_writes: match already_here {
            true => expected_loss != ExpectedLoss::None,
            false => way == Way::Failover,
        },
        already_here,
        fence_confirmable,
        ask,
        also_tell,
        decided_at,
    }
}

fn in_words(loss: ExpectedLoss) -> (ExpectedLoss, String) {
    (loss, loss.in_words())
}

/// What is lost where this Region's cluster took the writes already: nothing, if heartbeats show that it did so all the
/// while. Otherwise somebody may have moved it here with a loss, of which nothing is known.
fn loss_where_it_was_here(input: &Input, evidence: &Evidence) -> (ExpectedLoss, String) {
    let unmeasured = |why: String| (ExpectedLoss::Unmeasured, format!("unmeasured: {why}; it is not zero"));
    let region = &input.here.region;
    match &evidence.heartbeats {
        Err(error) => unmeasured(format!("could not read the heartbeats of {region}: {error}")),
        Ok(None) => unmeasured(format!("{region} has no heartbeats from the time in question")),
        Ok(Some(found)) if found.without_a_gap(input.database.heartbeat_seconds, evidence.now) => {
            let since = found.since;
            let words = format!("none: heartbeats show that {region} has written without a gap since {since}");
            (ExpectedLoss::None, words)
        }
        Ok(Some(found)) => unmeasured(format!("the heartbeats of {region} since {} have a gap", found.since)),
    }
}

fn says(signals: &[Signal], source: &str) -> Says {
    let signal = signals.iter().find(|signal| signal.source == source);
    signal.map_or(Says::Unknown, |signal| signal.says)
}

/// The way that loses least, or the one that is wanted. A switchover works only if the other side's control plane and
/// replication are there. Errors: why nothing is to be done at all.
fn way(input: &Input, signals: &[Signal]) -> Result<Way, String> {
    match input.intent {
        Intent::Switchover => return Ok(Way::Switchover),
        Intent::Failover => return Ok(Way::Failover),
        Intent::Decide => {}
    }
    let any_down = signals.iter().any(|signal| signal.says == Says::Down);
    let from_outside = [(PROBE, "outside probe"), (OBSERVER, "observer")];
    let healthy = from_outside
        .iter()
        .find(|(source, _)| says(signals, source) == Says::Healthy);
    if let Some((_, name)) = healthy.filter(|_| !any_down) {
        return Err(format!(
            "the {name} finds the service healthy: there is nothing to recover"
        ));
    }
    let other_side_works = says(signals, OTHER_SIDE) == Says::Healthy && says(signals, REPLICATION) == Says::Healthy;
    Ok(if other_side_works {
        Way::Switchover
    } else {
        Way::Failover
    })
}

/// What forbids a switchover: either side that is not healthy, as far as it can be seen.
fn switchover_blockers(signals: &[Signal]) -> Vec<String> {
    let of = |source: &str| signals.iter().find(|signal| signal.source == source);
    let other_side = of(OTHER_SIDE).filter(|signal| signal.says != Says::Healthy);
    let replication = of(REPLICATION).filter(|signal| signal.says == Says::Down);
    let unfit = other_side.into_iter().chain(replication);
    unfit
        .map(|signal| {
            format!(
                "a switchover needs both sides healthy; {} says: {}. With intent failover, people are asked whether \
                 to fail over with loss",
                signal.source, signal.detail
            )
        })
        .collect()
}

/// That the other Region's service was stopped on purpose, and why that is a reason to ask.
fn stopped_on_purpose(input: &Input, evidence: &Evidence) -> Option<String> {
    let stopped = evidence.stopped.as_ref()?;
    (stopped.region == input.other.region).then(|| {
        format!(
            "recovery {} stopped the service in {} on purpose at {}, so that it is down for that reason; a failover would bring the \
             damaged data here",
            stopped.recovery, stopped.region, stopped.at
        )
    })
}

/// Why nothing may move by the global database: customers use another cluster, and this one has the damaged data.
fn served_elsewhere(input: &Input, evidence: &Evidence) -> Option<String> {
    let served = evidence.served_from.as_ref()?;
    let is_of_the_plan = [&input.here, &input.other]
        .iter()
        .any(|site| site.cluster_arn == served.cluster_arn);
    (!is_of_the_plan).then(|| {
        format!(
            "customers use cluster {} since {} (recovery {}), and global database {} still has the damaged data. Build a global database \
             from that cluster, name its clusters in the plan, and push the plan; until then there is no copy of the data to move to",
            served.cluster, served.at, served.recovery, evidence.database.id
        )
    })
}

/// What forbids promoting the cluster in this Region.
fn blockers_here(input: &Input, evidence: &Evidence) -> Vec<String> {
    let (database, here) = (&evidence.database, &evidence.here);
    let mut blockers = Vec::new();
    if database.member(&input.here.cluster_arn).is_none() {
        blockers.push(format!(
            "{} is not a member of global database {}",
            input.here.cluster_arn, database.id
        ));
    }
    let promotion = database.promotion(&input.here.cluster_arn);
    if promotion == Promotion::NotStarted {
        blockers.extend(served_elsewhere(input, evidence));
    }
    blockers.extend(writer::blockers(input, database));
    let status = here.status().unwrap_or("without a status");
    let member = database.member(&input.here.cluster_arn);
    if member.and_then(|member| member.synchronization.as_deref()) == Some("pending-resync") {
        blockers.push(format!(
            "cluster {} in {} has not rejoined yet: Aurora still resynchronises it; wait for RDS-EVENT-0241",
            input.here.cluster, input.here.region
        ));
    }
    if promotion == Promotion::NotStarted && !serves(status) {
        blockers.push(format!(
            "cluster {} in {} is {status}, not available",
            input.here.cluster, input.here.region
        ));
    }
    if here.db_cluster_members().is_empty() {
        blockers.push(format!(
            "cluster {} in {} has no instance; create one first",
            input.here.cluster, input.here.region
        ));
    }
    if here.http_endpoint_enabled() != Some(true) {
        blockers.push(format!(
            "the Data API of cluster {} in {} is off; turn it on first (rds:EnableHttpEndpoint)",
            input.here.cluster, input.here.region
        ));
    }
    if promotion == Promotion::NotStarted
        && let Some(why) = versions_block(input, evidence)
    {
        blockers.push(why);
    }
    blockers
}

/// Why Aurora would refuse for the engine versions, and what a person can do then. The primary's version comes from its
/// own Region where that answers, and from the global database otherwise.
fn versions_block(input: &Input, evidence: &Evidence) -> Option<String> {
    let of_other = evidence.other.as_ref().ok().and_then(DbCluster::engine_version);
    let primary = of_other.or(evidence.database.engine_version.as_deref())?;
    let why = versions::refused(primary, evidence.here.engine_version()?)?;
    let (global, here) = (&input.database.global_cluster, &input.here);
    Some(format!(
        "Aurora does not promote it: {why}. You can do it by hand, with the loss of the global database and without \
         any fencing by Aurora. Make sure that nothing writes in {}. Run `aws rds remove-from-global-cluster \
         --region {} --global-cluster-identifier {global} --db-cluster-identifier {}`. Wait until the cluster is \
         available. Then resume or start this recovery with intent failover",
        input.other.region, here.region, here.cluster_arn
    ))
}

/// What is about to be done.
struct Proposal<'a> {
    input: &'a Input,
    way: Way,
    expected_loss: ExpectedLoss,
    loss_in_words: &'a str,
    signals: &'a [Signal],
    fence_confirmable: bool,
    already_here: bool,
    promotion: Begun,
    more_doubts: Vec<String>,
}

/// Whether the promotion is under way or done.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Begun {
    /// It is not.
    Not,
    /// It is; people are not asked again.
    ByThisRecovery,
    /// It is, and this recovery has not done it: no more is lost by going on, but whether to is another question.
    BySomebody,
}

impl Proposal<'_> {
    /// What people are asked, and how many of them; nobody only where the policy allows it and the evidence holds.
    fn ask(&self, warnings: &[Warning], health: &[String]) -> Ask {
        let rpo = self.input.rpo;
        let (people, because) = self.people(rpo);
        let confirmable = if self.fence_confirmable {
            "confirmable"
        } else {
            "unconfirmed"
        };
        Ask {
            id: format!(
                "{}-{}-fence-{confirmable}",
                if self.already_here {
                    "already-here"
                } else {
                    self.way.name()
                },
                self.expected_loss.class(rpo)
            ),
            headline: self.headline(),
            shown: self.shown(warnings, health),
            people,
            because,
            needs_reason: self.promotion == Begun::Not && self.expected_loss.against(rpo) == Against::Beyond,
        }
    }

    fn headline(&self) -> String {
        let (here, other) = (&self.input.here.region, &self.input.other.region);
        match self.way {
            _ if self.already_here => format!(
                "Let {here} serve customers instead of {other}: the database of {here} already takes the writes, \
                 and nothing is promoted"
            ),
            Way::Switchover => {
                format!("Move the workload from {other} to {here} by a switchover, which loses no writes")
            }
            Way::Failover => format!(
                "Fail the database over from {other} to {here} and move the workload: writes that were not \
                 replicated are lost, and this cannot be undone"
            ),
        }
    }

    fn shown(&self, warnings: &[Warning], health: &[String]) -> Vec<String> {
        let other = &self.input.other.region;
        let mut shown = vec![format!("Expected loss: {}", self.loss_in_words)];
        for signal in self.signals {
            shown.push(format!(
                "{} says {}: {}",
                signal.source,
                signal.says.name(),
                signal.detail
            ));
        }
        shown.push(if self.fence_confirmable {
            format!("Fence: {other} answers, so the recovery can confirm that nothing writes there any more")
        } else {
            format!(
                "Fence: cannot be confirmed, since {other} does not answer; if functions still run there, what they \
                 write is lost"
            )
        });
        shown.extend(health.iter().cloned());
        shown.extend(warnings.iter().map(|warning| format!("Note: {warning}")));
        shown
    }

    /// How many people must approve, and why that many.
    fn people(&self, rpo: Option<Objective>) -> (u8, String) {
        let policy = self.input.approval;
        if self.promotion == Begun::ByThisRecovery {
            return (
                0,
                "the promotion has begun; the recovery continues as decided then".to_owned(),
            );
        }
        let mut reasons = Vec::new();
        if self.input.always_ask {
            reasons.push("whoever started the recovery asked for an approval".to_owned());
        }
        reasons.extend(self.doubt());
        reasons.extend(self.more_doubts.iter().cloned());
        match (self.expected_loss, self.expected_loss.against(rpo)) {
            _ if self.promotion == Begun::BySomebody => {}
            (ExpectedLoss::None | ExpectedLoss::Measured { .. }, Against::Target) => {}
            (ExpectedLoss::UpperBound { .. }, Against::Target) => {
                reasons.push("the expected loss is an upper bound and not measured".to_owned());
            }
            (_, Against::Maximum) => reasons.push("the expected loss is above the RPO target".to_owned()),
            (ExpectedLoss::Unmeasured, _) => reasons.push("the expected loss is not measured".to_owned()),
            (_, Against::Beyond) => reasons.push("the expected loss may be above the RPO maximum".to_owned()),
        }
        if !reasons.is_empty() {
            let people = policy.people.max(policy.without_evidence);
            return (people, format!("{}; the plan then asks {people}", reasons.join("; ")));
        }
        match policy.people {
            0 => (0, self.why_nobody(rpo)),
            people => (people, format!("the plan asks {people} for this scenario")),
        }
    }

    /// What the evidence leaves open; nothing, if it supports the way. A failover loses writes, so both classes of evidence
    /// must say that the other side is down, the observer and one signal of this Region, and none that it is healthy. A
    /// switchover loses none, and whoever planned it knows why. One that was not planned may be no help: with both sides at
    /// work, a bad release and a probe that is blocked look like an outage.
    fn doubt(&self) -> Option<String> {
        match self.way {
            Way::Failover => self.doubt_of_failover(),
            Way::Switchover if self.input.intent == Intent::Switchover => None,
            Way::Switchover => Some(format!(
                "{} works and replicates, so a switchover may not help: a bad release, an expired certificate or a \
                 blocked probe looks the same",
                self.input.other.region
            )),
        }
    }

    fn doubt_of_failover(&self) -> Option<String> {
        let (here, other) = (&self.input.here.region, &self.input.other.region);
        if self.input.observer.is_none() {
            return Some(format!(
                "the plan names no observer: what {here} sees of {other} is one class of evidence, and two are needed"
            ));
        }
        let observer = says(self.signals, OBSERVER);
        let count = |such: &dyn Fn(&&Signal) -> bool| self.signals.iter().filter(such).count();
        let from_here = count(&|signal| signal.source != OBSERVER);
        let down_from_here = count(&|signal| signal.source != OBSERVER && signal.says == Says::Down);
        let healthy = count(&|signal| signal.says == Says::Healthy);
        let agree = observer == Says::Down && down_from_here > 0 && healthy == 0;
        (!agree).then(|| {
            format!(
                "the two classes of evidence do not agree that {other} is down; the observer says {}; \
                 {down_from_here} of {from_here} signals of {here} say down; {healthy} of all {} signals say healthy",
                observer.name(),
                self.signals.len()
            )
        })
    }

    /// Why no approval is needed, for the report and the messages.
    fn why_nobody(&self, rpo: Option<Objective>) -> String {
        let down: Vec<&str> = self
            .signals
            .iter()
            .filter(|signal| signal.says == Says::Down)
            .map(|signal| signal.source)
            .collect();
        match (self.way, self.expected_loss, rpo) {
            (Way::Switchover, ..) if self.already_here => {
                "the plan asks nobody for a switchover, and the database is already here: nothing is promoted"
                    .to_owned()
            }
            _ if self.promotion == Begun::BySomebody => format!(
                "the promotion has already begun, and two classes of evidence agree: {} say that {} is down",
                down.join(", "),
                self.input.other.region
            ),
            (Way::Failover, ExpectedLoss::Measured { seconds }, Some(rpo)) => format!(
                "{} of {} signals, in two classes of evidence, say that {} is down ({}); expected loss {seconds:.1} s, \
                 measured (RPO target {}); the plan then asks nobody",
                down.len(),
                self.signals.len(),
                self.input.other.region,
                down.join(", "),
                rpo.target
            ),
            (Way::Failover, ..) => format!(
                "{} of {} signals, in two classes of evidence, say that {} is down ({}); the plan then asks nobody",
                down.len(),
                self.signals.len(),
                self.input.other.region,
                down.join(", ")
            ),
            (Way::Switchover, ..) => {
                "the plan asks nobody for a switchover: both sides work, replication continues, and no write is lost"
                    .to_owned()
            }
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use aws_sdk_rds::types::DbClusterMember;
    use jiff::Timestamp;
    use shared::error::{ErrorKind, StepError};
    use shared::global_database::{GlobalDatabase, Member, Transition};
    use shared::person::SamePerson;
    use shared::plan::Duration;
    use shared::record::Probed;
    use shared::recovery::RecoveryRef;
    use shared::slices::{
        ApiSlice, ApprovalSlice, DatabaseSlice, DnsMethod, DnsSlice, ObserverSlice, OutsideSlice, ProbeSlice, SiteSlice,
    };

    use shared::record::{ServedFrom, Stopped};

    use super::*;
    use crate::evidence::{Datapoints, Health, NoLag, Observed};
    use crate::fitness::Fitness;

    pub(crate) const HERE: &str = "arn:aws:rds:us-west-2:123456789012:cluster:here";
    pub(crate) const OTHER: &str = "arn:aws:rds:us-east-1:123456789012:cluster:other";

    pub(crate) fn minute(minute: i64) -> Timestamp {
        Timestamp::from_second(1_700_000_040 + minute * 60).unwrap()
    }

    pub(crate) fn input(intent: Intent) -> Input {
        let site = |region: &str, cluster: &str, arn: &str| SiteSlice {
            region: region.into(),
            cluster: cluster.into(),
            cluster_arn: arn.into(),
            secret_arn: "arn:s".into(),
            topic_arn: "arn:t".into(),
            api: ApiSlice {
                rest_api: "abcdefghij".into(),
                stage: "v2".into(),
                domain: "d.example.com".into(),
            },
        };
        Input {
            recovery: RecoveryRef {
                id: "r".into(),
                workload: "shop".into(),
                token: 1,
                execution: "arn:e".into(),
            },
            intent,
            triggered_at: minute(99),
            always_ask: false,
            approval: ApprovalSlice {
                people: 0,
                without_evidence: 2,
                answer_within_seconds: 900,
                same_person: SamePerson::default(),
            },
            rpo: Some(Objective {
                target: Duration::from_secs(300),
                maximum: Duration::from_secs(3600),
            }),
            here: site("us-west-2", "here", HERE),
            other: site("us-east-1", "other", OTHER),
            database: DatabaseSlice {
                global_cluster: "g".into(),
                name: "shop".into(),
                schema: "dr".into(),
                heartbeat_seconds: 5,
            },
            probe: ProbeSlice {
                namespace: "Shop".into(),
                metric: "Healthy".into(),
                workload: "shop".into(),
                outside: Some(OutsideSlice {
                    endpoints: vec!["dynamodb.eu-north-1.amazonaws.com".into()],
                    names: vec!["www.example.org".into()],
                }),
            },
            observer: Some(ObserverSlice {
                region: "eu-west-1".into(),
            }),
            functions: Vec::new(),
            dns: DnsSlice {
                name: "api.example.com".into(),
                method: DnsMethod::SwitchObject {
                    region: "us-west-2".into(),
                    bucket: "switches".into(),
                    key: "on".into(),
                    present: true,
                },
            },
        }
    }

    fn judged(input: &Input, evidence: &Evidence) -> Output {
        assess(input, evidence, None)
    }

    pub(crate) fn cluster(status: &str) -> DbCluster {
        DbCluster::builder()
            .status(status)
            .db_cluster_members(DbClusterMember::builder().build())
            .http_endpoint_enabled(true)
            .engine_version("16.6")
            .build()
    }

    /// Both clusters, of which these take writes.
    fn writers(writers: &[&str]) -> Vec<Member> {
        let member = |arn: &&str| Member {
            cluster_arn: (*arn).to_owned(),
            is_writer: writers.contains(arn),
            synchronization: None,
        };
        [OTHER, HERE].iter().map(member).collect()
    }

    /// What a probe wrote down that found the service down from this minute.
    pub(crate) fn probed(down_from: i64) -> Vec<Probed> {
        (0..14).map(|m| Probed::at(minute(m), m < down_from)).collect()
    }

    pub(crate) fn lost_region() -> Evidence {
        Evidence {
            now: minute(14),
            metrics: Ok(Metrics {
                probe: (0..14).map(|m| (minute(m), if m < 10 { 1.0 } else { 0.0 })).collect(),
                lag: (0..11)
                    .map(|m| (minute(m), if m == 10 { 9e6 } else { 100.0 * m as f64 }))
                    .collect(),
                no_lag: NoLag::NotKnown,
            }),
            database: GlobalDatabase {
                id: "g".into(),
                members: writers(&[OTHER]),
                transition: None,
                engine_version: Some("16.6".into()),
            },
            here: cluster("available"),
            other: Err(StepError::new(ErrorKind::Unavailable, "no answer")),
            is_silent: true,
            last_committed: Ok(Some(minute(10))),
            probed: Ok(probed(10)),
            observer: Some(Observed {
                metric: Ok((0..14).map(|m| (minute(m), if m < 10 { 1.0 } else { 0.0 })).collect()),
                probed: Ok(probed(10)),
            }),
            proof: Ok(()),
            health: Health::default(),
            heartbeats: Ok(None),
            served_from: None,
            stopped: None,
            fitness: Fitness::default(),
        }
    }

    #[test]
    fn a_service_that_was_stopped_on_purpose_is_not_taken_for_a_lost_region() {
        let mut stopped = lost_region();
        stopped.stopped = Some(Stopped {
            region: input(Intent::Decide).other.region,
            recovery: "a-restore".to_owned(),
            at: minute(9),
        });
        let asked = judged(&input(Intent::Decide), &stopped);
        assert_eq!((asked.ask.people, asked.blockers.len()), (2, 0));
        assert!(
            asked.ask.because.contains("a-restore stopped the service"),
            "{}",
            asked.ask.because
        );
        stopped.stopped = stopped.stopped.map(|stopped| Stopped {
            region: input(Intent::Decide).here.region,
            ..stopped
        });
        assert_eq!(judged(&input(Intent::Decide), &stopped).ask.people, 0);
    }

    #[test]
    fn nothing_moves_by_a_global_database_that_has_the_damaged_data() {
        let served = |cluster_arn: &str| {
            let served = ServedFrom {
                cluster: "restored".to_owned(),
                cluster_arn: cluster_arn.to_owned(),
                instead_of: OTHER.to_owned(),
                restore_to: minute(1),
                recovery: "a-restore".to_owned(),
                at: minute(9),
            };
            Evidence {
                served_from: Some(served),
                ..lost_region()
            }
        };
        for intent in [Intent::Decide, Intent::Failover, Intent::Switchover] {
            let blockers = judged(&input(intent), &served("arn:restored")).blockers;
            assert!(
                blockers
                    .iter()
                    .any(|why| why.contains("customers use cluster restored")),
                "{blockers:?}"
            );
        }
        let rebuilt = judged(&input(Intent::Decide), &served(OTHER));
        assert_eq!(rebuilt.blockers, Vec::<String>::new(), "the plan names it");
    }

    #[test]
    fn a_lost_region_means_failover_with_the_lag_before_impact() {
        let output = judged(&input(Intent::Decide), &lost_region());
        assert_eq!(output.blockers, Vec::<String>::new());
        assert_eq!((output.way, output.can_lose_writes), (Way::Failover, true));
        assert_eq!(output.impact_at, minute(10));
        assert_eq!(output.expected_loss, ExpectedLoss::Measured { seconds: 0.9 });
        let says: Vec<Says> = output.signals.iter().map(|signal| signal.says).collect();
        assert_eq!(says, [Says::Down; 4]);
    }

    pub(crate) fn replicating() -> Evidence {
        let mut evidence = lost_region();
        evidence.metrics.as_mut().unwrap().lag = (0..14).map(|m| (minute(m), 100.0)).collect();
        evidence
    }

    #[test]
    fn a_healthy_other_side_that_replicates_means_switchover_and_no_loss() {
        let output = judged(
            &input(Intent::Decide),
            &Evidence {
                other: Ok(cluster("backing-up")),
                ..replicating()
            },
        );
        assert_eq!(
            (output.way, output.expected_loss),
            (Way::Switchover, ExpectedLoss::None)
        );
        assert_eq!(output.blockers, Vec::<String>::new());
    }

    #[test]
    fn a_moment_of_silence_is_unknown() {
        let evidence = Evidence {
            is_silent: false,
            ..lost_region()
        };
        assert_eq!(judged(&input(Intent::Decide), &evidence).signals[2].says, Says::Unknown);
    }

    /// What the observer's probe says in its last minutes; nothing, if it says nothing.
    fn observing(value: Option<f64>) -> Option<Observed> {
        let metric: Datapoints = value.map(|value| (minute(13), value)).into_iter().collect();
        let probed = metric.iter().map(|(at, value)| Probed::at(*at, *value >= 1.0));
        Some(Observed {
            probed: Ok(probed.collect()),
            metric: Ok(metric),
        })
    }

    /// An observer that does not answer.
    fn no_observer_answers() -> Option<Observed> {
        let unread = StepError::new(ErrorKind::Unavailable, "no answer");
        Some(Observed {
            metric: Err(unread.clone()),
            probed: Err(unread),
        })
    }

    #[test]
    fn where_a_metric_is_not_what_its_probe_wrote_down_people_are_asked() {
        let well = || Ok((0..14).map(|m| Probed::at(minute(m), true)).collect());
        let replicates = Evidence {
            probed: well(),
            other: Ok(cluster("available")),
            ..replicating()
        };
        let of_the_observer = |evidence: Evidence| Evidence {
            observer: evidence.observer.map(|observer| Observed {
                probed: well(),
                ..observer
            }),
            ..evidence
        };
        for evidence in [of_the_observer(replicates), of_the_observer(lost_region())] {
            let ask = judged(&input(Intent::Failover), &evidence).ask;
            assert_eq!(ask.people, 2, "{}", ask.because);
            let shown = ask.shown.join("\n");
            assert!(
                shown.contains("observer says nothing: its metric says unhealthy"),
                "{shown}"
            );
        }
    }

    #[test]
    fn nobody_is_asked_only_where_the_observer_and_this_region_both_say_down() {
        let none_down = Evidence {
            metrics: error_metrics(),
            other: Err(StepError::new(ErrorKind::Denied, "no")),
            ..lost_region()
        };
        let lost = lost_region;
        for (evidence, expected) in [
            (lost(), 0),
            (
                Evidence {
                    observer: observing(Some(1.0)),
                    ..lost()
                },
                2,
            ),
            (
                Evidence {
                    observer: observing(None),
                    ..lost()
                },
                2,
            ),
            (
                Evidence {
                    observer: no_observer_answers(),
                    ..lost()
                },
                2,
            ),
            // The observer alone is one class of evidence too.
            (none_down, 2),
        ] {
            let ask = judged(&input(Intent::Decide), &evidence).ask;
            assert_eq!(ask.people, expected, "{}", ask.because);
            assert!(expected == 0 || ask.because.contains("do not agree"), "{}", ask.because);
        }
        let alone = Input {
            observer: None,
            ..input(Intent::Decide)
        };
        let unobserved = Evidence {
            observer: None,
            ..lost()
        };
        let output = judged(&alone, &unobserved);
        assert_eq!((output.ask.people, output.signals.len()), (2, 3));
        assert!(
            output.ask.because.contains("names no observer"),
            "{}",
            output.ask.because
        );
    }

    #[test]
    fn without_proof_of_a_way_out_nothing_says_down_and_people_are_asked() {
        let isolated = Evidence {
            proof: Err("nothing answers".into()),
            metrics: Ok(Metrics {
                probe: (0..10).map(|m| (minute(m), 1.0)).collect(),
                ..lost_region().metrics.unwrap()
            }),
            observer: no_observer_answers(),
            ..lost_region()
        };
        let output = judged(&input(Intent::Decide), &isolated);
        let says: Vec<Says> = output.signals.iter().map(|signal| signal.says).collect();
        assert_eq!(says, [Says::Unknown; 4], "{:?}", output.signals);
        assert_eq!((output.way, output.ask.people), (Way::Failover, 2));
        assert!(
            output.ask.shown.join("\n").contains("nothing answers"),
            "{:?}",
            output.ask.shown
        );
        // Without anything to ask for proof, the probes' word is none either.
        let mut unnamed = input(Intent::Decide);
        unnamed.probe.outside = None;
        let evidence = Evidence {
            proof: Err("nothing is named".into()),
            ..lost_region()
        };
        let output = judged(&unnamed, &evidence);
        assert!(
            output.signals.iter().all(|signal| signal.says == Says::Unknown),
            "{:?}",
            output.signals
        );
        assert_eq!(output.ask.people, 2);
        // What says healthy needs no proof: it was answered.
        let answering = Evidence {
            other: Ok(cluster("available")),
            ..isolated
        };
        assert_eq!(
            judged(&input(Intent::Decide), &answering).signals[2].says,
            Says::Healthy
        );
    }

    #[test]
    fn a_switchover_that_nobody_planned_is_a_question_whatever_the_probes_say() {
        for observer in [observing(Some(0.0)), observing(Some(1.0)), observing(None)] {
            let evidence = Evidence {
                other: Ok(cluster("available")),
                observer,
                ..replicating()
            };
            let output = judged(&input(Intent::Decide), &evidence);
            assert_eq!((output.way, output.ask.people), (Way::Switchover, 2));
            assert!(output.ask.because.contains("may not help"), "{}", output.ask.because);
        }
    }

    #[test]
    fn where_nothing_says_down_the_observers_word_is_enough_to_leave_the_service_alone() {
        let evidence = Evidence {
            other: Ok(cluster("available")),
            observer: observing(Some(1.0)),
            metrics: Ok(Metrics {
                probe: Vec::new(),
                ..replicating().metrics.unwrap()
            }),
            ..lost_region()
        };
        let blockers = judged(&input(Intent::Decide), &evidence).blockers;
        assert!(
            blockers[0].contains("observer finds the service healthy"),
            "{blockers:?}"
        );
    }

    #[test]
    fn with_a_signal_missing_or_contradicting_two_people_are_asked() {
        let error = |kind| Err(StepError::new(kind, "no"));
        let alone = Evidence {
            metrics: error_metrics(),
            ..lost_region()
        };
        let contradicting = Evidence {
            other: Ok(cluster("available")),
            ..lost_region()
        };
        let replicating_still = Evidence {
            other: error(ErrorKind::Unavailable),
            ..replicating()
        };
        let denied_and_replicating = Evidence {
            other: error(ErrorKind::Denied),
            ..replicating()
        };
        for evidence in [alone, contradicting, replicating_still, denied_and_replicating] {
            let output = judged(&input(Intent::Decide), &evidence);
            assert_eq!(
                (output.way, output.ask.people),
                (Way::Failover, 2),
                "{:?}",
                output.signals
            );
            assert!(output.blockers.is_empty(), "{:?}", output.blockers);
        }
        // Not allowed to look there is no sign of anything; the other two are enough.
        let denied = Evidence {
            other: error(ErrorKind::Denied),
            ..lost_region()
        };
        let output = judged(&input(Intent::Decide), &denied);
        assert_eq!((output.way, output.signals[2].says), (Way::Failover, Says::Unknown));
        assert_eq!(output.ask.people, 0, "{}", output.ask.because);
    }

    #[test]
    fn two_signals_and_a_measured_loss_within_the_target_need_nobody_and_say_why() {
        let output = judged(&input(Intent::Decide), &lost_region());
        assert_eq!(output.ask.people, 0);
        assert!(!output.ask.needs_reason);
        for part in [
            "4 of 4 signals, in two classes of evidence, say that",
            "outside-probe, replication-lag, other-control-plane, observer",
            "expected loss 0.9 s, measured (RPO target 5m)",
        ] {
            assert!(output.ask.because.contains(part), "{}", output.ask.because);
        }
        assert_eq!(output.ask.id, "failover-loss-within-target-fence-unconfirmed");
    }

    #[test]
    fn a_loss_that_is_large_or_unknown_is_never_automatic() {
        let with_lag = |milliseconds: f64| {
            let mut evidence = lost_region();
            evidence.metrics.as_mut().unwrap().lag[8].1 = milliseconds;
            judged(&input(Intent::Decide), &evidence).ask
        };
        let ask = with_lag(300_000.0);
        assert_eq!((ask.people, ask.needs_reason), (0, false));
        let ask = with_lag(300_100.0);
        assert_eq!((ask.people, ask.needs_reason), (2, false));
        assert!(ask.because.contains("above the RPO target"), "{}", ask.because);
        let ask = with_lag(3_600_100.0);
        assert_eq!((ask.people, ask.needs_reason), (2, true));
        let mut unmeasured = lost_region();
        unmeasured.metrics.as_mut().unwrap().lag.truncate(4);
        let ask = judged(&input(Intent::Decide), &unmeasured).ask;
        assert_eq!((ask.people, ask.needs_reason), (2, true));
        assert!(ask.shown[0].contains("it is not zero"), "{:?}", ask.shown);
        let mut writing = lost_region();
        writing.last_committed = Ok(Some(minute(14)));
        let ask = judged(&input(Intent::Decide), &writing).ask;
        assert_eq!((ask.people, ask.needs_reason), (2, true));
        assert!(ask.shown[0].contains("upper bound"), "{:?}", ask.shown);
    }

    #[test]
    fn the_policy_can_only_ask_more() {
        let asked = |people, without_evidence, always_ask, evidence: &Evidence| {
            let mut input = input(Intent::Decide);
            input.approval.people = people;
            input.approval.without_evidence = without_evidence;
            input.always_ask = always_ask;
            judged(&input, evidence).ask.people
        };
        assert_eq!(asked(1, 2, false, &lost_region()), 1);
        assert_eq!(asked(2, 2, false, &lost_region()), 2);
        assert_eq!(asked(0, 1, true, &lost_region()), 1);
        let alone = Evidence {
            metrics: error_metrics(),
            ..lost_region()
        };
        assert_eq!(asked(1, 2, false, &alone), 2);
        assert_eq!(asked(0, 1, false, &alone), 1);
    }

    #[test]
    fn what_was_approved_has_another_name_when_more_would_be_lost() {
        let approved = judged(&input(Intent::Failover), &lost_region()).ask.id;
        let mut worse = lost_region();
        worse.metrics.as_mut().unwrap().lag[8].1 = 300_100.0;
        assert_ne!(judged(&input(Intent::Failover), &worse).ask.id, approved);
        let confirmable = Evidence {
            other: Ok(cluster("available")),
            ..lost_region()
        };
        assert_ne!(judged(&input(Intent::Failover), &confirmable).ask.id, approved);
    }

    #[test]
    fn an_approver_sees_loss_evidence_fence_and_what_else_is_to_be_known() {
        let evidence = Evidence {
            health: Health {
                answered: true,
                says: vec!["AWS Health: an issue".into()],
            },
            ..lost_region()
        };
        let shown = judged(&input(Intent::Failover), &evidence).ask.shown.join("\n");
        for part in [
            "Expected loss: 0.9 s",
            "outside-probe says down",
            "replication-lag says down",
            "other-control-plane says down",
            "Fence: cannot be confirmed",
            "AWS Health: an issue",
        ] {
            assert!(shown.contains(part), "{part} is missing in {shown}");
        }
    }

    #[test]
    fn a_failover_in_place_of_a_switchover_that_hangs_is_looked_at_as_a_failover() {
        let mut hanging = lost_region();
        hanging.database.transition = Some(Transition {
            status: "switching-over".into(),
            to_cluster_arn: Some(HERE.into()),
            way: Some(Way::Switchover),
        });
        let mut wanted = input(Intent::Failover);
        wanted.always_ask = true;
        let output = judged(&wanted, &hanging);
        assert_eq!((output.way, output.ask.people), (Way::Failover, 2));
        assert_eq!(judged(&input(Intent::Decide), &hanging).way, Way::Switchover);
    }

    #[test]
    fn versions_that_aurora_refuses_are_refused_with_the_way_by_hand() {
        let mut other_version = lost_region();
        other_version.database.engine_version = Some("16.4".into());
        let blockers = judged(&input(Intent::Failover), &other_version).blockers;
        for part in [
            "16.4",
            "16.6",
            "aws rds remove-from-global-cluster --region us-west-2",
            HERE,
        ] {
            assert!(blockers[0].contains(part), "{blockers:?}");
        }
        // The primary's own word counts where it answers.
        let mut primary = cluster("available");
        primary.engine_version = Some("16.6".into());
        other_version.other = Ok(primary);
        assert!(judged(&input(Intent::Failover), &other_version).blockers.is_empty());
    }

    #[test]
    fn a_recovery_that_is_gone_on_with_keeps_its_decision_once_the_promotion_has_begun() {
        let before = Decision {
            way: Way::Failover,
            impact_at: minute(9),
            decided_at: minute(12),
            expected_loss: ExpectedLoss::Measured { seconds: 0.5 },
            already_here: false,
            impact_assumed: false,
        };
        let mut done = lost_region();
        done.database.members = writers(&[HERE]);
        let output = assess(&input(Intent::Decide), &done, Some(before));
        assert_eq!(
            (output.way, output.decided_at, output.impact_at),
            (Way::Failover, minute(12), minute(9))
        );
        assert_eq!(output.expected_loss, before.expected_loss);
        assert_eq!(output.ask.people, 0);
        // Before it, everything is looked at anew but the impact.
        let output = assess(&input(Intent::Decide), &lost_region(), Some(before));
        assert_eq!((output.decided_at, output.impact_at), (minute(14), minute(9)));
        assert_eq!(output.expected_loss, ExpectedLoss::Measured { seconds: 0.8 });
    }

    fn error_metrics() -> Result<Metrics, StepError> {
        Err(StepError::new(ErrorKind::Throttled, "no metrics"))
    }

    #[test]
    fn a_planned_switchover_with_both_sides_healthy_needs_nobody() {
        let evidence = Evidence {
            other: Ok(cluster("available")),
            ..replicating()
        };
        let ask = judged(&input(Intent::Switchover), &evidence).ask;
        assert_eq!(ask.people, 0, "{}", ask.because);
        assert!(ask.because.contains("no write is lost"), "{}", ask.because);
    }

    #[test]
    fn a_switchover_is_refused_where_the_other_side_is_not_healthy() {
        let down = Err(StepError::new(ErrorKind::Unavailable, "no answer"));
        for other in [down, Ok(cluster("failing-over"))] {
            let output = judged(&input(Intent::Switchover), &Evidence { other, ..replicating() });
            assert!(
                output.blockers[0].contains("needs both sides healthy"),
                "{:?}",
                output.blockers
            );
        }
    }

    #[test]
    fn a_service_that_is_healthy_again_is_left_alone() {
        let mut healthy = Evidence {
            other: Ok(cluster("available")),
            observer: observing(Some(1.0)),
            ..replicating()
        };
        healthy.metrics.as_mut().unwrap().probe.push((minute(14), 1.0));
        let blockers = judged(&input(Intent::Decide), &healthy).blockers;
        assert!(blockers[0].contains("nothing to recover"), "{blockers:?}");
        let insisted = judged(&input(Intent::Failover), &healthy);
        assert!(insisted.blockers.is_empty(), "a person may still insist");
        assert_eq!(insisted.ask.people, 2, "but not alone");
    }

    #[test]
    fn a_side_that_customers_reach_while_nothing_else_does_is_a_question_for_people() {
        let mut grey = lost_region();
        grey.metrics.as_mut().unwrap().probe.push((minute(14), 1.0));
        let output = judged(&input(Intent::Decide), &grey);
        assert_eq!((output.way, output.ask.people), (Way::Failover, 2));
        assert!(output.blockers.is_empty() && !output.fence_confirmable);
    }

    #[test]
    fn a_promotion_that_somebody_began_is_gone_on_with_as_what_it_is() {
        let with = |way| {
            let mut evidence = replicating();
            evidence.database.transition = Some(Transition {
                status: "pending".into(),
                to_cluster_arn: Some(HERE.into()),
                way: Some(way),
            });
            evidence.other = Ok(cluster("available"));
            judged(&input(Intent::Decide), &evidence)
        };
        assert!(with(Way::Failover).can_lose_writes);
        assert!(!with(Way::Switchover).can_lose_writes);
        let mut serving = replicating();
        serving.database.members = writers(&[HERE]);
        serving.other = Ok(cluster("available"));
        let asked = judged(&input(Intent::Decide), &serving);
        assert_eq!(
            (asked.ask.people, asked.ask.needs_reason),
            (2, false),
            "it may serve already"
        );
        serving.metrics.as_mut().unwrap().probe.push((minute(14), 1.0));
        serving.observer = observing(Some(1.0));
        let healthy = judged(&input(Intent::Decide), &serving).blockers;
        assert!(healthy[0].contains("nothing to recover"), "{healthy:?}");
        let mut done = lost_region();
        done.database.members = writers(&[HERE]);
        let output = judged(&input(Intent::Decide), &done);
        assert_eq!(output.ask.people, 0, "{}", output.ask.because);
        assert!(
            output.can_lose_writes
                && output
                    .warnings
                    .iter()
                    .any(|warning| warning.code == WarningCode::PromotedBefore)
        );
    }

    #[test]
    fn each_thing_that_makes_a_promotion_fail_blocks_it() {
        let blockers = |evidence: Evidence| judged(&input(Intent::Failover), &evidence).blockers.join("\n");
        let mut stranger = lost_region();
        stranger.database.members.pop();
        assert!(blockers(stranger).contains("not a member"));
        let mut elsewhere = lost_region();
        elsewhere.database.transition = Some(Transition {
            status: "failing-over".into(),
            to_cluster_arn: Some("arn:third".into()),
            way: None,
        });
        assert!(blockers(elsewhere).contains("failing-over to arn:third"));
        assert!(
            blockers(Evidence {
                here: cluster("upgrading"),
                ..lost_region()
            })
            .contains("is upgrading")
        );
        let mut resyncing = lost_region();
        resyncing.database.members[1].synchronization = Some("pending-resync".into());
        assert!(blockers(resyncing).contains("has not rejoined"));
        let headless = DbCluster::builder()
            .status("available")
            .http_endpoint_enabled(true)
            .build();
        assert!(
            blockers(Evidence {
                here: headless,
                ..lost_region()
            })
            .contains("no instance")
        );
        let mut without_data_api = cluster("available");
        without_data_api.http_endpoint_enabled = Some(false);
        assert!(
            blockers(Evidence {
                here: without_data_api,
                ..lost_region()
            })
            .contains("Data API")
        );
    }

    #[test]
    fn a_promotion_that_goes_on_is_no_blocker() {
        let mut evidence = Evidence {
            here: cluster("promoting"),
            ..lost_region()
        };
        evidence.database.transition = Some(Transition {
            status: "failing-over".into(),
            to_cluster_arn: Some(HERE.into()),
            way: None,
        });
        assert!(judged(&input(Intent::Failover), &evidence).blockers.is_empty());
    }

    #[test]
    fn an_impact_that_nobody_saw_is_assumed_until_somebody_sees_an_earlier_one() {
        let unseen = || Evidence {
            metrics: Err(StepError::new(ErrorKind::Unavailable, "no answer")),
            ..lost_region()
        };
        let assumed = |intent, evidence: &Evidence, before| assess(&input(intent), evidence, before).impact_assumed;
        assert!(assumed(Intent::Failover, &unseen(), None));
        assert!(
            !assumed(Intent::Switchover, &unseen(), None),
            "it begins with its start"
        );
        assert!(!assumed(Intent::Failover, &lost_region(), None));
        let before = Decision {
            way: Way::Failover,
            impact_at: minute(12),
            decided_at: minute(12),
            expected_loss: ExpectedLoss::Unmeasured,
            already_here: false,
            impact_assumed: true,
        };
        assert!(assumed(Intent::Failover, &unseen(), Some(before)));
        assert!(
            !assumed(Intent::Failover, &lost_region(), Some(before)),
            "it began in minute 10"
        );
    }

    #[test]
    fn without_metrics_nothing_is_called_measured() {
        let evidence = Evidence {
            metrics: Err(StepError::new(ErrorKind::Unavailable, "no answer")),
            ..lost_region()
        };
        let output = judged(&input(Intent::Failover), &evidence);
        assert_eq!(
            (output.expected_loss, output.impact_at),
            (ExpectedLoss::Unmeasured, minute(99))
        );
        assert_eq!(output.warnings.len(), 2);
        assert_eq!(output.signals[0].says, Says::Unknown);
    }

    /// A planned move to a Region whose cluster takes the writes already.
    fn planned_where_it_is() -> Evidence {
        let mut evidence = Evidence {
            other: Ok(cluster("available")),
            ..replicating()
        };
        evidence.database.members = writers(&[HERE]);
        evidence
    }

    fn heartbeats(gap_seconds: i64) -> Result<Option<heartbeats::Heartbeats>, StepError> {
        Ok(Some(heartbeats::Heartbeats {
            since: minute(0),
            first: minute(0),
            last: minute(14),
            longest_gap: jiff::SignedDuration::from_secs(gap_seconds),
        }))
    }

    #[test]
    fn a_writer_that_is_here_already_was_not_promoted_by_a_failover() {
        let planned = input(Intent::Switchover);
        let output = judged(&planned, &planned_where_it_is());
        assert_eq!((output.way, output.already_here), (Way::Switchover, true));
        assert_eq!(output.ask.people, 0, "{}", output.ask.because);
        assert_eq!(output.blockers, Vec::<String>::new());
        assert_eq!(
            (output.expected_loss, output.can_lose_writes),
            (ExpectedLoss::Unmeasured, true)
        );
        // Resumed, it is no other: what this recovery had decided promoted nothing.
        let before = Decision {
            way: output.way,
            impact_at: output.impact_at,
            decided_at: output.decided_at,
            expected_loss: output.expected_loss,
            already_here: true,
            impact_assumed: output.impact_assumed,
        };
        let again = assess(&planned, &planned_where_it_is(), Some(before));
        assert_eq!((again.already_here, again.ask), (true, output.ask));
        // A failover of the same is a question for people where the other side works.
        let insisted = judged(&input(Intent::Failover), &planned_where_it_is());
        assert_eq!((insisted.way, insisted.ask.people), (Way::Failover, 2));
        assert!(
            insisted.ask.headline.contains("nothing is promoted"),
            "{}",
            insisted.ask.headline
        );
    }

    #[test]
    fn only_heartbeats_without_a_gap_show_that_nothing_was_lost() {
        let found = |heartbeats| {
            let evidence = Evidence {
                heartbeats,
                ..planned_where_it_is()
            };
            let output = judged(&input(Intent::Switchover), &evidence);
            (output.can_lose_writes, output.expected_loss_in_words)
        };
        let (can_lose_writes, words) = found(heartbeats(5));
        assert!(!can_lose_writes && words.contains("without a gap since"), "{words}");
        let unread = Err(StepError::new(ErrorKind::Unavailable, "no answer"));
        for (heartbeats, why) in [
            (heartbeats(21), "have a gap"),
            (Ok(None), "no heartbeats from the time in question"),
            (unread, "could not read"),
        ] {
            let (can_lose_writes, words) = found(heartbeats);
            assert!(
                can_lose_writes && words.contains(why) && words.contains("not zero"),
                "{words}"
            );
        }
    }

    #[test]
    fn heartbeats_are_looked_at_from_before_the_outage() {
        assert_eq!(heartbeats_since(&lost_region()), minute(5));
        let mut healthy = lost_region();
        healthy.metrics.as_mut().unwrap().probe.push((minute(14), 1.0));
        assert_eq!(heartbeats_since(&healthy), minute(14 - 360));
    }
}
