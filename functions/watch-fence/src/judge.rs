//! Whether a fenced Region pages people. It compares times of this Region's clock alone.

use jiff::{SignedDuration, Timestamp};
use shared::record::Watched;

/// How often people are paged.
pub const EVERY: SignedDuration = SignedDuration::from_mins(5);
/// By how much a look may come early: the schedule calls each minute, and not to the second.
const EARLY: SignedDuration = SignedDuration::from_secs(30);

/// What is known of the recovery that fenced this Region.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Word {
    /// Its Region could not be read, and why. That is no word of it.
    None(String),
    /// It was read.
    Read {
        /// How far it is: another text after each of its steps.
        mark: String,
        /// How long a question that waits for people may wait; zero where none does.
        asks_for: SignedDuration,
        /// How it ended, if it has.
        ended: Option<Ended>,
    },
}

/// How a recovery ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ended {
    /// Its outcome.
    pub outcome: &'static str,
    /// Whether the other Region serves since then.
    pub serves: bool,
}

/// What follows from a look.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Judged {
    /// What is kept for the next look.
    pub watched: Watched,
    /// For how long nothing was heard of the recovery, where people are paged now.
    pub pages: Option<SignedDuration>,
}

/// Judges one look at `now` in a Region that is fenced by `recovery` and has the writer. `before` is what the last look kept.
pub fn judge(
    recovery: &str,
    before: Option<&Watched>,
    word: &Word,
    page_after: SignedDuration,
    now: Timestamp,
) -> Judged {
    let mut watched = match before.filter(|before| before.recovery == recovery) {
        Some(before) => before.clone(),
        None => Watched {
            recovery: recovery.to_owned(),
            mark: None,
            heard_at: now,
            paged_at: None,
            moved: false,
        },
    };
    let mut silent_after = page_after;
    if let Word::Read { mark, asks_for, ended } = word {
        watched.moved |= ended.as_ref().is_some_and(|ended| ended.serves);
        // An end is word of it, and after that there is none.
        if watched.mark.as_ref() != Some(mark) {
            watched.mark = Some(mark.clone());
            watched.heard_at = now;
            watched.paged_at = None;
        }
        silent_after += *asks_for;
    }
    let silent_for = now.duration_since(watched.heard_at);
    let is_due = watched
        .paged_at
        .is_none_or(|paged_at| now.duration_since(paged_at) >= EVERY - EARLY);
    let pages = (!watched.moved && silent_for >= silent_after - EARLY && is_due).then_some(silent_for);
    if pages.is_some() {
        watched.paged_at = Some(now);
    }
    Judged { watched, pages }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE_AFTER: SignedDuration = SignedDuration::from_mins(5);

    fn at(minute: i64) -> Timestamp {
        Timestamp::from_second(1_767_668_400 + 60 * minute).unwrap()
    }

    fn read(mark: &str) -> Word {
        Word::Read {
            mark: mark.to_owned(),
            asks_for: SignedDuration::ZERO,
            ended: None,
        }
    }

    fn silence() -> Word {
        Word::None("no answer".to_owned())
    }

    /// The minutes of looks at which people are paged, where each minute's look finds this.
    fn pages(words: &[Word]) -> Vec<usize> {
        let (mut before, mut pages) = (None, Vec::new());
        for (minute, word) in words.iter().enumerate() {
            let judged = judge("r", before.as_ref(), word, PAGE_AFTER, at(minute as i64));
            pages.extend(judged.pages.map(|_| minute));
            before = Some(judged.watched);
        }
        pages
    }

    #[test]
    fn silence_is_paged_every_five_minutes() {
        let words = vec![silence(); 21];
        assert_eq!(pages(&words), [5, 10, 15, 20]);
    }

    #[test]
    fn a_recovery_that_goes_on_pages_nobody_and_one_that_stands_still_does() {
        let goes_on: Vec<Word> = (0..30).map(|step| read(&step.to_string())).collect();
        assert_eq!(pages(&goes_on), [0usize; 0]);
        let stands_still: Vec<Word> = (0..13).map(|step| read(&step.min(2).to_string())).collect();
        assert_eq!(pages(&stands_still), [7, 12]);
    }

    #[test]
    fn an_answer_without_news_is_no_word_of_the_recovery() {
        let mut words = vec![read("a")];
        for _ in 0..3 {
            words.extend([silence(), read("a")]);
        }
        assert_eq!(pages(&words), [5]);
    }

    #[test]
    fn a_waiting_question_is_no_silence_until_it_has_waited_for_its_time() {
        let asks = Word::Read {
            mark: "a".to_owned(),
            asks_for: SignedDuration::from_mins(15),
            ended: None,
        };
        assert_eq!(pages(&vec![asks.clone(); 30]), [20, 25]);
        // Where its Region is not read any more, nobody knows whether it waits.
        let mut lost = vec![asks; 2];
        lost.extend(vec![silence(); 5]);
        assert_eq!(pages(&lost), [5]);
    }

    #[test]
    fn a_recovery_that_ended_without_serving_leaves_the_region_shut_and_is_paged() {
        let ended = |serves| Word::Read {
            mark: "a".to_owned(),
            asks_for: SignedDuration::ZERO,
            ended: Some(Ended {
                outcome: "failed",
                serves,
            }),
        };
        assert_eq!(pages(&vec![ended(false); 7]), [5]);
        let mut served = vec![ended(true)];
        served.extend(vec![silence(); 10]);
        assert_eq!(pages(&served), [0usize; 0]);
    }

    #[test]
    fn what_another_recovery_said_does_not_count() {
        let before = judge("one", None, &read("a"), PAGE_AFTER, at(0)).watched;
        let judged = judge("two", Some(&before), &silence(), PAGE_AFTER, at(60));
        assert_eq!((judged.pages, judged.watched.heard_at), (None, at(60)));
    }
}
