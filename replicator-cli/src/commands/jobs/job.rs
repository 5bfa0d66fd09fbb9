//! The jobs of a job file, as command lines. The command line's own parser checks the values.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;

use clap::ArgMatches;
use jiff::civil::Date;

use super::file::{Contents, Problem, Section, Setting};
use super::keys::{Keys, Place};
use crate::args::Args;
use crate::error::CliError;
use crate::recorded_args::without_secrets;
use crate::resolve::bandwidth::local_time;

/// A job that is ready to run.
#[derive(Debug, Clone)]
pub(super) struct Job {
    pub(super) name: String,
    /// The arguments of the command, without the name of the program.
    pub(super) line: Vec<String>,
    /// Whether the job changes something, so that its command has `--dry-run`.
    pub(super) can_rehearse: bool,
}

/// Reads the jobs of a job file with this text.
///
/// # Errors
/// Every problem of the file, in the order of their places.
pub(super) fn jobs(text: &str) -> Result<Vec<Job>, Vec<Problem>> {
    let tree = Args::tree();
    let keys = Keys::of(&tree);
    let Contents { defaults, jobs, mut problems } = super::file::read(text, &keys);
    let mut drafts = Vec::new();
    for section in jobs {
        let Some(draft) = Draft::of(section, &defaults, &keys, &mut problems) else { continue };
        draft.check(&tree, &mut problems);
        drafts.push(draft);
    }
    refuse_doubles(&drafts, &mut problems);
    // A wrong default is found again in each job.
    problems.sort_by(|one, other| (one.at, &one.message).cmp(&(other.at, &other.message)));
    problems.dedup();
    match problems.is_empty() {
        true => Ok(drafts.into_iter().map(|draft| draft.job(&tree)).collect()),
        false => Err(problems),
    }
}

/// Parses the command line of a job, of these arguments.
pub(super) fn parsed(line: &[String]) -> Result<(Args, ArgMatches), CliError> {
    Args::parsed(Args::tree(), typed(line)).map_err(|error| {
        CliError::usage("cannot parse the command of the job").caused_by(said(&error, line))
    })
}

/// A job with the defaults.
struct Draft {
    at: usize,
    name: String,
    verb: String,
    has_from: bool,
    operands: Vec<String>,
    settings: Vec<Setting>,
}

impl Draft {
    /// Adds the defaults to a job. A default that has no effect on the job's verb is left out.
    /// `None` if the job lacks something that is already reported.
    fn of(
        section: Section,
        defaults: &Section,
        keys: &Keys,
        problems: &mut Vec<Problem>,
    ) -> Option<Self> {
        let (at, name) = (section.at, section.name?);
        let Some(verb) = section.verb.or_else(|| defaults.verb.clone()) else {
            let message = format!("the job {name} has no `verb`, such as sync");
            problems.push(Problem { at, message });
            return None;
        };
        let mut settings = section.settings;
        let is_given = |setting: &Setting, given: &[Setting]| {
            given.iter().any(|own| (own.place, &own.key) == (setting.place, &setting.key))
        };
        for default in &defaults.settings {
            let acts = keys.verbs_with(default.place, &default.key).contains(&&*verb);
            if acts && !is_given(default, &settings) {
                settings.push(default.clone());
            }
        }
        for setting in settings.iter_mut().filter(|setting| FILES.contains(&&*setting.key)) {
            let values = setting.values.iter_mut().flatten();
            values.for_each(|value| *value = file_name(value, &name, local_time().date()));
        }
        let from = section.from.or_else(|| defaults.from.clone());
        let to = section.to.or_else(|| defaults.to.clone()).unwrap_or_default();
        let has_from = from.is_some();
        let operands = from.into_iter().chain(to).collect();
        Some(Self { at, name, verb, has_from, operands, settings })
    }

    fn job(self, tree: &clap::Command) -> Job {
        let command = tree.find_subcommand(&self.verb);
        let can_rehearse = command.is_some_and(|command| {
            command.get_arguments().any(|option| option.get_long() == Some("dry-run"))
        });
        let line = line(&self.verb, &self.settings, &self.operands);
        Job { name: self.name, line, can_rehearse }
    }

    /// Adds the problems that the parser of the command line finds.
    fn check(&self, tree: &clap::Command, problems: &mut Vec<Problem>) {
        let fault = |settings: &[Setting], operands: &[String]| {
            let line = line(&self.verb, settings, operands);
            Args::parsed(tree.clone(), typed(&line)).err().map(|error| said(&error, &line))
        };
        let of_job =
            |what: String| Problem { at: self.at, message: format!("job {}: {what}", self.name) };
        let operands = placeholders(tree, &self.verb);
        let stores = self.refused_stores(operands.len());
        problems.extend(stores.or_else(|| fault(&[], &self.operands)).map(of_job));
        let mut is_sound = true;
        for setting in &self.settings {
            let fault = fault(std::slice::from_ref(setting), &operands);
            is_sound &= fault.is_none();
            problems.extend(fault.map(|message| Problem { at: setting.at, message }));
        }
        // Options that exclude each other.
        let together = fault(&self.settings, &operands).filter(|_| is_sound);
        problems.extend(together.map(of_job));
        problems.extend(self.prints_a_document().then(|| of_job(PRINTS.to_owned())));
    }

