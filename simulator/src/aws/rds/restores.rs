//! Clusters that are made from another one's past, from snapshots, or from what is left of a deleted one; and their deletion.
//!
//! Sources: RDS API Reference, `RestoreDBClusterToPointInTime` and `RestoreDBClusterFromSnapshot`; Aurora User Guide, "Restoring a DB
//! cluster to a specified time". AWS publishes no codes for a time out of range; `InvalidParameterValue` is assumed.

use std::time::Duration;

use jiff::Timestamp;

use super::clusters::ENGINE_VERSION;
use super::parameters::{ENGINE, Parameters, element_of, no_cluster, take_only};
use super::resources::{Contents, Making, Quota, RestoreFate};
use super::settings::{OF_RESTORES, Settings};
use super::state::{Cluster, Rds, Retained, State};
use super::xml::cluster_xml;
use crate::aws::refusal::Refusal;
use crate::aws::wire::element;
use crate::environment::Environment;
use crate::faults::FaultId;
use crate::lock::lock;

/// Backups reach the time of restores in steps of this length: "typically within 5 minutes of the current time".
const BACKUP_STEP_SECONDS: i64 = 5 * 60;

impl Rds {
    /// Decides what becomes of the next restore. It comes about when that is called.
    pub fn decide_next_restore(&self, environment: &Environment, fate: RestoreFate) -> FaultId {
        let fault = environment.faults.on_database();
        lock(&self.state).next_restore = Some((fault, fate));
        fault
    }

    /// Lets the account have no more of something in a Region than it has. It comes about when one more is asked for.
    pub fn exhaust(&self, environment: &Environment, quota: Quota, region: &str) -> FaultId {
        let fault = environment.faults.on_database();
        lock(&self.state).exhausted.push((fault, quota, region.to_owned()));
        fault
    }

    /// Sets what a cluster is set to.
    pub fn set_settings(&self, environment: &Environment, cluster_arn: &str, settings: Settings) {
        if let Some(cluster) = lock(&self.state).clusters.get_mut(cluster_arn) {
            cluster.settings = settings;
            self.begin_log(environment, cluster);
        }
    }

    /// What a cluster is set to.
    pub fn settings_of(&self, cluster_arn: &str) -> Option<Settings> {
        let state = lock(&self.state);
        state.clusters.get(cluster_arn).map(|cluster| cluster.settings.clone())
    }

    /// Deletes a cluster, as somebody does by mistake: its instances go, and its automated backup stays.
    pub fn lose_cluster(&self, environment: &Environment, cluster_arn: &str) {
        let mut state = lock(&self.state);
        if let Some(cluster) = state.take_out(cluster_arn) {
            state.retain(cluster, environment.now());
        }
    }
}

impl Cluster {
    /// Whether it can be worked with. Errors: AWS's refusal.
    pub(super) fn is_available(&self) -> Result<(), Refusal> {
        if self.status == "available" {
            return Ok(());
        }
        let message = format!("DB cluster {} is {}", self.id, self.status);
        Err(Refusal(400, "InvalidDBClusterStateFault", message))
    }

    /// What a cluster can be made from, with the data of then. Errors: SQLite's, as AWS would hide it.
    pub(super) fn contents(&self, to: Timestamp) -> Result<Contents, Refusal> {
        Contents::copied(&self.database, &self.settings, &self.logins, &self.engine_version, to)
    }

    /// Whether somebody in a Region means it by this name or ARN.
    fn is_called(&self, arn: &str, region: &str, name: &str) -> bool {
        self.region == region && (self.id == name || arn == name)
    }

    /// What AWS knows it by, whatever its name.
    pub(super) fn resource_id(&self) -> String {
        let name: String = self.id.chars().filter(char::is_ascii_alphanumeric).collect();
        format!("cluster-{}{}", name.to_ascii_uppercase(), self.made_at.as_millisecond())
    }

