//! Writing to standard output and standard error.
//!
//! Whoever reads may stop reading (`drctl … | head -1`). That is no error: the rest of the output is thrown away, and the
//! command ends with the exit status that it would have had.

use std::borrow::Cow;
use std::fmt::Display;
use std::io::{self, ErrorKind, IsTerminal, Write};
use std::process::ExitCode;

/// Exit status after Ctrl-C, as shells count it: 128 and the signal's number.
pub const INTERRUPTED: i32 = 130;

/// Width of the output, in columns, where neither a terminal nor `COLUMNS` says one.
pub const USUAL_WIDTH: usize = 100;

/// How a command ended, the better before the worse.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Exit {
    /// Done: 0.
    Success,
    /// It recovered, but exceeded a maximum objective: 3.
    AboveMaximum,
    /// Nothing was recovered: it was refused, or people declined or did not answer: 4.
    NotBegun,
    /// It ran, and something is wrong: not done, or only in part: 1.
    Failure,
    /// Wrong use, or an unusable plan: 2.
    WrongUse,
    /// A rule that must always hold was broken: 5.
    RuleBroken,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        match exit {
            Exit::Success => Self::from(0),
            Exit::Failure => Self::from(1),
            Exit::WrongUse => Self::from(2),
            Exit::AboveMaximum => Self::from(3),
            Exit::NotBegun => Self::from(4),
            Exit::RuleBroken => Self::from(5),
        }
    }
}

/// How a piece of text stands out on a terminal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Paint {
    /// As it should be.
    Good,
    /// Not as it should be.
    Bad,
    /// Beside the point.
    Faint,
    /// Worth seeing first.
    Strong,
}

impl Paint {
    const fn code(self) -> &'static str {
        match self {
            Self::Good => "32",
            Self::Bad => "31",
            Self::Faint => "2",
            Self::Strong => "1",
        }
    }
}

/// Both streams of the process.
pub struct Output {
    stdout: Stream,
    stderr: Stream,
    colour: bool,
    /// Whether a line can be taken back and drawn again.
    redraws: bool,
    /// Columns of standard output.
    width: usize,
    /// Columns of standard error; none where it is no terminal: whoever searches a log wants one error on one line.
    error_width: Option<usize>,
    /// Whether standard output is a terminal.
    terminal: bool,
}

impl Default for Output {
    fn default() -> Self {
        Self::new()
    }
}

impl Output {
    /// The process's own streams.
    pub fn new() -> Self {
        let terminal = io::stdout().is_terminal();
        // Some terminals say 0 when they do not know.
        let known = |width: Option<(terminal_size::Width, terminal_size::Height)>| {
            width.map(|(width, _)| usize::from(width.0)).filter(|width| *width > 0)
        };
        let width = known(terminal_size::terminal_size_of(io::stdout())).filter(|_| terminal);
        Self {
            stdout: Stream::new(io::stdout()),
            stderr: Stream::new(io::stderr()),
            colour: terminal && !dumb() && !no_colour(),
            redraws: terminal && !dumb(),
            width: width.or_else(columns_said).unwrap_or(USUAL_WIDTH),
            error_width: known(terminal_size::terminal_size_of(io::stderr())).filter(|_| io::stderr().is_terminal()),
            terminal,
        }
    }

    /// Columns of a row: those of the terminal; without one, `COLUMNS` or [`USUAL_WIDTH`].
    pub fn width(&self) -> usize {
        self.width
    }

    /// `text`, standing out where colours are wanted.
    pub fn paint<'a>(&self, paint: Paint, text: &'a str) -> Cow<'a, str> {
        if self.colour && !text.is_empty() {
            Cow::Owned(format!("\x1b[{}m{text}\x1b[0m", paint.code()))
        } else {
            Cow::Borrowed(text)
        }
    }

    /// Writes one line to standard output, however long: for programs that read it.
    pub fn line(&mut self, text: impl Display) {
        self.stdout.write(format_args!("{text}\n"));
    }

    /// Writes text for people to standard output, in rows of at most [`width`](Self::width) columns. Rows after the first begin
    /// with `indent` spaces.
    pub fn wrapped(&mut self, text: impl Display, indent: usize) {
        for row in wrap(&text.to_string(), self.width, indent) {
            self.line(row);
        }
    }

    /// Writes one finding to standard output: wrapped on a terminal, and one line for `grep` and `head` without one.
    pub fn finding(&mut self, text: impl Display) {
        match self.terminal {
            true => self.wrapped(text, 2),
            false => self.line(text),
        }
    }

    /// Whether [`draw`](Self::draw) can show a line that is then drawn again.
    pub fn redraws(&self) -> bool {
        self.redraws
    }

    /// Writes to standard output without a line's end, at once: for a line that is drawn again.
    pub fn draw(&mut self, text: impl Display) {
        self.stdout.write(format_args!("{text}"));
        self.stdout.flush();
    }

    /// Writes one line to standard error for each line of `text`.
    pub fn error(&mut self, text: impl Display) {
        for line in text.to_string().lines() {
            let line = format!("drctl: {line}");
            let rows = match self.error_width {
                Some(width) => wrap(&line, width, 2),
                None => vec![line],
            };
            for row in rows {
                self.stderr.write(format_args!("{row}\n"));
            }
        }
    }

    /// The process's exit status. Output that was lost for another reason than a reader who went away (a full disk) is
    /// said, and is not a success.
    pub fn finish(mut self, exit: Exit) -> ExitCode {
        self.end(exit).into()
    }

    fn end(&mut self, exit: Exit) -> Exit {
        self.stdout.flush();
        match self.stdout.lost.take() {
            None => exit,
            Some(error) => {
                self.error(format_args!("cannot write to standard output: {error}"));
                if exit == Exit::Success { Exit::WrongUse } else { exit }
            }
        }
    }
}

