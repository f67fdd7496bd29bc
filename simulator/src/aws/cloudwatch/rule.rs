//! The rule of a composite alarm: which states of other alarms make it go off.

use std::fmt;

use super::values::StateValue;

/// The longest rule, in characters, the most elements (alarms, `TRUE` or `FALSE`, parentheses that group) and the most
/// alarms of one (CloudWatch API Reference, PutCompositeAlarm).
const LENGTH_LIMIT: usize = 10_240;
const ELEMENTS_LIMIT: usize = 500;
const CHILDREN_LIMIT: usize = 100;

/// A rule that was read.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum AlarmRule {
    /// Holds always, or never.
    Always(bool),
    /// Holds if an alarm is in a state. The alarm is a name or an ARN, as it was written.
    Is(StateValue, String),
    Not(Box<AlarmRule>),
    All(Vec<AlarmRule>),
    Any(Vec<AlarmRule>),
}

impl AlarmRule {
    /// Reads a rule. Errors: a text, in AWS's words where they are known.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        if text.is_empty() || text.trim() != text {
            return Err("AlarmRule must not contain leading or trailing whitespace or be null".to_owned());
        }
        if text.chars().count() > LENGTH_LIMIT {
            return Err(format!("AlarmRule has more than {LENGTH_LIMIT} characters"));
        }
        let mut reader = Reader {
            rest: tokens(text)?,
            elements: 0,
        };
        let rule = reader.expression()?;
        if let Some(token) = reader.rest.pop() {
            return Err(token.unsupported("AND, OR"));
        }
        let children = rule.children().len();
        if children > CHILDREN_LIMIT {
            return Err(format!(
                "AlarmRule names {children} alarms, and {CHILDREN_LIMIT} are the most"
            ));
        }
        Ok(rule)
    }

    /// The alarms, as they were written, each once, in their order.
    pub(super) fn children(&self) -> Vec<&str> {
        let mut found = Vec::new();
        self.collect(&mut found);
        found
    }

    fn collect<'a>(&'a self, found: &mut Vec<&'a str>) {
        match self {
            Self::Always(_) => {}
            Self::Is(_, alarm) if found.contains(&alarm.as_str()) => {}
            Self::Is(_, alarm) => found.push(alarm),
            Self::Not(rule) => rule.collect(found),
            Self::All(rules) | Self::Any(rules) => rules.iter().for_each(|rule| rule.collect(found)),
        }
    }

    /// The same rule with other names for its alarms. Errors: the first that `name` gives.
    pub(super) fn renamed<E>(self, name: &impl Fn(String) -> Result<String, E>) -> Result<Self, E> {
        let each =
            |rules: Vec<Self>| -> Result<Vec<Self>, E> { rules.into_iter().map(|rule| rule.renamed(name)).collect() };
        Ok(match self {
            Self::Always(holds) => Self::Always(holds),
            Self::Is(state, alarm) => Self::Is(state, name(alarm)?),
            Self::Not(rule) => Self::Not(Box::new(rule.renamed(name)?)),
            Self::All(rules) => Self::All(each(rules)?),
            Self::Any(rules) => Self::Any(each(rules)?),
        })
    }

    /// Whether the rule holds where alarms are in these states.
    pub(super) fn holds(&self, state: &impl Fn(&str) -> Option<StateValue>) -> bool {
        match self {
            Self::Always(holds) => *holds,
            Self::Is(expected, alarm) => state(alarm) == Some(*expected),
            Self::Not(rule) => !rule.holds(state),
            Self::All(rules) => rules.iter().all(|rule| rule.holds(state)),
            Self::Any(rules) => rules.iter().any(|rule| rule.holds(state)),
        }
    }
}

#[derive(Clone, Debug, PartialEq)]
enum What {
    Open,
    Close,
    Word(String),
    Quoted(String),
}

/// A piece of a rule, and at which character it begins.
#[derive(Clone, Debug)]
struct Token {
    at: usize,
    what: What,
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.what {
            What::Open => f.write_str("("),
            What::Close => f.write_str(")"),
            What::Word(word) | What::Quoted(word) => f.write_str(word),
        }
    }
}

impl Token {
    /// `Unsupported token 'Oldest' at char 67, must be: ')'`: so AWS says it.
    fn unsupported(&self, expected: &str) -> String {
        format!(
            "Error in AlarmRule [Unsupported token '{self}' at char {}, must be: '{expected}']",
            self.at
        )
    }
}

