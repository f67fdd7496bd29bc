//! Clusters that are made from another one's past, from snapshots, or from what is left of a deleted one; and their deletion.
//!
//! Sources: RDS API Reference, `RestoreDBClusterToPointInTime` and `RestoreDBClusterFromSnapshot`; Aurora User Guide, "Restoring a DB
//! cluster to a specified time". AWS publishes no codes for a time out of range; `InvalidParameterValue` is assumed.

use std::time::Duration;

use jiff::Timestamp;

use super::parameters::{ENGINE, Parameters, Refusal, element_of, no_cluster, take_only};
use super::resources::{Making, Quota, RestoreFate, copy};
use super::settings::{OF_RESTORES, Settings};
use super::state::{Cluster, Rds, Retained, State};
use super::xml::cluster_xml;
use crate::aws::wire::element;
use crate::database::Database;
use crate::environment::Environment;
use crate::faults::FaultId;
use crate::lock::lock;

/// Backups reach the time of restores in steps of this length: "typically within 5 minutes of the current time".
const BACKUP_STEP_SECONDS: i64 = 5 * 60;

/// What a cluster is made from.
struct Source {
    database: Database,
    settings: Settings,
    secret_arn: String,
    engine_version: String,
    is_there: bool,
}

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
    pub fn set_settings(&self, cluster_arn: &str, settings: Settings) {
        if let Some(cluster) = lock(&self.state).clusters.get_mut(cluster_arn) {
            cluster.settings = settings;
        }
    }

    /// What a cluster is set to.
    pub fn settings_of(&self, cluster_arn: &str) -> Option<Settings> {
        let state = lock(&self.state);
        state.clusters.get(cluster_arn).map(|cluster| cluster.settings.clone())
    }

    /// Deletes a cluster, as somebody does by mistake: its instances go, and its automated backup stays if it is `retained`.
    pub fn lose_cluster(&self, environment: &Environment, cluster_arn: &str, retained: bool) {
        let mut state = lock(&self.state);
        if let Some(cluster) = state.clusters.remove(cluster_arn)
            && retained
        {
            state.retain(cluster, environment.now());
        }
        for global in state.globals.values_mut() {
            global.members.retain(|member| member != cluster_arn);
        }
    }
}

