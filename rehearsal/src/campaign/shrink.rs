//! The smallest set of faults that still breaks what must hold.

use shared::plan::Plan;

use super::run::{Run, one};
use crate::script::Script;

/// Looks for a run with as few faults as can be that breaks one of the invariants that `run` breaks, with the same seed;
/// `run` itself, if there is none smaller. Sets of faults are tried by their size, the smallest first.
pub fn shrink(plan: &Plan, run: &Run) -> Run {
    let breaks = |candidate: &Run| {
        let mut found = candidate.breaches.iter();
        found.any(|breach| run.breaches.iter().any(|wanted| wanted.invariant == breach.invariant))
    };
    for candidate in smaller(&run.script) {
        let candidate = one(plan, &candidate, run.seed);
        if breaks(&candidate) {
            return candidate;
        }
    }
    run.clone()
}

/// Every script with fewer faults, those with fewest first; without going on after a failure before with it.
fn smaller(script: &Script) -> Vec<Script> {
    let sets = 1_usize
        .checked_shl(u32::try_from(script.faults.len()).unwrap_or(u32::MAX))
        .unwrap_or(0);
    let mut smaller: Vec<Script> = (0..sets)
        .flat_map(|set| {
            let faults = script
                .faults
                .iter()
                .enumerate()
                .filter(move |(place, _)| set & (1 << place) != 0);
            let faults: Vec<_> = faults.map(|(_, fault)| fault.clone()).collect();
            let resumes = if script.resume { vec![false, true] } else { vec![false] };
            resumes.into_iter().map(move |resume| Script {
                faults: faults.clone(),
                resume,
                ..script.clone()
            })
        })
        .filter(|smaller| smaller != script)
        .collect();
    smaller.sort_by_key(|script| (script.faults.len(), script.resume));
    smaller
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenarios::ALL;

    #[test]
    fn smaller_sets_come_first_and_the_whole_is_none_of_them() {
        let script = Script {
            faults: vec!["busy".parse().unwrap(), "sns-down".parse().unwrap()],
            resume: true,
            ..Script::new(ALL[0])
        };
        let sizes: Vec<_> = smaller(&script)
            .iter()
            .map(|script| (script.faults.len(), script.resume))
            .collect();
        let expected = [
            (0, false),
            (0, true),
            (1, false),
            (1, false),
            (1, true),
            (1, true),
            (2, false),
        ];
        assert_eq!(sizes, expected);
    }
}
