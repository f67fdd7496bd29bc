//! A report as Markdown.

use std::fmt::Write;

use crate::page::{Block, Page, Piece, Table, Text, Todo, Tone};
use crate::plot::Plot;
use crate::timeline::{SegmentKind, Timeline};
use crate::words::{length, moment, visible};

/// The whole text.
pub(crate) fn document(page: &Page) -> String {
    let day = &page.day;
    let mut out = format!("# {}\n\n", escaped(&page.title));
    if let Some(notice) = &page.notice {
        out.push_str(&format!("> {}\n\n", escaped(notice)));
    }
    out.push_str(&format!(
        "**{}.** {}\n\n",
        escaped(&page.outcome),
        text(&page.sentence, day)
    ));
    for because in &page.because {
        out.push_str(&format!("{}\n\n", text(because, day)));
    }
    for part in &page.state {
        block(&mut out, part, day);
    }
    if !day.is_empty() {
        out.push_str(&format!(
            "Times are UTC, cut to the second; those without a day are of {day}. Lengths are rounded.\n\n"
        ));
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
        Block::Warning(warning) => line(out, format_args!("> **Warning:** {}\n", text(warning, day))),
        Block::Heading(heading) => line(out, format_args!("### {}\n", text(heading, day))),
        Block::List(items) => list(out, items.iter().map(|item| text(item, day))),
        Block::Todo(todos) => {
            for (index, todo) in todos.iter().enumerate() {
                line(out, format_args!("{}. {}", index + 1, text(&todo.what, day)));
                todo_in_full(out, todo, day);
            }
            out.push('\n');
        }
        Block::Facts(facts) => {
            let facts = facts
                .iter()
                .map(|(name, said)| format!("**{}:** {}", text(name, day), text(said, day)));
            list(out, facts);
        }
        Block::Figures(figures) => {
            let figures = figures.iter().map(|figure| {
                let bad = if figure.tone == Tone::Bad { "**!** " } else { "" };
                format!(
                    "**{}:** {}; {bad}{}",
                    escaped(&figure.name),
                    text(&figure.value, day),
                    text(&figure.verdict, day)
                )
            });
            list(out, figures);
        }
        Block::Table(item) => table(out, item, day),
        Block::Timeline(item) => timeline(out, item, day),
        Block::Plot(item) => plot(out, item),
    }
}

/// What belongs to a thing to do, under its sentence.
fn todo_in_full(out: &mut String, todo: &Todo, day: &str) {
    let who = todo.who.iter().map(|who| format!("Who: {}", text(who, day)));
    let commands = todo
        .commands
        .iter()
        .map(|command| format!("{}: {}", command.purpose, code(&command.line)));
    let done = todo
        .done
        .iter()
        .map(|done| format!("It is done when {}", text(done, day)));
    for part in who.chain(commands).chain(done) {
        line(out, format_args!("   - {part}"));
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
    line(
        out,
        format_args!("Everything that took time, in the order in which it began:\n"),
    );
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

/// Between as many backticks as the text does not hold; in a table a bar must be escaped all the same.
fn code(text: &str) -> String {
    let text = visible(text).replace('|', "\\|");
    let longest = text.split(|c| c != '`').map(str::len).max().unwrap_or(0);
    let fence = "`".repeat(longest + 1);
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
