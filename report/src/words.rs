//! How times, lengths of time and names are said, in every form of the report.

use jiff::Timestamp;
use shared::error::{ErrorKind, without_advice};

/// A length of time: `0.4 s`, `41 s`, `7 min 32 s`, `1 h 5 min`.
pub fn length(seconds: f64) -> String {
    if seconds > 0.0 && seconds < 0.05 {
        return "less than 0.1 s".to_owned();
    }
    if seconds < 9.95 {
        let tenths = (seconds * 10.0).round() / 10.0;
        return if tenths.fract() == 0.0 {
            format!("{tenths:.0} s")
        } else {
            format!("{tenths:.1} s")
        };
    }
    let seconds = seconds.round() as u64;
    let (hours, minutes, rest) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    match (hours, minutes, rest) {
        (0, 0, seconds) => format!("{seconds} s"),
        (0, minutes, 0) => format!("{minutes} min"),
        (0, minutes, seconds) => format!("{minutes} min {seconds} s"),
        (hours, 0, _) => format!("{hours} h"),
        (hours, minutes, _) => format!("{hours} h {minutes} min"),
    }
}

/// A number of things: `1 change`, `7 changes`.
pub fn count(number: usize, one: &str, more: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { more })
}

/// A share, in per cent: `1.5 %`; a part that is there is never said to be none, nor is one that is not all said to be.
pub fn share(share: f64) -> String {
    let percent = share * 100.0;
    match percent {
        p if p <= 0.0 => "0 %".to_owned(),
        p if p < 0.1 => "less than 0.1 %".to_owned(),
        p if p > 99.9 && p < 100.0 => "more than 99.9 %".to_owned(),
        p if p >= 100.0 => "100 %".to_owned(),
        p => format!("{p:.1} %"),
    }
}

/// The day of a moment, in UTC.
pub fn day(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d").to_string()
}

/// A moment in UTC, to the second; with its day where that is another one than `of_report`.
pub fn moment(at: Timestamp, of_report: &str) -> String {
    let clock = at.strftime("%H:%M:%S");
    match day(at) {
        day if day == of_report => clock.to_string(),
        day => format!("{day} {clock}"),
    }
}

/// Whether a text is a moment that is known.
pub fn is_moment(text: &str, known: Option<Timestamp>) -> bool {
    known.is_some() && text.parse().ok() == known
}

/// A name of ours in words: `last_committed_at`, `AssessRegion` and `fence-region` become `Last committed at`,
/// `Assess region` and `Fence region`.
pub fn humanised(name: &str) -> String {
    let mut words = String::new();
    for character in name.chars() {
        match character {
            '_' | '-' => words.push(' '),
            upper if upper.is_uppercase() && !words.is_empty() => {
                words.push(' ');
                words.extend(upper.to_lowercase());
            }
            other if words.is_empty() => words.extend(other.to_uppercase()),
            other => words.push(other),
        }
    }
    words
}

/// Text from the record on one line, with invisible characters made visible: control characters, and marks that turn the
/// direction of writing or join and hide characters.
pub fn visible(text: &str) -> String {
    let mut seen = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '\n' | '\r' | '\t' => seen.push(' '),
            hidden if is_hidden(hidden) => seen.push_str(&format!("[U+{:04X}]", u32::from(hidden))),
            other => seen.push(other),
        }
    }
    seen
}

fn is_hidden(character: char) -> bool {
    character.is_control()
        || matches!(character,
            '\u{00AD}' | '\u{061C}' | '\u{180E}' | '\u{200B}'..='\u{200F}' | '\u{2028}'..='\u{202E}'
            | '\u{2060}'..='\u{206F}' | '\u{FEFF}' | '\u{FFF9}'..='\u{FFFB}' | '\u{E0000}'..='\u{E007F}')
}

/// The step that a state calls, by the state's name, which is the step's in another form: `SwitchDns` calls `switch-dns`.
pub fn step_of(state: &str) -> String {
    let mut step = String::new();
    for character in state.chars() {
        if character.is_uppercase() && !step.is_empty() {
            step.push('-');
        }
        step.extend(character.to_lowercase());
    }
    step
}

/// An error without what was advice at the time, and with a time limit in plain words. The JSON form has it word for word.
pub fn in_short(error: &str) -> String {
    const LATE: (&str, &str) = ("request has timed out: ", " occurred after ");
    let text = without_advice(error, ErrorKind::is_retryable);
    let late = text.split_once(LATE.0).and_then(|(before, after)| {
        let (_, limit) = after.split_once(LATE.1)?;
        Some(format!("{before}no answer within {limit}"))
    });
    late.unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_said_as_people_do() {
        for (seconds, said) in [
            (0.0, "0 s"),
            (0.04, "less than 0.1 s"),
            (0.05, "0.1 s"),
            (0.44, "0.4 s"),
            (9.94, "9.9 s"),
            (9.95, "10 s"),
            (59.6, "1 min"),
            (452.092, "7 min 32 s"),
            (3600.0, "1 h"),
            (3929.0, "1 h 5 min"),
        ] {
            assert_eq!(length(seconds), said);
        }
    }

    #[test]
    fn a_share_is_not_rounded_to_none_or_to_all() {
        for (of_one, said) in [
            (0.0, "0 %"),
            (0.000_4, "less than 0.1 %"),
            (0.014_6, "1.5 %"),
            (0.999_9, "more than 99.9 %"),
            (1.0, "100 %"),
        ] {
            assert_eq!(share(of_one), said);
        }
    }

    #[test]
    fn names_of_ours_are_said_in_words() {
        assert_eq!(humanised("AssessRegion"), "Assess region");
        assert_eq!(humanised("last_committed_at"), "Last committed at");
    }

    #[test]
    fn errors_lose_what_was_advice_at_the_time() {
        let error = "Unavailable: rds:A on b: request has timed out: operation timeout (all attempts including retries) \
                     occurred after 2s; it is tried again; if it goes on, look at the AWS Health Dashboard for this Region";
        assert_eq!(in_short(error), "Unavailable: rds:A on b: no answer within 2s");
        let throttled =
            "Throttled: a; it is tried again; if it goes on, ask AWS for a higher rate. What was changed stands";
        assert_eq!(in_short(throttled), "Throttled: a. What was changed stands");
        assert_eq!(in_short("Denied: a; give it"), "Denied: a; give it");
    }

    #[test]
    fn what_cannot_be_seen_is_made_visible() {
        assert_eq!(visible("a\u{202E}b\u{0}\nc\u{200B}"), "a[U+202E]b[U+0000] c[U+200B]");
    }
}