    /// From when to when it can be restored; nothing until its first backup is made.
    pub(super) fn restorable(&self, now: Timestamp) -> Option<(Timestamp, Timestamp)> {
        let from = self.backed_up_from.filter(|from| *from <= now)?;
        let days = i64::from(self.settings.backup_retention_days);
        let oldest = now
            .checked_sub(jiff::SignedDuration::from_hours(24 * days))
            .unwrap_or(from);
        let seconds = now.as_second();
        let latest = Timestamp::from_second(seconds - seconds.rem_euclid(BACKUP_STEP_SECONDS)).unwrap_or(now);
        (latest >= from).then_some((from.max(oldest), latest))
    }
}

impl State {
    /// Brings what is made or deleted to where it is at `now`.
    pub(super) fn make_clusters(&mut self, environment: &Environment, now: Timestamp) {
        for cluster in self.clusters.values_mut() {
            cluster.reset_password(now);
            let Some(making) = &cluster.making else { continue };
            let is_over = match making.held_by {
                Some(fault) if environment.faults.holds(fault) => false,
                Some(_) => true,
                None => making.ends_at <= now,
            };
            if is_over {
                cluster.status = if making.fails { "failed" } else { "available" };
                cluster.making = None;
            }
        }
        let gone = |cluster: &Cluster| cluster.gone_from.is_some_and(|at| at <= now);
        let arns: Vec<String> = self
            .clusters
            .iter()
            .filter(|(_, cluster)| gone(cluster))
            .map(|(arn, _)| arn.clone())
            .collect();
        for arn in arns {
            if let Some(cluster) = self.take_out(&arn) {
                self.retain(cluster, now);
            }
        }
    }

    fn retain(&mut self, cluster: Cluster, deleted_at: Timestamp) {
        self.retained.push(Retained { cluster, deleted_at });
    }

    /// Takes a cluster out, of its global database too.
    pub(super) fn take_out(&mut self, arn: &str) -> Option<Cluster> {
        for global in self.globals.values_mut() {
            global.members.retain(|member| member != arn);
        }
        self.clusters.remove(arn)
    }

    /// A cluster by its name or ARN, with its ARN. Errors: there is none in this Region.
    pub(super) fn named(&self, region: &str, name: &str) -> Result<(&String, &Cluster), Refusal> {
        let mut clusters = self.clusters.iter();
        let found = clusters.find(|(arn, cluster)| cluster.is_called(arn, region, name));
        found.ok_or_else(|| no_cluster(name))
    }

    /// The same, to be changed.
    pub(super) fn named_mut(&mut self, region: &str, name: &str) -> Result<&mut Cluster, Refusal> {
        let mut clusters = self.clusters.iter_mut();
        let found = clusters.find(|(arn, cluster)| cluster.is_called(arn, region, name));
        found.map(|(_, cluster)| cluster).ok_or_else(|| no_cluster(name))
    }

    /// Whether there may be one more. Errors: AWS's refusal.
    pub(super) fn within_quota(
        &mut self,
        environment: &Environment,
        quota: Quota,
        region: &str,
    ) -> Result<(), Refusal> {
        let is_exhausted = |(fault, of, there): &&(FaultId, Quota, String)| {
            *of == quota && there == region && environment.faults.holds(*fault)
        };
        let Some((fault, ..)) = self.exhausted.iter().find(is_exhausted) else {
            return Ok(());
        };
        environment.faults.apply(*fault);
        let (code, what) = match quota {
            Quota::Clusters => ("DBClusterQuotaExceededFault", "clusters"),
            Quota::Instances => ("InstanceQuotaExceeded", "instances"),
        };
        Err(Refusal(400, code, format!("The quota for DB {what} is exceeded")))
    }