    /// Why the stores are not those of a command that requires this number of operands.
    fn refused_stores(&self, required: usize) -> Option<String> {
        if self.operands.iter().any(|operand| operand == "-") {
            return Some("a job cannot use - (standard input or output)".to_owned());
        }
        let missing = match self.has_from {
            false => "from",
            true if self.operands.len() < required => "to",
            true => return None,
        };
        Some(format!("`{missing}` is missing, which {} requires", self.verb))
    }

    /// Whether the report of the job is a document on standard output, which all jobs share.
    fn prints_a_document(&self) -> bool {
        let value = |key: &str| {
            let is_it = |setting: &&Setting| setting.place == Place::Job && setting.key == key;
            self.settings.iter().find(is_it).and_then(|setting| setting.values.as_ref()?.first())
        };
        value("output").is_some_and(|output| output != "text") && value("report").is_none()
    }
}

/// Reports jobs that have the same name, or write to the same file.
fn refuse_doubles(drafts: &[Draft], problems: &mut Vec<Problem>) {
    let mut names = BTreeSet::new();
    let mut files: BTreeMap<&String, &str> = BTreeMap::new();
    for draft in drafts {
        if !names.insert(&draft.name) {
            let message = format!("two jobs have the name {}", draft.name);
            problems.push(Problem { at: draft.at, message });
        }
        for setting in draft.settings.iter().filter(|setting| FILES.contains(&&*setting.key)) {
            let Some(path) = setting.values.as_ref().and_then(|values| values.first()) else {
                continue;
            };
            if let Some(other) = files.insert(path, &draft.name) {
                let message = format!(
                    "the jobs {other} and {} write to the same file, {path}; write {{job}} in the \
                     path, which stands for the name of the job",
                    draft.name
                );
                problems.push(Problem { at: setting.at, message });
            }
        }
    }
}

/// The arguments of a command.
fn line(verb: &str, settings: &[Setting], operands: &[String]) -> Vec<String> {
    let mut line = vec![verb.to_owned()];
    for Setting { key, values, is_flag, .. } in settings {
        match (is_flag, values) {
            (_, None) => {}
            (true, Some(_)) => line.push(format!("--{key}")),
            (false, Some(values)) => {
                line.extend(values.iter().map(|value| format!("--{key}={value}")));
            }
        }
    }
    line.push("--".to_owned());
    line.extend(operands.iter().cloned());
    line
}

/// The arguments with the name of the program.
pub(super) fn typed(line: &[String]) -> impl Iterator<Item = OsString> {
    ["glance-replicator"].into_iter().chain(line.iter().map(String::as_str)).map(OsString::from)
}

/// Stores that stand for the operands of a verb, to check its options alone.
fn placeholders(tree: &clap::Command, verb: &str) -> Vec<String> {
    let operands = tree.find_subcommand(verb).into_iter().flat_map(clap::Command::get_positionals);
    let required = operands.filter(|operand| operand.is_required_set());
    required.enumerate().map(|(number, _)| format!("./{number}")).collect()
}

/// The message of a parser error as one line, without secrets and without the usage.
fn said(error: &clap::Error, line: &[String]) -> String {
    let text = without_secrets(error.to_string(), typed(line));
    let lines = text.lines().map(str::trim).take_while(|line| !line.is_empty());
    let text = lines.collect::<Vec<_>>().join(" ");
    text.strip_prefix("error: ").unwrap_or(&text).to_owned()
}

/// The path of a file of one job: `{job}` is its name, and `{date}` the local date, such as
/// 2026-05-31.
fn file_name(value: &str, job: &str, today: Date) -> String {
    value.replace("{job}", job).replace("{date}", &today.to_string())
}

/// Keys whose value is a file of one job, with placeholders.
const FILES: [&str; 2] = ["report", "metrics"];

const PRINTS: &str = "`output` needs a file: add `report`, because all jobs share standard output";

#[cfg(test)]
mod tests {
    use super::*;

    /// The command line of the only job.
    fn only(text: &str) -> String {
        let jobs = jobs(text).unwrap_or_else(|problems| panic!("{problems:?}"));
        assert_eq!(jobs.len(), 1);
        jobs[0].line.join(" ")
    }

    /// The messages about a file, each with its line.
    fn problems(text: &str) -> Vec<(usize, String)> {
        let problems = jobs(text).unwrap_err();
        let line = |at: usize| text[..at].matches('\n').count() + 1;
        problems.into_iter().map(|problem| (line(problem.at), problem.message)).collect()
    }

