//! What a seed draws: a disaster, the faults beside it, and whether a failed recovery is resumed.

use std::hash::{DefaultHasher, Hash, Hasher};

use fastrand::Rng;

use crate::disaster::{Disaster, vocabulary};
use crate::fault::{Effect, Fault, FaultKind, Vocabulary, compatible};
use crate::scenarios::kinds_that_fit;
use crate::script::Script;

/// How many faults there are: of 20 runs, so many have none, one, two, three.
const SHARES: [(usize, usize); 4] = [(0, 2), (1, 8), (2, 6), (3, 4)];
/// Of 20 runs so many are of the scenario that is first of those that are asked for; the others share the rest.
const FIRST_SCENARIO_SHARE: usize = 18;

/// What the run with this seed plays, of these.
///
/// # Panics
///
/// Where there is nothing to play.
pub fn draw(disasters: &[&'static dyn Disaster], seed: u64) -> Script {
    let [first, others @ ..] = disasters else {
        panic!("there is nothing to draw from");
    };
    let mut hasher = DefaultHasher::new();
    // Another stream than those of the world, which begin with the same seed.
    (seed, "campaign").hash(&mut hasher);
    let mut rng = Rng::with_seed(hasher.finish());
    let disaster = if !others.is_empty() && rng.usize(..20) >= FIRST_SCENARIO_SHARE {
        others[rng.usize(..others.len())]
    } else {
        *first
    };
    let (kinds, vocabulary) = (kinds_that_fit(disaster), vocabulary([disaster]));
    let mut script = Script::new(disaster);
    let lot = rng.usize(..20);
    let mut upto = 0;
    let count = SHARES.iter().find_map(|(count, share)| {
        upto += share;
        (lot < upto).then_some(*count)
    });
    while script.faults.len() < count.unwrap_or_default() {
        let fault = some_fault(&mut rng, disaster, &kinds, &vocabulary);
        script.faults = with(script.faults, fault);
    }
    // What people do is seen only where they are asked, which is not often.
    let asking = disaster.asking();
    if !asking.is_empty() && script.faults.iter().map(Fault::effect).any(is_an_answer) {
        let asking = Fault::read(asking[rng.usize(..asking.len())], kinds, &vocabulary);
        if let Ok(asking) = asking {
            script.faults = with(script.faults, asking);
        }
    }
    script.resume = rng.bool();
    script
}

fn is_an_answer(effect: &dyn Effect) -> bool {
    effect.people().is_some()
}

/// These faults and one more, where they can be together; one of a kind, as two of it say little more.
fn with(faults: Vec<Fault>, more: Fault) -> Vec<Fault> {
    let is_new = faults.iter().all(|fault| fault.kind() != more.kind());
    let mut all = faults.clone();
    all.push(more);
    if is_new && compatible(&all).is_ok() {
        all
    } else {
        faults
    }
}

fn some_fault(rng: &mut Rng, disaster: &dyn Disaster, kinds: &[&'static FaultKind], vocabulary: &Vocabulary) -> Fault {
    let lots: u32 = kinds.iter().map(|kind| disaster.lots(kind)).sum();
    let mut lot = rng.u32(..lots);
    let mut upto = kinds.iter().copied();
    let drawn = upto.find(|kind| match lot.checked_sub(disaster.lots(kind)) {
        Some(left) => {
            lot = left;
            false
        }
        None => true,
    });
    drawn.unwrap_or(kinds[0]).drawn(rng, vocabulary)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::scenarios::{ALL, fault_kinds};

    #[test]
    fn every_kind_that_fits_is_drawn_for_every_scenario_and_can_be_played() {
        let mut all = BTreeSet::new();
        for disaster in ALL {
            let mut kinds = BTreeSet::new();
            for seed in 0..2000 {
                let script = draw(&[*disaster], seed);
                assert_eq!(script, draw(&[*disaster], seed));
                compatible(&script.faults).unwrap();
                for fault in &script.faults {
                    assert_eq!(fault.to_string().parse::<Fault>().as_ref(), Ok(fault));
                    kinds.insert(fault.kind());
                }
            }
            let fit: BTreeSet<&str> = kinds_that_fit(*disaster).iter().map(|kind| kind.name()).collect();
            assert_eq!(kinds, fit, "{disaster:?}");
            all.extend(kinds);
        }
        let known: BTreeSet<&str> = fault_kinds().iter().map(|kind| kind.name()).collect();
        assert_eq!(all, known, "each kind fits some scenario");
    }

    #[test]
    fn faults_under_which_people_are_asked_fit() {
        for disaster in ALL {
            for spec in disaster.asking() {
                Fault::read(spec, kinds_that_fit(*disaster), &vocabulary([*disaster])).unwrap();
            }
        }
    }

    #[test]
    fn most_runs_are_of_the_first_scenario_and_one_alone_is_always_drawn() {
        let (first, others) = ALL.split_first().unwrap();
        let drawn = (0..1000).filter(|seed| draw(ALL, *seed).disaster == *first).count();
        assert!((850..950).contains(&drawn), "{drawn}");
        assert!((0..1000).all(|seed| draw(&others[..1], seed).disaster == others[0]));
    }
}
