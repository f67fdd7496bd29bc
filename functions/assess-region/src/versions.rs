//! Whether Aurora promotes a secondary cluster whose engine version differs from the primary's. Source: Aurora User Guide,
//! "Patch level compatibility for managed cross-Region switchovers and failovers".

/// The patches whose clusters are moved only to the same patch.
const ONLY_TO_THEMSELVES: [&str; 11] = [
    "16.1.6", "16.2.4", "16.3.2", "16.4.2", "15.3.8", "15.4.9", "15.5.6", "15.6.4", "15.7.2", "15.8.2", "14.8.8",
];
/// The oldest minor version of each major one whose patches may differ; from 15 on they always may.
const PATCHES_MAY_DIFFER_FROM: [(u32, u32); 4] = [(14, 5), (13, 8), (12, 12), (11, 17)];

/// Why Aurora would refuse to promote a cluster of version `here` in a global database whose writer has `primary`.
pub(crate) fn refused(primary: &str, here: &str) -> Option<String> {
    if primary == here {
        return None;
    }
    let parts = |version: &str| {
        version
            .split('.')
            .map(|part| part.parse().ok())
            .collect::<Vec<Option<u32>>>()
    };
    let (of_primary, of_here) = (parts(primary), parts(here));
    let (Some(Some(major)), Some(Some(minor))) = (of_primary.first(), of_primary.get(1)) else {
        return Some(format!("the primary's engine version {primary} has an unknown form"));
    };
    if of_here.first() != of_primary.first() || of_here.get(1) != of_primary.get(1) {
        return Some(format!(
            "the primary has engine version {primary}, and this cluster {here}"
        ));
    }
    if ONLY_TO_THEMSELVES.contains(&primary) || ONLY_TO_THEMSELVES.contains(&here) {
        return Some(format!(
            "the primary has engine version {primary}, and this cluster {here}; Aurora moves one of these patches \
             only to the same patch"
        ));
    }
    let may_differ = *major >= 15
        || PATCHES_MAY_DIFFER_FROM
            .iter()
            .any(|(of, from)| of == major && minor >= from);
    (!may_differ).then(|| {
        format!(
            "the primary has engine version {primary}, and this cluster {here}; before 14.5 patches must be the same"
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_that_aurora_does_not_move_between_are_refused() {
        for (primary, here, may) in [
            ("16.6", "16.6", true),
            ("16.6", "16.4", false),
            ("16.6", "15.6", false),
            ("16.4.1", "16.4.3", true),
            ("16.4.2", "16.4.3", false),
            ("16.4.1", "16.4.2", false),
            ("14.5.1", "14.5.2", true),
            ("14.4.1", "14.4.2", false),
            ("13.8.1", "13.8.2", true),
            ("13.7.1", "13.7.2", false),
            ("12.12.1", "12.12.2", true),
            ("11.16.1", "11.16.2", false),
            ("strange", "16.6", false),
        ] {
            assert_eq!(refused(primary, here).is_none(), may, "{primary} → {here}");
        }
    }
}
