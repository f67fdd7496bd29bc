//! Tests of the simulated AWS, through the real SDK clients. One program, since linking each file by itself takes longer than running it.

mod brought;
mod cloudwatch;
mod common;
mod control_planes;
mod faults;
mod functions;
mod rds;
mod retry_quota;
mod s3;
mod services;
mod snapshots;
mod touched;
