//! Chance that a seed decides.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Mutex;

use crate::lock::lock;

/// Streams of chance. The same seed draws the same.
pub struct Chance {
    seed: u64,
    streams: Mutex<BTreeMap<&'static str, fastrand::Rng>>,
}

impl Chance {
    /// The streams of this seed.
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            seed,
            streams: Mutex::default(),
        }
    }

    /// Draws from a stream of its own name, so that one part drawing more leaves the others as they were.
    pub fn draw<T>(&self, stream: &'static str, draw: impl FnOnce(&mut fastrand::Rng) -> T) -> T {
        let mut streams = lock(&self.streams);
        let rng = streams.entry(stream).or_insert_with(|| {
            // DefaultHasher::new has fixed keys.
            let mut hasher = DefaultHasher::new();
            (self.seed, stream).hash(&mut hasher);
            fastrand::Rng::with_seed(hasher.finish())
        });
        draw(rng)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_of_chance_does_not_depend_on_the_others() {
        let draw = |chance: &Chance, stream| chance.draw(stream, |rng| rng.u64(..));
        let (one, other, another) = (Chance::new(1), Chance::new(1), Chance::new(2));
        let alone = [draw(&one, "a"), draw(&one, "a")];
        let first = draw(&other, "a");
        assert_ne!(draw(&other, "b"), first);
        assert_eq!([first, draw(&other, "a")], alone);
        assert_ne!(draw(&another, "a"), first);
    }
}
