//! The control plane: what it answers, and the moves of the writer that it takes.

use super::parameters::{ENGINE, Parameters, element_of, no_cluster, take_only};
use super::state::{Fate, Global, Move, Rds, State, Transition};
use super::xml::cluster_xml;
use crate::aws::refusal::Refusal;
use crate::aws::wire::{Call, Reply, element, query_parameters};
use crate::environment::Environment;
use crate::lock::lock;

/// The share of a switchover in which the old writer still writes. Source: as `global_switchover`, 139 of 305 s.
const WRITES_GO_ON: f64 = 0.46;

impl Rds {
    pub(super) fn reply_to(&self, environment: &Environment, call: &Call, operation: &str) -> Reply {
        let parameters = query_parameters(&call.body);
        let mut state = lock(&self.state);
        state.advance(environment, environment.now());
        let result = match operation {
            "DescribeGlobalClusters" => state.describe_global_clusters(environment, &parameters),
            "DescribeDBClusters" => state.describe_clusters(environment, &call.region, &parameters),
            "DescribeDBInstances" => state.describe_instances(environment, &call.region, &parameters),
            "CreateDBInstance" => state.create_instance(environment, &call.region, &parameters),
            "DeleteDBInstance" => state.delete_instance(environment, &call.region, &parameters),
            "RestoreDBClusterToPointInTime" => state.restore_to_time(environment, &call.region, &parameters),
            "RestoreDBClusterFromSnapshot" => state.restore_from_snapshot(environment, &call.region, &parameters),
            "DeleteDBCluster" => state.delete_cluster_as_asked(environment, &call.region, &parameters),
            "ModifyDBCluster" => state.modify_cluster(environment, &call.region, &parameters),
            "DescribeDBClusterAutomatedBackups" => state.describe_automated_backups(&call.region, &parameters),
            "CreateDBClusterSnapshot" => state.create_snapshot(environment, &call.region, &parameters),
            "DescribeDBClusterSnapshots" => state.describe_snapshots(environment, &call.region, &parameters),
            "EnableHttpEndpoint" => state.enable_http_endpoint(environment, &call.region, &parameters, true),
            "DisableHttpEndpoint" => state.enable_http_endpoint(environment, &call.region, &parameters, false),
            "FailoverGlobalCluster" | "SwitchoverGlobalCluster" => {
                state.move_writer(environment, &call.region, operation, &parameters)
            }
            other => Err(Refusal(
                501,
                "NotSimulated",
                format!("the simulated RDS has no {other}"),
            )),
        };
        match result {
            Ok(result) => Reply::query(operation, &result),
            Err(Refusal(status, code, message)) => Reply::query_error(status, code, &message),
        }
    }
}

impl State {
    pub(super) fn describe_global_clusters(
        &mut self,
        environment: &Environment,
        parameters: &Parameters,
    ) -> Result<String, Refusal> {
        take_only(parameters, &["GlobalClusterIdentifier"])?;
        let wanted = parameters.get("GlobalClusterIdentifier");
        let ids: Vec<String> = self
            .globals
            .keys()
            .filter(|id| wanted.is_none_or(|wanted| wanted == *id))
            .cloned()
            .collect();
        let found: Vec<String> = ids
            .iter()
            .filter_map(|id| self.look(environment, id))
            .map(|shows| element_of("GlobalClusterMember", &shows))
            .collect();
        match (wanted, found.is_empty()) {
            (Some(id), true) => Err(Refusal(
                404,
                "GlobalClusterNotFoundFault",
                format!("Global cluster {id} not found"),
            )),
            _ => Ok(format!("<GlobalClusters>{}</GlobalClusters>", found.concat())),
        }
    }

    pub(super) fn describe_clusters(
        &self,
        environment: &Environment,
        region: &str,
        parameters: &Parameters,
    ) -> Result<String, Refusal> {
        take_only(parameters, &["DBClusterIdentifier"])?;
        let wanted = parameters.get("DBClusterIdentifier");
        let found: Vec<String> = self
            .clusters
            .iter()
            .filter(|(arn, cluster)| {
                cluster.region == region && wanted.is_none_or(|wanted| *wanted == cluster.id || wanted == *arn)
            })
            .map(|(arn, cluster)| {
                let mut globals = self.globals.values();
                let is_writer = globals.all(|global| global.writer == *arn || !global.members.contains(arn));
                element_of("DBCluster", &cluster_xml(arn, cluster, is_writer, environment.now()))
            })
            .collect();
        match (wanted, found.is_empty()) {
            (Some(id), true) => Err(no_cluster(id)),
            _ => Ok(format!("<DBClusters>{}</DBClusters>", found.concat())),
        }
    }

