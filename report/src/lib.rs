//! The report of a recovery: its record, and nothing else, as HTML, JSON and Markdown. The same account gives the same
//! bytes.

mod account;
mod campaign;
mod commands;
mod course;
mod data;
mod figures;
mod html;
mod markdown;
mod page;
pub mod path;
mod plot;
mod sections;
mod state;
mod steps;
mod story;
mod timeline;
mod words;

use serde::Serialize;
use shared::digest::sha256_hex;

pub use account::{Account, Asked, Rehearsed, Successor, read};
pub use campaign::{Breach, Campaign, ScenarioRuns, Spread};
pub use data::{FORMAT, Report};
pub use page::{Exact, Figure, Gauge, Place, Text, Todo, Tone, When};
pub use state::{Known, State};
pub use story::add as add_story;
pub use story::told::{Moment, Story};

/// How things stand, from the account alone.
pub fn state(account: &Account) -> State {
    State::new(account, story::of(account.header.scenario).facts(account))
}

fn report(account: &Account) -> Report {
    Report {
        format: FORMAT,
        state: state(account),
        critical_path: path::critical_path(account),
        account: account.clone(),
    }
}

fn page(account: &Account) -> page::Page {
    let report = report(account);
    let tale = story::told::Tale {
        account,
        story: story::of(account.header.scenario),
    };
    let json_sha256 = pretty(&report).ok().map(|json| sha256_hex(&json));
    sections::page(&tale, &report.state, &report.critical_path, json_sha256)
}

/// A recovery's report as one HTML file that needs nothing beside it and asks for nothing.
pub fn html(account: &Account) -> String {
    html::document(&page(account))
}

/// A recovery's report as Markdown.
pub fn markdown(account: &Account) -> String {
    markdown::document(&page(account))
}

/// A recovery's report as JSON: a [`Report`]. Errors: the account is not data, which is a defect.
pub fn json(account: &Account) -> serde_json::Result<String> {
    pretty(&report(account))
}

/// A campaign's report as one HTML file that needs nothing beside it and asks for nothing.
pub fn campaign_html(campaign: &Campaign) -> String {
    html::document(&campaign::page(campaign))
}

/// A campaign's report as Markdown.
pub fn campaign_markdown(campaign: &Campaign) -> String {
    markdown::document(&campaign::page(campaign))
}

/// A campaign's report as JSON: `format` and the `campaign`. Errors: the campaign is not data, which is a defect.
pub fn campaign_json(campaign: &Campaign) -> serde_json::Result<String> {
    #[derive(Serialize)]
    struct CampaignReport<'a> {
        format: u32,
        campaign: &'a Campaign,
    }
    pretty(&CampaignReport {
        format: FORMAT,
        campaign,
    })
}

fn pretty(data: &impl Serialize) -> serde_json::Result<String> {
    serde_json::to_string_pretty(data).map(|text| text + "\n")
}
