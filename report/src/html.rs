//! A report as one HTML file that asks for nothing else.

use maud::{DOCTYPE, Markup, PreEscaped, html};

use crate::page::{Block, Figure, Page, Piece, Section, Table, Text, Todo, Tone};
use crate::plot::Plot;
use crate::timeline::{Row, Segment, SegmentKind, Timeline};
use crate::words::{length, moment, visible};

const STYLE: &str = include_str!("style.css");
/// Nothing is loaded, nothing runs, nothing is sent.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'";

/// The whole file.
pub(crate) fn document(page: &Page) -> String {
    let markup = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta http-equiv="Content-Security-Policy" content=(POLICY);
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                meta name="referrer" content="no-referrer";
                title { (visible(&page.outcome)) ": " (visible(&page.title)) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                (patterns())
                header {
                    @if let Some(notice) = &page.notice { p.notice { (visible(notice)) } }
                    h1 { (visible(&page.title)) }
                    (outcome(page))
                    @if !page.state.is_empty() { div.state { @for part in &page.state { (block(part, &page.day)) } } }
                    @if !page.day.is_empty() {
                        p.aside { "Times are UTC, cut to the second; those without a day are of " (page.day) ". Lengths are rounded." }
                    }
                }
                nav aria-label="Sections" {
                    ul { @for section in &page.sections { li { a href={ "#" (section.id) } { (section.title) } } } }
                }
                main { @for part in &page.sections { (section(part, &page.day)) } }
            }
        }
    };
    markup.into_string()
}

fn outcome(page: &Page) -> Markup {
    html! {
        div.outcome.(tone(page.tone)) {
            p.word { span aria-hidden="true" { (sign(page.tone)) " " } (visible(&page.outcome)) }
            p.sentence { (text(&page.sentence, &page.day)) }
            @for because in &page.because { p { (text(because, &page.day)) } }
        }
    }
}

const fn tone(tone: Tone) -> &'static str {
    match tone {
        Tone::Good => "good",
        Tone::Bad => "bad",
        Tone::Plain => "plain",
    }
}

const fn sign(tone: Tone) -> &'static str {
    match tone {
        Tone::Good => "\u{2713}",
        Tone::Bad => "\u{2717}",
        Tone::Plain => "\u{2022}",
    }
}

fn section(section: &Section, day: &str) -> Markup {
    let heading = format!("{}-heading", section.id);
    html! {
        section id=(section.id) aria-labelledby=(heading) {
            h2 id=(heading) { (section.title) }
            @for part in &section.blocks { (block(part, day)) }
        }
    }
}

fn block(block: &Block, day: &str) -> Markup {
    match block {
        Block::Paragraph(paragraph) => html! { p { (text(paragraph, day)) } },
        Block::Warning(warning) => html! { p.warning { strong { (text(warning, day)) } } },
        Block::Heading(heading) => html! { h3 { (text(heading, day)) } },
        Block::List(items) => html! { ul { @for item in items { li { (text(item, day)) } } } },
        Block::Todo(todos) => html! { ol.todo { @for item in todos { (todo(item, day)) } } },
        Block::Facts(facts) => html! {
            dl.facts { @for (name, said) in facts { div { dt { (text(name, day)) } dd { (text(said, day)) } } } }
        },
        Block::Figures(figures) => html! { dl.figures { @for item in figures { (figure(item, day)) } } },
        Block::Table(item) => table(item, day),
        Block::Timeline(item) => timeline(item, day),
        Block::Plot(item) => plot(item),
    }
}

fn todo(todo: &Todo, day: &str) -> Markup {
    html! {
        li {
            (text(&todo.what, day))
            @if let Some(who) = &todo.who { p.aside { "Who: " (text(who, day)) } }
            @for command in &todo.commands {
                p.purpose { (command.purpose) ":" }
                pre { code { (visible(&command.line)) } }
            }
            @if let Some(done) = &todo.done { p { strong { "It is done when " } (text(done, day)) } }
        }
    }
}

