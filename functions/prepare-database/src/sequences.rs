//! Numbers that were given out after the moment live on in caches, names of objects and mails: none is given out a second time.

use aws_sdk_rdsdata::Client;
use aws_sdk_rdsdata::types::Field;
use shared::error::{ErrorKind, StepError};
use shared::sql::{Reached, number, text};

/// How many sequences one answer lists: the Data API answers with 1 MiB at most.
const A_PAGE: i64 = 1000;
/// What they are. A name of PostgreSQL's own type is a text only by a cast; `last_value` is nothing where the sequence was never used,
/// and also where the user may not see it.
const LIST: &str = "SELECT quote_ident(CAST(schemaname AS text)) || '.' || quote_ident(CAST(sequencename AS text)), last_value, \
    increment_by, min_value, max_value, CAST(cycle AS text), \
    CAST(has_sequence_privilege(quote_ident(CAST(schemaname AS text)) || '.' || quote_ident(CAST(sequencename AS text)), \
    'USAGE, SELECT') AS text) FROM pg_sequences ORDER BY 1 LIMIT :page OFFSET :skip";
const RAISE: &str = "SELECT setval(:sequence, :number)";

/// A sequence of a database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Sequence {
    /// Schema and name, quoted as SQL wants them.
    pub(crate) name: String,
    /// The last number that it gave out.
    pub(crate) last: Option<i64>,
    pub(crate) step: i64,
    pub(crate) least: i64,
    pub(crate) most: i64,
    pub(crate) cycles: bool,
    /// Whether the database's user sees that number.
    pub(crate) is_seen: bool,
}

/// What is to be done about a sequence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Raise {
    /// It goes on where it is: nothing that it may give out was given out since.
    Not,
    /// It is as high as it has to be.
    IsThere,
    /// Its last number becomes this one.
    To(i64),
    /// Why it cannot be raised.
    Hindered(String),
}

/// All sequences of a database. Errors: what the Data API answers, or a row of another form.
pub(crate) async fn list(client: &Client, database: Reached<'_>) -> Result<Vec<Sequence>, StepError> {
    let mut all = Vec::new();
    loop {
        let skip = all.len() as i64;
        let parameters = vec![number("page", A_PAGE), number("skip", skip)];
        let rows = database.rows(client, LIST, parameters).await;
        let rows = rows.map_err(|refusal| refusal.error)?;
        let is_last = (rows.len() as i64) < A_PAGE;
        for row in rows {
            all.push(sequence(&row).ok_or_else(|| {
                let text = format!(
                    "pg_sequences of {} has a row of another form: {row:?}",
                    database.cluster_arn
                );
                StepError::new(ErrorKind::VerificationFailed, text)
            })?);
        }
        if is_last {
            return Ok(all);
        }
    }
}

fn sequence(row: &[Field]) -> Option<Sequence> {
    let [name, last, step, least, most, cycles, is_seen] = row else {
        return None;
    };
    let whole = |field: &Field| field.as_long_value().ok().copied();
    let is_true = |field: &Field| field.as_string_value().ok().map(|text| text == "true");
    Some(Sequence {
        name: name.as_string_value().ok()?.clone(),
        last: whole(last),
        step: whole(step)?,
        least: whole(least)?,
        most: whole(most)?,
        cycles: is_true(cycles)?,
        is_seen: is_true(is_seen)?,
    })
}

/// What is to be done about a sequence of the restored database. Where the damaged one cannot be read, or has dropped it since, what it
/// gave out is not known, and the margin counts from what the restored one knows.
pub(crate) fn raise(restored: &Sequence, damaged: Option<&[Sequence]>, margin: u32) -> Raise {
    let damaged = damaged.and_then(|damaged| same_in(damaged, restored));
    let given_out = match damaged {
        None => restored.last,
        Some(other) if !other.is_seen => {
            return Raise::Hindered(format!(
                "the database's user may not see sequence {} of the damaged database; grant it USAGE on all sequences",
                restored.name
            ));
        }
        Some(other) => other.last,
    };
    let Some(given_out) = given_out else { return Raise::Not };
    let far = i64::from(margin).saturating_mul(restored.step);
    let to = given_out.saturating_add(far);
    let is_there = |last: i64| match restored.step > 0 {
        true => last >= to,
        false => last <= to,
    };
    if damaged.is_some() && restored.last.is_some_and(is_there) {
        return Raise::IsThere;
    }
    if (restored.least..=restored.most).contains(&to) {
        return Raise::To(to);
    }
    match restored.cycles {
        // It gives every number out again, by its own definition.
        true => Raise::Not,
        false => Raise::Hindered(format!(
            "sequence {} gave out {given_out}, and {far} more pass its limit; give it a wider type or a smaller margin",
            restored.name
        )),
    }
}

