//! The kinds of faults, a file for each thing that can go wrong.

use crate::fault::FaultKind;

pub mod calls;
pub mod clock;
pub mod database;
pub mod delivery;
pub mod evidence;
pub mod execution;
pub mod lock;
pub mod people;
pub mod processes;
pub mod region;
pub mod restore;
pub mod standby;

/// Every kind of fault that scenarios share, in the order from which campaigns draw.
pub static KINDS: &[&FaultKind] = &[
    &region::OUTAGE,
    &region::GREY_REGION,
    &region::GREY_CONTROL,
    &region::LOST_AFTER_FENCE,
    &database::BOTH,
    &calls::THROTTLE,
    &calls::ERRORS,
    &calls::LOST_REPLY,
    &processes::KILL,
    &processes::KILL_RANDOM,
    &processes::CONCURRENCY_USED_UP,
    &delivery::DUPLICATE_EVENT,
    &delivery::LATE_EVENT,
    &delivery::FLAPPING_ALARM,
    &database::LAG,
    &database::NO_LAG_METRIC,
    &database::LAG_BY_SOURCE,
    &region::OLD_OUTAGE,
    &evidence::BAD_RELEASE,
    &evidence::CERTIFICATE_EXPIRED,
    &evidence::PROBE_BLOCKED,
    &evidence::STANDBY_ISOLATED,
    &evidence::STANDBY_ISOLATED_PARTLY,
    &evidence::METRIC_FORGED,
    &evidence::OBSERVER_LOST,
    &database::SWITCHOVER_HANGS,
    &database::STUCK_FAILOVER,
    &database::FAILED_FAILOVER,
    &database::STALE_READS,
    &database::TARGET_UNNAMED,
    &database::THIRD_WRITER,
    &restore::STUCK,
    &restore::FAILED,
    &restore::REFUSED,
    &restore::QUOTA,
    &restore::ENCRYPTED_VARIABLES,
    &restore::CONCURRENT_DEPLOY,
    &standby::BROKEN,
    &standby::OLD_SIDE_DENIED,
    &people::ASLEEP,
    &people::DECLINES,
    &people::ONE_TWICE,
    &calls::SNS_DOWN,
    &calls::TABLE_THROTTLED,
    &calls::TABLE_AWAY,
    &clock::SKEW,
    &execution::CHILD_DIES,
    &execution::CHILD_NOT_STOPPED,
    &execution::STOP_DENIED,
    &lock::DRILL_RUNNING,
    &lock::BUSY,
];
