//! The scenarios that every plan can name.

use super::accidental_deletion::AccidentalDeletion;
use super::az_failure::AzFailure;
use super::database_corruption::DatabaseCorruption;
use super::module::Definition;
use super::region_failure::RegionFailure;
use super::security_breach::SecurityBreach;
use super::service_recovery::ServiceRecovery;

/// In the order of the guide.
pub(super) static BUILT_IN: [Definition; 6] = [
    Definition::of::<AzFailure>(),
    Definition::of::<DatabaseCorruption>(),
    Definition::of::<RegionFailure>(),
    Definition::of::<AccidentalDeletion>(),
    Definition::of::<SecurityBreach>(),
    Definition::of::<ServiceRecovery>(),
];
