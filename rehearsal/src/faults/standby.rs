//! What the Region that takes over lacks before the recovery begins: a part is missing, access to it is denied, or it is wrong.

use shared::plan::Site;
use simulator::aws::apigateway::MethodSettings;
use simulator::faults::{CallEffect, CallFault, FaultId};

use crate::fault::{Area, Count, Effect, FaultKind, Fits, any_of};
use crate::world::World;

/// A part of the Region that takes over is broken.
pub static BROKEN: FaultKind = FaultKind {
    fits: Fits::Named,
    ..FaultKind::with(
        Area::Resources,
        "standby-broken:<part>:<how>",
        "a part of the Region that takes over is missing, denied or wrong",
        "ends as refused before a switchover, with nothing fenced; asks people before a failover, and names what is broken",
        |said| {
            let (part, how) = said.text("part>:<how")?.split_once(':').unwrap_or_default();
            let broken = PARTS.iter().find(|known| known.name() == part).copied();
            let how = HOWS.into_iter().find(|known| known.name() == how);
            match broken.zip(how) {
                Some((part, how)) => Ok(Box::new(Broken(part, how))),
                None => Err(format!(
                    "{}: the parts are {}; each can be missing, denied or wrong",
                    said.name,
                    PARTS.map(Part::name).join(", ")
                )),
            }
        },
        |rng, _| {
            let how = HOWS[rng.usize(..HOWS.len())];
            Box::new(Broken(PARTS[rng.usize(..PARTS.len())], how))
        },
    )
};

/// The Region that is left does not let itself be fenced.
pub static OLD_SIDE_DENIED: FaultKind = FaultKind {
    fits: Fits::Named,
    ..FaultKind::with(
        Area::Resources,
        "old-side-denied:<part>",
        "the recovery is denied access to a part of the Region that it leaves",
        "asks people whether to continue without a confirmed fence, or takes back its changes",
        |said| {
            let part = said.text("part")?;
            let found = FENCED.iter().find(|known| known.name() == part).copied();
            match found {
                Some(part) => Ok(Box::new(OldSideDenied(part))),
                None => Err(format!(
                    "{}: the parts are {}",
                    said.name,
                    FENCED.map(Part::name).join(", ")
                )),
            }
        },
        |rng, _| Box::new(OldSideDenied(FENCED[rng.usize(..FENCED.len())])),
    )
};

/// What a fence closes.
pub(crate) const FENCED: [Part; 3] = [Part::Functions, Part::EventSources, Part::Stage];

struct OldSideDenied(Part);

impl Effect for OldSideDenied {
    fn argument(&self) -> Option<String> {
        Some(self.0.name().to_owned())
    }

    fn at_the_disaster(&self, world: &World<'_>) -> Option<Count> {
        Some(any_of(denied_in(world, self.0, world.other)))
    }
}

/// A part of a Region that can be broken.
#[derive(Clone, Copy)]
pub(crate) enum Part {
    Functions,
    EventSources,
    Stage,
    Switch,
    DataApi,
    Cluster,
}

pub(crate) const PARTS: [Part; 6] = [
    Part::Functions,
    Part::EventSources,
    Part::Stage,
    Part::Switch,
    Part::DataApi,
    Part::Cluster,
];

impl Part {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Functions => "functions",
            Self::EventSources => "event-sources",
            Self::Stage => "stage",
            Self::Switch => "switch",
            Self::DataApi => "data-api",
            Self::Cluster => "cluster",
        }
    }

    /// The calls by which it is read and changed, by service.
    const fn calls(self) -> (&'static str, &'static [&'static str]) {
        match self {
            Self::Functions => (
                "lambda",
                &[
                    "GetFunctionConfiguration",
                    "GetFunctionConcurrency",
                    "PutFunctionConcurrency",
                    "DeleteFunctionConcurrency",
                ],
            ),
            Self::EventSources => (
                "lambda",
                &[
                    "ListEventSourceMappings",
                    "GetEventSourceMapping",
                    "UpdateEventSourceMapping",
                ],
            ),
            Self::Stage => ("apigateway", &["GetStage", "UpdateStage"]),
            Self::Switch => ("s3", &["HeadBucket", "HeadObject", "PutObject", "DeleteObject"]),
            Self::DataApi => ("rds-data", &["ExecuteStatement"]),
            Self::Cluster => ("rds", &["DescribeDBClusters"]),
        }
    }
}

/// How a part can be broken.
#[derive(Clone, Copy)]
pub(crate) enum How {
    Missing,
    Denied,
    Wrong,
}

pub(crate) const HOWS: [How; 3] = [How::Missing, How::Denied, How::Wrong];

