//! The operator's rules for single properties.

use std::collections::BTreeMap;
use std::str::FromStr;

use crate::mapping::property_class::{Class, KEY_DELETION, is_field};

/// The operator's rules for properties, in the given order. A later rule overrides an earlier one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PropertyRules(Vec<PropertyRule>);

/// A rule for properties, as given to `--property`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PropertyRule {
    /// `keep=NAME`: keep the property, even if its class would be left out.
    Keep(Pattern),
    /// `drop=NAME`: leave the property out; the target keeps its own value.
    Drop(Pattern),
    /// `set=NAME=VALUE`: use this value instead of the source's.
    Set(String, String),
    /// `rename=OLD=NEW`: copy the value under another name.
    Rename(String, String),
}

/// A property name, in which `*` matches any text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern(String);

impl Pattern {
    /// Whether the pattern matches `name`.
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
    /// Whether the target keeps its own value of the property `name`. `by_class` is the answer for
    /// the property's class alone.
    pub(super) fn leave_alone(&self, name: &str, by_class: bool) -> bool {
        let mut alone = by_class;
        for rule in &self.0 {
            match rule {
                PropertyRule::Keep(names) if names.fits(name) => {
                    alone &= !can_be_kept(name);
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

    /// Applies the rules to the source's properties. `left_out` tells which properties their class
    /// leaves out. `note` receives a message for each property that was set or renamed.
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

/// Whether a `keep` rule has an effect on the property. Properties that Glance rejects always stay
/// out, and encrypted images have an option of their own.
fn can_be_kept(name: &str) -> bool {
    !matches!(Class::of(name), Class::Reserved | Class::Link | Class::EncryptedVolume)
}

impl FromIterator<PropertyRule> for PropertyRules {
    fn from_iter<I: IntoIterator<Item = PropertyRule>>(rules: I) -> Self {
        Self(rules.into_iter().collect())
    }
}

/// A rule that is malformed or could have no effect.
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
            "keep" => Ok(Self::Keep(Pattern(settable(rest)?))),
            "drop" => Ok(Self::Drop(Pattern(property(rest)?))),
            "set" => pair().and_then(|(name, to)| Ok(Self::Set(settable(name)?, to.to_owned()))),
            "rename" => {
                pair().and_then(|(old, new)| Ok(Self::Rename(property(old)?, settable(new)?)))
            }
            _ => Err(invalid()),
        }
    }
}

/// Checks that `name` can be the name of a property.
fn property(name: &str) -> Result<String, InvalidRule> {
    if name.is_empty() {
        return Err(InvalidRule(FORMS.to_owned()));
    }
    match is_field(name) {
        true => Err(InvalidRule(format!(
            "{name} is not a property but a field of every image; use -D to leave out fields"
        ))),
        false => Ok(name.to_owned()),
    }
}

/// Checks that `name` is a property that can be set at the target.
fn settable(name: &str) -> Result<String, InvalidRule> {
    let name = property(name)?;
    match Class::of(&name) {
        Class::Reserved | Class::Link => {
            Err(InvalidRule(format!("Glance lets no client set {name}")))
        }
        _ if name == KEY_DELETION => Err(InvalidRule(format!(
            "{name} is never copied: deleting the copy would delete the original's key"
        ))),
        _ => Ok(name),
    }
}

const FORMS: &str = "write keep=NAME, drop=NAME, set=NAME=VALUE or rename=OLD=NEW";

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(texts: &[&str]) -> PropertyRules {
        texts.iter().map(|text| text.parse::<PropertyRule>().unwrap()).collect()
    }

    fn properties(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn rules_apply_in_their_order() {
        let source =
            properties(&[("a", "1"), ("hw_x", "2"), ("hw_y", "3"), ("instance_uuid", "i")]);
        let left_out = |name: &str| Class::of(name) == Class::SiteLocal;
        for (texts, wanted) in [
            (&[][..], "a=1 hw_x=2 hw_y=3"),
            (&["drop=hw_*"], "a=1"),
            (&["drop=hw_*", "keep=hw_y"], "a=1 hw_y=3"),
            (&["keep=hw_y", "drop=hw_*"], "a=1"),
            (&["drop=*", "keep=instance_uuid"], "instance_uuid=i"),
            (&["set=a=b=c", "set=new="], "a=b=c hw_x=2 hw_y=3 new="),
            (&["rename=a=z", "set=z=9"], "hw_x=2 hw_y=3 z=9"),
            (&["rename=none=z"], "a=1 hw_x=2 hw_y=3"),
            (&["rename=instance_uuid=from"], "a=1 from=i hw_x=2 hw_y=3"),
        ] {
            let applied = rules(texts).apply(&source, left_out, |_| ());
            let text: Vec<String> =
                applied.iter().map(|(name, value)| format!("{name}={value}")).collect();
            assert_eq!(text.join(" "), wanted, "{texts:?}");
        }
    }

    #[test]
    fn dropped_properties_stay_at_the_target() {
        for (texts, name, by_class, alone) in [
            (&[][..], "a", false, false),
            (&[], "instance_uuid", true, true),
            (&["keep=instance_uuid"], "instance_uuid", true, false),
            (&["drop=a*"], "ab", false, true),
            (&["drop=a*", "set=ab=1"], "ab", false, false),
            (&["rename=old=instance_uuid"], "instance_uuid", true, false),
            (&["rename=old=new"], "old", false, false),
            (&["keep=*"], "os_glance_x", true, true),
        ] {
            let said = rules(texts).leave_alone(name, by_class);
            assert_eq!(said, alone, "{texts:?} {name}");
        }
    }

    #[test]
    fn only_set_and_renamed_properties_are_noted() {
        let mut notes = Vec::new();
        let source = properties(&[("a", "1"), ("same", "x")]);
        let rules = rules(&["set=same=x", "set=b=2", "rename=a=c", "rename=none=d", "drop=q"]);
        rules.apply(&source, |_| false, |note| notes.push(note));
        assert_eq!(notes, [r#"property b is set to "2""#, "property a is renamed to c"]);
    }

    #[test]
    fn a_star_matches_anything() {
        for (pattern, name, fits) in [
            ("a", "a", true),
            ("a", "ab", false),
            ("a*", "a", true),
            ("*b", "ab", true),
            ("*b", "ba", false),
            ("a*c", "abc", true),
            ("a*c", "ac", true),
            ("a*a", "a", false),
            ("*a*b*", "xaxbx", true),
            ("*a*b*", "xbxax", false),
            ("*", "", true),
        ] {
            assert_eq!(Pattern(pattern.to_owned()).fits(name), fits, "{pattern} {name}");
        }
    }

    #[test]
    fn rules_that_could_have_no_effect_are_refused() {
        for text in [
            "",
            "a",
            "keep",
            "keep=",
            "drop=",
            "set=a",
            "set==b",
            "rename=a",
            "rename==b",
            "rename=a=",
            "leave=a",
            "drop=name",
            "set=min_disk=1",
            "keep=os_glance_x",
            "set=stores=x",
            "rename=a=direct_url",
            "keep=cinder_encryption_key_deletion_policy",
        ] {
            assert!(text.parse::<PropertyRule>().is_err(), "{text}");
        }
        let error = "set=owner=x".parse::<PropertyRule>().unwrap_err().to_string();
        assert_eq!(
            error,
            "owner is not a property but a field of every image; use -D to leave out fields"
        );
    }
}
