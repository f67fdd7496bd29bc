//! A campaign: many rehearsals, each with a disaster and faults that its seed draws, on all cores. A run is found again by
//! its command, which says all that was drawn.

mod draw;
mod play;
mod run;
mod shrink;

pub use draw::draw;
pub use play::{Campaign, Drawn, Totals, play};
pub use run::{Run, one};
pub use shrink::shrink;