/// What the environment says of the width: shells and tests set it where there is no terminal.
fn columns_said() -> Option<usize> {
    let columns = std::env::var("COLUMNS").ok()?;
    columns.trim().parse().ok().filter(|columns| *columns > 0)
}

/// <https://no-color.org>: set and not empty means no colours.
fn no_colour() -> bool {
    std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty())
}

/// A dumb terminal shows escape sequences as they are.
pub fn dumb() -> bool {
    std::env::var_os("TERM").is_some_and(|value| value == "dumb")
}

/// `text` in rows of at most `width` columns, broken between words where that is possible; rows after the first begin
/// with `indent` spaces, or fewer where those would leave too little room. A word that only fits beside a smaller indent, such as
/// a URL, has that: whole, it can be copied. No row ends with spaces. What [`Output::paint`] adds takes no room.
fn wrap(text: &str, width: usize, indent: usize) -> Vec<String> {
    let width = width.max(1);
    let (usual, least) = (
        " ".repeat(indent.min(width / 2)),
        " ".repeat(indent.min(2).min(width / 2)),
    );
    let indent_of = |word: &str| match usual.len() + columns(word) <= width {
        true => &usual,
        false => &least,
    };
    let (mut rows, mut row, mut begun) = (Vec::new(), String::new(), false);
    for word in text.split(' ') {
        if !begun {
            row.push_str(word);
        } else if columns(&row) + 1 + columns(word) <= width {
            row.push(' ');
            row.push_str(word);
        } else if word.is_empty() {
            continue;
        } else {
            let next = format!("{}{word}", indent_of(word));
            rows.push(std::mem::replace(&mut row, next));
        }
        begun = true;
        // A word that is longer than a row is cut between characters.
        while columns(&row) > width {
            let rest = row.split_off(cut_at(&row, width));
            rows.push(std::mem::replace(&mut row, format!("{least}{rest}")));
        }
    }
    rows.push(row);
    rows.iter_mut().for_each(|row| row.truncate(row.trim_end().len()));
    rows
}

/// How many columns `text` takes.
fn columns(text: &str) -> usize {
    visible(text).count()
}

/// Where in `text` the character that would be one too many begins.
fn cut_at(text: &str, width: usize) -> usize {
    visible(text).nth(width).map_or(text.len(), |(at, _)| at)
}

/// The characters that a terminal shows, and where they are.
fn visible(text: &str) -> impl Iterator<Item = (usize, char)> {
    let mut hidden = false;
    text.char_indices().filter(move |(_, character)| {
        let shown = !hidden && *character != '\x1b';
        hidden = *character == '\x1b' || (hidden && *character != 'm');
        shown
    })
}

struct Stream {
    /// None once nobody reads any more.
    writer: Option<Box<dyn Write + Send>>,
    /// Why output was lost, unless its reader went away.
    lost: Option<io::Error>,
}

impl Stream {
    fn new(writer: impl Write + Send + 'static) -> Self {
        Self {
            writer: Some(Box::new(writer)),
            lost: None,
        }
    }

    fn write(&mut self, text: std::fmt::Arguments<'_>) {
        let result = self.writer.as_mut().map_or(Ok(()), |writer| writer.write_fmt(text));
        self.note(result);
    }

    fn flush(&mut self) {
        let result = self.writer.as_mut().map_or(Ok(()), |writer| writer.flush());
        self.note(result);
    }

    fn note(&mut self, result: io::Result<()>) {
        if let Err(error) = result {
            self.writer = None;
            if error.kind() != ErrorKind::BrokenPipe {
                self.lost = Some(error);
            }
        }
    }
}

