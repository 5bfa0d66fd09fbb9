//! Translates a selection into Glance queries that return the selected images and few others.
//!
//! A filter may match more images than the selection admits, never fewer; the results are filtered
//! again. Glance's filter semantics are taken from its source (`glance/api/v2/images.py`, and
//! `_make_conditions_from_filters` in `glance/db/sqlalchemy/api.py`). Glance supports alternatives
//! only through the operator `in:`, for five fields; of several filters with the same name, the
//! last one counts.

use jiff::Timestamp;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use glance_core::image::ImageId;
use glance_core::selection::{Condition, Selection};

/// The queries whose pages contain all images that `selection` admits.
///
/// The queries of a group must be read together, because hidden images are listed separately. All
/// ids of one group sort before those of the next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Queries {
    filters: String,
    hidden: &'static [bool],
    /// The `id=` filters, one per group; a single empty string if the selection names no ids.
    ids: Vec<String>,
}

impl Queries {
    pub(super) fn of(selection: &Selection) -> Self {
        let ids = match selection.ids() {
            None => vec![String::new()],
            Some(ids) => {
                let meant = ids.iter().filter(|id| selection.admits_id(id));
                let ids: Vec<&str> = meant.map(ImageId::as_str).collect();
                ids.chunks(IDS).map(|ids| format!("&id=in:{}", ids.join(","))).collect()
            }
        };
        Self { filters: filters(selection.wanted()), hidden: hidden(selection.wanted()), ids }
    }

    /// The query strings, group by group.
    pub(super) fn groups(self) -> impl Iterator<Item = Vec<String>> + Send {
        let Self { filters, hidden, ids } = self;
        ids.into_iter().map(move |ids| {
            let query = |hidden: &bool| format!("{filters}&os_hidden={hidden}{ids}&{PAGES}");
            hidden.iter().map(query).collect()
        })
    }
}

/// The values of `os_hidden` to query; no value matches both kinds of images.
fn hidden(wanted: &[Vec<Condition>]) -> &'static [bool] {
    let single = wanted.iter().find_map(|same| match same[..] {
        [Condition::Hidden(hidden)] => Some(hidden),
        _ => None,
    });
    match single {
        Some(false) => &[false],
        Some(true) => &[true],
        None => &[false, true],
    }
}

/// All other filters. Without a visibility filter, Glance omits other projects' community images
/// and shared images that the caller has not accepted.
fn filters(wanted: &[Vec<Condition>]) -> String {
    let mut pushed: Vec<(&str, String)> = Vec::new();
    for (key, value) in wanted.iter().filter_map(|same| filter(same)) {
        let value = encoded(&value);
        if value.len() <= LONGEST && pushed.iter().all(|(known, _)| *known != key) {
            pushed.push((key, value));
        }
    }
    if pushed.iter().all(|(key, _)| *key != "visibility") {
        pushed.insert(0, ("visibility", "all".to_owned()));
    }
    pushed.push(("member_status", "all".to_owned()));
    let pairs = pushed.iter().map(|(key, value)| format!("{}={value}", encoded(key)));
    pairs.collect::<Vec<_>>().join("&")
}

/// The filter for alternative conditions of one kind.
fn filter(same: &[Condition]) -> Option<(&str, String)> {
    Some(match same {
        [Condition::Name(_), ..] => ("name", any_of(same)?),
        [Condition::Status(_), ..] => ("status", any_of(same)?),
        [Condition::DiskFormat(_), ..] => ("disk_format", any_of(same)?),
        [Condition::ContainerFormat(_), ..] => ("container_format", any_of(same)?),
        // Glance trims tags.
        [Condition::Tag(tag)] if tag.trim() == tag => ("tag", plain(tag)?.to_owned()),
        [Condition::Property { key, value: Some(value) }] if is_filter(key) => {
            (plain(key)?, plain(value)?.to_owned())
        }
        [Condition::Project(id)] => ("owner", plain(id)?.to_owned()),
        [Condition::Visibility(visibility)] => ("visibility", visibility.to_string()),
        [Condition::MinSize(bytes)] => ("size_min", i64::try_from(*bytes).ok()?.to_string()),
        [Condition::MaxSize(bytes)] => ("size_max", i64::try_from(*bytes).ok()?.to_string()),
        [Condition::CreatedAfter(time)] => ("created_at", since(*time)?),
        [Condition::CreatedBefore(time)] => ("created_at", before(*time)?),
        [Condition::UpdatedAfter(time)] => ("updated_at", since(*time)?),
        [Condition::UpdatedBefore(time)] => ("updated_at", before(*time)?),
        [Condition::Protected(protected)] => ("protected", protected.to_string()),
        _ => return None,
    })
}

