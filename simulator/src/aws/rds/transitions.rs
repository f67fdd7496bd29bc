//! Failovers and switchovers over time, and how the old writer comes back.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::state::{Cluster, Global, LeftBehind, State, Transition};
use crate::environment::Environment;

impl State {
    /// Brings everything to where it is at `now`.
    pub(super) fn advance(&mut self, environment: &Environment, now: Timestamp) {
        for global in self.globals.values_mut() {
            advance_transition(&mut self.clusters, global, environment, now);
            let arns: Vec<String> = global.left_behind.keys().cloned().collect();
            for arn in arns {
                rejoin(&mut self.clusters, global, &arn, environment, now);
            }
        }
        self.end_instances(now);
        self.make_clusters(environment, now);
        self.keep_looks(now);
    }
}

pub(super) fn advance_transition(
    clusters: &mut BTreeMap<String, Cluster>,
    global: &mut Global,
    environment: &Environment,
    now: Timestamp,
) {
    let Some(transition) = global.transition.clone() else {
        return;
    };
    if !transition.loses_data && interrupted(clusters, global, &transition, environment, now) {
        cancel(clusters, global, &transition, now);
        return;
    }
    if transition.held_by.is_some_and(|fault| !environment.faults.holds(fault)) {
        finish(global, clusters, &transition, now, environment);
        return;
    }
    if let Some(underway) = &mut global.transition
        && !underway.begun
        && now >= underway.begins_at
    {
        underway.begun = true;
        if let Some(target) = clusters.get_mut(&underway.to) {
            target.status = "promoting";
        }
        // A switchover stops writes first and lets the secondary catch up.
        if !underway.loses_data
            && let Some(writer) = clusters.get_mut(&global.writer)
        {
            writer.database.set_writable(false);
        }
    }
    if let Some(underway) = &mut global.transition {
        underway.is_cancelling = underway.cancelling_from.is_some_and(|from| now >= from);
    }
    match transition.ends_at.filter(|ends_at| now >= *ends_at) {
        Some(ended_at) if transition.is_cancelled => cancel(clusters, global, &transition, ended_at),
        Some(ended_at) => finish(global, clusters, &transition, ended_at, environment),
        None => {}
    }
}

/// Makes an old writer a secondary again, if that has taken its time by `now`: with the writer's data, and without what
/// it has taken itself since it was left behind.
pub(super) fn rejoin(
    clusters: &mut BTreeMap<String, Cluster>,
    global: &mut Global,
    arn: &str,
    environment: &Environment,
    now: Timestamp,
) {
    let Some(left) = global.left_behind.get(arn) else {
        return;
    };
    let region_of = |arn: &str| {
        clusters
            .get(arn)
            .map(|cluster| cluster.region.as_str())
            .unwrap_or_default()
    };
    let regions = [region_of(arn), region_of(&global.writer)];
    let Some(rejoined_at) = environment
        .databases_had_run_for(&regions, left.since, left.takes)
        .filter(|at| *at <= now)
    else {
        return;
    };
    let copy = clusters
        .get(&global.writer)
        .and_then(|writer| writer.database.copy_as_of(rejoined_at).ok());
    if let (Some(cluster), Some(mut copy)) = (clusters.get_mut(arn), copy) {
        copy.set_writable(false);
        cluster.database = copy;
    }
    global.left_behind.remove(arn);
}

/// Whether the databases of one of a switchover's two Regions went away while it went on.
pub(super) fn interrupted(
    clusters: &BTreeMap<String, Cluster>,
    global: &Global,
    transition: &Transition,
    environment: &Environment,
    now: Timestamp,
) -> bool {
    [&global.writer, &transition.to]
        .into_iter()
        .filter_map(|arn| clusters.get(arn))
        .any(|cluster| {
            environment
                .databases_away_between(
                    &cluster.region,
                    transition.called_at,
                    transition.ends_at.map_or(now, |ends_at| now.min(ends_at)),
                )
                .is_some()
        })
}

/// Puts everything back to where it was before a switchover or failover.
pub(super) fn cancel(
    clusters: &mut BTreeMap<String, Cluster>,
    global: &mut Global,
    transition: &Transition,
    at: Timestamp,
) {
    if let Some(accepted) = global.moves.iter_mut().rev().find(|asked| asked.accepted) {
        accepted.given_up_at = Some(at);
    }
    if let Some(target) = clusters.get_mut(&transition.to) {
        target.status = "available";
    }
    if let Some(writer) = clusters.get_mut(&global.writer) {
        writer.database.set_writable(true);
    }
    global.transition = None;
}

/// The end of a failover or switchover: the target takes over, with what reached it.
pub(super) fn finish(
    global: &mut Global,
    clusters: &mut BTreeMap<String, Cluster>,
    transition: &Transition,
    ended_at: Timestamp,
    environment: &Environment,
) {
    let old_arn = global.writer.clone();
    let reached = match clusters.get(&old_arn) {
        // Replication ended where the promotion began, or with the Region or the way to it if those were away by then, and was
        // behind by the lag of that moment.
        Some(old) if transition.loses_data => {
            let began_at = transition.begins_at;
            let to = clusters.get(&transition.to).map_or("", |target| target.region.as_str());
            let away = environment.databases_away_between(&old.region, began_at, began_at);
            let ends = [away, environment.cut_since(&old.region, to)];
            let cut = ends.into_iter().flatten().fold(began_at, Timestamp::min);
            cut.checked_sub(global.lag_at(cut)).unwrap_or(cut)
        }
        _ => Timestamp::MAX,
    };
    let copy = clusters
        .get(&old_arn)
        .and_then(|old| old.database.copy_as_of(reached).ok());
    if let (Some(target), Some(copy)) = (clusters.get_mut(&transition.to), copy) {
        target.database = copy;
        target.status = "available";
        let ready_in = environment.draw("data-api-ready", &environment.timings.data_api_ready);
        target.takes_statements_from = ended_at.checked_add(ready_in).unwrap_or(ended_at);
    }
    if transition.loses_data {
        let takes = environment.draw("global-resync", &environment.timings.global_resync);
        let left = LeftBehind { since: ended_at, takes };
        global.left_behind.insert(old_arn, left);
    }
    global.writer = transition.to.clone();
    global.transition = None;
}
