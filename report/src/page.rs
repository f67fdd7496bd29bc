//! What a report says, apart from the form that it is said in: HTML and Markdown show the same sections.

use jiff::Timestamp;
use serde_json::Value;

use crate::course::Course;
use crate::plot::Plot;
use crate::timeline::Timeline;

/// A report.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Page {
    /// What it is about.
    pub(crate) title: String,
    /// Stands above the title and on every printed page: whether it is real, then what tells this report from others.
    pub(crate) strip: Vec<String>,
    /// What somebody reads who reads nothing else.
    pub(crate) verdict: Verdict,
    /// The questions that everybody asks first.
    pub(crate) answers: Vec<Answer>,
    /// What happened, drawn.
    pub(crate) pictures: Vec<Block>,
    /// The day of times without one; empty if each time has its day.
    pub(crate) day: String,
    /// The rest.
    pub(crate) sections: Vec<Section>,
}

/// The verdict over a recovery, or over a campaign.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Verdict {
    /// Never more reassuring than its worst part.
    pub(crate) tone: Tone,
    pub(crate) headline: String,
    pub(crate) sentences: Vec<Text>,
    /// Why, and what else must be known: it stands behind the answers.
    pub(crate) reasons: Vec<Text>,
}

/// One of the questions that everybody asks first, and its answer.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Answer {
    pub(crate) question: &'static str,
    pub(crate) value: Text,
    /// The value against its limits, drawn.
    pub(crate) gauge: Option<Gauge>,
    pub(crate) notes: Vec<Text>,
    pub(crate) tone: Tone,
}

/// A value in seconds against its target and its maximum.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Gauge {
    /// The value; nothing if nobody measured it.
    pub(crate) seconds: Option<f64>,
    pub(crate) exact: Exact,
    pub(crate) target: f64,
    pub(crate) maximum: f64,
}

/// What a value is, beside its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exact {
    /// As exact as the record says.
    Value,
    /// The true one is as great or greater.
    AtLeast,
}

/// How something is to be taken. Each has its colour, its sign and its word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Tone {
    /// Not applicable, or not known yet.
    Plain,
    /// The target is met.
    Good,
    /// The target is missed, the maximum is not; or something is left that has to be looked at.
    Warn,
    /// The maximum is missed, or customers are without the service.
    Bad,
}

impl Verdict {
    /// Without reasons.
    pub(crate) fn new(tone: Tone, headline: impl Into<String>, sentences: Vec<Text>) -> Self {
        Self {
            tone,
            headline: headline.into(),
            sentences,
            reasons: Vec::new(),
        }
    }
}

impl Tone {
    /// Beside the colour, for whoever cannot see that.
    pub(crate) const fn sign(self) -> &'static str {
        match self {
            Self::Plain => "\u{2022}",
            Self::Good => "\u{2713}",
            Self::Warn => "\u{25B2}",
            Self::Bad => "\u{2717}",
        }
    }
}

/// How times and lengths of time are written in a report of one day.
pub(crate) fn times_are(day: &str) -> String {
    format!("Times are UTC, cut to the second; times without a day are of {day}. Lengths are rounded.")
}

/// A part of a report, with a heading.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Section {
    /// Names it within the page.
    pub(crate) id: &'static str,
    pub(crate) title: &'static str,
    pub(crate) blocks: Vec<Block>,
    /// Whether it is shut until somebody opens it. On paper it is open.
    pub(crate) folded: bool,
}

/// A piece of a section.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Block {
    Paragraph(Text),
    /// Data, as JSON.
    Data(Value),
    /// What must be read before anything is typed.
    Warning(Text),
    /// A smaller heading.
    Heading(Text),
    List(Vec<Text>),
    /// Things to do; the most urgent ones first.
    Todo(Vec<Todo>),
    /// Regions, side by side.
    Places(Vec<Place>),
    /// The time without service, in a few pieces.
    Course(Course),
    /// What customers met when, to scale, and what is to be said to it.
    Spells(Vec<Spell>, Option<Text>),
    /// Pairs of a name and what is said to it.
    Facts(Vec<(Text, Text)>),
    Figures(Vec<Figure>),
    Table(Table),
    Timeline(Timeline),
    Plot(Plot),
}