    /// `FailoverGlobalCluster` and `SwitchoverGlobalCluster`. Without `AllowDataLoss` a failover is a switchover.
    pub(super) fn move_writer(
        &mut self,
        environment: &Environment,
        region: &str,
        operation: &str,
        parameters: &Parameters,
    ) -> Result<String, Refusal> {
        let moved = self.begin_move(environment, region, operation, parameters);
        let parameter = |name: &str| parameters.get(name).cloned().unwrap_or_default();
        if let Some(global) = self.globals.get_mut(&parameter("GlobalClusterIdentifier")) {
            global.moves.push(Move {
                at: environment.now(),
                region: region.to_owned(),
                target: parameter("TargetDbClusterIdentifier"),
                loses_data: parameter("AllowDataLoss") == "true",
                accepted: moved.is_ok(),
                saw_what_was: !global.last_look_was_old,
                given_up_at: None,
            });
        }
        moved
    }

    pub(super) fn begin_move(
        &mut self,
        environment: &Environment,
        region: &str,
        operation: &str,
        parameters: &Parameters,
    ) -> Result<String, Refusal> {
        let mut known = vec!["GlobalClusterIdentifier", "TargetDbClusterIdentifier"];
        if operation == "FailoverGlobalCluster" {
            known.extend(["AllowDataLoss", "Switchover"]);
        }
        take_only(parameters, &known)?;
        let is = |name: &str| parameters.get(name).is_some_and(|value| value == "true");
        let loses_data = operation == "FailoverGlobalCluster" && is("AllowDataLoss");
        if loses_data && is("Switchover") {
            let message = "AllowDataLoss and Switchover can't be specified together";
            return Err(Refusal(400, "InvalidParameterCombination", message.to_owned()));
        }
        let id = parameters.get("GlobalClusterIdentifier").cloned().unwrap_or_default();
        let target = parameters.get("TargetDbClusterIdentifier").cloned().unwrap_or_default();
        let global = self.globals.get_mut(&id).ok_or_else(|| {
            Refusal(
                404,
                "GlobalClusterNotFoundFault",
                format!("Global cluster {id} not found"),
            )
        })?;
        // AWS asks for the ARN, "so that Aurora can locate the cluster in its Region": a name is found nowhere.
        if !global.members.contains(&target) {
            return Err(Refusal(
                404,
                "DBClusterNotFoundFault",
                format!("DBCluster {target} not found in {id}"),
            ));
        }
        let invalid = |message: String| Refusal(400, "InvalidGlobalClusterStateFault", message);
        if let Some(transition) = &global.transition {
            return Err(invalid(format!("{id} is failing over to {}", transition.to)));
        }
        if global.writer == target {
            return Err(invalid(format!("{target} is the writer of {id} already")));
        }
        if global.left_behind.contains_key(&target) {
            return Err(invalid(format!("{target} is being resynchronised")));
        }
        // The four operations document this code and InvalidGlobalClusterStateFault; the state of the global cluster is
        // fine, that of one of its members is not.
        let version = |arn: &str| {
            self.clusters
                .get(arn)
                .map(|cluster| minor_version(&cluster.engine_version))
        };
        if version(&global.writer) != version(&target) {
            let message = format!("{target} does not have the engine version of the writer of {id}");
            return Err(Refusal(400, "InvalidDBClusterStateFault", message));
        }
        let region_of = |arn: &str| {
            self.clusters
                .get(arn)
                .map(|cluster| cluster.region.clone())
                .unwrap_or_default()
        };
        let (from_region, to_region) = (region_of(&global.writer), region_of(&target));
        let now = environment.now();
        let timings = &environment.timings;
        let (begins_in, lasts) = if loses_data {
            if region != to_region {
                return Err(invalid(format!(
                    "a failover is called in {to_region}, the Region of the cluster promoted"
                )));
            }
            (
                environment.draw("global-failover", &timings.global_failover_pending),
                environment.draw("global-failover", &timings.global_failover),
            )
        } else {
            if region != from_region {
                return Err(invalid(format!(
                    "a switchover is called in {from_region}, the Region of the writer"
                )));
            }
            if !environment.databases_run(&to_region) || !environment.passes(&from_region, &to_region) {
                return Err(invalid(format!("{target} is not in sync with the writer")));
            }
            let lasts = environment.draw("global-switchover", &timings.global_switchover);
            let with_writes = lasts.mul_f64(WRITES_GO_ON);
            (with_writes, lasts - with_writes)
        };
        let begins_at = now.checked_add(begins_in).unwrap_or(now);
        let hang = self.next_switchover_hangs.take_if(|_| !loses_data);
        let hang = hang.filter(|hang| environment.faults.holds(hang.fault));
        if let Some(hang) = hang {
            environment.faults.apply(hang.fault);
        }
        let fate = self.next_failover.take_if(|_| loses_data);
        let fate = fate.filter(|(fault, _)| environment.faults.holds(*fault));
        let stuck = fate.filter(|(_, fate)| *fate == Fate::Stuck).map(|(fault, _)| fault);
        let fate = fate.map(|(fault, fate)| {
            environment.faults.apply(fault);
            fate
        });
        let after_begin = |duration| begins_at.checked_add(duration).unwrap_or(begins_at);
        let cancelling_from = (fate == Some(Fate::Cancelled)).then(|| after_begin(lasts - lasts / 4));
        let lasts = hang.map_or(Some(lasts), |hang| hang.how_long);
        let hung = hang.filter(|hang| hang.how_long.is_none()).map(|hang| hang.fault);
        let ends_at = lasts.filter(|_| fate != Some(Fate::Stuck)).map(after_begin);
        global.transition = Some(Transition {
            to: target,
            loses_data,
            called_at: now,
            begins_at,
            ends_at,
            is_cancelled: hang.is_some() || fate == Some(Fate::Cancelled),
            cancelling_from,
            begun: false,
            is_cancelling: false,
            held_by: stuck.or(hung),
        });
        let answer = self.globals.get(&id).map(|global| self.global_xml(&id, global));
        Ok(element_of("GlobalCluster", &answer.unwrap_or_default()))
    }