    #[test]
    fn a_job_is_a_command_line() {
        let text = r#"
            [[jobs]]
            name = "nightly"
            verb = "sync"
            from = "paris"
            to = ["lyon", "oslo"]
            delete = "hide"
            unprotect = true
            no-stamp = false
            select = { tag = "stable", image = ["debian-*", "ubuntu-*"], created-after = 2026-01-31 }
            limits = { bwlimit = "10M", retries = 5 }
            report = "reports/{job}.json"
        "#;
        let line = only(text);
        let (options, operands) = line.split_once(" -- ").unwrap();
        assert_eq!(operands, "paris lyon oslo");
        let mut options: Vec<&str> = options.split(' ').collect();
        options.sort_unstable();
        let expected = [
            "--bwlimit=10M",
            "--created-after=2026-01-31",
            "--delete=hide",
            "--image=debian-*",
            "--image=ubuntu-*",
            "--report=reports/nightly.json",
            "--retries=5",
            "--tag=stable",
            "--unprotect",
            "sync",
        ];
        assert_eq!(options, expected);
    }

    #[test]
    fn files_are_named_by_job_and_date() {
        let path = file_name("r/{job}-{date}.html", "mirror", jiff::civil::date(2026, 5, 31));
        assert_eq!(path, "r/mirror-2026-05-31.html");
    }

    #[test]
    fn defaults_apply_where_they_act_and_a_job_overrides_them() {
        let text = r#"
            [defaults]
            verb = "sync"
            from = "paris"
            delete = "hide"
            limits = { bwlimit = "10M", retries = 1 }
            [[jobs]]
            name = "a"
            to = "lyon"
            limits = { retries = 2 }
            [[jobs]]
            name = "b"
            verb = "dump"
            to = "./images"
        "#;
        let jobs = jobs(text).unwrap();
        let lines: Vec<String> = jobs.iter().map(|job| job.line.join(" ")).collect();
        assert!(lines[0].contains("--delete=hide") && lines[0].contains("--retries=2"));
        assert!(!lines[0].contains("--retries=1"), "{}", lines[0]);
        assert_eq!(lines[1], "dump --bwlimit=10M --retries=1 -- paris ./images");
    }

    #[test]
    fn every_problem_is_found_at_its_place() {
        let text = r#"[defaults]
limits = { bwlimt = "10M" }
tokn-file = "x"
[[jobs]]
name = "a"
verb = "snyc"
from = "paris"
[[jobs]]
name = "b"
verb = "dump"
from = "paris"
to = "./b"
delete = "hide"
bwlimit = "10M"
password = "hush"
select = { name = ["x"], min-size = "huge" }
[[jobs]]
name = "c d"
verb = "livecopy"
from = "paris"
[[jobs]]
verb = "size"
from = "https://me:hush@host"
unprotect = 1
[jobz]
"#;
        let found = problems(text);
        let expected = [
            (2, "unknown key `bwlimt`; did you mean `bwlimit`?"),
            (3, "did you mean `token-file`?"),
            (6, "unknown verb `snyc`; did you mean `sync`?"),
            (13, "`delete` has no effect on dump; it acts on sync, plan"),
            (14, "`bwlimit` belongs in the table `limits`"),
            (15, "`password` names a secret; a job file is shared"),
            (16, "invalid value 'huge' for '--min-size <SIZE>'"),
            (18, "the name of a job may contain"),
            (21, "the job has no `name`"),
            (23, "the value of `from` contains a secret"),
            (24, "`unprotect` has no effect on size"),
            (25, "unknown key `jobz`; did you mean `jobs`?"),
        ];
        for (line, words) in expected {
            let at_line = |(at, message): &&(usize, String)| *at == line && message.contains(words);
            assert!(found.iter().find(at_line).is_some(), "{line} {words}: {found:#?}");
        }
        assert!(found.iter().all(|(_, message)| !message.contains("hush")), "{found:#?}");
    }

    #[test]
    fn a_job_without_its_stores_is_refused() {
        let text = "[[jobs]]\nname = \"a\"\nverb = \"sync\"\nfrom = \"paris\"\n";
        let found = problems(text);
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].1.contains("`to` is missing, which sync requires"), "{found:?}");
        let stream = "[[jobs]]\nname = \"a\"\nverb = \"dump\"\nfrom = \"paris\"\nto = \"-\"\n";
        assert!(problems(stream)[0].1.contains("cannot use -"));
    }

    #[test]
    fn jobs_do_not_share_names_or_files_or_standard_output() {
        let text = r#"
[defaults]
verb = "sync"
from = "paris"
metrics = "/tmp/m.prom"
[[jobs]]
name = "a"
to = "lyon"
[[jobs]]
name = "a"
to = "oslo"
output = "json"
"#;
        let found = problems(text);
        let said: Vec<&str> = found.iter().map(|(_, message)| message.as_str()).collect();
        assert!(said.iter().any(|said| said.contains("the same file, /tmp/m.prom")), "{said:?}");
        assert!(said.contains(&"two jobs have the name a"), "{said:?}");
        assert!(said.iter().any(|said| said.contains("`output` needs a file")), "{said:?}");
    }

    #[test]
    fn a_syntax_error_has_its_place() {
        let found = problems("[[jobs]]\nname = \n");
        assert_eq!(found[0].0, 2, "{found:?}");
        assert_eq!(problems("").len(), 1);
    }
}