/// The value of a filter with operators that matches any of these conditions. Without `eq:`, text
/// before a colon would be parsed as an operator.
fn any_of(same: &[Condition]) -> Option<String> {
    let word = |condition: &Condition| match condition {
        Condition::Name(pattern) => pattern.exactly().map(str::to_owned),
        Condition::Status(status) => Some(status.to_string()),
        Condition::DiskFormat(format) | Condition::ContainerFormat(format) => Some(format.clone()),
        _ => None,
    };
    let words: Vec<String> = same.iter().map(word).collect::<Option<_>>()?;
    if let [word] = &words[..] {
        return Some(format!("eq:{}", plain(word)?));
    }
    let quoted = words.iter().map(|word| match plain(word)? {
        // Glance cannot unescape these characters.
        word if word.contains(['"', '\\']) => None,
        word if word.is_empty() || word.contains(',') => Some(format!("\"{word}\"")),
        word => Some(word.to_owned()),
    });
    Some(format!("in:{}", quoted.collect::<Option<Vec<_>>>()?.join(",")))
}

/// The text, if every database can compare it; some fail on the excluded characters.
fn plain(text: &str) -> Option<&str> {
    let is_hard = |letter: char| letter.is_control() || letter > '\u{ffff}';
    (!text.contains(is_hard)).then_some(text)
}

/// Whether Glance treats a parameter of this name as a property or digest filter.
fn is_filter(key: &str) -> bool {
    let is_range = key.ends_with("_min") || key.ends_with("_max");
    !is_range && !key.starts_with('_') && !NO_FILTERS.contains(&key)
}

/// Rounds down to the second: the database stores fractions that records do not show.
fn since(time: Timestamp) -> Option<String> {
    Some(format!("gte:{}", Timestamp::from_second(time.as_second()).ok()?))
}

/// Rounds up to the second.
fn before(time: Timestamp) -> Option<String> {
    let second = time.as_second() + i64::from(time.subsec_nanosecond() > 0);
    Some(format!("lt:{}", Timestamp::from_second(second).ok()?))
}

fn encoded(text: &str) -> String {
    utf8_percent_encode(text, ENCODED).to_string()
}

/// Sorted by id, so that a merge join of two stores' listings finds equal ids close together.
const PAGES: &str = "sort=id:asc&limit=1000";

/// The maximum number of ids per query. A server may limit URL and headers, including the token, to
/// 4096 bytes.
const IDS: usize = 60;

/// The maximum bytes of one filter within that limit.
const LONGEST: usize = 600;

/// Characters that need no escaping in a query (RFC 3986, section 3.4) and have no meaning to
/// Glance.
const ENCODED: &AsciiSet =
    &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b':').remove(b',');

/// Parameter names that are not properties: parameters of the request, and attributes of Glance's
/// image class.
const NO_FILTERS: &[&str] = &[
    "changes-since",
    "delete",
    "deleted",
    "deleted_at",
    "get",
    "items",
    "iteritems",
    "keys",
    "limit",
    "locations",
    "marker",
    "member_status",
    "members",
    "metadata",
    "min_disk",
    "min_ram",
    "os_hash_algo",
    "properties",
    "registry",
    "save",
    "sort",
    "sort_dir",
    "sort_key",
    "tags",
    "to_dict",
    "update",
    "values",
    "virtual_size",
];

#[cfg(test)]
mod tests {
    use super::*;

    /// The filters that these conditions add to a query.
    fn asked(conditions: &[&str]) -> String {
        let wanted = conditions.iter().map(|text| text.parse().unwrap());
        let queries = Queries::of(&Selection::new(wanted, [], []));
        let mut groups = queries.groups();
        let group = groups.next().unwrap();
        assert!(groups.next().is_none() && group.len() == 2, "{group:?}");
        let query = group[0].strip_prefix("visibility=all").unwrap();
        let end = "&member_status=all&os_hidden=false&sort=id:asc&limit=1000";
        query.strip_suffix(end).unwrap().to_owned()
    }

