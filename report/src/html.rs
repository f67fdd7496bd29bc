//! A report as one HTML file that asks for nothing else.

use jiff::Timestamp;
use maud::{DOCTYPE, Markup, PreEscaped, html};

use crate::commands::visible_lines;
use crate::course::Course;
use crate::page::{
    Answer, Block, Exact, Figure, Gauge, Page, Piece, Place, Section, Spell, Table, Text, Todo, Tone, When, times_are,
};
use crate::plot::Plot;
use crate::timeline::{Row, Segment, SegmentKind, Timeline, position};
use crate::words::{length, moment, visible};

const STYLE: &str = include_str!("style.css");
/// Nothing is loaded, nothing runs, nothing is sent.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'";

/// The whole file.
pub(crate) fn document(page: &Page) -> String {
    let strip: Vec<String> = page.strip.iter().map(|part| visible(part)).collect();
    let verdict = &page.verdict;
    let markup = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta http-equiv="Content-Security-Policy" content=(POLICY);
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                meta name="referrer" content="no-referrer";
                title { (visible(&verdict.headline)) " " (visible(&page.title)) }
                style { (PreEscaped(STYLE)) (PreEscaped(printed_strip(&strip))) }
            }
            body {
                (patterns())
                header {
                    p.strip { @for (index, part) in strip.iter().enumerate() {
                        @if index == 0 { strong { (part) } } @else { " " span { (part) } }
                    } }
                    h1 { (visible(&page.title)) }
                    div.verdict.(class(verdict.tone)) {
                        p.headline { span aria-hidden="true" { (verdict.tone.sign()) " " } (visible(&verdict.headline)) }
                        @for sentence in &verdict.sentences { p { (text(sentence, &page.day)) } }
                    }
                    dl.answers { @for item in &page.answers { (answer(item, &page.day)) } }
                    @for reason in &verdict.reasons { p.reason { (text(reason, &page.day)) } }
                    @for part in &page.pictures { (block(part, &page.day)) }
                    @if !page.day.is_empty() { p.aside { (times_are(&page.day)) } }
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

/// What stands on every printed page: whether it is real, which report it is, and which page.
fn printed_strip(strip: &[String]) -> String {
    // Within a text of a style sheet, these are all that mean something.
    let is_harmless = |c: &char| !matches!(c, '"' | '\\' | '<' | '>' | '&');
    let text: String = strip.join(" \u{B7} ").chars().filter(is_harmless).collect();
    format!(
        "@page {{ margin: 15mm; @top-left {{ content: \"{text}\"; font: 8pt sans-serif; }} \
         @top-right {{ content: counter(page) \"/\" counter(pages); font: 8pt sans-serif; }} }}"
    )
}

const fn class(tone: Tone) -> &'static str {
    match tone {
        Tone::Good => "good",
        Tone::Warn => "warn",
        Tone::Bad => "bad",
        Tone::Plain => "plain",
    }
}

fn answer(answer: &Answer, day: &str) -> Markup {
    html! {
        div.(class(answer.tone)) {
            dt { (answer.question) }
            dd.value { (text(&answer.value, day)) }
            @if let Some(drawn) = &answer.gauge { dd.drawn { (gauge(drawn)) } }
            @for (index, note) in answer.notes.iter().enumerate() {
                dd.note {
                    @if index == 0 && answer.tone != Tone::Plain { span aria-hidden="true" { (answer.tone.sign()) " " } }
                    (text(note, day))
                }
            }
        }
    }
}

/// A value against its limits, to scale. One that nobody measured is a dashed outline; a lower bound has an open end.
fn gauge(gauge: &Gauge) -> Markup {
    let value = gauge.seconds.unwrap_or(0.0);
    // What is far above the maximum is drawn to the end.
    let whole = gauge.maximum.max(value.min(gauge.maximum * 1.25)).max(1.0);
    let part = |seconds: f64| percent((seconds / whole * 100.0).min(100.0));
    let marks = [(gauge.target, "target"), (gauge.maximum, "max")];
    // Names of marks that are close to each other stand one above the other.
    let is_close = (gauge.maximum - gauge.target) / whole < 0.45;
    html! {
        svg.gauge width="100%" height=(if is_close { 38 } else { 26 }) aria-hidden="true" focusable="false" {
            rect.outline.unmeasured[gauge.seconds.is_none()] x="0" y="0" width="100%" height="10" {}
            @if let Some(seconds) = gauge.seconds {
                rect.amount x="0" y="0" width=(part(seconds.max(whole * 0.005))) height="10" {}
                @if gauge.exact == Exact::AtLeast && seconds < whole {
                    rect.open x=(part(seconds)) y="0" width=(part((whole - seconds).min(whole * 0.04))) height="10" {}
                }
            }
            @for (index, (limit, name)) in marks.into_iter().enumerate() {
                @let lower = is_close && index == 1;
                @let position = limit / whole * 100.0;
                line.limit x1=(part(limit)) x2=(part(limit)) y1="0" y2=(if lower { 26 } else { 14 }) {}
                text x=(part(limit)) y=(if lower { 36 } else { 24 }) text-anchor=(anchor(position, 15.0)) { (name) " " (length(limit)) }
            }
        }
    }
}

fn place(place: &Place, day: &str) -> Markup {
    html! {
        li {
            p.name { strong { (visible(&place.name)) } }
            p.aside { "before: " (place.before) }
            ul { @for (tone, said) in &place.now {
                li.(class(*tone)) { span aria-hidden="true" { (tone.sign()) " " } (text(said, day)) }
            } }
        }
    }
}

/// What customers waited for, in a few pieces, to scale.
fn course(course: &Course, day: &str) -> Markup {
    let whole = shared::measure::seconds_between(course.from, course.to);
    html! {
        div.course {
            p.name {
                time datetime=(course.from) { (moment(course.from, day)) } " to "
                time datetime=(course.to) { (moment(course.to, day)) } ": " (length(whole))
                @if course.ends_healthy { " until the first healthy answer" } @else { ", without a healthy answer" }
            }
            svg.bar.path width="100%" height="24" role="img" aria-label="The same time, drawn to scale. The list below says its pieces." {
                (bars(course.from, course.to, &course.segments, 24))
                @for piece in course.pieces.iter().skip(1) {
                    @let at = percent(position(course.from, course.to, piece.from));
                    line.turn x1=(at) x2=(at) y1="-4" y2="28" {}
                }
            }
            ol.pieces { @for piece in &course.pieces {
                li { strong { (length(piece.seconds())) } " " (piece.name) }
            } }
            p.aside { (legend(used(course.segments.iter()))) " Our own time in that: at most " (length(course.ours_at_most)) "." }
        }
    }
}

/// What customers met when, to scale. The list says it in words.
fn spells(spells: &[Spell], note: Option<&Text>, day: &str) -> Markup {
    let (Some(first), Some(last)) = (spells.first(), spells.last()) else {
        return html! {};
    };
    let at = |moment| position(first.from, last.to, moment);
    html! {
        div.course {
            p.name { "What customers met" }
            svg.bar.spells width="100%" height="24" role="img" aria-label="The same times, drawn to scale. The list below says them." {
                @for spell in spells {
                    rect.(class(spell.tone)) x=(percent(at(spell.from))) y="0" width=(percent(at(spell.to) - at(spell.from))) height="24" {}
                }
                @for spell in &spells[1..] {
                    line.turn x1=(percent(at(spell.from))) x2=(percent(at(spell.from))) y1="-4" y2="28" {}
                }
            }
            ol.pieces.spells { @for spell in spells {
                li.(class(spell.tone)) {
                    span aria-hidden="true" { (spell.tone.sign()) " " }
                    time datetime=(spell.from) { (moment(spell.from, day)) }
                    ", " strong { (length(shared::measure::seconds_between(spell.from, spell.to))) } ": " (spell.met)
                }
            } }
            @if let Some(note) = note { p.aside { (text(note, day)) } }
        }
    }
}

/// The kinds that are drawn, in the order of all kinds.
fn used<'a>(segments: impl Iterator<Item = &'a Segment> + Clone) -> Vec<SegmentKind> {
    let is_used = |kind: &SegmentKind| segments.clone().any(|segment| segment.kind == *kind);
    SegmentKind::ALL.into_iter().filter(is_used).collect()
}

