//! What is wrong in a plan file, and where it stands.

use std::path::Path;

use saphyr_parser::Marker;

use crate::output::{one_line, quote};

/// Where something stands; lines and columns begin at 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// The line.
    pub line: usize,
    pub(super) column: usize,
}

impl From<Marker> for Position {
    fn from(marker: Marker) -> Self {
        Self {
            line: marker.line(),
            column: marker.col() + 1,
        }
    }
}

/// Something wrong in a plan file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    pub(super) position: Position,
    /// JSON Pointer; empty for the whole file.
    pub(super) path: String,
    pub(super) message: String,
}

impl Finding {
    /// Where it is: `radiant.plan.yaml:12:`.
    pub fn place(&self, file: &Path) -> String {
        format!("{}:{}:", one_line(&file.display()), self.position.line)
    }

    /// What is wrong: `/regions/standby/region: …`.
    pub fn text(&self) -> String {
        match self.path.as_str() {
            "" => self.message.clone(),
            path => format!("{}: {}", quote(path), self.message),
        }
    }
}