fn figure(figure: &Figure, day: &str) -> Markup {
    html! {
        div.(tone(figure.tone)) {
            dt { (visible(&figure.name)) }
            dd.value { (text(&figure.value, day)) }
            dd.verdict {
                @if figure.tone != Tone::Plain { span aria-hidden="true" { (sign(figure.tone)) " " } }
                (text(&figure.verdict, day))
            }
        }
    }
}

/// A table that becomes a list of its rows where there is no room. Its roles are said, since a display of its own takes them
/// away.
fn table(table: &Table, day: &str) -> Markup {
    html! {
        table role="table" {
            caption { (visible(&table.caption)) }
            thead role="rowgroup" {
                tr role="row" { @for name in &table.head { th scope="col" role="columnheader" { (visible(name)) } } }
            }
            tbody role="rowgroup" {
                @for row in &table.rows {
                    tr role="row" {
                        @for (index, (name, cell)) in table.head.iter().zip(row).enumerate() {
                            @if index == 0 {
                                th scope="row" role="rowheader" data-name=(visible(name)) { (text(cell, day)) }
                            } @else {
                                td role="cell" data-name=(visible(name)) { (text(cell, day)) }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn text(text: &Text, day: &str) -> Markup {
    html! { @for part in &text.0 { (piece(part, day)) } }
}

fn piece(piece: &Piece, day: &str) -> Markup {
    match piece {
        Piece::Plain(text) => html! { (visible(text)) },
        Piece::Strong(text) => html! { strong { (visible(text)) } },
        Piece::Code(text) => html! { code { (visible(text)) } },
        Piece::Time(at) => html! { time datetime=(at) { (moment(*at, day)) } },
        Piece::Number { pointer, value, said } => {
            html! { data value=(value) data-figure=(visible(pointer)) { (said) } }
        }
    }
}

/// The fillings of bars: each kind differs in more than its colour.
fn patterns() -> Markup {
    html! {
        svg.patterns aria-hidden="true" width="0" height="0" focusable="false" {
            defs {
                @for kind in SegmentKind::ALL {
                    pattern id=(kind.class()) width="8" height="8" patternUnits="userSpaceOnUse" {
                        rect.(kind.class()) width="8" height="8" {}
                        @match kind {
                            SegmentKind::Detection => path.mark d="M0 4H8" {},
                            SegmentKind::People => path.mark d="M-2 2L2 -2M0 8L8 0M6 10L10 6" {},
                            SegmentKind::Ours => path.mark d="M2 0V8M6 0V8" {},
                            SegmentKind::Aws | SegmentKind::Beside => {},
                        }
                    }
                }
            }
        }
    }
}

fn timeline(timeline: &Timeline, day: &str) -> Markup {
    let used: Vec<SegmentKind> = SegmentKind::ALL
        .into_iter()
        .filter(|kind| {
            let rows = timeline.rows.iter().flat_map(|row| &row.segments);
            timeline.path.iter().chain(rows).any(|segment| segment.kind == *kind)
        })
        .collect();
    html! {
        div.timeline {
            ul.legend {
                @for kind in used {
                    li {
                        svg.swatch width="24" height="12" aria-hidden="true" focusable="false" {
                            rect width="24" height="12" fill={ "url(#" (kind.class()) ")" } {}
                        }
                        " " (kind.in_words())
                    }
                }
            }
            p.name { "The critical path, drawn to scale" }
            svg.bar.path width="100%" height="24" role="img" aria-label="The critical path, drawn to scale. The parts \
                                                                         are said in the table below." {
                (bars(timeline, &timeline.path, 24))
            }
            (scale(timeline))
            ol {
                @for item in &timeline.rows { (row(timeline, item, day)) }
            }
        }
    }
}

fn row(timeline: &Timeline, row: &Row, day: &str) -> Markup {
    let seconds = shared::measure::seconds_between(row.from, row.to);
    html! {
        li.on-path[row.on_path].failed[row.failed] {
            p.name {
                strong { (visible(&row.name)) }
                @if row.failed { span.mark { " \u{2717} failed" } }
            }
            p.when {
                @if row.is_guessed { "between " }
                time datetime=(row.from) { (moment(row.from, day)) }
                @if row.is_guessed { " and " } @else { " to " }
                time datetime=(row.to) { (moment(row.to, day)) }
                @if !row.is_guessed { ", " (length(seconds)) }
                @if row.on_path { ", on the critical path" }
            }
            p.said { (visible(&row.said.join("; "))) }
            svg.bar width="100%" height="12" aria-hidden="true" focusable="false" {
                @for (position, _) in timeline.marks() {
                    line.grid x1=(percent(position)) x2=(percent(position)) y1="0" y2="12" {}
                }
                (bars(timeline, &row.segments, 12))
            }
        }
    }
}

/// What takes too little time to be seen is drawn all the same.
fn bars(timeline: &Timeline, segments: &[Segment], height: u32) -> Markup {
    html! {
        @for segment in segments {
            @let from = timeline.position(segment.from);
            @let width = (timeline.position(segment.to) - from).max(0.3);
            rect x=(percent(from.min(99.7))) width=(percent(width)) height=(height) fill={ "url(#" (segment.kind.class()) ")" } {}
        }
    }
}

fn scale(timeline: &Timeline) -> Markup {
    html! {
        svg.scale width="100%" height="20" aria-hidden="true" focusable="false" {
            @for (position, said) in timeline.marks() {
                line.grid x1=(percent(position)) x2=(percent(position)) y1="0" y2="5" {}
                text x=(percent(position)) y="17" text-anchor=(anchor(position)) { (said) }
            }
        }
    }
}

/// Lines have their names above the bars, each in a row of its own.
fn plot(plot: &Plot) -> Markup {
    let tallest = plot.tallest() as f64;
    let top = plot.lines.len() * 14 + 4;
    let floor = top + 100;
    html! {
        figure.plot {
            figcaption { (visible(&plot.title)) }
            svg.histogram width="100%" height=(floor + 20) role="img" aria-label={ (visible(&plot.title)) ". The counts are said below." } {
                @for bar in &plot.bars {
                    @let from = plot.position(bar.from);
                    @let height = bar.count as f64 / tallest * 100.0;
                    rect.count x=(percent(from)) width=(percent(plot.position(bar.to) - from))
                        y=(rounded(floor as f64 - height)) height=(rounded(height)) {}
                }
                line.axis x1="0" x2="100%" y1=(floor) y2=(floor) {}
                text x="0" y=(floor + 15) { (length(plot.from)) }
                text x="100%" y=(floor + 15) text-anchor="end" { (length(plot.to)) }
                @for (index, (name, at)) in plot.lines.iter().enumerate() {
                    @let position = plot.position(*at);
                    @let (side, anchor) = if position > 50.0 { (-5, "end") } else { (5, "start") };
                    line.at x1=(percent(position)) x2=(percent(position)) y1=(index * 14) y2=(floor) {}
                    text.at x=(percent(position)) y=(index * 14 + 11) dx=(side) text-anchor=(anchor) { (name) " " (length(*at)) }
                }
            }
            p.aside { "From and below, and how many: " (counts(plot)) "." }
        }
    }
}

/// A drawing's bars for whoever cannot see them.
fn counts(plot: &Plot) -> String {
    let bars = plot.bars.iter().filter(|bar| bar.count > 0);
    let counts: Vec<String> = bars
        .map(|bar| format!("{} to {}: {}", length(bar.from), length(bar.to), bar.count))
        .collect();
    counts.join("; ")
}

fn anchor(position: f64) -> &'static str {
    match position {
        p if p < 5.0 => "start",
        p if p > 90.0 => "end",
        _ => "middle",
    }
}

fn percent(part: f64) -> String {
    format!("{}%", rounded(part))
}

/// To a hundredth: the same on every machine.
fn rounded(value: f64) -> f64 {
    (value * 100.0).round() / 100.0
}
