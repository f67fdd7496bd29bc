//! What people do when they are asked.

use std::rc::Rc;

use crate::fault::{Area, Count, Effect, FaultKind};
use crate::people::People;
use crate::world::World;

/// What each of these says.
pub(super) const WHAT_PEOPLE_DO: &str = "what people do";

fn otherwise(world: &World<'_>) -> Option<Count> {
    let heard = Rc::clone(&world.heard);
    Some(Box::new(move |_| heard.otherwise()))
}

/// Nobody answers what is asked.
pub static ASLEEP: FaultKind = FaultKind {
    says: &[WHAT_PEOPLE_DO],
    ..FaultKind::with(
        Area::People,
        "approver-asleep[:<n>]",
        "nobody answers, up to the n-th question (default: all)",
        "ends as expired; while the alarm stands, a new recovery asks again",
        |said| {
            let through = said.argument.map(|through| match through.parse() {
                Ok(through) if through > 0 => Ok(through),
                _ => Err(format!("{through} is no number of a question; the first is 1")),
            });
            let through = through.transpose()?;
            Ok(Box::new(Asleep { through }))
        },
        |rng, _| {
            let through = rng.bool().then(|| rng.usize(1..3));
            Box::new(Asleep { through })
        },
    )
};

struct Asleep {
    /// Through so many questions.
    through: Option<usize>,
}

impl Effect for Asleep {
    fn argument(&self) -> Option<String> {
        self.through.map(|through| through.to_string())
    }

    fn at_the_beginning(&self, world: &World<'_>) -> Option<Count> {
        otherwise(world)
    }

    fn people(&self) -> Option<People> {
        Some(People::Asleep { through: self.through })
    }

    /// What they sleep through is asked again.
    fn questions_asked_again(&self) -> usize {
        self.through.unwrap_or_default()
    }
}

/// The first one who answers declines.
pub static DECLINES: FaultKind = FaultKind {
    says: &[WHAT_PEOPLE_DO],
    ..FaultKind::with(
        Area::People,
        "approver-declines[:<n>]",
        "the first person who answers declines, from the n-th question on (default: 1)",
        "ends as declined; everything is as before",
        |said| {
            let from = match said.argument {
                None => 1,
                Some(from) => match from.parse() {
                    Ok(from) if from > 0 => from,
                    _ => return Err(format!("{from} is no number of a question; the first is 1")),
                },
            };
            Ok(Box::new(Declines { from }))
        },
        |rng, _| Box::new(Declines { from: rng.usize(1..3) }),
    )
};

struct Declines {
    /// From which question on.
    from: usize,
}

impl Effect for Declines {
    fn argument(&self) -> Option<String> {
        (self.from > 1).then(|| self.from.to_string())
    }

    fn at_the_beginning(&self, world: &World<'_>) -> Option<Count> {
        otherwise(world)
    }

    fn people(&self) -> Option<People> {
        Some(People::Decline { from: self.from })
    }
}

/// One person answers twice, the second time in another role, and nobody else does.
pub static ONE_TWICE: FaultKind = FaultKind {
    says: &[WHAT_PEOPLE_DO],
    ..FaultKind::plain::<OneTwice>(
        Area::People,
        "one-approver-twice",
        "one person answers twice, in two roles; nobody else answers",
        "does not count the person twice",
    )
};

#[derive(Default)]
struct OneTwice;

impl Effect for OneTwice {
    fn at_the_beginning(&self, world: &World<'_>) -> Option<Count> {
        otherwise(world)
    }

    fn people(&self) -> Option<People> {
        Some(People::OneTwice)
    }
}