/// Longer pieces of somebody's file or command line are cut: a message stays one line that can be read.
const LONGEST_QUOTE: usize = 80;

/// `text` as part of a one-line message: control characters are written out, so that a file cannot write to the terminal.
pub fn one_line(text: &impl Display) -> String {
    let mut line = String::new();
    for character in text.to_string().chars() {
        if character.is_control() {
            line.extend(character.escape_default());
        } else {
            line.push(character);
        }
    }
    line
}

/// Like [`one_line`], and cut when it is long.
pub fn quote(text: &str) -> String {
    let mut characters = text.chars();
    let mut start: String = characters.by_ref().take(LONGEST_QUOTE).collect();
    if characters.next().is_some() {
        start.push('…');
    }
    one_line(&start)
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    /// Takes `room` bytes, then fails.
    struct Failing {
        room: usize,
        kind: ErrorKind,
        attempts: Arc<Mutex<u32>>,
    }

    impl Write for Failing {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            *self.attempts.lock().unwrap() += 1;
            if self.room == 0 {
                return Err(self.kind.into());
            }
            let taken = bytes.len().min(self.room);
            self.room -= taken;
            Ok(taken)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[derive(Clone, Default)]
    struct Kept(Arc<Mutex<Vec<u8>>>);

    impl Write for Kept {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn output(kind: ErrorKind) -> (Output, Kept, Arc<Mutex<u32>>) {
        let (errors, attempts) = (Kept::default(), Arc::default());
        let stdout = Stream::new(Failing {
            room: 3,
            kind,
            attempts: Arc::clone(&attempts),
        });
        (
            Output {
                stdout,
                stderr: Stream::new(errors.clone()),
                colour: false,
                redraws: false,
                width: USUAL_WIDTH,
                error_width: None,
                terminal: false,
            },
            errors,
            attempts,
        )
    }

    #[test]
    fn a_reader_who_went_away_is_no_error() {
        let (mut output, errors, attempts) = output(ErrorKind::BrokenPipe);
        output.line("four");
        let after_first = *attempts.lock().unwrap();
        output.line("never written");
        assert_eq!(*attempts.lock().unwrap(), after_first);
        assert_eq!(output.end(Exit::Failure), Exit::Failure);
        assert!(errors.0.lock().unwrap().is_empty());
    }

    #[test]
    fn a_full_disk_is_said_and_is_no_success() {
        let (mut output, errors, _) = output(ErrorKind::StorageFull);
        output.line("four");
        assert_eq!(output.end(Exit::Success), Exit::WrongUse);
        let errors = String::from_utf8(errors.0.lock().unwrap().clone()).unwrap();
        assert!(
            errors.starts_with("drctl: cannot write to standard output: "),
            "{errors}"
        );
    }

    #[test]
    fn colours_only_where_wanted() {
        let (mut output, ..) = output(ErrorKind::BrokenPipe);
        assert_eq!(output.paint(Paint::Good, "sound"), "sound");
        output.colour = true;
        assert_eq!(output.paint(Paint::Good, "sound"), "\x1b[32msound\x1b[0m");
    }

    #[test]
    fn rows_are_broken_between_words() {
        assert_eq!(wrap("one two three", 13, 2), ["one two three"]);
        assert_eq!(wrap("one two three", 12, 2), ["one two", "  three"]);
        assert_eq!(wrap("  a     b", 6, 2), ["  a", "  b"]);
        assert_eq!(wrap("one twothree", 6, 2), ["one", "  twot", "  hree"]);
        assert_eq!(wrap("one s3://two three", 10, 5), ["one", "  s3://two", "     three"]);
        assert_eq!(wrap("a ", 6, 2), ["a"]);
        assert_eq!(wrap("", 6, 2), [""]);
        assert_eq!(wrap("abc", 0, 2), ["a", "b", "c"]);
    }

    #[test]
    fn colours_take_no_room() {
        let painted = "\x1b[32mone two\x1b[0m three";
        assert_eq!(wrap(painted, 13, 2), [painted]);
        assert_eq!(wrap(painted, 7, 2), ["\x1b[32mone two\x1b[0m", "  three"]);
        assert_eq!(wrap("\x1b[32mabcd\x1b[0m", 2, 0), ["\x1b[32mab", "cd\x1b[0m"]);
    }

    #[test]
    fn quotes_stay_on_one_line() {
        assert_eq!(quote("a\nb\x1b[2J"), r"a\nb\u{1b}[2J");
        assert_eq!(quote(&"x".repeat(100)).chars().count(), LONGEST_QUOTE + 1);
    }
}