impl Cluster {
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
            if let Some(cluster) = self.clusters.remove(&arn) {
                self.retain(cluster, now);
            }
        }
    }

    fn retain(&mut self, cluster: Cluster, deleted_at: Timestamp) {
        self.retained.push(Retained {
            resource_id: cluster.resource_id(),
            region: cluster.region.clone(),
            cluster,
            deleted_at,
        });
    }

    /// The ARN of a cluster by its name or ARN. Errors: there is none in this Region.
    pub(super) fn arn_of(&self, region: &str, name: &str) -> Result<String, Refusal> {
        let found = self
            .clusters
            .iter()
            .find(|(arn, cluster)| cluster.region == region && (cluster.id == name || arn.as_str() == name));
        found.map(|(arn, _)| arn.clone()).ok_or_else(|| no_cluster(name))
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
        let id = text("DBClusterIdentifier").unwrap_or_default();
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
        let source = match text("SourceDbClusterResourceId") {
            Some(resource) => {
                let retained = self
                    .retained
                    .iter()
                    .find(|retained| retained.resource_id == resource && retained.region == region);
                let retained = retained.ok_or_else(|| {
                    let message = format!("automated backup of {resource} not found");
                    Refusal(404, "DBClusterAutomatedBackupNotFoundFault", message)
                })?;
                source(&retained.cluster, to, retained.deleted_at, false)?
            }
            None => {
                let arn = self.arn_of(region, &text("SourceDBClusterIdentifier").unwrap_or_default())?;
                let cluster = self.clusters.get(&arn).ok_or_else(|| no_cluster(&arn))?;
                if !matches!(cluster.status, "available" | "backing-up") {
                    let message = format!("DB cluster {} is {}", cluster.id, cluster.status);
                    return Err(Refusal(400, "InvalidDBClusterStateFault", message));
                }
                source(cluster, to, now, true)?
            }
        };
        let takes = environment.draw("cluster-restore", &environment.timings.cluster_restore);
        self.make(environment, region, &id, &known, parameters, source, takes)
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
        let id = text("DBClusterIdentifier").unwrap_or_default();
        let snapshot = self.snapshot_of(region, &text("SnapshotIdentifier").unwrap_or_default())?;
        if snapshot.status(environment.now()) != "available" {
            let message = format!("Cluster snapshot {} is not available", snapshot.id);
            return Err(Refusal(400, "InvalidDBClusterSnapshotStateFault", message));
        }
        if text("Engine").as_deref() != Some(snapshot.engine.as_str()) {
            let message = format!("The snapshot {} is of {}", snapshot.id, snapshot.engine);
            return Err(Refusal(400, "InvalidParameterCombination", message));
        }
        let source = Source {
            database: copy(&snapshot.database, snapshot.taken_at)?,
            settings: snapshot.settings.clone(),
            secret_arn: snapshot.secret_arn.clone(),
            engine_version: snapshot.engine_version.clone(),
            is_there: true,
        };
        let takes = environment.draw("snapshot-restore", &environment.timings.snapshot_restore);
        self.make(environment, region, &id, &known, parameters, source, takes)
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

    #[expect(clippy::too_many_arguments, reason = "what both restores have in common")]
    fn make(
        &mut self,
        environment: &Environment,
        region: &str,
        id: &str,
        known: &[&str],
        parameters: &Parameters,
        source: Source,
        takes: Duration,
    ) -> Result<String, Refusal> {
        let settings = source.settings.restored(parameters, source.is_there)?;
        take_only(parameters, known)?;
        if self.arn_of(region, id).is_ok() {
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
            id: id.to_owned(),
            region: region.to_owned(),
            status: "creating",
            engine_version: source.engine_version,
            secret_arn: source.secret_arn,
            data_api: false,
            takes_statements_from: Timestamp::MAX,
            instances: Vec::new(),
            database: source.database,
            settings,
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

    /// Changes that are heeded here: protection from deletion.
    pub(super) fn modify_cluster(&mut self, region: &str, parameters: &Parameters) -> Result<String, Refusal> {
        take_only(
            parameters,
            &["DBClusterIdentifier", "DeletionProtection", "ApplyImmediately"],
        )?;
        let name = parameters.get("DBClusterIdentifier").cloned().unwrap_or_default();
        let arn = self.arn_of(region, &name)?;
        let cluster = self.clusters.get_mut(&arn).ok_or_else(|| no_cluster(&arn))?;
        if cluster.status != "available" {
            let message = format!("DB cluster {} is {}", cluster.id, cluster.status);
            return Err(Refusal(400, "InvalidDBClusterStateFault", message));
        }
        if let Some(on) = parameters.get("DeletionProtection") {
            cluster.settings.deletion_protection = on == "true";
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
        let arn = self.arn_of(
            region,
            &parameters.get("DBClusterIdentifier").cloned().unwrap_or_default(),
        )?;
        let is_member = self.globals.values().any(|global| global.members.contains(&arn));
        let now = environment.now();
        let deletion = environment.draw("deletion", &environment.timings.deletion);
        let cluster = self.clusters.get_mut(&arn).ok_or_else(|| no_cluster(&arn))?;
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
                retained.region == region
                    && is_wanted("DBClusterIdentifier", &retained.cluster.id)
                    && is_wanted("DbClusterResourceId", &retained.resource_id)
            })
            .map(|retained| {
                let window = retained.cluster.restorable(retained.deleted_at);
                let window = window.map_or_else(String::new, |(from, to)| {
                    let times = element("EarliestTime", &from.to_string()) + &element("LatestTime", &to.to_string());
                    element_of("RestoreWindow", &times)
                });
                let parts = [
                    element("DBClusterIdentifier", &retained.cluster.id),
                    element("DbClusterResourceId", &retained.resource_id),
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

/// What a restore of a cluster to a time begins with. Errors: AWS's refusal of the time.
fn source(cluster: &Cluster, to: Option<Timestamp>, now: Timestamp, is_there: bool) -> Result<Source, Refusal> {
    let Some((earliest, latest)) = cluster.restorable(now) else {
        let message = format!("DB cluster {} has no backup yet", cluster.id);
        return Err(Refusal(400, "InvalidDBClusterStateFault", message));
    };
    let to = to.unwrap_or(latest);
    if to < earliest || to > latest {
        let message = format!("The restore time {to} is not between {earliest} and {latest}");
        return Err(Refusal(400, "InvalidParameterValue", message));
    }
    Ok(Source {
        database: copy(&cluster.database, to)?,
        settings: cluster.settings.clone(),
        secret_arn: cluster.secret_arn.clone(),
        engine_version: cluster.engine_version.clone(),
        is_there,
    })
}
