//! A report as Markdown.

use std::fmt::Write;

use serde_json::Value;

use crate::commands::visible_lines;
use crate::course::Course;
use crate::page::{Answer, Block, Page, Piece, Place, Spell, Table, Text, Todo, Tone, When, times_are};
use crate::plot::Plot;
use crate::timeline::{SegmentKind, Timeline};
use crate::words::{length, moment, visible};

/// The whole text.
pub(crate) fn document(page: &Page) -> String {
    let day = &page.day;
    let mut out = format!("# {}\n\n", escaped(&page.title));
    let strip: Vec<String> = page.strip.iter().map(|part| escaped(part)).collect();
    line(&mut out, format_args!("> {}\n", strip.join(" \u{B7} ")));
    let verdict = &page.verdict;
    line(
        &mut out,
        format_args!("{} **{}**\n", verdict.tone.sign(), escaped(&verdict.headline)),
    );
    for sentence in &verdict.sentences {
        line(&mut out, format_args!("{}\n", text(sentence, day)));
    }
    list(&mut out, page.answers.iter().map(|item| answer(item, day)));
    for reason in &verdict.reasons {
        line(&mut out, format_args!("{}\n", text(reason, day)));
    }
    for part in &page.pictures {
        block(&mut out, part, day);
    }
    if !day.is_empty() {
        line(&mut out, format_args!("{}\n", times_are(day)));
    }
    for section in &page.sections {
        out.push_str(&format!("## {}\n\n", section.title));
        for part in &section.blocks {
            block(&mut out, part, day);
        }
    }
    out.truncate(out.trim_end().len());
    out.push('\n');
    out
}

fn block(out: &mut String, block: &Block, day: &str) {
    match block {
        Block::Paragraph(paragraph) => line(out, format_args!("{}\n", text(paragraph, day))),
        Block::Data(data) => line(out, format_args!("{}\n", indented(data))),
        Block::Warning(warning) => line(out, format_args!("> **Warning:** {}\n", text(warning, day))),
        Block::Heading(heading) => line(out, format_args!("### {}\n", text(heading, day))),
        Block::List(items) => list(out, items.iter().map(|item| text(item, day))),
        Block::Todo(todos) => todo_list(out, todos, day),
        Block::Places(places) => list(out, places.iter().map(|item| place(item, day))),
        Block::Course(item) => course(out, item, day),
        Block::Spells(items, note) => {
            line(out, format_args!("What customers met:\n"));
            list(out, items.iter().map(|item| spell(item, day)));
            if let Some(note) = note {
                line(out, format_args!("{}\n", text(note, day)));
            }
        }
        Block::Facts(facts) => {
            let facts = facts
                .iter()
                .map(|(name, said)| format!("**{}:** {}", text(name, day), text(said, day)));
            list(out, facts);
        }
        Block::Figures(figures) => {
            let figures = figures.iter().map(|figure| {
                format!(
                    "**{}:** {}; {}",
                    escaped(&figure.name),
                    text(&figure.value, day),
                    judged(figure.tone, joined(figure.notes(), day))
                )
            });
            list(out, figures);
        }
        Block::Table(item) => table(out, item, day),
        Block::Timeline(item) => timeline(out, item, day),
        Block::Plot(item) => plot(out, item),
    }
}

/// Code by its indent: nothing within it can end it. What HTML would take for its own is written as JSON allows.
fn indented(data: &Value) -> String {
    let text = format!("{data:#}").replace('<', "\\u003c").replace('&', "\\u0026");
    let lines: Vec<String> = text.lines().map(|line| format!("    {}", visible(line))).collect();
    lines.join("\n")
}

/// Notes, one after the other.
fn joined<'a>(notes: impl Iterator<Item = &'a Text>, day: &str) -> String {
    let notes: Vec<String> = notes.map(|note| text(note, day)).collect();
    notes.join("; ")
}