fn legend(kinds: Vec<SegmentKind>) -> Markup {
    html! {
        @for kind in kinds {
            span.kind {
                svg.swatch width="24" height="12" aria-hidden="true" focusable="false" {
                    rect width="24" height="12" fill={ "url(#" (kind.class()) ")" } {}
                }
                " " (kind.in_words())
            }
            " "
        }
    }
}

fn section(section: &Section, day: &str) -> Markup {
    let heading = format!("{}-heading", section.id);
    let blocks = html! { @for part in &section.blocks { (block(part, day)) } };
    html! {
        section id=(section.id) aria-labelledby=(heading) {
            @if section.folded {
                details { summary { h2 id=(heading) { (section.title) } } (blocks) }
            } @else {
                h2 id=(heading) { (section.title) }
                (blocks)
            }
        }
    }
}

fn block(block: &Block, day: &str) -> Markup {
    match block {
        Block::Paragraph(paragraph) => html! { p { (text(paragraph, day)) } },
        Block::Data(data) => html! { pre.data { code { (visible_text(&format!("{data:#}"))) } } },
        Block::Warning(warning) => html! { p.warning { strong { (text(warning, day)) } } },
        Block::Heading(heading) => html! { h3 { (text(heading, day)) } },
        Block::List(items) => html! { ul { @for item in items { li { (text(item, day)) } } } },
        Block::Todo(todos) => todo_list(todos, day),
        Block::Places(places) => html! { ul.places { @for item in places { (place(item, day)) } } },
        Block::Course(item) => course(item, day),
        Block::Spells(items, note) => spells(items, note.as_ref(), day),
        Block::Facts(facts) => html! {
            dl.facts { @for (name, said) in facts { div { dt { (text(name, day)) } dd { (text(said, day)) } } } }
        },
        Block::Figures(figures) => html! { dl.figures { @for item in figures { (figure(item, day)) } } },
        Block::Table(item) => table(item, day),
        Block::Timeline(item) => timeline(item, day),
        Block::Plot(item) => plot(item),
    }
}

