//! The variable by which the platform's functions know the ARN of their cluster, and how it is changed for all of them side by side.
//!
//! A change of a function's variables replaces the whole map, so that it is read first and written with what is to be different; whoever
//! changes the function in between is noticed by its revision. A function that customers reach by an alias changes for them once the
//! alias leads to a version with the new map.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::time::Duration;

use aws_sdk_lambda::operation::get_function::GetFunctionOutput;
use aws_sdk_lambda::types::{AliasRoutingConfiguration, Environment, FunctionConfiguration, LastUpdateStatus};
use futures::StreamExt;
use tokio::time::Instant;

use crate::aws::Aws;
use crate::calls::{Calls, LAMBDA_PACE};
use crate::error::{ErrorKind, StepError};
use crate::plan::{CLUSTER_VARIABLE, Function};
use crate::record::Resource;

/// Time between looks at functions. Source: Lambda quotas: `GetFunction` takes 100 requests a second, apart from the others.
const LOOK_PACE: Duration = Duration::from_millis(11);
/// How many functions are worked on at once: as many as keep Lambda's pace of changes, where each change takes some seconds to settle.
const AT_ONCE: usize = 120;
/// How often functions are looked at that Lambda is still busy with.
const LOOKED_AT_EVERY: Duration = Duration::from_millis(500);
/// How often a function is read again and changed, where somebody else has changed it in between.
const TRIES: u32 = 3;

/// The platform's functions in this Region.
#[derive(Debug)]
pub struct Functions {
    region: String,
    lambda: aws_sdk_lambda::Client,
    changes: Calls,
    looks: Calls,
    until: Instant,
}

/// Variables of a function. They may hold secrets, so that they are never shown.
#[derive(Clone, PartialEq, Eq)]
struct Variables(BTreeMap<String, String>);

impl fmt::Debug for Variables {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "({} variables)", self.0.len())
    }
}

impl Variables {
    fn without(&self, name: &str) -> BTreeMap<&str, &str> {
        let others = self.0.iter().filter(|(other, _)| *other != name);
        others.map(|(name, value)| (name.as_str(), value.as_str())).collect()
    }

    fn with(&self, name: &str, value: &str) -> HashMap<String, String> {
        let mut all: HashMap<String, String> = self.0.clone().into_iter().collect();
        all.insert(name.to_owned(), value.to_owned());
        all
    }
}

/// A version of a function.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Version {
    variables: Variables,
    version: String,
    revision: Option<String>,
    code: Option<String>,
    role: Option<String>,
    is_busy: bool,
}

/// What a function uses, as it was looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    latest: Version,
    alias: Option<Version>,
}

impl Seen {
    /// The value that customers' requests meet; nothing where the function has no such variable.
    pub fn value(&self) -> Option<&str> {
        let serves = self.alias.as_ref().unwrap_or(&self.latest);
        serves.variables.0.get(CLUSTER_VARIABLE).map(String::as_str)
    }

    /// The values of `$LATEST` and of what customers reach.
    pub fn values(&self) -> impl Iterator<Item = &str> {
        let both = [Some(&self.latest), self.alias.as_ref()];
        both.into_iter()
            .flatten()
            .filter_map(|version| version.variables.0.get(CLUSTER_VARIABLE).map(String::as_str))
    }

    /// The version that its alias leads to; nothing where customers reach `$LATEST`.
    pub fn version(&self) -> Option<&str> {
        self.alias.as_ref().map(|alias| alias.version.as_str())
    }

    /// ARN of the role that customers' requests run with; nothing where Lambda does not say.
    pub fn role(&self) -> Option<&str> {
        let serves = self.alias.as_ref().unwrap_or(&self.latest);
        serves.role.as_deref()
    }

    /// Whether both `$LATEST` and what customers reach have this value, and Lambda is done with it.
    pub fn is_at(&self, value: &str) -> bool {
        let mut values = self.values();
        let is_complete = self.values().count() == 1 + usize::from(self.alias.is_some());
        is_complete && values.all(|seen| seen == value) && !self.latest.is_busy
    }

    /// Why it must not be changed, if it must not: a version that is published from `$LATEST` would bring customers more than the one
    /// variable.
    pub fn hindrance(&self) -> Option<String> {
        if !self.latest.variables.0.contains_key(CLUSTER_VARIABLE) {
            return Some(format!("it has no variable {CLUSTER_VARIABLE}; correct its deployment"));
        }
        let alias = self.alias.as_ref()?;
        if alias.code != self.latest.code {
            return Some(
                "$LATEST has other code than the version that customers reach, so that a new version would release it; release or \
                 revert it first"
                    .to_owned(),
            );
        }
        let differ = alias.variables.without(CLUSTER_VARIABLE) != self.latest.variables.without(CLUSTER_VARIABLE);
        differ.then(|| {
            "$LATEST has other variables than the version that customers reach, so that a new version would release them; release or \
             revert them first"
                .to_owned()
        })
    }
}