    #[test]
    fn what_glance_can_tell_is_asked() {
        for (condition, filter) in [
            ("name=a b", "&name=eq:a%20b"),
            ("tag=a,b", "&tag=a,b"),
            ("where=os_distro=a&b", "&os_distro=a%26b"),
            ("where=os_hash_value=00ff", "&os_hash_value=00ff"),
            ("where=磁=1", "&%E7%A3%81=1"),
            ("project=p", "&owner=p"),
            ("status=active", "&status=eq:active"),
            ("disk-format=raw", "&disk_format=eq:raw"),
            ("container-format=bare", "&container_format=eq:bare"),
            ("min-size=1k", "&size_min=1024"),
            ("max-size=5", "&size_max=5"),
            ("protected=false", "&protected=false"),
            ("created-after=2026-01-31", "&created_at=gte:2026-01-31T00:00:00Z"),
            ("created-before=2026-01-31T01:00:00+01:00", "&created_at=lt:2026-01-31T00:00:00Z"),
            // The database stores a fraction that records do not show.
            ("updated-after=2026-01-31T00:00:00.5Z", "&updated_at=gte:2026-01-31T00:00:00Z"),
            ("updated-before=2026-01-31T00:00:00.5Z", "&updated_at=lt:2026-01-31T00:00:01Z"),
        ] {
            assert_eq!(asked(&[condition]), filter);
        }
        assert_eq!(asked(&["name=a,b", "name=c"]), "&name=in:%22a,b%22,c");
        assert_eq!(asked(&["status=active", "status=queued"]), "&status=in:active,queued");
        assert_eq!(asked(&["where=a=1", "where=b=2"]), "&a=1&b=2");
    }

    #[test]
    fn what_glance_would_misunderstand_is_not_asked() {
        let long = format!("name={}", "x".repeat(LONGEST));
        for conditions in [
            &["name=a*"][..],
            &["name-regex=a"],
            &["name=a", "name=b*"],
            &["name=a\"b", "name=c"],
            &["name=\u{1f600}"],
            &["tag=a", "tag=b"],
            &["tag= a"],
            &["tag=a\tb\0"],
            &["where=a"],
            &["where=a=1", "where=a=2"],
            &["where=limit=1"],
            &["where=metadata=1"],
            &["where=a_min=1"],
            &["where=a_max=1"],
            &["project=a", "project=b"],
            &["visibility=public", "visibility=private"],
            &["min-size=18446744073709551615"],
            &["protected=true", "protected=false"],
            &["os-hidden=true", "os-hidden=false"],
            &[&long],
        ] {
            assert_eq!(asked(conditions), "", "{conditions:?}");
        }
        // Glance would use only the last filter.
        let both = ["created-after=2026-01-01", "created-before=2026-01-31"];
        assert_eq!(asked(&both), "&created_at=gte:2026-01-01T00:00:00Z");
    }

    #[test]
    fn ids_are_asked_for_in_part_and_hidden_images_only_where_meant() {
        let id = |number: usize| format!("id=00000000-0000-4000-8000-{number:012}").parse();
        let ids = (0..=2 * IDS).map(|number| id(number).unwrap());
        let hidden: Condition = "os-hidden=true".parse().unwrap();
        let selection = Selection::new(ids.chain([hidden]), [], []);
        let groups: Vec<Vec<String>> = Queries::of(&selection).groups().collect();
        let ids = |group: &Vec<String>| group[0].matches("00000000-").count();
        assert_eq!(groups.iter().map(ids).collect::<Vec<_>>(), [IDS, IDS, 1]);
        for queries in groups {
            assert_eq!(queries.len(), 1);
            assert!(queries[0].contains("&os_hidden=true&id=in:00000000-"), "{}", queries[0]);
            assert!(queries[0].len() < 2500);
        }
        let none = Queries::of(&Selection::of_ids([].into()));
        assert_eq!(none.groups().count(), 0);
        let public = Selection::new(["visibility=public".parse().unwrap()], [], []);
        let queries: Vec<String> = Queries::of(&public).groups().flatten().collect();
        assert_eq!(queries.len(), 2);
        assert!(queries[1].starts_with("visibility=public&member_status=all&os_hidden=true&"));
    }
}