/// The tokens, last first.
fn tokens(text: &str) -> Result<Vec<Token>, String> {
    let characters: Vec<char> = text.chars().collect();
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(character) = characters.get(at) {
        let run = |from: usize, ends: &dyn Fn(char) -> bool| -> String {
            characters[from..].iter().copied().take_while(|c| !ends(*c)).collect()
        };
        let (what, length) = match character {
            space if space.is_whitespace() => {
                at += 1;
                continue;
            }
            '(' => (What::Open, 1),
            ')' => (What::Close, 1),
            '"' => {
                let name = run(at + 1, &|c| c == '"');
                let length = name.chars().count() + 2;
                if at + length > characters.len() {
                    return Err(format!("Error in AlarmRule [the quote at char {at} does not end]"));
                }
                (What::Quoted(name), length)
            }
            _ => {
                let word = run(at, &|c| c.is_whitespace() || "()\"".contains(c));
                let length = word.chars().count();
                (What::Word(word), length)
            }
        };
        found.push(Token { at, what });
        at += length;
    }
    found.reverse();
    Ok(found)
}

struct Reader {
    /// What is to be read, last first.
    rest: Vec<Token>,
    elements: usize,
}

impl Reader {
    fn next_is(&self, word: &str) -> bool {
        matches!(self.rest.last(), Some(Token { what: What::Word(next), .. }) if next == word)
    }

    fn next(&mut self) -> Result<Token, String> {
        let ended = || "Error in AlarmRule [it ends where something must follow]".to_owned();
        self.rest.pop().ok_or_else(ended)
    }

    fn must_be(&mut self, what: &What, expected: &str) -> Result<(), String> {
        let token = self.next()?;
        if token.what == *what {
            Ok(())
        } else {
            Err(token.unsupported(expected))
        }
    }

    /// Counts elements. Errors: a text, if there are too many.
    fn count(&mut self, more: usize) -> Result<(), String> {
        self.elements += more;
        if self.elements > ELEMENTS_LIMIT {
            return Err(format!("AlarmRule has more than {ELEMENTS_LIMIT} elements"));
        }
        Ok(())
    }

    fn expression(&mut self) -> Result<AlarmRule, String> {
        let first = self.term()?;
        let operator = ["AND", "OR"].into_iter().find(|operator| self.next_is(operator));
        let Some(operator) = operator else {
            return Ok(first);
        };
        let mut rules = vec![first];
        while self.next_is(operator) {
            self.rest.pop();
            rules.push(self.term()?);
        }
        if self.next_is("AND") || self.next_is("OR") {
            return Err(
                "not simulated: AND and OR beside each other, whose order AWS does not document; put one of them \
                 into parentheses"
                    .to_owned(),
            );
        }
        Ok(if operator == "AND" {
            AlarmRule::All(rules)
        } else {
            AlarmRule::Any(rules)
        })
    }