/// A function that is to be changed.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// The function.
    pub function: Function,
    /// As it was looked at.
    pub seen: Seen,
    /// The value that it is to have.
    pub value: String,
    /// The version that its alias is to lead to again, where that is known: nothing new is published.
    pub version: Option<String>,
}

impl Functions {
    /// This Region's, with `limit` for everything together.
    pub fn here(aws: &Aws, limit: Duration) -> Self {
        let until = Instant::now() + limit;
        Self {
            region: aws.region().to_owned(),
            lambda: aws_sdk_lambda::Client::new(aws.at_leisure().config()),
            changes: Calls::new(LAMBDA_PACE, until),
            looks: Calls::new(LOOK_PACE, until),
            until,
        }
    }

    /// Looks at functions, in their order. Errors: also `Refused` where Lambda could not decrypt the variables, since they would then be
    /// written as none.
    pub async fn look(&self, functions: &[Function]) -> Vec<Result<Seen, StepError>> {
        let each = functions.iter().map(|function| self.look_at(function));
        at_once(each.collect()).await
    }

    async fn look_at(&self, function: &Function) -> Result<Seen, StepError> {
        let latest = self.version(&function.name, None).await?;
        let alias = match &function.alias {
            Some(alias) => Some(self.version(&function.name, Some(alias)).await?),
            None => None,
        };
        Ok(Seen { latest, alias })
    }

    async fn version(&self, name: &str, alias: Option<&str>) -> Result<Version, StepError> {
        let call = self.lambda.get_function().function_name(name);
        let call = call.set_qualifier(alias.map(str::to_owned)).send();
        let resource = Resource::function(name, &self.region);
        let shown: GetFunctionOutput = self.looks.make("lambda:GetFunction", &resource.text, call).await?;
        let configuration = shown.configuration.as_ref();
        let configuration = configuration.ok_or_else(|| {
            let text =
                format!("lambda:GetFunction on {resource}: the answer has no configuration; look at it in the console");
            StepError::new(ErrorKind::Internal, text)
        })?;
        version_of(configuration, &resource)
    }

    /// Gives each function its value, side by side, and waits until Lambda is done. Gives what became of each, in their order.
    pub async fn point(&self, wanted: &[Wanted]) -> Vec<Result<(), StepError>> {
        at_once(wanted.iter().map(|wanted| self.point_one(wanted)).collect()).await
    }

    /// Lambda's pace is what limits all of them together, so that none waits for the others to be done with a part.
    async fn point_one(&self, wanted: &Wanted) -> Result<(), StepError> {
        self.update(wanted).await?;
        let mut seen = self.settled(wanted).await?;
        if wanted.function.alias.is_some() {
            self.move_alias(wanted, &seen).await?;
            seen = self.look_at(&wanted.function).await?;
        }
        if seen.is_at(&wanted.value) {
            return Ok(());
        }
        let text = format!(
            "{} was changed, but does not have the value; check what else changes it",
            Resource::function(&wanted.function.name, &self.region)
        );
        Err(StepError::new(ErrorKind::VerificationFailed, text))
    }

