//! What goes wrong while a cluster is restored and functions are pointed to it.

use std::sync::Arc;
use std::time::Duration;

use simulator::aws::rds::{Quota, RestoreFate};
use simulator::cloud::AwsCall;
use simulator::workload::{SECOND_PASSWORD, change_database_password};

use crate::fault::{Area, Count, Effect, FaultKind, Fits, applied, calls};
use crate::world::World;

/// What those say that decide how a restore ends.
const WHAT_BECOMES_OF_A_RESTORE: &str = "what becomes of a restore";

/// Whether a call asks for a restored cluster.
pub(crate) fn is_restore(call: &AwsCall) -> bool {
    ["RestoreDBClusterFromSnapshot", "RestoreDBClusterToPointInTime"].contains(&call.operation.as_str())
}

/// The restore never ends.
pub static STUCK: FaultKind = FaultKind {
    fits: Fits::Named,
    says: &[WHAT_BECOMES_OF_A_RESTORE],
    ..FaultKind::plain::<Stuck>(
        Area::Database,
        "restore-stuck",
        "the restore never ends",
        "ends as rolled-back at the deadline; customers have the database from before",
    )
};

#[derive(Default)]
struct Stuck;

impl Effect for Stuck {
    fn at_the_disaster(&self, world: &World<'_>) -> Option<Count> {
        let cloud = world.cloud();
        Some(applied(cloud.rds.decide_next_restore(cloud, RestoreFate::Stuck)))
    }
}

/// The restore fails.
pub static FAILED: FaultKind = FaultKind {
    fits: Fits::Named,
    says: &[WHAT_BECOMES_OF_A_RESTORE],
    ..FaultKind::plain::<Failed>(
        Area::Database,
        "restore-failed",
        "the restored cluster ends up as failed",
        "ends as rolled-back; customers have the database from before",
    )
};

#[derive(Default)]
struct Failed;

impl Effect for Failed {
    fn at_the_disaster(&self, world: &World<'_>) -> Option<Count> {
        let cloud = world.cloud();
        Some(applied(cloud.rds.decide_next_restore(cloud, RestoreFate::Failed)))
    }
}

/// AWS refuses the restore.
pub static REFUSED: FaultKind = FaultKind {
    fits: Fits::Named,
    says: &[WHAT_BECOMES_OF_A_RESTORE],
    ..FaultKind::with(
        Area::Database,
        "restore-refused:<parameter>",
        "AWS refuses the restore because of a parameter",
        "ends as rolled-back, with what AWS says; customers have the database from before",
        |said| Ok(Box::new(Refused(said.text("parameter")?.to_owned()))),
        |rng, _| Box::new(Refused(PARAMETERS[rng.usize(..PARAMETERS.len())].to_owned())),
    )
};

/// Parameters that AWS may refuse.
pub(crate) const PARAMETERS: [&str; 3] = ["AssociatedRoles", "KmsKeyId", "StorageType"];

struct Refused(String);

impl Effect for Refused {
    fn argument(&self) -> Option<String> {
        Some(self.0.clone())
    }

    fn at_the_disaster(&self, world: &World<'_>) -> Option<Count> {
        let cloud = world.cloud();
        let fate = RestoreFate::Refused(self.0.clone());
        Some(applied(cloud.rds.decide_next_restore(cloud, fate)))
    }
}

/// The account may have no more of something.
pub static QUOTA: FaultKind = FaultKind {
    fits: Fits::Named,
    ..FaultKind::with(
        Area::Database,
        "quota:<what>",
        "the account can have no more clusters, or no more instances",
        "ends as rolled-back, and names the quota",
        |said| {
            let (_, quota) = said.one_of("what", &QUOTAS)?;
            Ok(Box::new(Exhausted(quota)))
        },
        |rng, _| Box::new(Exhausted(QUOTAS[rng.usize(..QUOTAS.len())].1)),
    )
};

/// What there can be no more of, by name.
pub(crate) const QUOTAS: [(&str, Quota); 2] = [("clusters", Quota::Clusters), ("instances", Quota::Instances)];

struct Exhausted(Quota);

impl Effect for Exhausted {
    fn argument(&self) -> Option<String> {
        let found = QUOTAS.iter().find(|(_, quota)| *quota == self.0);
        found.map(|(name, _)| (*name).to_owned())
    }

    fn at_the_disaster(&self, world: &World<'_>) -> Option<Count> {
        let cloud = world.cloud();
        Some(applied(cloud.rds.exhaust(cloud, self.0, world.here)))
    }
}

/// Nobody can decrypt the variables of a function.
pub static ENCRYPTED_VARIABLES: FaultKind = FaultKind {
    fits: Fits::Named,
    ..FaultKind::plain::<Encrypted>(
        Area::Resources,
        "encrypted-variables",
        "the variables of the last function cannot be decrypted",
        "ends as refused before anything is changed, and names the function",
    )
};

#[derive(Default)]
struct Encrypted;

impl Effect for Encrypted {
    fn at_the_disaster(&self, world: &World<'_>) -> Option<Count> {
        set_encrypted(world, true);
        Some(calls(|call| call.operation == "GetFunction"))
    }

