//! RDS as a service.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::json;
use shared::arn::Arn;

use super::state::Rds;
use crate::aws::resources::{ANY, Resource};
use crate::aws::service::{Answer, Parts, Protocol, Service, parts};
use crate::aws::wire::{Call, query_operation, query_parameter};
use crate::environment::Environment;
use crate::faults::CallEffect;
use crate::lock::lock;

impl Rds {
    /// What a restore touches. Source: Service Authorization Reference, "Amazon RDS": the new cluster, its subnet and parameter
    /// groups, and what it is made from.
    fn restore_touches(&self, call: &Call, named: &dyn Fn(&str, &str) -> Resource) -> Option<Vec<Resource>> {
        let given = |name: &str| query_parameter(&call.body, name).map(Cow::into_owned);
        let kinds = [
            ("DBClusterIdentifier", "cluster"),
            ("SourceDBClusterIdentifier", "cluster"),
            ("SourceDbClusterResourceId", "cluster-auto-backup"),
            ("SnapshotIdentifier", "cluster-snapshot"),
            ("DBSubnetGroupName", "subgrp"),
            ("DBClusterParameterGroupName", "cluster-pg"),
        ];
        given("DBClusterIdentifier")?;
        let touched = kinds.iter().filter_map(|(name, kind)| Some(named(kind, &given(name)?)));
        Some(touched.collect())
    }
}

impl Service for Rds {
    fn endpoint(&self) -> Option<&'static str> {
        Some("rds")
    }

    fn operation<'a>(&self, call: &'a Call) -> Option<Cow<'a, str>> {
        query_operation(&call.body)
    }

    /// A move of the writer touches the global database and every cluster of it. Source: Application Recovery Controller
    /// Developer Guide, "Aurora Global Database execution block sample policy"; the Service Authorization Reference has both
    /// types as required and does not say which clusters.
    fn touched(&self, environment: &Environment, call: &Call, operation: &str) -> Option<Vec<Resource>> {
        let (region, account) = (&call.region, &environment.account);
        let given = |name: &str| query_parameter(&call.body, name).map(Cow::into_owned);
        let named = |kind: &str, name: &str| match Arn::read(name).is_some() {
            true => Resource::new(name),
            false => Resource::new(format!("arn:aws:rds:{region}:{account}:{kind}:{name}")),
        };
        let global = |name: &str| Resource::new(format!("arn:aws:rds::{account}:global-cluster:{name}"));
        let any = || ANY.to_owned();
        match operation {
            "DescribeDBClusters" => Some(vec![named(
                "cluster",
                &given("DBClusterIdentifier").unwrap_or_else(any),
            )]),
            "DescribeDBInstances" => Some(vec![named("db", &given("DBInstanceIdentifier").unwrap_or_else(any))]),
            "CreateDBInstance" => {
                let mut touched = vec![
                    named("db", &given("DBInstanceIdentifier")?),
                    named("cluster", &given("DBClusterIdentifier")?),
                ];
                touched.extend(given("DBParameterGroupName").map(|name| named("pg", &name)));
                Some(touched)
            }
            "DeleteDBInstance" => Some(vec![named("db", &given("DBInstanceIdentifier")?)]),
            "DeleteDBCluster" | "ModifyDBCluster" => Some(vec![named("cluster", &given("DBClusterIdentifier")?)]),
            "EnableHttpEndpoint" | "DisableHttpEndpoint" => Some(vec![Resource::new(given("ResourceArn")?)]),
            "DescribeDBClusterAutomatedBackups" => Some(vec![Resource::new(format!(
                "arn:aws:rds:{region}:{account}:cluster-auto-backup:{ANY}"
            ))]),
            "CreateDBClusterSnapshot" => Some(vec![
                named("cluster-snapshot", &given("DBClusterSnapshotIdentifier")?),
                named("cluster", &given("DBClusterIdentifier")?),
            ]),
            "DescribeDBClusterSnapshots" => Some(vec![
                named(
                    "cluster-snapshot",
                    &given("DBClusterSnapshotIdentifier").unwrap_or_else(any),
                ),
                named("cluster", &given("DBClusterIdentifier").unwrap_or_else(any)),
            ]),
            "RestoreDBClusterToPointInTime" | "RestoreDBClusterFromSnapshot" => {
                Some(self.restore_touches(call, &named)?)
            }
            "DescribeGlobalClusters" => Some(vec![global(&given("GlobalClusterIdentifier").unwrap_or_else(any))]),
            "FailoverGlobalCluster" | "SwitchoverGlobalCluster" => {
                let name = given("GlobalClusterIdentifier")?;
                let mut touched = vec![global(&name), named("cluster", &given("TargetDbClusterIdentifier")?)];
                let members = self.members_of(&name);
                touched.extend(members.into_iter().map(Resource::new));
                Some(touched)
            }
            _ => None,
        }
    }

    fn failure(&self, environment: &Environment, region: &str) -> Option<CallEffect> {
        self.failing(environment, region)
    }

    fn protocol(&self) -> Protocol {
        Protocol::Query
    }

    fn answer<'a>(&'a self, environment: &'a Arc<Environment>, call: &'a Call, operation: &'a str) -> Answer<'a> {
        self.reply_to(environment, call, operation).into()
    }

    fn snapshot(&self, environment: &Environment) -> Parts {
        parts([
            ("clusters", self.other_clusters(environment)),
            ("global_databases", self.global_databases(environment)),
        ])
    }

    /// How many statements each cluster's database has committed, and which snapshots and backups are kept.
    fn journal(&self, environment: &Environment) -> Parts {
        let mut state = lock(&self.state);
        state.advance(environment, environment.now());
        let clusters = state.clusters.iter();
        let each = clusters.map(|(arn, cluster)| (arn, cluster.database.commits()));
        let commits = json!(each.collect::<BTreeMap<_, _>>());
        let snapshots: Vec<&String> = state.snapshots.iter().map(|snapshot| &snapshot.id).collect();
        let retained = state.retained.iter().map(|retained| retained.cluster.resource_id());
        let retained: Vec<String> = retained.collect();
        parts([
            ("commits", commits),
            ("retained_backups", json!(retained)),
            ("snapshots", json!(snapshots)),
        ])
    }
}