    pub(super) fn global_xml(&self, id: &str, global: &Global) -> String {
        let writer = self.clusters.get(&global.writer);
        let version = writer.map(|cluster| cluster.engine_version.as_str());
        global_xml(id, global, version.unwrap_or_default())
    }
}

/// Major and minor version, which the clusters of a failover or switchover must have in common. (Patch levels do not
/// count; of some of them AWS knows that they do.)
pub(super) fn minor_version(version: &str) -> Vec<&str> {
    version.split('.').take(2).collect()
}

pub(super) fn global_xml(id: &str, global: &Global, engine_version: &str) -> String {
    let members: String = global
        .members
        .iter()
        .map(|arn| {
            let is_writer = global.writer == *arn;
            let readers: String = global
                .members
                .iter()
                .filter(|other| *other != arn)
                .map(|other| element("member", other))
                .collect();
            let readers = if is_writer {
                format!("<Readers>{readers}</Readers>")
            } else {
                "<Readers/>".to_owned()
            };
            format!(
                "<GlobalClusterMember>{}{}{readers}{}</GlobalClusterMember>",
                element("DBClusterArn", arn),
                element("IsWriter", &is_writer.to_string()),
                element("SynchronizationStatus", global.synchronization(arn)),
            )
        })
        .collect();
    let transition = global.transition.as_ref().map_or_else(String::new, |transition| {
        format!(
            "<FailoverState>{}{}{}{}</FailoverState>",
            element("Status", global.failover_status()),
            element("FromDbClusterArn", &global.writer),
            element("ToDbClusterArn", &transition.to),
            element("IsDataLossAllowed", &transition.loses_data.to_string()),
        )
    });
    let status = match &global.transition {
        None => "available",
        Some(transition) if transition.loses_data => "failing-over",
        Some(_) => "switching-over",
    };
    format!(
        "{}{}{}{}<GlobalClusterMembers>{members}</GlobalClusterMembers>{transition}",
        element("GlobalClusterIdentifier", id),
        element("Status", status),
        element("Engine", ENGINE),
        element("EngineVersion", engine_version),
    )
}
