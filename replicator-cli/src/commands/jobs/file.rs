//! Reads a job file. Every problem is collected with its place.

use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::keys::{Form, Key, Keys, OF_JOBS, Place, VERBS, names_secret};
use crate::args::suggestion;
use crate::recorded_args::may_be_secret;

/// A problem in a job file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Problem {
    /// The place in the text, in bytes.
    pub(super) at: usize,
    pub(super) message: String,
}

/// A setting of a job: an option with its values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Setting {
    pub(super) place: Place,
    pub(super) key: String,
    /// The values; `None` for a flag that is not set.
    pub(super) values: Option<Vec<String>>,
    /// Whether the option takes no value.
    pub(super) is_flag: bool,
    /// The place of the key in the text, in bytes.
    pub(super) at: usize,
}

/// A table of a job file: `defaults` or a job.
#[derive(Debug, Clone, Default)]
pub(super) struct Section {
    pub(super) at: usize,
    pub(super) name: Option<String>,
    pub(super) verb: Option<String>,
    pub(super) from: Option<String>,
    pub(super) to: Option<Vec<String>>,
    pub(super) settings: Vec<Setting>,
}

/// The contents of a job file.
#[derive(Debug, Default)]
pub(super) struct Contents {
    pub(super) defaults: Section,
    pub(super) jobs: Vec<Section>,
    pub(super) problems: Vec<Problem>,
}

type Value<'a> = Spanned<DeValue<'a>>;

/// Reads the text of a job file.
pub(super) fn read(text: &str, keys: &Keys) -> Contents {
    let (root, errors) = DeTable::parse_recoverable(text);
    if !errors.is_empty() {
        // What follows a syntax error may be understood wrongly.
        let problems = errors.iter().map(|error| {
            let at = error.span().map_or(0, |span: Range<usize>| span.start);
            Problem { at, message: error.message().to_owned() }
        });
        return Contents { problems: problems.collect(), ..Contents::default() };
    }
    let mut reader = Reader { keys, problems: Vec::new() };
    let (mut defaults, mut jobs) = (Section::default(), Vec::new());
    for (key, value) in root.get_ref() {
        match (&**key.get_ref(), value.get_ref()) {
            ("defaults", DeValue::Table(table)) => {
                defaults = reader.section(table, value.span().start, None, "defaults");
            }
            ("jobs", DeValue::Array(list)) => {
                jobs = list.iter().filter_map(|job| reader.job(job, root.get_ref())).collect();
            }
            ("defaults", _) => reader.problem(key.span().start, "`defaults` must be a table"),
            ("jobs", _) => {
                reader.problem(key.span().start, "`jobs` must be a list of tables: [[jobs]]");
            }
            (name, _) => reader.unknown(name, key.span().start, &["defaults", "jobs"]),
        }
    }
    if !root.get_ref().keys().any(|key| key.get_ref() == "jobs") {
        reader.problem(0, "the file has no job; begin one with [[jobs]]");
    }
    Contents { defaults, jobs, problems: reader.problems }
}

struct Reader<'a> {
    keys: &'a Keys,
    problems: Vec<Problem>,
}

