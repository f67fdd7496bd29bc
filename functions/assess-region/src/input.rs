//! What the step is asked to look at.

use jiff::Timestamp;
use serde::Deserialize;
use shared::plan::{Function, Objective};
use shared::recovery::RecoveryRef;
use shared::scenario::region_failure::Intent;
use shared::slices::{ApprovalSlice, DatabaseSlice, DnsSlice, ObserverSlice, ProbeSlice, SiteSlice};

/// What to look at.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Input {
    /// The recovery that this call belongs to.
    pub recovery: RecoveryRef,
    /// What whoever started it wants.
    pub intent: Intent,
    /// When it was started: stands in for the impact where the probe's metric says nothing.
    pub triggered_at: Timestamp,
    /// Whether people are asked even where the policy would ask nobody.
    pub always_ask: bool,
    /// How many people the policy asks.
    pub approval: ApprovalSlice,
    /// The RPO; nothing for a scenario without one.
    pub rpo: Option<Objective>,
    /// The Region that would take over.
    pub here: SiteSlice,
    /// The Region that may be lost.
    pub other: SiteSlice,
    /// The global database, as the plan names it.
    pub database: DatabaseSlice,
    /// The outside probe's metric.
    pub probe: ProbeSlice,
    /// Where the same metric is published from a third Region; nothing in a plan without an observer.
    pub observer: Option<ObserverSlice>,
    /// The platform's functions, which this Region is to run.
    pub functions: Vec<Function>,
    /// How the public name moves.
    pub dns: DnsSlice,
}