    fn term(&mut self) -> Result<AlarmRule, String> {
        let token = self.next()?;
        let word = match &token.what {
            What::Open => {
                self.count(2)?;
                let rule = self.expression()?;
                self.must_be(&What::Close, ")")?;
                return Ok(rule);
            }
            What::Word(word) => word.as_str(),
            What::Close | What::Quoted(_) => {
                return Err(format!(
                    "Error in AlarmRule [Unsupported token '{token}' at char {}]",
                    token.at
                ));
            }
        };
        if word == "NOT" {
            return Ok(AlarmRule::Not(Box::new(self.term()?)));
        }
        self.count(1)?;
        // The API Reference writes both `FALSE` and `false`.
        match word.to_ascii_uppercase().as_str() {
            "TRUE" => return Ok(AlarmRule::Always(true)),
            "FALSE" => return Ok(AlarmRule::Always(false)),
            _ => {}
        }
        let state: StateValue = word
            .parse()
            .map_err(|_| token.unsupported("ALARM, OK, INSUFFICIENT_DATA, TRUE, FALSE, NOT, ("))?;
        self.must_be(&What::Open, "(")?;
        let name = self.next()?;
        let (What::Word(alarm) | What::Quoted(alarm)) = &name.what else {
            return Err(name.unsupported("the name or the ARN of an alarm"));
        };
        if alarm.is_empty() {
            return Err(name.unsupported("the name or the ARN of an alarm"));
        }
        let alarm = alarm.clone();
        self.must_be(&What::Close, ")")?;
        Ok(AlarmRule::Is(state, alarm))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether a rule holds where `a` is in ALARM, `b` in OK and `c d` has insufficient data.
    fn holds(rule: &str) -> bool {
        let state = |alarm: &str| match alarm {
            "a" => Some(StateValue::Alarm),
            "b" => Some(StateValue::Ok),
            "c d" => Some(StateValue::InsufficientData),
            _ => None,
        };
        AlarmRule::parse(rule)
            .unwrap_or_else(|why| panic!("{rule}: {why}"))
            .holds(&state)
    }

    #[test]
    fn a_rule_holds_as_its_words_say() {
        for (rule, expected) in [
            ("ALARM(a)", true),
            ("ALARM(\"a\")", true),
            ("ALARM( a )", true),
            ("OK(a)", false),
            ("OK(b)", true),
            ("INSUFFICIENT_DATA(\"c d\")", true),
            ("ALARM(\"c d\")", false),
            ("NOT ALARM(b)", true),
            ("NOT NOT ALARM(b)", false),
            ("ALARM(a) AND ALARM(b)", false),
            ("ALARM(a) OR ALARM(b)", true),
            ("ALARM(a) AND NOT ALARM(b) AND TRUE", true),
            ("(ALARM(a) OR ALARM(b)) AND OK(b)", true),
            ("ALARM(\"b\") OR (INSUFFICIENT_DATA(\"c d\") AND ALARM(\"a\"))", true),
            ("ALARM(\"b\") OR (INSUFFICIENT_DATA(\"a\") AND ALARM(\"a\"))", false),
            ("FALSE", false),
            ("False", false),
            ("((TRUE))", true),
        ] {
            assert_eq!(holds(rule), expected, "{rule}");
        }
    }

    #[test]
    fn what_aws_does_not_read_is_refused_in_its_words() {
        for (rule, why) in [
            ("()", "Error in AlarmRule [Unsupported token ')' at char 1]"),
            (
                "ALARM(SampleQueue Oldest Age)",
                "Error in AlarmRule [Unsupported token 'Oldest' at char 18, must be: ')']",
            ),
            (
                " ALARM(a)",
                "AlarmRule must not contain leading or trailing whitespace or be null",
            ),
            (
                "",
                "AlarmRule must not contain leading or trailing whitespace or be null",
            ),
            ("ALARM(a) AND", "ends where something must follow"),
            (
                "ALARM(a) ALARM(b)",
                "Unsupported token 'ALARM' at char 9, must be: 'AND, OR'",
            ),
            ("ALARM a", "Unsupported token 'a' at char 6, must be: '('"),
            (
                "ALARM()",
                "Unsupported token ')' at char 6, must be: 'the name or the ARN of an alarm'",
            ),
            ("ALARM(\"\")", "must be: 'the name or the ARN of an alarm'"),
            ("ALARM(\"a)", "the quote at char 6 does not end"),
            ("(ALARM(a)", "ends where something must follow"),
            ("alarm(a)", "Unsupported token 'alarm' at char 0"),
            ("ALARM(a) AND ALARM(b) OR ALARM(c)", "put one of them into parentheses"),
        ] {
            let error = AlarmRule::parse(rule).unwrap_err();
            assert!(error.contains(why), "{rule}: {error}");
        }
    }

    #[test]
    fn the_limits_are_those_of_aws() {
        let many = |count: usize, each: &dyn Fn(usize) -> String| {
            let each: Vec<String> = (0..count).map(each).collect();
            AlarmRule::parse(&each.join(" OR "))
        };
        assert!(many(100, &|n| format!("ALARM(a{n})")).is_ok());
        assert!(
            many(101, &|n| format!("ALARM(a{n})"))
                .unwrap_err()
                .contains("101 alarms")
        );
        assert!(many(500, &|_| "ALARM(a)".to_owned()).is_ok());
        assert!(many(501, &|_| "TRUE".to_owned()).unwrap_err().contains("500 elements"));
        let nested = |depth: usize| format!("{}TRUE{}", "(".repeat(depth), ")".repeat(depth));
        assert!(AlarmRule::parse(&nested(249)).is_ok());
        assert!(AlarmRule::parse(&nested(250)).unwrap_err().contains("500 elements"));
        let long = format!("ALARM({})", "a".repeat(LENGTH_LIMIT));
        assert!(AlarmRule::parse(&long).unwrap_err().contains("10240 characters"));
    }
}
