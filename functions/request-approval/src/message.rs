//! What people read.

use serde::Serialize;
use shared::approval::Question;

use crate::input::Input;

/// The message: what is asked, what an approver must see, until when, and how to answer, in this Region.
pub(crate) fn text(input: &Input, question: &Question, region: &str) -> String {
    let ask = &question.ask;
    let (people, are) = match ask.people {
        1 => ("1 person".to_owned(), "is"),
        people => (format!("{people} different people"), "are"),
    };
    let shown: String = ask.shown.iter().map(|line| format!("- {line}\n")).collect();
    let reason = if ask.needs_reason {
        "\nAn approval needs a reason: say why."
    } else {
        ""
    };
    let approve = body(input, "approve", ask.needs_reason);
    let decline = body(input, "decline", true);
    format!(
        "{headline}

{people} {are} asked to approve: {because}. One person who declines stops it.
{starter}

What is known:
{shown}
Answer until {until}.{reason}
If nobody answers by then, the recovery does nothing more, and takes back what it changed.

Answer with POST to {url}
signed with your own AWS credentials (Signature Version 4, service lambda, Region {region}), with one of these as body:

to approve:
{approve}

to decline:
{decline}

With curl 7.75 or later, and your credentials in the environment, to approve:
{curl}

Recovery {recovery}
Execution {execution}
",
        headline = ask.headline,
        because = ask.because.trim_end_matches('.'),
        starter = starter(question),
        until = question.expires_at.strftime("%Y-%m-%d %H:%M:%S UTC"),
        url = input.approval_url,
        curl = curl(&input.approval_url, region, &approve),
        recovery = input.recovery.id,
        execution = input.recovery.execution,
    )
}

/// Who started it, and what that means for those who approve.
fn starter(question: &Question) -> String {
    let by = &question.started_by;
    match question.starter_is_known {
        true => format!("It was started by {by}, whose approval alone is not enough."),
        false => format!(
            "It says that {by} started it, which AWS does not confirm. Two people must approve: one of them may have started it."
        ),
    }
}

/// What is posted as an answer, in the order in which it reads best.
#[derive(Serialize)]
struct Body<'a> {
    recovery: &'a str,
    question: &'a str,
    answer: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'a str>,
}

fn body(input: &Input, answer: &str, with_reason: bool) -> String {
    let body = Body {
        recovery: &input.recovery.id,
        question: &input.ask.id,
        answer,
        reason: with_reason.then_some("say why"),
    };
    // Texts and nothing else always are JSON.
    serde_json::to_string(&body).unwrap_or_default()
}

/// A line for a shell. Without a session token, which an IAM user's own keys do not have, there must be no such header at
/// all: curl would sign it as an empty one, and not send it.
fn curl(url: &str, region: &str, body: &str) -> String {
    format!(
        r#"curl -sS --aws-sigv4 aws:amz:{region}:lambda --user "$AWS_ACCESS_KEY_ID:$AWS_SECRET_ACCESS_KEY" ${{AWS_SESSION_TOKEN:+-H}} ${{AWS_SESSION_TOKEN:+"x-amz-security-token: $AWS_SESSION_TOKEN"}} -H 'content-type: application/json' -d {} {}"#,
        quoted(body),
        quoted(url),
    )
}

/// `text` as one word of a shell.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::tests::input;

    fn text_of(input: &Input) -> String {
        let now: Timestamp = "2026-01-06T03:00:00Z".parse().unwrap();
        let question = crate::question(input, None, true, now).unwrap();
        text(input, &question, "us-west-2")
    }

    #[test]
    fn people_read_what_they_need_and_never_the_token() {
        let text = text_of(&input());
        for part in [
            "Fail the database over to us-west-2.\n",
            "1 person is asked to approve: the plan asks one. ",
            "started by arn:aws:iam::123456789012:user/first, whose approval alone",
            "- Expected loss: 3 s.\n- The fence is not confirmed.\n",
            "Answer until 2026-01-06 03:15:00 UTC.\n",
            "the recovery does nothing more, and takes back what it changed",
            r#"{"recovery":"20260106T025201Z-region-failure-aabbcc","question":"failover-1","answer":"decline","reason":"say why"}"#,
        ] {
            assert!(text.contains(part), "{part} is missing in\n{text}");
        }
        assert!(!text.contains("s3cret") && !text.contains("needs a reason"), "{text}");
        let question = crate::question(&input(), None, false, Timestamp::UNIX_EPOCH).unwrap();
        let unknown = super::text(&input(), &question, "us-west-2");
        assert!(
            unknown.contains("which AWS does not confirm. Two people must approve"),
            "{unknown}"
        );
        let line = text.lines().find(|line| line.starts_with("curl ")).unwrap();
        assert_eq!(
            line,
            r#"curl -sS --aws-sigv4 aws:amz:us-west-2:lambda --user "$AWS_ACCESS_KEY_ID:$AWS_SECRET_ACCESS_KEY" ${AWS_SESSION_TOKEN:+-H} ${AWS_SESSION_TOKEN:+"x-amz-security-token: $AWS_SESSION_TOKEN"} -H 'content-type: application/json' -d '{"recovery":"20260106T025201Z-region-failure-aabbcc","question":"failover-1","answer":"approve"}' 'https://abc.lambda-url.us-west-2.on.aws/'"#
        );
    }

    #[test]
    fn two_people_and_a_reason_are_asked_for_in_words() {
        let mut input = input();
        input.ask.people = 2;
        input.ask.needs_reason = true;
        input.ask.id = "it's".into();
        let text = text_of(&input);
        assert!(text.contains("2 different people are asked"), "{text}");
        assert!(text.contains("An approval needs a reason"), "{text}");
        assert!(
            text.contains(r#""question":"it'\''s","answer":"approve","reason":"say why"}'"#),
            "{text}"
        );
    }
}