/// Something that is judged, with its sign.
fn judged(tone: Tone, said: String) -> String {
    match tone {
        Tone::Plain => said,
        tone => format!("{} {said}", tone.sign()),
    }
}

fn answer(answer: &Answer, day: &str) -> String {
    let notes = joined(answer.notes.iter(), day);
    let value = text(&answer.value, day);
    format!("**{}** {value} ({})", answer.question, judged(answer.tone, notes))
}

fn place(place: &Place, day: &str) -> String {
    let now: Vec<String> = place
        .now
        .iter()
        .map(|(tone, said)| judged(*tone, text(said, day)))
        .collect();
    format!(
        "**{}** (before: {}): {}",
        escaped(&place.name),
        place.before,
        now.join("; ")
    )
}

fn spell(spell: &Spell, day: &str) -> String {
    let length = length(shared::measure::seconds_between(spell.from, spell.to));
    judged(
        spell.tone,
        format!("from {}, {length}: {}", moment(spell.from, day), spell.met),
    )
}

fn course(out: &mut String, course: &Course, day: &str) {
    let pieces: Vec<String> = course
        .pieces
        .iter()
        .map(|piece| format!("{} {}", piece.name, length(piece.seconds())))
        .collect();
    line(
        out,
        format_args!(
            "From {} to {}: {}. Our own time in that: at most {}.\n",
            moment(course.from, day),
            moment(course.to, day),
            pieces.join(" \u{2192} "),
            length(course.ours_at_most)
        ),
    );
}

/// The most urgent ones first, under headings that say when.
fn todo_list(out: &mut String, todos: &[Todo], day: &str) {
    for when in When::ALL {
        let mut of_then = todos.iter().filter(|todo| todo.when == when).peekable();
        if of_then.peek().is_some() {
            line(out, format_args!("### {}\n", when.name()));
        }
        for (index, todo) in of_then.enumerate() {
            line(
                out,
                format_args!(
                    "{}. **{}.** {}",
                    index + 1,
                    escaped(&todo.title),
                    text(&todo.about, day)
                ),
            );
            todo_in_full(out, todo, day, "   ");
            out.push('\n');
        }
    }
}

/// The title of a thing to do, and what there is to say about it.
fn titled(todo: &Todo, day: &str) -> String {
    let said = format!("**{}.** {}", escaped(&todo.title), text(&todo.about, day));
    said.trim_end().to_owned()
}

/// What belongs to a thing to do, under its title.
fn todo_in_full(out: &mut String, todo: &Todo, day: &str, indent: &str) {
    if let Some(who) = &todo.who {
        line(out, format_args!("{indent}- Who: {}", text(who, day)));
    }
    for command in &todo.commands {
        let lines = visible_lines(&command.line);
        let fence = "`".repeat(longest_run_of_backticks(&command.line).max(2) + 1);
        line(out, format_args!("{indent}- {}:\n", command.purpose));
        for line_of_it in [&fence].into_iter().chain(&lines).chain([&fence]) {
            line(out, format_args!("{indent}  {line_of_it}"));
        }
    }
    if let Some(done) = &todo.done {
        line(out, format_args!("{indent}- Done when {}", text(done, day)));
    }
    for part in &todo.parts {
        line(out, format_args!("{indent}- {}", titled(part, day)));
        todo_in_full(out, part, day, &format!("{indent}  "));
    }
}

/// Writing to a `String` cannot fail.
fn line(out: &mut String, text: std::fmt::Arguments<'_>) {
    let _ = writeln!(out, "{text}");
}

fn list(out: &mut String, items: impl Iterator<Item = String>) {
    for item in items {
        line(out, format_args!("- {item}"));
    }
    out.push('\n');
}

fn table(out: &mut String, table: &Table, day: &str) {
    line(out, format_args!("{}:\n", escaped(&table.caption)));
    let head: Vec<String> = table.head.iter().map(|name| escaped(name)).collect();
    line(out, format_args!("| {} |", head.join(" | ")));
    line(out, format_args!("|{}", " --- |".repeat(head.len())));
    for row in &table.rows {
        let cells: Vec<String> = row.iter().map(|cell| text(cell, day)).collect();
        line(out, format_args!("| {} |", cells.join(" | ")));
    }
    out.push('\n');
}

