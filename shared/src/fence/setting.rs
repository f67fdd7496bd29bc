//! What can be fenced, as it is or as it was: pure data, with what fencing makes of it.

use std::collections::BTreeMap;

use aws_sdk_apigateway::types::{Op, PatchOperation};
use serde::{Deserialize, Serialize};

use crate::error::StepError;
use crate::record::Resource;

/// The key of the throttling that holds for every method of a stage without its own.
pub const EVERY_METHOD: &str = "*/*";

/// One thing that lets a Region write, as it is or as it was.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "what")]
pub enum Setting {
    /// How many executions of a function may run at once.
    Function {
        /// The function.
        name: String,
        /// The reserved concurrency: 0 means that it never runs, nothing that none is reserved.
        reserved_concurrency: Option<i32>,
    },
    /// Whether an event source mapping invokes its function.
    EventSource {
        /// The mapping.
        uuid: String,
        /// The function.
        function: String,
        /// Whether it is enabled, or on the way there.
        enabled: bool,
    },
    /// How many requests a stage lets through.
    Stage {
        /// The REST API's identifier.
        rest_api: String,
        /// The stage.
        stage: String,
        /// The limits by method, as API Gateway names them: `*/*`, or `~1orders/GET`. These win over `*/*`.
        throttling: BTreeMap<String, Throttling>,
    },
}

/// A resource that was looked at.
#[derive(Clone, Debug)]
pub struct Looked {
    /// The resource, as [`Setting::resource`] names it.
    pub resource: Resource,
    /// What it is set to, or why that was not seen.
    pub setting: Result<Setting, StepError>,
}

/// How many requests a method lets through; 0 means none, -1 that it has no limit of its own.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Throttling {
    /// Requests a second.
    pub rate: f64,
    /// Requests at once.
    pub burst: i32,
}

impl Throttling {
    /// The limits that let nothing through.
    pub const CLOSED: Self = Self { rate: 0.0, burst: 0 };
}

impl Setting {
    /// What fencing makes of it.
    pub fn fenced(&self) -> Self {
        let mut fenced = self.clone();
        match &mut fenced {
            Self::Function {
                reserved_concurrency, ..
            } => *reserved_concurrency = Some(0),
            Self::EventSource { enabled, .. } => *enabled = false,
            Self::Stage { throttling, .. } => {
                throttling.insert(EVERY_METHOD.to_owned(), Throttling::CLOSED);
                throttling.values_mut().for_each(|limits| *limits = Throttling::CLOSED);
            }
        }
        fenced
    }

    /// Whether it is as fencing makes it.
    pub fn is_fenced(&self) -> bool {
        *self == self.fenced()
    }

    /// What it is the setting of.
    pub fn resource(&self, region: &str) -> Resource {
        match self {
            Self::Function { name, .. } => Resource::function(name, region),
            Self::EventSource { uuid, function, .. } => Resource::event_source(uuid, function, region),
            Self::Stage { rest_api, stage, .. } => Resource::stage(rest_api, stage, region),
        }
    }

    /// What it says, in a few words.
    pub fn describe(&self) -> String {
        match self {
            Self::Function {
                reserved_concurrency: Some(count),
                ..
            } => format!("reserved concurrency {count}"),
            Self::Function { .. } => "no reserved concurrency".to_owned(),
            Self::EventSource { enabled: true, .. } => "enabled".to_owned(),
            Self::EventSource { .. } => "disabled".to_owned(),
            Self::Stage { throttling, .. } if throttling.is_empty() => "no throttling of its own".to_owned(),
            Self::Stage { throttling, .. } => {
                let each = throttling
                    .iter()
                    .map(|(method, limits)| format!("{method} {} a second, {} at once", limits.rate, limits.burst));
                format!("throttling {}", each.collect::<Vec<_>>().join("; "))
            }
        }
    }

    /// The command by which a person makes the resource this again, where it is `from`.
    pub fn by_hand(&self, from: &Self, region: &str) -> String {
        match self {
            Self::Function {
                name,
                reserved_concurrency: Some(count),
            } => format!(
                "aws lambda put-function-concurrency --region {region} --function-name {name} \
                 --reserved-concurrent-executions {count}"
            ),
            Self::Function { name, .. } => {
                format!("aws lambda delete-function-concurrency --region {region} --function-name {name}")
            }
            Self::EventSource { uuid, enabled, .. } => {
                let enabled = if *enabled { "--enabled" } else { "--no-enabled" };
                format!("aws lambda update-event-source-mapping --region {region} --uuid {uuid} {enabled}")
            }
            Self::Stage {
                rest_api,
                stage,
                throttling,
            } => {
                let none = BTreeMap::new();
                let from = match from {
                    Self::Stage { throttling, .. } => throttling,
                    _ => &none,
                };
                let operations = patch(from, throttling).into_iter().map(|operation| {
                    let op = operation.op().map(Op::as_str).unwrap_or_default();
                    let path = operation.path().unwrap_or_default();
                    let value = operation.value().map(|value| format!(",value={value}"));
                    format!("'op={op},path={path}{}'", value.unwrap_or_default())
                });
                format!(
                    "aws apigateway update-stage --region {region} --rest-api-id {rest_api} --stage-name {stage} \
                     --patch-operations {}",
                    operations.collect::<Vec<_>>().join(" ")
                )
            }
        }
    }
}

