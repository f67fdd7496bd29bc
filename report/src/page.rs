//! What a report says, apart from the form that it is said in: HTML and Markdown show the same sections.

use jiff::Timestamp;

use crate::plot::Plot;
use crate::timeline::Timeline;

/// A report.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Page {
    /// What it is about.
    pub(crate) title: String,
    /// Above the title, in a box of its own: whether it is real.
    pub(crate) notice: Option<String>,
    /// How it ended, in a word.
    pub(crate) outcome: String,
    /// Whether that is good.
    pub(crate) tone: Tone,
    /// How it ended, in a sentence.
    pub(crate) sentence: Text,
    /// Why, and what goes with it.
    pub(crate) because: Vec<Text>,
    /// How things stand, right under the outcome.
    pub(crate) state: Vec<Block>,
    /// The day that times without one are of; empty where all have theirs.
    pub(crate) day: String,
    /// The rest.
    pub(crate) sections: Vec<Section>,
}

/// How something is to be taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tone {
    /// As it should be.
    Good,
    /// Not as it should be.
    Bad,
    /// Neither, or not known yet.
    Plain,
}

/// A part of a report, with a heading.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Section {
    /// Names it within the page.
    pub(crate) id: &'static str,
    pub(crate) title: &'static str,
    pub(crate) blocks: Vec<Block>,
}

/// A piece of a section.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Block {
    Paragraph(Text),
    /// What must be read before anything is typed.
    Warning(Text),
    /// A smaller heading.
    Heading(Text),
    List(Vec<Text>),
    /// Things to do, in order.
    Todo(Vec<Todo>),
    /// Pairs of a name and what is said to it.
    Facts(Vec<(Text, Text)>),
    Figures(Vec<Figure>),
    Table(Table),
    Timeline(Timeline),
    Plot(Plot),
}

/// Something to do.
#[derive(Clone, Debug, PartialEq)]
pub struct Todo {
    pub(crate) what: Text,
    /// Who does it, and what they may have to be allowed.
    pub(crate) who: Option<Text>,
    /// What to type, in order.
    pub(crate) commands: Vec<Command>,
    /// What is seen when it is done.
    pub(crate) done: Option<Text>,
}

/// Something to type.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Command {
    /// What for.
    pub(crate) purpose: &'static str,
    pub(crate) line: String,
}

impl Todo {
    /// What is to be done.
    pub fn new(what: impl Into<Text>) -> Self {
        Self {
            what: what.into(),
            who: None,
            commands: Vec::new(),
            done: None,
        }
    }

    /// With who does it, and what they may have to be allowed.
    pub fn by(self, who: impl Into<Text>) -> Self {
        Self {
            who: Some(who.into()),
            ..self
        }
    }

    /// With a command, where there is one.
    pub fn run(mut self, purpose: &'static str, line: impl Into<Option<String>>) -> Self {
        self.commands.extend(line.into().map(|line| Command { purpose, line }));
        self
    }

    /// With what is seen when it is done.
    pub fn done(self, done: impl Into<Text>) -> Self {
        Self {
            done: Some(done.into()),
            ..self
        }
    }
}

/// A figure that is worth a box of its own.
#[derive(Clone, Debug, PartialEq)]
pub struct Figure {
    /// What it is called.
    pub name: String,
    /// What it came to.
    pub value: Text,
    /// What it is held against, and how it stands.
    pub verdict: Text,
    /// Whether that is good.
    pub tone: Tone,
}

/// Rows of cells under headings; the first cell of a row names it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Table {
    pub(crate) caption: String,
    pub(crate) head: Vec<String>,
    pub(crate) rows: Vec<Vec<Text>>,
}

/// Text with what it is made of.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Text(pub(crate) Vec<Piece>);

/// A piece of text. Everything that comes from the record is made harmless where it is shown.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Piece {
    Plain(String),
    Strong(String),
    Code(String),
    Time(Timestamp),
    /// A figure of the JSON form: where it is there, and how it is said.
    Number {
        pointer: String,
        value: f64,
        said: String,
    },
}

impl Text {
    /// Text as it is.
    pub fn plain(text: impl Into<String>) -> Self {
        Self(vec![Piece::Plain(text.into())])
    }

    /// What is typed, or named by a machine.
    pub fn code(text: impl Into<String>) -> Self {
        Self::default().with(Piece::Code(text.into()))
    }

    /// A moment.
    pub fn at(at: Timestamp) -> Self {
        Self::default().with(Piece::Time(at))
    }

    /// With more text behind it.
    pub fn and(self, text: impl Into<String>) -> Self {
        self.with(Piece::Plain(text.into()))
    }

    /// With text behind it that stands out.
    pub fn strong(self, text: impl Into<String>) -> Self {
        self.with(Piece::Strong(text.into()))
    }

    /// With code behind it.
    pub fn and_code(self, text: impl Into<String>) -> Self {
        self.with(Piece::Code(text.into()))
    }

    /// With a moment behind it.
    pub fn and_at(self, at: Timestamp) -> Self {
        self.with(Piece::Time(at))
    }

    /// With a figure behind it: where the JSON form has it (a JSON pointer), and how it is said.
    pub fn number(self, pointer: &str, value: f64, said: impl Into<String>) -> Self {
        self.with(Piece::Number {
            pointer: pointer.to_owned(),
            value,
            said: said.into(),
        })
    }

    /// With other text behind it.
    pub fn then(mut self, other: Self) -> Self {
        self.0.extend(other.0);
        self
    }

    fn with(mut self, piece: Piece) -> Self {
        self.0.push(piece);
        self
    }
}

impl From<&str> for Text {
    fn from(text: &str) -> Self {
        Self::plain(text)
    }
}

impl From<String> for Text {
    fn from(text: String) -> Self {
        Self::plain(text)
    }
}

impl Section {
    pub(crate) fn new(id: &'static str, title: &'static str, blocks: Vec<Block>) -> Self {
        Self { id, title, blocks }
    }
}
