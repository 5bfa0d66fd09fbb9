//! A table that maps projects, written by an operator.

use std::fmt;
use std::str::FromStr;

use glance_core::project::Project;

/// Maps projects of the source to projects of the target. Each line has two words; each word is an
/// id, a name, or `DOMAIN/NAME`. Words are separated by spaces, or by tabs if names contain spaces.
/// Empty lines and lines that begin with `#` are ignored.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Table(Vec<(Named, Named)>);

/// A project as named by an operator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Named {
    /// By its id.
    Id(String),
    /// By its name.
    Name {
        /// The domain's name; `None` matches any domain.
        domain: Option<String>,
        /// The name.
        name: String,
    },
}

/// A malformed or contradictory table.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line} {reason}")]
pub struct InvalidTable {
    line: usize,
    reason: String,
}

impl Table {
    /// Whether any project of the source is given by name instead of by id.
    pub(super) fn has_names(&self) -> bool {
        self.0.iter().any(|(source, _)| matches!(source, Named::Name { .. }))
    }

    /// The target project for the source's project `id`: looked up by id first, then by domain and
    /// name, then by name alone.
    pub(super) fn find(&self, id: &str, project: Option<&Project>) -> Option<&Named> {
        let line = |fits: &dyn Fn(&Named) -> bool| {
            self.0.iter().find(|(source, _)| fits(source)).map(|(_, target)| target)
        };
        // Some image owners in Glance are not Keystone projects, so any text may be an id.
        let by_id = line(&|source| match source {
            Named::Id(one) => one == id,
            Named::Name { domain: None, name } => name == id,
            Named::Name { domain: Some(_), .. } => false,
        });
        by_id.or_else(|| {
            let Project { name, domain, .. } = project?;
            let of_domain = |of: Option<&String>| {
                let wanted = Named::Name { domain: of.cloned(), name: name.clone() };
                line(&move |source| *source == wanted)
            };
            of_domain(Some(domain)).or_else(|| of_domain(None))
        })
    }
}

impl FromStr for Table {
    type Err = InvalidTable;

    fn from_str(text: &str) -> Result<Self, InvalidTable> {
        let mut lines: Vec<(Named, Named)> = Vec::new();
        for (number, line) in text.trim_start_matches('\u{feff}').lines().enumerate() {
            let wrong = |reason: &str| InvalidTable { line: number + 1, reason: reason.to_owned() };
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let words: Vec<&str> = match line.contains('\t') {
                true => line.split('\t').map(str::trim).filter(|word| !word.is_empty()).collect(),
                false => line.split_whitespace().collect(),
            };
            let &[source, target] = words.as_slice() else {
                return Err(wrong("is not two names; separate names that have spaces with a tab"));
            };
            let (source, target) = (Named::from(source), Named::from(target));
            if lines.iter().any(|(known, goes_to)| *known == source && *goes_to != target) {
                return Err(wrong("contradicts an earlier line about the same project"));
            }
            lines.push((source, target));
        }
        Ok(Self(lines))
    }
}

impl From<&str> for Named {
    /// Words of 32 hexadecimal digits are ids, since Keystone generates such ids.
    fn from(word: &str) -> Self {
        if word.len() == 32 && word.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Self::Id(word.to_owned());
        }
        let (domain, name) = match word.split_once('/') {
            Some((domain, name)) => (Some(domain.to_owned()), name),
            None => (None, word),
        };
        Self::Name { domain, name: name.to_owned() }
    }
}

impl fmt::Display for Named {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Id(id) => f.write_str(id),
            Self::Name { domain: Some(domain), name } => write!(f, "{domain}/{name}"),
            Self::Name { domain: None, name } => f.write_str(name),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "0123456789abcdef0123456789abcdef";

    fn project(domain: &str, name: &str) -> Project {
        Project { id: ID.into(), name: name.into(), domain: domain.into() }
    }

    #[test]
    fn the_most_specific_line_maps_a_project() {
        let text = format!(
            "# whose is what\r\n\n{ID} one\nDefault/web  Ops/www\nweb any\n\
             My Domain/a b\tother c\nlegacy two\n"
        );
        let table: Table = text.parse().unwrap();
        let find = |id: &str, project: Option<Project>| {
            table.find(id, project.as_ref()).map(ToString::to_string)
        };
        assert_eq!(find(ID, Some(project("Default", "web"))).as_deref(), Some("one"));
        assert_eq!(find("x", Some(project("Default", "web"))).as_deref(), Some("Ops/www"));
        assert_eq!(find("x", Some(project("Other", "web"))).as_deref(), Some("any"));
        assert_eq!(find("x", Some(project("My Domain", "a b"))).as_deref(), Some("other c"));
        assert_eq!(find("legacy", None).as_deref(), Some("two"));
        assert_eq!(find("x", Some(project("Default", "other"))), None);
        assert!(table.has_names());
        assert!(!format!("{ID} {ID}").parse::<Table>().unwrap().has_names());
    }

    #[test]
    fn an_ambiguous_line_is_an_error() {
        for (text, said) in [
            ("a b\nc", "line 2 is not two names; separate names that have spaces with a tab"),
            ("a b c", "line 1 is not two names; separate names that have spaces with a tab"),
            ("a b\na c", "line 2 contradicts an earlier line about the same project"),
        ] {
            assert_eq!(text.parse::<Table>().unwrap_err().to_string(), said);
        }
        assert!("a b\na b".parse::<Table>().is_ok());
    }
}
