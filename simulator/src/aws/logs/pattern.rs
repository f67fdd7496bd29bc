//! Filter patterns, as far as they are simulated: none, or one regular expression between two `%`. Source: CloudWatch Logs User Guide,
//! "Supported regular expressions (regex) syntax".

use crate::aws::refusal::Refusal;
use regex_lite::Regex;

/// Which lines are answered.
pub(super) enum Pattern {
    Every,
    Matching(Regex),
}

/// What may stand in an expression beside letters and digits: symbols, and operators. Parentheses may not.
const TAKEN: &str = ":_#=@/;,-^$?[]{}|\\*+.";

impl Pattern {
    /// Errors: an expression that AWS does not take, and a pattern of another kind.
    pub(super) fn read(text: &str) -> Result<Self, Refusal> {
        if text.is_empty() {
            return Ok(Self::Every);
        }
        let expression = text.strip_prefix('%').and_then(|rest| rest.strip_suffix('%'));
        let Some(expression) = expression else {
            let message = "the simulated CloudWatch Logs knows patterns of one regular expression only".to_owned();
            return Err(Refusal(501, "NotSimulated", message));
        };
        let invalid = || {
            let message = format!("Invalid filter pattern: {text}");
            Refusal(400, "InvalidParameterException", message)
        };
        let is_taken = |c: char| c.is_ascii_alphanumeric() || TAKEN.contains(c);
        match Regex::new(expression) {
            Ok(regex) if expression.chars().all(is_taken) => Ok(Self::Matching(regex)),
            _ => Err(invalid()),
        }
    }

    pub(super) fn takes(&self, message: &str) -> bool {
        match self {
            Self::Every => true,
            Self::Matching(regex) => regex.is_match(message),
        }
    }
}