    pub(super) fn restore_to_time(
        &mut self,
        environment: &Environment,
        region: &str,
        parameters: &Parameters,
    ) -> Result<String, Refusal> {
        let mut known = vec![
            "DBClusterIdentifier",
            "SourceDBClusterIdentifier",
            "SourceDbClusterResourceId",
            "RestoreToTime",
            "UseLatestRestorableTime",
            "RestoreType",
        ];
        known.extend(OF_RESTORES);
        self.refuse_as_told(environment)?;
        let text = |name: &str| parameters.get(name).cloned();
        let now = environment.now();
        if text("RestoreType").is_some_and(|kind| kind != "full-copy") {
            let message = "the simulated RDS restores by full copies only".to_owned();
            return Err(Refusal(501, "NotSimulated", message));
        }
        let use_latest = text("UseLatestRestorableTime").as_deref() == Some("true");
        let to = match (text("RestoreToTime"), use_latest) {
            (Some(_), true) | (None, false) => {
                let message = "give either RestoreToTime or UseLatestRestorableTime";
                return Err(Refusal(400, "InvalidParameterCombination", message.to_owned()));
            }
            (Some(to), false) => Some(to.parse::<Timestamp>().map_err(|_| {
                let message = format!("RestoreToTime {to} is not a time");
                Refusal(400, "InvalidParameterValue", message)
            })?),
            (None, true) => None,
        };
        let (source, is_there) = match text("SourceDbClusterResourceId") {
            Some(resource) => {
                let retained = self
                    .retained
                    .iter()
                    .find(|Retained { cluster, .. }| cluster.resource_id() == resource && cluster.region == region);
                let retained = retained.ok_or_else(|| {
                    let message = format!("automated backup of {resource} not found");
                    Refusal(404, "DBClusterAutomatedBackupNotFoundFault", message)
                })?;
                (source(&retained.cluster, to, retained.deleted_at)?, false)
            }
            None => {
                let (_, cluster) = self.named(region, &text("SourceDBClusterIdentifier").unwrap_or_default())?;
                cluster.is_available()?;
                (source(cluster, to, now)?, true)
            }
        };
        let settings = source.settings.restored(parameters, is_there)?;
        take_only(parameters, &known)?;
        let takes = environment.draw("cluster-restore", &environment.timings.cluster_restore);
        self.make(environment, region, parameters, Contents { settings, ..source }, takes)
    }

    pub(super) fn restore_from_snapshot(
        &mut self,
        environment: &Environment,
        region: &str,
        parameters: &Parameters,
    ) -> Result<String, Refusal> {
        let mut known = vec!["DBClusterIdentifier", "SnapshotIdentifier", "Engine", "EngineVersion"];
        known.extend(OF_RESTORES);
        self.refuse_as_told(environment)?;
        let text = |name: &str| parameters.get(name).cloned();
        let engine = text("Engine").ok_or_else(|| {
            let message = "The request must contain the parameter Engine".to_owned();
            Refusal(400, "MissingParameter", message)
        })?;
        let snapshot = self.snapshot_of(environment, region, &text("SnapshotIdentifier").unwrap_or_default())?;
        if snapshot.status(environment.now()) != "available" {
            let message = format!("Cluster snapshot {} is not available", snapshot.id);
            return Err(Refusal(400, "InvalidDBClusterSnapshotStateFault", message));
        }
        if engine != snapshot.engine {
            let message = format!("The snapshot {} is of {}", snapshot.id, snapshot.engine);
            return Err(Refusal(400, "InvalidParameterCombination", message));
        }
        if engine != ENGINE {
            let message = format!("the simulated RDS has {ENGINE} only");
            return Err(Refusal(501, "NotSimulated", message));
        }
        // Without one, AWS takes the Region's default version, which may be later than the snapshot's.
        let engine_version = text("EngineVersion").unwrap_or_else(|| ENGINE_VERSION.to_owned());
        if parts_of(&engine_version) < parts_of(&snapshot.contents.engine_version) {
            let of = &snapshot.contents.engine_version;
            let message = format!("The snapshot {} is of {engine} {of}", snapshot.id);
            return Err(Refusal(400, "InvalidParameterCombination", message));
        }
        let source = Contents {
            engine_version,
            ..snapshot.contents.as_of(snapshot.taken_at)?
        };
        let settings = source.settings.restored(parameters, true)?;
        take_only(parameters, &known)?;
        let takes = environment.draw("snapshot-restore", &environment.timings.snapshot_restore);
        self.make(environment, region, parameters, Contents { settings, ..source }, takes)
    }

    fn refuse_as_told(&mut self, environment: &Environment) -> Result<(), Refusal> {
        let refused = |(fault, fate): &mut (FaultId, RestoreFate)| {
            matches!(fate, RestoreFate::Refused(_)) && environment.faults.holds(*fault)
        };
        let Some((fault, RestoreFate::Refused(parameter))) = self.next_restore.take_if(refused) else {
            return Ok(());
        };
        environment.faults.apply(fault);
        let message = format!("{parameter} isn't supported for this restore");
        Err(Refusal(400, "InvalidParameterCombination", message))
    }