impl Reader<'_> {
    fn problem(&mut self, at: usize, message: impl Into<String>) {
        self.problems.push(Problem { at, message: message.into() });
    }

    fn unknown(&mut self, name: &str, at: usize, known: &[&str]) {
        if names_secret(name) {
            self.problem(at, format!("`{name}` names a secret; {NO_SECRETS}"));
            return;
        }
        let suggestion = suggestion(name, known.iter().copied());
        self.problem(at, format!("unknown key `{name}`{suggestion}"));
    }

    fn job(&mut self, job: &Value<'_>, root: &DeTable<'_>) -> Option<Section> {
        let at = job.span().start;
        let Some(table) = job.get_ref().as_table() else {
            self.problem(at, "a job must be a table");
            return None;
        };
        let of_defaults = root.get("defaults").and_then(|defaults| defaults.get_ref().get("verb"));
        let verb = table.get("verb").or(of_defaults);
        let verb =
            verb.and_then(|verb| verb.get_ref().as_str()).filter(|verb| VERBS.contains(verb));
        let section = self.section(table, at, verb, "job");
        if section.name.is_none() && !table.contains_key("name") {
            self.problem(at, "the job has no `name`");
        }
        if section.verb.is_none() && table.contains_key("verb") {
            // The verb is wrong, which is reported already.
            return None;
        }
        Some(section)
    }

    /// Reads `defaults`, which may have the keys of all verbs, or a job with this verb.
    fn section(
        &mut self,
        table: &DeTable<'_>,
        at: usize,
        verb: Option<&str>,
        kind: &str,
    ) -> Section {
        let mut section = Section { at, ..Section::default() };
        for (key, value) in table {
            let (name, at) = (&**key.get_ref(), key.span().start);
            let place = Place::TABLES.into_iter().find(|place| place.table() == Some(name));
            match (name, place, value.get_ref()) {
                ("name", ..) if kind == "job" => section.name = self.job_name(value),
                ("verb", ..) => section.verb = self.verb(value),
                ("from", ..) => section.from = self.one(name, value),
                ("to", ..) => section.to = self.many(name, value),
                (_, Some(place), DeValue::Table(inner)) => {
                    for (key, value) in inner {
                        let found = self.setting(place, key, value, verb);
                        section.settings.extend(found);
                    }
                }
                (_, Some(_), _) => self.problem(at, format!("`{name}` must be a table")),
                _ => section.settings.extend(self.setting(Place::Job, key, value, verb)),
            }
        }
        section
    }

    fn job_name(&mut self, value: &Value<'_>) -> Option<String> {
        let name = self.one("name", value)?;
        let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        if name.is_empty() || !name.chars().all(is_plain) {
            let what = "the name of a job may contain letters, digits and the characters - _ .";
            self.problem(value.span().start, what);
            return None;
        }
        Some(name)
    }

    fn verb(&mut self, value: &Value<'_>) -> Option<String> {
        let verb = self.one("verb", value)?;
        if VERBS.contains(&&*verb) {
            return Some(verb);
        }
        let suggestion = suggestion(&verb, VERBS.iter().copied());
        let what = format!("unknown verb `{verb}`{suggestion} (verbs: {})", VERBS.join(", "));
        self.problem(value.span().start, what);
        None
    }

    /// Reads a setting of a job with this verb, or of `defaults`.
    fn setting(
        &mut self,
        place: Place,
        key: &Spanned<toml::de::DeString<'_>>,
        value: &Value<'_>,
        verb: Option<&str>,
    ) -> Option<Setting> {
        let (name, at) = (&**key.get_ref(), key.span().start);
        let keys = self.keys;
        let is_it = |key: &&Key| key.place == place && key.name == name;
        let known = match verb {
            Some(verb) => keys.of_verb(verb).iter().find(is_it),
            None => keys.all().find(is_it),
        };
        let Some(known) = known else {
            self.not_a_key(place, name, at, verb);
            return None;
        };
        let setting =
            |values, is_flag| Some(Setting { place, key: name.to_owned(), values, is_flag, at });
        match (known.form, value.get_ref()) {
            (Form::Flag, DeValue::Boolean(set)) => setting(set.then(Vec::new), true),
            (Form::Flag, _) => {
                self.problem(value.span().start, format!("`{name}` must be true or false"));
                None
            }
            (Form::One, _) => setting(Some(vec![self.one(name, value)?]), false),
            (Form::Many, _) => setting(Some(self.many(name, value)?), false),
        }
    }

    /// Reports a name that is not a key in this place.
    fn not_a_key(&mut self, place: Place, name: &str, at: usize, verb: Option<&str>) {
        let keys = self.keys;
        let elsewhere = keys.all().find(|key| key.name == name && key.place != place);
        match (keys.verbs_with(place, name), verb, elsewhere) {
            (verbs, Some(verb), _) if !verbs.is_empty() => {
                let verbs = verbs.join(", ");
                self.problem(at, format!("`{name}` has no effect on {verb}; it acts on {verbs}"));
            }
            (_, _, Some(key)) => {
                let table = match key.place.table() {
                    Some(table) => format!("in the table `{table}`"),
                    None => "directly in the job".to_owned(),
                };
                self.problem(at, format!("`{name}` belongs {table}"));
            }
            _ => {
                let own = keys.all().filter(|key| key.place == place).map(|key| &*key.name);
                let tables = Place::TABLES.into_iter().filter_map(Place::table);
                let more = OF_JOBS.iter().copied().chain(tables).filter(|_| place == Place::Job);
                let mut known: Vec<&str> = own.collect();
                more.for_each(|name| known.push(name));
                self.unknown(name, at, &known);
            }
        }
    }

    fn many(&mut self, name: &str, value: &Value<'_>) -> Option<Vec<String>> {
        match value.get_ref() {
            DeValue::Array(list) => list.iter().map(|value| self.one(name, value)).collect(),
            _ => Some(vec![self.one(name, value)?]),
        }
    }

    /// One value, as it would be typed.
    fn one(&mut self, name: &str, value: &Value<'_>) -> Option<String> {
        let at = value.span().start;
        let typed = match value.get_ref() {
            DeValue::String(text) => text.clone().into_owned(),
            DeValue::Integer(number) => number.to_string(),
            DeValue::Float(number) => number.to_string(),
            DeValue::Boolean(truth) => truth.to_string(),
            DeValue::Datetime(time) => time.to_string(),
            DeValue::Array(_) => {
                self.problem(at, format!("`{name}` takes one value, not a list"));
                return None;
            }
            DeValue::Table(_) => {
                self.problem(at, format!("`{name}` takes a value, not a table"));
                return None;
            }
        };
        if may_be_secret(&typed) {
            self.problem(at, format!("the value of `{name}` contains a secret; {NO_SECRETS}"));
            return None;
        }
        Some(typed)
    }
}

const NO_SECRETS: &str =
    "a job file is shared and kept, so write secrets to clouds.yaml and name the cloud here";
