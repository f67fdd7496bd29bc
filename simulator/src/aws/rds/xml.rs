//! How a cluster is described.

use jiff::Timestamp;

use super::parameters::ENGINE;
use super::state::Cluster;
use crate::aws::wire::element;

/// The parts of a `DBCluster`; `is_writer` says whether its global database, if it has one, writes there.
pub(super) fn cluster_xml(arn: &str, cluster: &Cluster, is_writer: bool, now: Timestamp) -> String {
    let writer = cluster.writer(now).map(|instance| &instance.id);
    let members: String = cluster
        .instances
        .iter()
        .map(|instance| {
            let is_writer = is_writer && writer == Some(&instance.id);
            let id = element("DBInstanceIdentifier", &instance.id);
            format!(
                "<DBClusterMember>{id}{}</DBClusterMember>",
                element("IsClusterWriter", &is_writer.to_string())
            )
        })
        .collect();
    let times = cluster.restorable(now).map_or_else(String::new, |(earliest, latest)| {
        element("EarliestRestorableTime", &earliest.to_string()) + &element("LatestRestorableTime", &latest.to_string())
    });
    let pending = match cluster.new_password {
        Some(_) => format!(
            "<PendingModifiedValues>{}</PendingModifiedValues>",
            element("MasterUserPassword", "****")
        ),
        None => String::new(),
    };
    format!(
        "{}{}{}{}{}{}{}{}{pending}{times}{}<DBClusterMembers>{members}</DBClusterMembers>",
        element("DBClusterIdentifier", &cluster.id),
        element("DBClusterArn", arn),
        element("Status", cluster.status),
        element("Engine", ENGINE),
        element("EngineVersion", &cluster.engine_version),
        element("HttpEndpointEnabled", &cluster.data_api.to_string()),
        element("DbClusterResourceId", &cluster.resource_id()),
        element("MasterUsername", &cluster.logins.master),
        cluster.settings.xml(),
    )
}