    /// Begins to make the cluster that a restore names.
    fn make(
        &mut self,
        environment: &Environment,
        region: &str,
        parameters: &Parameters,
        contents: Contents,
        takes: Duration,
    ) -> Result<String, Refusal> {
        let id = parameters.get("DBClusterIdentifier").cloned().unwrap_or_default();
        if self.named(region, &id).is_ok() {
            let message = format!("DB Cluster already exists: {id}");
            return Err(Refusal(400, "DBClusterAlreadyExistsFault", message));
        }
        self.within_quota(environment, Quota::Clusters, region)?;
        let now = environment.now();
        let ends_at = now.checked_add(takes).unwrap_or(now);
        let fate = self
            .next_restore
            .take()
            .filter(|(fault, _)| environment.faults.holds(*fault));
        if let Some((fault, _)) = &fate {
            environment.faults.apply(*fault);
        }
        let first_backup = environment.draw("first-backup", &environment.timings.first_backup);
        let arn = format!("arn:aws:rds:{region}:{}:cluster:{id}", environment.account);
        let cluster = Cluster {
            id,
            region: region.to_owned(),
            status: "creating",
            engine_version: contents.engine_version,
            logins: contents.logins,
            new_password: None,
            data_api: false,
            takes_statements_from: Timestamp::MAX,
            instances: Vec::new(),
            database: contents.database,
            settings: contents.settings,
            made_at: now,
            making: Some(Making {
                ends_at,
                held_by: match &fate {
                    Some((fault, RestoreFate::Stuck)) => Some(*fault),
                    _ => None,
                },
                fails: matches!(fate, Some((_, RestoreFate::Failed))),
            }),
            backed_up_from: ends_at.checked_add(first_backup).ok(),
            gone_from: None,
        };
        let shown = element_of("DBCluster", &cluster_xml(&arn, &cluster, true, now));
        self.clusters.insert(arn, cluster);
        Ok(shown)
    }

    pub(super) fn enable_http_endpoint(
        &mut self,
        environment: &Environment,
        region: &str,
        parameters: &Parameters,
        on: bool,
    ) -> Result<String, Refusal> {
        take_only(parameters, &["ResourceArn"])?;
        let arn = parameters.get("ResourceArn").cloned().unwrap_or_default();
        let cluster = self
            .clusters
            .get_mut(&arn)
            .filter(|cluster| cluster.region == region)
            .ok_or_else(|| Refusal(404, "ResourceNotFoundFault", format!("{arn} not found")))?;
        if cluster.status != "available" {
            let message = format!("DB cluster {} is {}", cluster.id, cluster.status);
            return Err(Refusal(400, "InvalidResourceStateFault", message));
        }
        if on && !cluster.data_api {
            let ready = environment.draw("data-api-ready", &environment.timings.data_api_ready);
            let from = environment.now().checked_add(ready).unwrap_or(Timestamp::MAX);
            cluster.takes_statements_from = cluster.takes_statements_from.max(from);
        }
        cluster.data_api = on;
        Ok(element("ResourceArn", &arn) + &element("HttpEndpointEnabled", &on.to_string()))
    }

    /// Changes that are heeded here: protection from deletion, and the master user's password.
    pub(super) fn modify_cluster(
        &mut self,
        environment: &Environment,
        region: &str,
        parameters: &Parameters,
    ) -> Result<String, Refusal> {
        let heeded = [
            "DBClusterIdentifier",
            "DeletionProtection",
            "MasterUserPassword",
            "ApplyImmediately",
        ];
        take_only(parameters, &heeded)?;
        let name = parameters.get("DBClusterIdentifier").cloned().unwrap_or_default();
        let cluster = self.named_mut(region, &name)?;
        cluster.is_available()?;
        if let Some(on) = parameters.get("DeletionProtection") {
            cluster.settings.deletion_protection = on == "true";
        }
        if let Some(password) = parameters.get("MasterUserPassword") {
            cluster.change_password(environment, password)?;
        }
        Ok(element("DBClusterIdentifier", &cluster.id))
    }