impl How {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Denied => "denied",
            Self::Wrong => "wrong",
        }
    }
}

struct Broken(Part, How);

impl Effect for Broken {
    fn argument(&self) -> Option<String> {
        Some(format!("{}:{}", self.0.name(), self.1.name()))
    }

    fn at_the_disaster(&self, world: &World<'_>) -> Option<Count> {
        match self.1 {
            How::Denied => return Some(any_of(denied(world, self.0))),
            How::Missing => take_away(world, self.0),
            How::Wrong => set_wrong(world, self.0),
        }
        Some(Box::new(|_| 1))
    }

    fn was_so_before(&self) -> bool {
        true
    }
}

/// The steps may not make the calls that a part needs, in the Region that takes over.
fn denied(world: &World<'_>, part: Part) -> Vec<FaultId> {
    let region = match part {
        Part::Switch => &world.plan.regions.standby.region,
        _ => world.here,
    };
    denied_in(world, part, region)
}

fn denied_in(world: &World<'_>, part: Part, region: &str) -> Vec<FaultId> {
    let (service, operations) = part.calls();
    let each = operations.iter().map(|operation| {
        world.cloud().faults.on_calls(CallFault {
            service: Some(service.to_owned()),
            operation: Some((*operation).to_owned()),
            region: Some(region.to_owned()),
            ..CallFault::every(CallEffect::Denied)
        })
    });
    each.collect()
}

/// The site of the plan that takes over.
fn site<'a>(world: &'a World<'_>) -> &'a Site {
    world.plan.site(world.here).unwrap_or(&world.plan.regions.standby)
}

fn take_away(world: &World<'_>, part: Part) {
    let (cloud, here, site) = (world.cloud(), world.here, site(world));
    let arn = world.plan.cluster_arn(site);
    match part {
        Part::Functions => {
            for function in &world.plan.functions {
                cloud.lambda.delete_function(here, &function.name);
            }
        }
        Part::EventSources => {
            for source in cloud.lambda.event_sources(cloud.now()) {
                if source.region == here {
                    cloud.lambda.delete_event_source(here, &source.uuid);
                }
            }
        }
        Part::Stage => cloud.apigateway.delete_stage(here, &site.api.rest_api, &site.api.stage),
        Part::Switch => {
            if let Some(object) = &world.plan.dns.switch_object {
                cloud.s3.delete_bucket(&object.bucket.0);
            }
        }
        Part::DataApi => cloud.rds.set_data_api(&arn, false),
        Part::Cluster => cloud.rds.delete_cluster(&arn),
    }
}

fn set_wrong(world: &World<'_>, part: Part) {
    let (cloud, here, site) = (world.cloud(), world.here, site(world));
    let arn = world.plan.cluster_arn(site);
    match part {
        Part::Functions => {
            for function in &world.plan.functions {
                if let Some(mut wrong) = cloud.lambda.function(here, &function.name) {
                    let elsewhere = format!("{arn}-of-before");
                    wrong
                        .environment
                        .insert(shared::plan::CLUSTER_VARIABLE.to_owned(), elsewhere);
                    cloud.lambda.create_function(here, &function.name, wrong);
                }
            }
        }
        // They invoke what is not the platform's.
        Part::EventSources => {
            for source in cloud.lambda.event_sources(cloud.now()) {
                if source.region == here {
                    let (uuid, arn) = (&source.uuid, &source.source_arn);
                    cloud
                        .lambda
                        .create_event_source(here, uuid, "of-another-team", arn, false);
                }
            }
        }
        // It lets nobody in, and nobody noted what was there before.
        Part::Stage => {
            let api = &site.api;
            if let Some(mut settings) = cloud.apigateway.settings(here, &api.rest_api, &api.stage) {
                let closed = settings.entry("*/*".to_owned()).or_insert_with(MethodSettings::default);
                (closed.throttling_rate_limit, closed.throttling_burst_limit) = (0.0, 0);
                let environment = cloud.environment();
                cloud
                    .apigateway
                    .create_stage(&environment, here, &api.rest_api, &api.stage, settings);
            }
        }
        // It is in another Region than the plan says.
        Part::Switch => {
            if let Some(object) = &world.plan.dns.switch_object {
                cloud.s3.create_bucket("eu-west-1", &object.bucket.0, &[&object.key]);
            }
        }
        // It is no secret of a database: the Data API says so before it signs in.
        Part::DataApi => cloud
            .secretsmanager
            .put(cloud, &site.database_secret, "not of a database"),
        Part::Cluster => cloud.rds.set_engine_version(&arn, "16.4"),
    }
}