/// The patch operations that make one throttling of a stage another. Only `replace` is there for a limit; a method's entry
/// goes as a whole. Source: API Gateway API Reference, "Patch Operations", and for `remove` the AWS provider of Terraform.
pub(super) fn patch(from: &BTreeMap<String, Throttling>, to: &BTreeMap<String, Throttling>) -> Vec<PatchOperation> {
    let replaced = to.iter().filter(|(method, limits)| from.get(*method) != Some(limits));
    let replaced = replaced.flat_map(|(method, limits)| {
        [
            ("rateLimit", limits.rate.to_string()),
            ("burstLimit", limits.burst.to_string()),
        ]
        .map(|(limit, value)| {
            PatchOperation::builder()
                .op(Op::Replace)
                .path(format!("{}/throttling/{limit}", path_of(method)))
                .value(value)
                .build()
        })
    });
    let removed = from.keys().filter(|method| !to.contains_key(*method));
    let removed = removed.map(|method| PatchOperation::builder().op(Op::Remove).path(path_of(method)).build());
    replaced.chain(removed).collect()
}

/// The path of a method's entry: in a JSON pointer a slash inside of the resource's path is written `~1`.
fn path_of(method: &str) -> String {
    let (resource, verb) = method.rsplit_once('/').unwrap_or((method, "*"));
    format!("/{}/{verb}", resource.replace('/', "~1"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stage(throttling: &[(&str, f64, i32)]) -> Setting {
        let each = throttling.iter().map(|(method, rate, burst)| {
            let limits = Throttling {
                rate: *rate,
                burst: *burst,
            };
            ((*method).to_owned(), limits)
        });
        Setting::Stage {
            rest_api: "abc".into(),
            stage: "v2".into(),
            throttling: each.collect(),
        }
    }

    fn operations(from: &Setting, to: &Setting) -> Vec<String> {
        let (Setting::Stage { throttling: from, .. }, Setting::Stage { throttling: to, .. }) = (from, to) else {
            panic!("not stages");
        };
        patch(from, to)
            .iter()
            .map(|o| {
                let op = o.op().unwrap().as_str();
                format!("{op} {} {}", o.path().unwrap(), o.value().unwrap_or_default())
            })
            .collect()
    }

    #[test]
    fn a_stage_is_fenced_only_with_every_method_at_0() {
        assert!(!stage(&[]).is_fenced());
        assert!(!stage(&[("*/*", 0.0, 0), ("~1orders/GET", 5.0, 5)]).is_fenced());
        assert!(!stage(&[("~1orders/GET", 0.0, 0)]).is_fenced());
        assert!(!stage(&[("*/*", 0.0, 5)]).is_fenced());
        let fenced = stage(&[("~1orders/GET", 100.0, 50)]).fenced();
        assert_eq!(fenced, stage(&[("*/*", 0.0, 0), ("~1orders/GET", 0.0, 0)]));
        assert!(fenced.is_fenced());
    }

    #[test]
    fn fencing_a_stage_and_back_are_patches_of_each_method() {
        let before = stage(&[("~1orders~1{id}/GET", 100.5, 50)]);
        let fenced = before.fenced();
        assert_eq!(
            operations(&before, &fenced),
            [
                "replace /*/*/throttling/rateLimit 0",
                "replace /*/*/throttling/burstLimit 0",
                "replace /~1orders~1{id}/GET/throttling/rateLimit 0",
                "replace /~1orders~1{id}/GET/throttling/burstLimit 0",
            ]
        );
        assert_eq!(
            operations(&fenced, &before),
            [
                "replace /~1orders~1{id}/GET/throttling/rateLimit 100.5",
                "replace /~1orders~1{id}/GET/throttling/burstLimit 50",
                "remove /*/* ",
            ]
        );
        assert_eq!(operations(&fenced, &fenced), [""; 0]);
    }

    #[test]
    fn a_method_whose_slashes_come_unescaped_is_escaped() {
        assert_eq!(path_of("*/*"), "/*/*");
        assert_eq!(path_of("~1/GET"), "/~1/GET");
        assert_eq!(path_of("/orders/items/GET"), "/~1orders~1items/GET");
    }

    #[test]
    fn a_function_without_a_reservation_is_not_one_with_0() {
        let function = |reserved_concurrency| Setting::Function {
            name: "f".into(),
            reserved_concurrency,
        };
        assert!(function(Some(0)).is_fenced());
        assert!(!function(None).is_fenced());
        assert_eq!(function(None).fenced(), function(Some(0)));
        assert!(
            function(None)
                .by_hand(&function(Some(0)), "r")
                .contains("delete-function-concurrency")
        );
        let by_hand = function(Some(7)).by_hand(&function(Some(0)), "r");
        assert!(by_hand.ends_with("--reserved-concurrent-executions 7"));
    }

    #[test]
    fn a_setting_comes_back_from_a_note_as_it_was() {
        for setting in [
            stage(&[("*/*", 10_000.0, 5_000), ("~1orders/GET", 0.5, -1)]),
            Setting::Function {
                name: "f".into(),
                reserved_concurrency: None,
            },
        ] {
            let kept = serde_json::to_value(&setting).unwrap();
            assert_eq!(serde_json::from_value::<Setting>(kept).unwrap(), setting);
        }
    }

    #[test]
    fn a_person_is_told_how_to_open_a_stage_again() {
        let before = stage(&[("~1orders/GET", 100.0, 50)]);
        assert_eq!(
            before.by_hand(&before.fenced(), "us-east-1"),
            "aws apigateway update-stage --region us-east-1 --rest-api-id abc --stage-name v2 --patch-operations \
             'op=replace,path=/~1orders/GET/throttling/rateLimit,value=100' \
             'op=replace,path=/~1orders/GET/throttling/burstLimit,value=50' 'op=remove,path=/*/*'"
        );
    }
}
