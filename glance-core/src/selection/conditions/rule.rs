//! Ordered rules: conditions that admit or exclude.

use std::fmt;
use std::str::FromStr;

use super::{Condition, InvalidCondition};

/// One of the ordered rules, such as `- tag=old`.
#[derive(Debug, Clone)]
pub struct Rule {
    /// Whether matching images are admitted or excluded.
    pub admits: bool,
    /// The condition that an image must fulfil to match; `None` matches every image.
    pub condition: Option<Condition>,
}

/// Parses `+` or `-`, followed by a condition as `KIND=VALUE` or by `*`.
impl FromStr for Rule {
    type Err = InvalidCondition;

    fn from_str(text: &str) -> Result<Self, InvalidCondition> {
        let (admits, rest) = match text.split_at_checked(1) {
            Some(("+", rest)) => (true, rest),
            Some(("-", rest)) => (false, rest),
            _ => {
                return Err(InvalidCondition::new(format!("{text:?} does not begin with + or -")));
            }
        };
        let condition = match rest.trim() {
            "*" => None,
            condition => Some(condition.parse()?),
        };
        Ok(Self { admits, condition })
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.admits { '+' } else { '-' };
        match &self.condition {
            None => write!(f, "{sign} *"),
            Some(condition) => write!(f, "{sign} {condition}"),
        }
    }
}