/// A Region, before and after.
#[derive(Clone, Debug, PartialEq)]
pub struct Place {
    /// Its name.
    pub name: String,
    /// What it was for customers before.
    pub before: &'static str,
    /// What is known of it now: whether that is as it should be, and what it is.
    pub now: Vec<(Tone, Text)>,
}

/// A time in which customers met the same.
#[derive(Clone, Debug, PartialEq)]
pub struct Spell {
    /// Its beginning.
    pub from: Timestamp,
    /// Its end; where the record ends, that of what is known.
    pub to: Timestamp,
    /// Whether that was good for them.
    pub tone: Tone,
    /// What they met.
    pub met: &'static str,
}

/// When something is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum When {
    /// Before anything else.
    Now,
    /// Within the day.
    Today,
    /// Within the week.
    ThisWeek,
}

impl When {
    pub(crate) const ALL: [Self; 3] = [Self::Now, Self::Today, Self::ThisWeek];

    /// As a heading.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Now => "Now",
            Self::Today => "Today",
            Self::ThisWeek => "This week",
        }
    }

    /// After a number of things to do.
    pub(crate) const fn after_a_number(self) -> &'static str {
        match self {
            Self::Now => "now",
            Self::Today => "today",
            Self::ThisWeek => "this week",
        }
    }
}

/// Something to do.
#[derive(Clone, Debug, PartialEq)]
pub struct Todo {
    pub(crate) when: When,
    /// In a few words.
    pub(crate) title: String,
    /// Why, and what to know before.
    pub(crate) about: Text,
    /// Who does it, and what they may have to be allowed.
    pub(crate) who: Option<Text>,
    /// What to type, in order.
    pub(crate) commands: Vec<Command>,
    /// What is seen when it is done.
    pub(crate) done: Option<Text>,
    /// Its parts, in order.
    pub(crate) parts: Vec<Todo>,
}

/// Something to type.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Command {
    /// What for.
    pub(crate) purpose: &'static str,
    pub(crate) line: String,
}

impl Todo {
    /// What is to be done before anything else, in a few words.
    pub fn now(title: impl Into<String>) -> Self {
        Self::new(When::Now, title)
    }

    /// What is to be done within the day, in a few words.
    pub fn today(title: impl Into<String>) -> Self {
        Self::new(When::Today, title)
    }

    /// What is to be done within the week, in a few words.
    pub fn this_week(title: impl Into<String>) -> Self {
        Self::new(When::ThisWeek, title)
    }

    fn new(when: When, title: impl Into<String>) -> Self {
        Self {
            when,
            title: title.into(),
            about: Text::default(),
            who: None,
            commands: Vec::new(),
            done: None,
            parts: Vec::new(),
        }
    }

    /// With why, and what to know before.
    pub fn about(self, about: impl Into<Text>) -> Self {
        Self {
            about: about.into(),
            ..self
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

    /// With its parts, in order.
    pub fn parts(self, parts: Vec<Self>) -> Self {
        Self { parts, ..self }
    }

    /// With what is seen when it is done.
    pub fn done(self, done: impl Into<Text>) -> Self {
        Self {
            done: Some(done.into()),
            ..self
        }
    }
}

/// A figure with its limits.
#[derive(Clone, Debug, PartialEq)]
pub struct Figure {
    /// What it is called.
    pub name: String,
    /// The figure, with its unit and how exact it is.
    pub value: Text,
    /// How it stands against its limits.
    pub verdict: Text,
    /// What is not known beside it: the figure is not all of it.
    pub not_known: Option<Text>,
    /// Whether that is good.
    pub tone: Tone,
    /// The figure against its limits, drawn; nothing if it has none.
    pub gauge: Option<Gauge>,
}

impl Figure {
    /// How it stands against its limits, and what is not known beside it.
    pub(crate) fn notes(&self) -> impl Iterator<Item = &Text> {
        [Some(&self.verdict), self.not_known.as_ref()].into_iter().flatten()
    }
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
        Self {
            id,
            title,
            blocks,
            folded: false,
        }
    }

    /// Shut until somebody opens it.
    pub(crate) fn folded(id: &'static str, title: &'static str, blocks: Vec<Block>) -> Self {
        Self {
            folded: true,
            ..Self::new(id, title, blocks)
        }
    }
}