fn same_in<'a>(damaged: &'a [Sequence], restored: &Sequence) -> Option<&'a Sequence> {
    damaged.iter().find(|other| other.name == restored.name)
}

/// The names of sequences of the restored database that gave out numbers, and that the damaged one has dropped since, as with a table.
pub(crate) fn dropped<'a>(restored: &'a [Sequence], damaged: &[Sequence]) -> Vec<&'a str> {
    let used = restored.iter().filter(|sequence| sequence.last.is_some());
    let gone = used.filter(|sequence| same_in(damaged, sequence).is_none());
    gone.map(|sequence| sequence.name.as_str()).collect()
}

/// Raises sequences of the restored database. Raised twice, they are as high as raised once. Errors: the first one that was not.
pub(crate) async fn set(client: &Client, restored: Reached<'_>, raised: &[(String, i64)]) -> Result<(), StepError> {
    let each = raised
        .iter()
        .map(|(name, to)| vec![text("sequence", name), number("number", *to)]);
    restored
        .run_each(client, RAISE, each.collect())
        .await
        .map_err(|refusal| refusal.error)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn used(last: Option<i64>) -> Sequence {
        Sequence {
            name: "public.order_ids".to_owned(),
            last,
            step: 1,
            least: 1,
            most: 10_000,
            cycles: false,
            is_seen: true,
        }
    }

    fn hindered(raise: &Raise) -> &str {
        match raise {
            Raise::Hindered(why) => why,
            other => panic!("not hindered: {other:?}"),
        }
    }

    #[test]
    fn a_sequence_goes_on_above_what_the_damaged_database_gave_out() {
        let raised =
            |restored: &Sequence, damaged: &Sequence| raise(restored, Some(std::slice::from_ref(damaged)), 100);
        assert_eq!(raised(&used(Some(40)), &used(Some(70))), Raise::To(170));
        assert_eq!(raised(&used(None), &used(Some(70))), Raise::To(170));
        assert_eq!(raised(&used(Some(40)), &used(None)), Raise::Not);
        assert_eq!(
            raised(&used(Some(170)), &used(Some(70))),
            Raise::IsThere,
            "it was raised before"
        );
        let down = |last| Sequence {
            step: -2,
            least: -10_000,
            most: -1,
            ..used(Some(last))
        };
        assert_eq!(raised(&down(-40), &down(-70)), Raise::To(-270));
        assert_eq!(raised(&down(-270), &down(-70)), Raise::IsThere);
        assert_eq!(
            raise(&used(Some(40)), Some(&[]), 100),
            Raise::To(140),
            "it was dropped since"
        );
    }

    #[test]
    fn where_the_damaged_database_is_silent_the_margin_counts_from_what_is_known() {
        assert_eq!(raise(&used(Some(40)), None, 100), Raise::To(140));
        assert_eq!(raise(&used(None), None, 100), Raise::Not);
    }

    #[test]
    fn a_sequence_that_was_dropped_since_is_named() {
        let unused = Sequence {
            name: "public.unused".to_owned(),
            ..used(None)
        };
        let restored = [used(Some(40)), unused];
        assert_eq!(dropped(&restored, &[]), ["public.order_ids"]);
        assert_eq!(dropped(&restored, &[used(Some(70))]), [""; 0]);
    }

    #[test]
    fn what_cannot_be_raised_is_named() {
        let full = raise(&used(Some(9_000)), Some(&[used(Some(9_950))]), 100);
        assert!(hindered(&full).contains("order_ids gave out 9950"));
        let mut cycles = used(Some(9_000));
        cycles.cycles = true;
        assert_eq!(raise(&cycles, Some(&[used(Some(9_950))]), 100), Raise::Not);
        let mut unseen = used(None);
        unseen.is_seen = false;
        assert!(hindered(&raise(&used(Some(1)), Some(&[unseen]), 100)).contains("grant it USAGE"));
    }
}
