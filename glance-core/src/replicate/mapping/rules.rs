//! What the operator says of single properties.

use std::collections::BTreeMap;
use std::str::FromStr;

use super::classes::Class;

/// What the operator says of properties, in the order of saying it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PropertyRules(Vec<PropertyRule>);

/// One word on properties, as `--property` has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PropertyRule {
    /// `keep=NAME`: as the source has it, although it would be left out.
    Keep(Pattern),
    /// `drop=NAME`: left out; the target keeps its own.
    Drop(Pattern),
    /// `set=NAME=VALUE`: this value, whatever the source says.
    Set(String, String),
    /// `rename=OLD=NEW`: the value under another name.
    Rename(String, String),
}

/// A name, or with `*` in it, all names that fit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern(String);

impl Pattern {
    /// Whether `name` is meant.
    pub fn fits(&self, name: &str) -> bool {
        let mut parts = self.0.split('*');
        let first = parts.next().unwrap_or_default();
        let Some(mut rest) = name.strip_prefix(first) else { return false };
        let mut last = None;
        for part in parts {
            if let Some(middle) = last.replace(part) {
                let Some((_, after)) = rest.split_once(middle) else { return false };
                rest = after;
            }
        }
        last.map_or(rest.is_empty(), |last| rest.ends_with(last))
    }
}

impl PropertyRules {
    /// Whether the target keeps its own property `name`, where by its class it would keep it or not.
    pub(super) fn leave_alone(&self, name: &str, by_class: bool) -> bool {
        let mut alone = by_class;
        for rule in &self.0 {
            match rule {
                PropertyRule::Keep(names) if names.fits(name) => {
                    alone = !can_be_kept(name) && alone
                }
                PropertyRule::Drop(names) if names.fits(name) => alone = true,
                PropertyRule::Set(new, _) | PropertyRule::Rename(_, new) if new == name => {
                    alone = false;
                }
                _ => {}
            }
        }
        alone
    }

    /// The properties that are wanted of those of the source; `left_out` says which are not, by
    /// their class. What was set or renamed is told to `note`.
    pub(super) fn apply(
        &self,
        source: &BTreeMap<String, String>,
        left_out: impl Fn(&str) -> bool,
        mut note: impl FnMut(String),
    ) -> BTreeMap<String, String> {
        let kept = source.iter().filter(|(name, _)| !left_out(name));
        let mut wanted: BTreeMap<String, String> =
            kept.map(|(name, value)| (name.clone(), value.clone())).collect();
        for rule in &self.0 {
            match rule {
                PropertyRule::Keep(names) => {
                    let back = |name: &str| names.fits(name) && can_be_kept(name);
                    let back = source.iter().filter(|(name, _)| back(name));
                    wanted.extend(back.map(|(name, value)| (name.clone(), value.clone())));
                }
                PropertyRule::Drop(names) => wanted.retain(|name, _| !names.fits(name)),
                PropertyRule::Set(name, value) => {
                    if wanted.insert(name.clone(), value.clone()).as_ref() != Some(value) {
                        note(format!("property {name} is set to {value:?}"));
                    }
                }
                PropertyRule::Rename(old, new) => {
                    let moved = wanted.remove(old).or_else(|| source.get(old).cloned());
                    if let Some(value) = moved {
                        note(format!("property {old} is renamed to {new}"));
                        wanted.insert(new.clone(), value);
                    }
                }
            }
        }
        wanted
    }
}

/// Whether the operator may have it although its class leaves it out. What Glance refuses stays
/// out, and encrypted images have an option of their own.
fn can_be_kept(name: &str) -> bool {
    !matches!(Class::of(name), Class::Reserved | Class::Link | Class::EncryptedVolume)
}

impl FromIterator<PropertyRule> for PropertyRules {
    fn from_iter<I: IntoIterator<Item = PropertyRule>>(rules: I) -> Self {
        Self(rules.into_iter().collect())
    }
}

/// A word on properties that can't be understood.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct InvalidRule(String);

impl FromStr for PropertyRule {
    type Err = InvalidRule;

    fn from_str(text: &str) -> Result<Self, InvalidRule> {
        let invalid = || InvalidRule(FORMS.to_owned());
        let (what, rest) = text.split_once('=').ok_or_else(invalid)?;
        let pair = || rest.split_once('=').ok_or_else(invalid);
        match what {
            "keep" => Ok(Self::Keep(Pattern(rest.to_owned()))),
            "drop" => Ok(Self::Drop(Pattern(rest.to_owned()))),
            "set" => pair().map(|(name, value)| Self::Set(name.to_owned(), value.to_owned())),
            "rename" => pair().map(|(old, new)| Self::Rename(old.to_owned(), new.to_owned())),
            _ => Err(invalid()),
        }
    }
}

const FORMS: &str = "write keep=NAME, drop=NAME, set=NAME=VALUE or rename=OLD=NEW";
