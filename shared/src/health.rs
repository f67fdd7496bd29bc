//! What the platform's deep health check answers.

use serde::Deserialize;

use crate::aws::WebAnswer;

/// What one answer of the health check means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Health {
    /// HTTP 200 and `"status": "ok"`.
    Healthy {
        /// The Region that answered, if it says.
        region: Option<String>,
    },
    /// Anything else.
    Unhealthy {
        /// Why, for people.
        why: String,
    },
}

#[derive(Deserialize)]
struct Body {
    status: String,
    region: Option<String>,
}

impl Health {
    /// Judges an answer, or its absence.
    pub fn judge(answer: Result<WebAnswer, String>) -> Self {
        let answer = match answer {
            Ok(answer) => answer,
            Err(why) => return Self::Unhealthy { why },
        };
        let body: Option<Body> = serde_json::from_slice(&answer.body).ok();
        match (answer.status, body) {
            (200, Some(body)) if body.status == "ok" => Self::Healthy { region: body.region },
            (200, Some(body)) => Self::Unhealthy {
                why: format!("it answered with status \"{}\"", body.status),
            },
            (200, None) => Self::Unhealthy {
                why: "it answered with HTTP 200 but not with {\"status\": …}".to_owned(),
            },
            (status, _) => Self::Unhealthy {
                why: format!("it answered with HTTP {status}"),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn healthy_is_only_what_says_so() {
        let judge = |status, body: &str| {
            Health::judge(Ok(WebAnswer {
                status,
                body: body.as_bytes().to_vec(),
            }))
        };
        assert_eq!(
            judge(200, r#"{"status":"ok","region":"r","more":1}"#),
            Health::Healthy {
                region: Some("r".to_owned())
            }
        );
        for (status, body) in [
            (200, "<html>"),
            (200, ""),
            (200, r#"{"status":"degraded"}"#),
            (503, r#"{"status":"ok"}"#),
        ] {
            assert!(
                matches!(judge(status, body), Health::Unhealthy { .. }),
                "{status} {body}"
            );
        }
        assert!(matches!(Health::judge(Err("gone".to_owned())), Health::Unhealthy { why } if why == "gone"));
    }
}