fn timeline(out: &mut String, timeline: &Timeline, day: &str) {
    line(out, format_args!("Each step, in the order of its beginning:\n"));
    for row in &timeline.rows {
        let seconds = shared::measure::seconds_between(row.from, row.to);
        let mut whom: Vec<SegmentKind> = row.segments.iter().map(|segment| segment.kind).collect();
        whom.sort();
        whom.dedup();
        let whom: Vec<&str> = whom.into_iter().map(SegmentKind::in_words).collect();
        let whom = if whom.is_empty() {
            String::new()
        } else {
            format!(" ({})", whom.join("; "))
        };
        let (from, to) = (moment(row.from, day), moment(row.to, day));
        let when = if row.is_guessed {
            format!("between {from} and {to}")
        } else {
            format!("{from} to {to} ({})", length(seconds))
        };
        line(
            out,
            format_args!(
                "- {} **{}**{}: {}{}",
                when,
                escaped(&row.name),
                if row.failed { ", failed" } else { "" },
                escaped(&row.said.join("; ")),
                whom
            ),
        );
    }
    out.push('\n');
}

fn plot(out: &mut String, plot: &Plot) {
    let tallest = plot.tallest();
    line(out, format_args!("{}:\n\n```text", escaped(&plot.title)));
    for bar in &plot.bars {
        let length_of_bar = bar.count * 40 / tallest;
        line(
            out,
            format_args!("{:>12} {} {}", length(bar.from), "#".repeat(length_of_bar), bar.count),
        );
    }
    line(out, format_args!("```\n"));
    let outside = plot.outside_in_words();
    if !outside.is_empty() {
        line(out, format_args!("{}\n", outside.trim_start()));
    }
}

fn text(text: &Text, day: &str) -> String {
    let pieces = text.0.iter().map(|piece| match piece {
        Piece::Plain(text) => escaped(text),
        // White space inside of the marks would keep them from being marks.
        Piece::Strong(text) => match text.trim_end() {
            "" => String::new(),
            bold => format!("**{}**{}", escaped(bold), &text[bold.len()..]),
        },
        Piece::Code(text) => code(text),
        Piece::Time(at) => moment(*at, day),
        Piece::Number { said, .. } => escaped(said),
    });
    pieces.collect()
}

/// Text from the record as text and nothing else.
fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for character in visible(text).chars() {
        match character {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '\\' | '`' | '*' | '_' | '[' | ']' | '#' | '|' | '~' | '>' | '!' => safe.extend(['\\', character]),
            other => safe.push(other),
        }
    }
    // A viewer makes links of addresses by itself.
    safe.replace("://", ":\\//")
}

fn longest_run_of_backticks(text: &str) -> usize {
    text.split(|c| c != '`').map(str::len).max().unwrap_or(0)
}

/// Between as many backticks as the text does not hold; in a table a bar must be escaped all the same.
fn code(text: &str) -> String {
    let text = visible(text).replace('|', "\\|");
    let fence = "`".repeat(longest_run_of_backticks(&text) + 1);
    let space = if text.starts_with('`') || text.ends_with('`') {
        " "
    } else {
        ""
    };
    format!("{fence}{space}{text}{space}{fence}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_from_the_record_is_text_and_nothing_else() {
        assert_eq!(escaped("<b> & *x* [a](b) |"), "&lt;b\\> &amp; \\*x\\* \\[a\\](b) \\|");
        assert_eq!(escaped("https://evil.example"), "https:\\//evil.example");
        assert_eq!(code("a`b"), "``a`b``");
        assert_eq!(code("`a`"), "`` `a` ``");
        assert_eq!(code("a\n\n# b | c"), "`a  # b \\| c`");
    }
}
