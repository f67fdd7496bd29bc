//! Who counts as one person.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::arn;

/// How to tell that two ARNs stand for one person. Two permission sets of one person have one session name; their user often has the same.
/// Two people of one name count as one, which asks one more person and never one less.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum SamePerson {
    /// The name of the user or of the role's session, in lower case and without what follows an `@`.
    #[default]
    NameBeforeAt,
    /// All of that name, in lower case: where `jane@one.example` and `jane@two.example` are two people, and nobody has both a
    /// user and a session.
    WholeName,
}

impl SamePerson {
    /// The person whom an ARN stands for, as far as names tell.
    pub fn person(self, arn: &str) -> String {
        let name = arn::display_name(arn);
        let compared = match self {
            Self::NameBeforeAt => name.split('@').next().filter(|local| !local.is_empty()).unwrap_or(name),
            Self::WholeName => name,
        };
        compared.to_lowercase()
    }
}
