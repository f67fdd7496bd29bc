//! `drctl runbook`: prints a runbook with the plan's own names in place of the example plan's.

use std::path::Path;

use shared::plan::{Plan, Site, SiteName};
use shared::scenario::Scenario;

use crate::output::{Exit, Output};
use crate::plan_file::parse;

/// The plan whose names the runbooks use.
const EXAMPLE: &str = include_str!("../../../radiant.plan.yaml");
const EXAMPLE_FILE: &str = "radiant.plan.yaml";
/// Each scenario that has a runbook.
const RUNBOOKS: [(Scenario, &str); 2] = [
    (
        Scenario::DATABASE_CORRUPTION,
        include_str!("../../../docs/runbooks/database-corruption.md"),
    ),
    (
        Scenario::REGION_FAILURE,
        include_str!("../../../docs/runbooks/region-failure.md"),
    ),
];
/// Where the pages stand that a runbook links to, seen from its folder.
const LINKED: &str = "](../";

/// Prints the runbook of a scenario; `file` is where the plan comes from.
pub fn run(scenario: Scenario, plan: &Plan, file: &Path, output: &mut Output) -> Exit {
    let Some((_, page)) = RUNBOOKS.iter().find(|(of, _)| *of == scenario) else {
        output.error(format_args!(
            "{} has no runbook yet; there is one for {}",
            scenario.name(),
            RUNBOOKS.map(|(of, _)| of.name()).join(", ")
        ));
        return Exit::WrongUse;
    };
    match parse(EXAMPLE) {
        Ok(example) => {
            output.line(named(page, &names(&example, plan, file)).trim_end());
            Exit::Success
        }
        Err(findings) => {
            output.error(format_args!(
                "the example plan of drctl has {} errors; this is a defect",
                findings.len()
            ));
            Exit::Failure
        }
    }
}

/// What a runbook says, and what it says for the plan. Where one begins like another, the longer one counts.
fn names(example: &Plan, plan: &Plan, file: &Path) -> Vec<(String, String)> {
    let mut names: Vec<(String, String)> = Vec::new();
    let mut add = |from: String, to: String| names.push((from, to));
    let texts = |plan: &Plan| {
        let functions: Vec<String> = plan.functions.iter().map(|function| function.name.clone()).collect();
        let first = functions.first().cloned().unwrap_or_default();
        let switch = plan.dns.switch_object.as_ref();
        vec![
            functions.join(" "),
            first,
            plan.account.clone(),
            plan.workload.clone(),
            format!("{}-recovery", plan.workload),
            format!("{}-region-switch", plan.workload),
            format!("{}-restored-", plan.workload),
            format!("{}-fence-region", plan.workload),
            plan.automation.table.clone(),
            // The example's topic and table have the same name: the word before tells them apart.
            format!("topic `{}`", plan.regions.standby.topic),
            plan.database.global_cluster.clone(),
            format!("--database {}", plan.database.name),
            // The anchor of a heading that names the Region.
            format!("#f-move-the-name-{}", plan.regions.standby.region),
            format!("rds:unplanned-global-failover-{}-", plan.regions.primary.cluster),
            plan.dns.name.clone(),
            plan.dns.hosted_zone.clone(),
            switch.map_or_else(String::new, |object| object.bucket.0.clone()),
            switch.map_or_else(String::new, |object| object.key.clone()),
            plan.health.url.clone(),
            plan.observer
                .as_ref()
                .map_or_else(String::new, |observer| observer.region.clone()),
            plan.alarm(Scenario::REGION_FAILURE, SiteName::Standby)
                .map_or_else(String::new, |alarm| alarm.name.clone()),
            plan.alarm(Scenario::DATABASE_CORRUPTION, SiteName::Primary)
                .map_or_else(String::new, |alarm| alarm.name.clone()),
        ]
    };
    for (from, to) in texts(example).into_iter().zip(texts(plan)) {
        add(from, to);
    }
    let regions = |plan: &Plan| [plan.regions.primary.clone(), plan.regions.standby.clone()];
    for (from, to) in regions(example).into_iter().zip(regions(plan)) {
        for (from, to) in of_site(from).into_iter().zip(of_site(to)) {
            add(from, to);
        }
    }
    add(EXAMPLE_FILE.to_owned(), file.display().to_string());
    add(LINKED.to_owned(), "](docs/".to_owned());
    names.retain(|(from, to)| !from.is_empty() && !to.is_empty());
    names.sort_by_key(|(from, _)| std::cmp::Reverse(from.len()));
    names
}

fn of_site(site: Site) -> [String; 6] {
    [
        site.region,
        site.cluster,
        site.database_secret,
        site.api.rest_api,
        site.api.stage,
        site.api.domain,
    ]
}

/// A page with each of `names` replaced, once: what was put in is not looked at again. A name that is a part of a longer word
/// is left alone.
fn named(page: &str, names: &[(String, String)]) -> String {
    let is_of_a_word = |character: char| character.is_ascii_alphanumeric() || character == '_' || character == '-';
    let mut out = String::with_capacity(page.len());
    let mut before: Option<char> = None;
    let mut rest = page;
    while let Some(first) = rest.chars().next() {
        let begins = !before.is_some_and(is_of_a_word);
        let found = names.iter().find(|(from, _)| {
            let after = rest.strip_prefix(from.as_str());
            after.is_some_and(|after| !from.ends_with(is_of_a_word) || !after.starts_with(is_of_a_word))
                && (begins || !from.starts_with(is_of_a_word))
        });
        let taken = match found {
            Some((from, to)) => {
                out.push_str(to);
                from.as_str()
            }
            None => {
                out.push(first);
                &rest[..first.len_utf8()]
            }
        };
        before = taken.chars().next_back();
        rest = &rest[taken.len()..];
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_replaced_once_and_as_whole_words() {
        let names: Vec<(String, String)> = [("shop-db", "till"), ("one", "two"), ("two", "one"), ("shop", "market")]
            .map(|(from, to)| (from.to_owned(), to.to_owned()))
            .into();
        assert_eq!(
            named("one and two; `shop-db`, shop-db-x, workshop, shop: bone", &names),
            "two and one; `till`, shop-db-x, workshop, market: bone"
        );
    }
}
