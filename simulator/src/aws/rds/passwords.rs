//! How passwords change.
//!
//! Sources: RDS API Reference, `ModifyDBCluster`: a new password of the master user is applied "as soon as possible", and is among the
//! pending values until then; Aurora User Guide: the status is `resetting-master-credentials` meanwhile.

use jiff::Timestamp;

use super::state::{Cluster, Rds};
use crate::aws::refusal::Refusal;
use crate::aws::secretsmanager::Login;
use crate::environment::Environment;
use crate::lock::lock;

impl Cluster {
    /// Applies a new password of the master user where its time has come, and somebody could sign in.
    pub(super) fn reset_password(&mut self, now: Timestamp) {
        let Some((_, password)) = self.new_password.take_if(|(at, _)| *at <= now) else {
            return;
        };
        let user = self.logins.master.clone();
        self.logins.set(now, Login { user, password });
        if self.status == RESETTING {
            self.status = "available";
        }
    }

    /// Takes a new password of the master user. Errors: AWS's refusal.
    pub(super) fn change_password(&mut self, environment: &Environment, password: &str) -> Result<(), Refusal> {
        if password.len() < 8 || password.contains(['/', '"', '@', ' ']) {
            let message = "The parameter MasterUserPassword is not a valid password. Only printable ASCII characters besides '/', '@', \
                           '\"', ' ' may be used.";
            return Err(Refusal(400, "InvalidParameterValue", message.to_owned()));
        }
        let takes = environment.draw("password-reset", &environment.timings.password_reset);
        let at = environment.now().checked_add(takes).unwrap_or(Timestamp::MAX);
        self.new_password = Some((at, password.to_owned()));
        self.status = RESETTING;
        Ok(())
    }
}

/// The status of a cluster whose master user gets a new password.
const RESETTING: &str = "resetting-master-credentials";

impl Rds {
    /// Makes another user the master user, whose password RDS can set; those that sign in stay.
    pub fn set_master(&self, cluster_arn: &str, user: &str) {
        if let Some(cluster) = lock(&self.state).clusters.get_mut(cluster_arn) {
            cluster.logins.master = user.to_owned();
        }
    }

    /// Sets a user's password in a database, as `ALTER ROLE` does: in the cluster and in every copy of it in other Regions.
    pub fn set_password(&self, environment: &Environment, cluster_arn: &str, login: &Login) {
        let mut state = lock(&self.state);
        let global = state
            .globals
            .values()
            .find(|global| global.members.iter().any(|arn| arn == cluster_arn));
        let all = global.map_or_else(|| vec![cluster_arn.to_owned()], |global| global.members.clone());
        for arn in all {
            if let Some(cluster) = state.clusters.get_mut(&arn) {
                cluster.logins.set(environment.now(), login.clone());
            }
        }
    }
}