    pub(super) fn delete_cluster_as_asked(
        &mut self,
        environment: &Environment,
        region: &str,
        parameters: &Parameters,
    ) -> Result<String, Refusal> {
        take_only(parameters, &["DBClusterIdentifier", "SkipFinalSnapshot"])?;
        let name = parameters.get("DBClusterIdentifier").cloned().unwrap_or_default();
        let arn = self.named(region, &name)?.0.clone();
        let is_member = self.globals.values().any(|global| global.members.contains(&arn));
        let now = environment.now();
        let deletion = environment.draw("deletion", &environment.timings.deletion);
        let cluster = self.named_mut(region, &arn)?;
        let invalid = |why: &str| Refusal(400, "InvalidDBClusterStateFault", format!("{arn} {why}"));
        if parameters.get("SkipFinalSnapshot").map(String::as_str) != Some("true") {
            let message = "FinalDBSnapshotIdentifier is required unless SkipFinalSnapshot is specified.";
            return Err(Refusal(400, "InvalidParameterCombination", message.to_owned()));
        }
        if cluster.settings.deletion_protection {
            let message = "Cannot delete protected Cluster, please disable deletion protection and try again.";
            return Err(Refusal(400, "InvalidParameterCombination", message.to_owned()));
        }
        if is_member {
            return Err(invalid("is a member of a global cluster"));
        }
        if !cluster.instances.is_empty() {
            return Err(invalid("cannot be deleted, it still contains DB instances"));
        }
        if cluster.status == "deleting" {
            return Err(invalid("is being deleted"));
        }
        cluster.status = "deleting";
        cluster.making = None;
        cluster.gone_from = now.checked_add(deletion).ok();
        Ok(element_of("DBCluster", &cluster_xml(&arn, cluster, true, now)))
    }

    pub(super) fn describe_automated_backups(&self, region: &str, parameters: &Parameters) -> Result<String, Refusal> {
        take_only(parameters, &["DBClusterIdentifier", "DbClusterResourceId"])?;
        let is_wanted = |name: &str, value: &str| parameters.get(name).is_none_or(|wanted| wanted == value);
        let found: String = self
            .retained
            .iter()
            .filter(|retained| {
                retained.cluster.region == region
                    && is_wanted("DBClusterIdentifier", &retained.cluster.id)
                    && is_wanted("DbClusterResourceId", &retained.cluster.resource_id())
            })
            .map(|retained| {
                let window = retained.cluster.restorable(retained.deleted_at);
                let window = window.map_or_else(String::new, |(from, to)| {
                    let times = element("EarliestTime", &from.to_string()) + &element("LatestTime", &to.to_string());
                    element_of("RestoreWindow", &times)
                });
                let parts = [
                    element("DBClusterIdentifier", &retained.cluster.id),
                    element("DbClusterResourceId", &retained.cluster.resource_id()),
                    element("Status", "retained"),
                    element("Engine", ENGINE),
                    window,
                ];
                element_of("DBClusterAutomatedBackup", &parts.concat())
            })
            .collect();
        Ok(element_of("DBClusterAutomatedBackups", &found))
    }
}

/// The numbers of a version, to compare it with others.
fn parts_of(version: &str) -> Vec<u32> {
    version.split('.').filter_map(|part| part.parse().ok()).collect()
}

/// What a restore of a cluster to a time begins with. Errors: AWS's refusal of the time.
fn source(cluster: &Cluster, to: Option<Timestamp>, now: Timestamp) -> Result<Contents, Refusal> {
    let Some((earliest, latest)) = cluster.restorable(now) else {
        let message = format!("DB cluster {} has no backup yet", cluster.id);
        return Err(Refusal(400, "InvalidDBClusterStateFault", message));
    };
    let to = to.unwrap_or(latest);
    if to < earliest || to > latest {
        let message = format!("The restore time {to} is not between {earliest} and {latest}");
        return Err(Refusal(400, "InvalidParameterValue", message));
    }
    cluster.contents(to)
}