/// Text with its lines as they are; in each, what could not be seen is made visible.
fn visible_text(source: &str) -> String {
    let lines: Vec<String> = source.lines().map(visible).collect();
    lines.join("\n")
}

/// The most urgent ones first, under headings that say when.
fn todo_list(todos: &[Todo], day: &str) -> Markup {
    html! {
        @for when in When::ALL {
            @let of_then: Vec<&Todo> = todos.iter().filter(|todo| todo.when == when).collect();
            @if !of_then.is_empty() {
                h3 { (when.name()) }
                ol.todo { @for item in of_then { (todo(item, day)) } }
            }
        }
    }
}

/// What is not urgent shows how it is done to whoever wants to know.
fn todo(todo: &Todo, day: &str) -> Markup {
    let how = html! {
            @if let Some(who) = &todo.who { p.aside { "Who: " (text(who, day)) } }
            @for command in &todo.commands {
                p.purpose { (command.purpose) ":" }
                pre { code { (visible_lines(&command.line).join("\n")) } }
            }
            @if let Some(done) = &todo.done { p { "Done when " (text(done, day)) } }
            @if !todo.parts.is_empty() { ol.todo type="a" { @for part in &todo.parts { (self::todo(part, day)) } } }
    };
    let has_more = todo.who.is_some() || !todo.commands.is_empty() || todo.done.is_some() || !todo.parts.is_empty();
    html! {
        li {
            p { strong { (visible(&todo.title)) "." } " " (text(&todo.about, day)) }
            @if todo.when == When::Now { (how) } @else if has_more { details { summary { "How" } (how) } }
        }
    }
}

fn figure(figure: &Figure, day: &str) -> Markup {
    html! {
        div.(class(figure.tone)) {
            dt { (visible(&figure.name)) }
            dd.value { (text(&figure.value, day)) }
            @if let Some(drawn) = &figure.gauge { dd.drawn { (gauge(drawn)) } }
            dd.verdict {
                @if figure.tone != Tone::Plain { span aria-hidden="true" { (figure.tone.sign()) " " } }
                @for (index, note) in figure.notes().enumerate() { @if index > 0 { "; " } (text(note, day)) }
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
    let rows = timeline.rows.iter().flat_map(|row| &row.segments);
    html! {
        div.timeline {
            p.aside { (legend(used(timeline.path.iter().chain(rows)))) }
            p.name { "The critical path, drawn to scale" }
            svg.bar.path width="100%" height="24" role="img" aria-label="The critical path, drawn to scale. The table below has its parts." {
                (bars(timeline.from, timeline.to, &timeline.path, 24))
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
                (bars(timeline.from, timeline.to, &row.segments, 12))
            }
        }
    }
}

/// What takes too little time to be seen is drawn all the same.
fn bars(from: Timestamp, to: Timestamp, segments: &[Segment], height: u32) -> Markup {
    html! {
        @for segment in segments {
            @let start = position(from, to, segment.from);
            @let width = (position(from, to, segment.to) - start).max(0.3);
            rect x=(percent(start.min(99.7))) width=(percent(width)) height=(height) fill={ "url(#" (segment.kind.class()) ")" } {}
        }
    }
}

fn scale(timeline: &Timeline) -> Markup {
    html! {
        svg.scale width="100%" height="20" aria-hidden="true" focusable="false" {
            @for (position, said) in timeline.marks() {
                line.grid x1=(percent(position)) x2=(percent(position)) y1="0" y2="5" {}
                text x=(percent(position)) y="17" text-anchor=(anchor(position, 5.0)) { (said) }
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
                @for value in &plot.dots {
                    circle.count cx=(percent(plot.position(*value))) cy=(floor - 12) r="5" {}
                }
                @for bar in plot.bars.iter().filter(|_| plot.dots.is_empty()) {
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
            p.aside { "Rehearsals by length: " (counts(plot)) "." (plot.outside_in_words()) }
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

/// How a text stands at a position, in per cent of the width, so that it stays within it. It needs `room` on either side.
fn anchor(position: f64, room: f64) -> &'static str {
    match position {
        p if p < room => "start",
        p if p > 95.0 - room => "end",
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