    async fn update(&self, wanted: &Wanted) -> Result<(), StepError> {
        let name = &wanted.function.name;
        let resource = Resource::function(name, &self.region);
        let mut latest = wanted.seen.latest.clone();
        for attempt in 1.. {
            if latest.variables.0.get(CLUSTER_VARIABLE) == Some(&wanted.value) {
                return Ok(());
            }
            let variables = latest.variables.with(CLUSTER_VARIABLE, &wanted.value);
            let call = self
                .lambda
                .update_function_configuration()
                .function_name(name)
                .set_revision_id(latest.revision.clone())
                .environment(Environment::builder().set_variables(Some(variables)).build());
            let made = self
                .changes
                .make("lambda:UpdateFunctionConfiguration", &resource.text, call.send())
                .await;
            match made {
                Ok(_) => return Ok(()),
                // Another one has changed it, or is at it: its map is read anew, and never written from what was read before.
                Err(error) if error.kind == ErrorKind::Conflict && attempt < TRIES => {
                    a_moment().await;
                    latest = self.version(name, None).await?;
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// A function, once Lambda is done with it.
    async fn settled(&self, wanted: &Wanted) -> Result<Seen, StepError> {
        loop {
            let seen = self.look_at(&wanted.function).await?;
            if !seen.latest.is_busy {
                return Ok(seen);
            }
            if Instant::now() + LOOKED_AT_EVERY >= self.until {
                let text = format!(
                    "Lambda is still busy with {}; it is looked at again",
                    Resource::function(&wanted.function.name, &self.region)
                );
                return Err(StepError::new(ErrorKind::Conflict, text));
            }
            a_moment().await;
        }
    }

    /// Lets the alias lead to a version with the value, if the function has one.
    async fn move_alias(&self, wanted: &Wanted, seen: &Seen) -> Result<(), StepError> {
        let (Some(alias), Some(now)) = (&wanted.function.alias, &seen.alias) else {
            return Ok(());
        };
        if now.variables.0.get(CLUSTER_VARIABLE) == Some(&wanted.value) {
            return Ok(());
        }
        let name = &wanted.function.name;
        let resource = Resource::function(name, &self.region);
        let version = match &wanted.version {
            Some(version) => version.clone(),
            None => {
                let call = self
                    .lambda
                    .publish_version()
                    .function_name(name)
                    .set_revision_id(seen.latest.revision.clone());
                let published = self
                    .changes
                    .make("lambda:PublishVersion", &resource.text, call.send())
                    .await?;
                published.version.unwrap_or_default()
            }
        };
        // Whoever had a part of the requests gets none: half of them would meet the other database.
        let call = self
            .lambda
            .update_alias()
            .function_name(name)
            .name(alias)
            .function_version(version)
            .routing_config(
                AliasRoutingConfiguration::builder()
                    .set_additional_version_weights(Some(HashMap::new()))
                    .build(),
            );
        let made = self.changes.make("lambda:UpdateAlias", &resource.text, call.send());
        made.await.map(drop)
    }
}

fn version_of(configuration: &FunctionConfiguration, resource: &Resource) -> Result<Version, StepError> {
    let environment = configuration.environment();
    if let Some(error) = environment.and_then(|environment| environment.error()) {
        return Err(StepError::refused(format!(
            "Lambda could not decrypt the variables of {resource} ({}); they would be lost. Give Lambda access to their key, then resume",
            error.error_code().unwrap_or("no code")
        )));
    }
    let variables = environment.and_then(|environment| environment.variables());
    let variables = variables.into_iter().flatten();
    Ok(Version {
        variables: Variables(variables.map(|(name, value)| (name.clone(), value.clone())).collect()),
        version: configuration.version().unwrap_or_default().to_owned(),
        revision: configuration.revision_id().map(str::to_owned),
        code: configuration.code_sha256().map(str::to_owned),
        role: configuration.role().map(str::to_owned),
        is_busy: configuration.last_update_status() == Some(&LastUpdateStatus::InProgress),
    })
}

/// Until a function is looked at again.
#[expect(
    clippy::disallowed_methods,
    reason = "Lambda is done within seconds, and all functions are waited for side by side: the machine would wait for one after the other"
)]
async fn a_moment() {
    tokio::time::sleep(LOOKED_AT_EVERY).await;
}

/// Waits for all of these, so many at once; gives their results in their order.
async fn at_once<T>(each: Vec<impl Future<Output = T>>) -> Vec<T> {
    futures::stream::iter(each).buffered(AT_ONCE).collect().await
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(variables: &[(&str, &str)], code: &str) -> Version {
        let variables = variables
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        Version {
            variables: Variables(variables.collect()),
            version: "1".to_owned(),
            revision: None,
            code: Some(code.to_owned()),
            role: None,
            is_busy: false,
        }
    }

    fn seen(latest: Version, alias: Option<Version>) -> Seen {
        Seen { latest, alias }
    }

    #[test]
    fn a_version_that_would_release_more_than_the_variable_is_not_published() {
        let old = || version(&[(CLUSTER_VARIABLE, "old"), ("KEY", "k")], "code");
        let hindrance = |latest, alias| seen(latest, alias).hindrance();
        assert_eq!(hindrance(old(), None), None);
        assert_eq!(hindrance(old(), Some(old())), None);
        assert_eq!(
            hindrance(version(&[(CLUSTER_VARIABLE, "new"), ("KEY", "k")], "code"), Some(old())),
            None
        );
        let other_code = hindrance(
            version(&[(CLUSTER_VARIABLE, "old"), ("KEY", "k")], "newer"),
            Some(old()),
        );
        assert!(other_code.unwrap().contains("other code"));
        let other_variables = hindrance(version(&[(CLUSTER_VARIABLE, "old")], "code"), Some(old()));
        assert!(other_variables.unwrap().contains("other variables"));
        assert!(
            hindrance(version(&[], "code"), None)
                .unwrap()
                .contains("no variable DB_CLUSTER_ARN")
        );
    }

    #[test]
    fn customers_meet_what_the_alias_leads_to_and_nobody_sees_the_variables() {
        let half = seen(
            version(&[(CLUSTER_VARIABLE, "new")], "c"),
            Some(version(&[(CLUSTER_VARIABLE, "old")], "c")),
        );
        assert_eq!((half.value(), half.version()), (Some("old"), Some("1")));
        assert!(!half.is_at("new") && !half.is_at("old"));
        let whole = seen(version(&[(CLUSTER_VARIABLE, "new")], "c"), None);
        assert!(whole.is_at("new"));
        let busy = Version {
            is_busy: true,
            ..version(&[(CLUSTER_VARIABLE, "new")], "c")
        };
        assert!(!seen(busy, None).is_at("new"));
        let shown = format!("{:?}", version(&[("PASSWORD", "hunter2")], "c"));
        assert!(shown.contains("(1 variables)") && !shown.contains("hunter2"), "{shown}");
    }
}