    fn lift(&self, world: &World<'_>) {
        set_encrypted(world, false);
    }
}

fn set_encrypted(world: &World<'_>, on: bool) {
    let Some(last) = world.plan.functions.last() else {
        return;
    };
    let lambda = &world.cloud().lambda;
    if let Some(mut function) = lambda.function(world.here, &last.name) {
        function.is_encrypted = on;
        lambda.create_function(world.here, &last.name, function);
    }
}

/// A role names the damaged cluster alone.
pub static NARROW_ROLE: FaultKind = FaultKind {
    fits: Fits::Named,
    ..FaultKind::plain::<NarrowRole>(
        Area::Resources,
        "narrow-role",
        "the role of the last function may use the plan's cluster and no other",
        "ends as refused before anything is changed, and names the role",
    )
};

#[derive(Default)]
struct NarrowRole;

/// The role that the last function runs with.
fn last_role(world: &World<'_>) -> Option<String> {
    let last = world.plan.functions.last()?;
    Some(world.cloud().lambda.function(world.here, &last.name)?.role)
}

impl Effect for NarrowRole {
    fn at_the_beginning(&self, world: &World<'_>) -> Option<Count> {
        let cluster = world.plan.cluster_arn(&world.plan.regions.primary);
        world.cloud().iam.limit(&last_role(world)?, &[&cluster]);
        Some(calls(|call| call.operation == "SimulatePrincipalPolicy"))
    }

    fn lift(&self, world: &World<'_>) {
        if let Some(role) = last_role(world) {
            world.cloud().iam.limit(&role, &[]);
        }
    }
}

/// The master user's password is changed after the moment to go back to.
pub static WRONG_PASSWORD: FaultKind = FaultKind {
    fits: Fits::Named,
    says: &[WHOSE_PASSWORD],
    ..FaultKind::plain::<WrongPassword>(
        Area::Database,
        "wrong-password",
        "the password of the database's master user is changed right after the data are spoilt",
        "ends as recovered: RDS sets the new password in the restored database",
    )
};

/// The password of somebody else is changed.
pub static UNSETTABLE_PASSWORD: FaultKind = FaultKind {
    fits: Fits::Named,
    says: &[WHOSE_PASSWORD],
    ..FaultKind::plain::<UnsettablePassword>(
        Area::Database,
        "unsettable-password",
        "the same, of a user who is not the master user: nothing can set it in a restored database",
        "ends as refused before anything is changed, and names the user",
    )
};

/// What those say that decide whose password is another one in the restored database.
const WHOSE_PASSWORD: &str = "whose password is changed";

#[derive(Default)]
struct WrongPassword;

impl Effect for WrongPassword {
    fn at_the_disaster(&self, world: &World<'_>) -> Option<Count> {
        change_database_password(world.cloud(), world.plan, SECOND_PASSWORD);
        Some(calls(is_restore))
    }
}

#[derive(Default)]
struct UnsettablePassword;

impl Effect for UnsettablePassword {
    fn at_the_beginning(&self, world: &World<'_>) -> Option<Count> {
        let cluster = world.plan.cluster_arn(&world.plan.regions.primary);
        world.cloud().rds.set_master(&cluster, "administrator");
        None
    }

    fn at_the_disaster(&self, world: &World<'_>) -> Option<Count> {
        change_database_password(world.cloud(), world.plan, SECOND_PASSWORD);
        Some(calls(|call| call.operation == "GetSecretValue"))
    }
}

/// A function is deployed again and again.
pub static CONCURRENT_DEPLOY: FaultKind = FaultKind {
    fits: Fits::Named,
    ..FaultKind::plain::<ConcurrentDeploy>(
        Area::Resources,
        "concurrent-deploy",
        "somebody changes the last function's variables every 7 s for an hour",
        "ends as recovered; what was changed meanwhile is kept",
    )
};

/// The variable that they change.
const RELEASE: &str = "RELEASE";
/// How often somebody deploys, and for how long.
const DEPLOYS_EVERY: Duration = Duration::from_secs(7);
const DEPLOYS: u32 = 510;

#[derive(Default)]
struct ConcurrentDeploy;

impl Effect for ConcurrentDeploy {
    fn changes_by_itself(&self) -> &'static [&'static str] {
        &[RELEASE]
    }

    fn at_the_disaster(&self, world: &World<'_>) -> Option<Count> {
        let last = world.plan.functions.last()?.name.clone();
        let (cloud, region) = (Arc::clone(world.simulation.cloud()), world.here.to_owned());
        tokio::spawn(async move {
            for number in 0..DEPLOYS {
                tokio::time::sleep(DEPLOYS_EVERY).await;
                if let Some(mut function) = cloud.lambda.function(&region, &last) {
                    function.environment.insert(RELEASE.to_owned(), number.to_string());
                    function.changes += 1;
                    cloud.lambda.create_function(&region, &last, function);
                }
            }
        });
        Some(calls(|call| call.operation == "UpdateFunctionConfiguration"))
    }
}
