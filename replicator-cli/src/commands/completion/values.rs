//! The values of options and operands, as far as they are known without asking a server.

use std::ffi::OsStr;
use std::sync::Arc;

use clap::{Arg, Command, ValueHint};
use clap_complete::engine::{
    ArgValueCandidates, ArgValueCompleter, CompletionCandidate, PathCompleter, ValueCompleter,
};
use glance_core::image::Image;
use keystone_auth::{Clouds, Environment};

use super::images;
use crate::args::{Args, FIELDS};
use crate::guide::PAGES;

/// The command line with the values of its arguments. `known` are the images of the dump on it.
pub(super) fn with_values(tree: Command, known: &[Image]) -> Command {
    let known: Arc<[Image]> = known.into();
    completed(tree, "", &known)
}

fn completed(command: Command, name: &str, known: &Arc<[Image]>) -> Command {
    let command = command.mut_args(|argument| with_value(argument, name, known));
    command.mut_subcommands(|inner| {
        let name = inner.get_name().to_owned();
        completed(inner, &name, known)
    })
}

fn with_value(argument: Arg, command: &str, known: &Arc<[Image]>) -> Arg {
    let id = argument.get_id().as_str().to_owned();
    if let Some(&(_, values)) = VALUES.iter().find(|(ids, _)| ids.contains(&&*id)) {
        return argument.add(ArgValueCandidates::new(move || words(values)));
    }
    match (&*id, command) {
        ("path", "dump") | ("from", "load") => {
            argument.add(ArgValueCompleter::new(PathCompleter::dir().stdio()))
        }
        ("server" | "from" | "to" | "stores", _) => argument.add(ArgValueCompleter::new(stores)),
        ("image", _) => {
            let known = Arc::clone(known);
            let candidates = move |typed: &OsStr| images::candidates(&known, typed);
            argument.add(ArgValueCompleter::new(candidates))
        }
        ("path" | "directory" | "state_dir" | "spool_dir", _) => {
            argument.value_hint(ValueHint::DirPath)
        }
        ("cloud", "clouds") => argument.add(ArgValueCompleter::new(only_clouds)),
        ("topic", _) => argument.add(ArgValueCandidates::new(topics)),
        ("report", _) => argument.value_hint(ValueHint::FilePath),
        _ => argument,
    }
}

/// The pages of the guide, and the commands.
fn topics() -> Vec<CompletionCandidate> {
    let tree = Args::tree();
    let pages = PAGES.iter().map(|page| page.topic);
    let commands = tree.get_subcommands().filter(|command| !command.is_hide_set());
    words(&pages.chain(commands.map(Command::get_name)).collect::<Vec<_>>())
}

fn words<T: AsRef<str>>(words: &[T]) -> Vec<CompletionCandidate> {
    words.iter().map(|word| CompletionCandidate::new(word.as_ref())).collect()
}

/// Clouds and directories.
fn stores(typed: &OsStr) -> Vec<CompletionCandidate> {
    let text = typed.to_str().unwrap_or_default();
    let prefixed = |found: Vec<CompletionCandidate>, prefix: &str| {
        found.into_iter().map(|candidate| candidate.add_prefix(prefix)).collect::<Vec<_>>()
    };
    if let Some(rest) = text.strip_prefix("cloud:") {
        return prefixed(clouds(rest), "cloud:");
    }
    for prefix in ["dir:", "oci:"] {
        if let Some(rest) = text.strip_prefix(prefix) {
            return prefixed(directories(OsStr::new(rest)), prefix);
        }
    }
    clouds(text).into_iter().chain(directories(typed)).collect()
}

fn only_clouds(typed: &OsStr) -> Vec<CompletionCandidate> {
    clouds(typed.to_str().unwrap_or_default())
}

fn directories(typed: &OsStr) -> Vec<CompletionCandidate> {
    let mut found = PathCompleter::dir().complete(typed);
    found.retain(|candidate| candidate.get_value() != ".");
    found
}

/// The clouds of clouds.yaml; a cloud that lists several regions also with each of them.
fn clouds(typed: &str) -> Vec<CompletionCandidate> {
    let Ok(clouds) = Clouds::load(Environment::of_process()) else { return Vec::new() };
    let with_regions = |name: &str| {
        let regions = clouds.regions(name);
        let is_offered = regions.len() > 1 || typed.contains('@');
        let regions = regions.into_iter().filter(|_| is_offered);
        let regions = regions.map(|region| format!("{name}@{region}"));
        [name.to_owned()].into_iter().chain(regions).collect::<Vec<_>>()
    };
    let names = clouds.names().flat_map(with_regions).filter(|name| name.starts_with(typed));
    names.map(|name| CompletionCandidate::new(name).help(Some("cloud".into()))).collect()
}

/// Ids of arguments, and values that many operators use.
const VALUES: &[(&[&str], &[&str])] = &[
    (&["visibility"], &["public", "community", "shared", "private"]),
    (&["status"], &["active", "deactivated", "queued", "saving", "importing", "uploading"]),
    (
        &["disk_format"],
        &["ami", "ari", "aki", "vhd", "vhdx", "vmdk", "raw", "qcow2", "vdi", "iso", "ploop"],
    ),
    (&["container_format"], &["bare", "ami", "ari", "aki", "ovf", "ova", "docker", "compressed"]),
    (&["os_hidden", "protected"], &["true", "false"]),
    (&["source_interface", "target_interface"], &["public", "internal", "admin"]),
    (&["order_by"], &["id", "size", "size,desc"]),
    (&["columns", "sort"], FIELDS),
    (&["namespaces"], &["custom", "all"]),
    (&["owner"], &["auto", "by-name", "keep", "caller", "map:", "project:"]),
    (&["property"], &["keep=", "drop=", "set=", "rename="]),
    (&["latest_per"], &["name"]),
    (&["shard"], &["auto/"]),
    (
        &["exclude"],
        &[
            "image=",
            "name-regex=",
            "tag=",
            "where=",
            "project=",
            "visibility=",
            "status=",
            "disk-format=",
            "container-format=",
            "min-size=",
            "max-size=",
            "created-after=",
            "created-before=",
            "updated-after=",
            "updated-before=",
            "updated-within=",
            "os-hidden=",
            "protected=",
        ],
    ),
];
