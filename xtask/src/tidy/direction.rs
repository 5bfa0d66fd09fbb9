//! The direction of dependencies, from the paths that the sources name: crates, and the top-level
//! modules inside a crate.

use std::collections::BTreeMap;

use super::source::{Source, code_lines};

/// What each crate may name. A crate that is not listed may name every crate.
const CRATES: &[(&str, &[&str])] = &[
    ("glance-core", &[]),
    ("tls-policy", &["glance_core"]),
    ("keystone-auth", &["glance_core", "tls_policy"]),
    ("glance-client", &["glance_core", "keystone_auth", "tls_policy"]),
    ("safe-files", &["glance_core"]),
    ("replicator-engine", &["glance_core", "keystone_auth", "safe_files"]),
    ("format-dump", &["glance_core", "safe_files"]),
    ("format-oci", &["glance_core", "safe_files"]),
    ("transport-hyper", &["glance_core", "tls_policy"]),
    ("transport-rustls", &["glance_core", "tls_policy", "transport_hyper"]),
    ("transport-native", &["glance_core", "tls_policy", "transport_hyper"]),
    ("transport-reqwest", &["glance_core", "tls_policy"]),
    ("glance-server", &["glance_core", "transport_hyper"]),
    (
        "replicator-cli",
        &[
            "format_dump",
            "format_oci",
            "glance_client",
            "glance_core",
            "glance_server",
            "keystone_auth",
            "replicator_engine",
            "safe_files",
            "tls_policy",
            "transport_hyper",
            "transport_native",
            "transport_reqwest",
            "transport_rustls",
        ],
    ),
];

/// The modules of a crate, lowest first: a module names only modules in front of it.
const MODULES: &[(&str, &[&str])] = &[
    (
        "glance-core",
        &[
            "clock",
            "wait_time",
            "error",
            "units",
            "project",
            "record_schema",
            "content_format",
            "digest",
            "body",
            "image",
            "rate_limit",
            "selection",
            "transport",
            "verified_body",
            "store",
            "sampling",
            "metadefs",
            "conformance",
            "testing",
        ],
    ),
    (
        "tls-policy",
        &[
            "time",
            "messages",
            "fault",
            "x509",
            "pin",
            "files",
            "bundle",
            "judge",
            "client_cert",
            "summary",
            "verdict",
            "trust",
        ],
    ),
    (
        "keystone-auth",
        &[
            "plain_http",
            "redirect",
            "catalog",
            "auth",
            "config",
            "version_discovery",
            "session",
            "keystone",
            "project_lookup",
        ],
    ),
    (
        "glance-client",
        &[
            "json_patch",
            "query",
            "record_stream",
            "status",
            "permission",
            "request",
            "data",
            "import",
            "listing",
            "members",
            "schema",
            "metadefs",
            "connect",
        ],
    ),
    (
        "replicator-cli",
        &[
            "exit",
            "error",
            "args",
            "terminal",
            "recorded_args",
            "guide",
            "manual",
            "named_file",
            "input_file",
            "tls",
            "certificates",
            "metrics",
            "output",
            "progress",
            "logging",
            "signals",
            "saved_plan",
            "resolve",
            "report",
            "commands",
        ],
    ),
    ("safe-files", &["dir", "errors", "file_lock", "json", "record", "data"]),
    ("format-oci", &["names", "descriptor", "artifact", "blobs", "index", "layout", "store"]),
    ("glance-server", &["api", "lingering", "watched", "serve"]),
    (
        "format-dump",
        &[
            "limits",
            "files",
            "record",
            "manifest",
            "extras",
            "sums",
            "blob",
            "directory",
            "v1",
            "dump",
            "verify",
            "stream",
        ],
    ),
    (
        "replicator-engine",
        &[
            "cancel",
            "comparison",
            "loss",
            "provenance",
            "spool",
            "state",
            "known_digests",
            "mapping",
            "metadefs",
            "journal",
            "error",
            "outcome",
            "events",
            "controller",
            "policy",
            "replication",
            "pairing",
            "planning",
            "streaming",
            "proving",
            "copying",
            "running",
            "repair",
            "export",
        ],
    ),
    (
        "transport-hyper",
        &[
            "address",
            "failure",
            "fill",
            "tls",
            "proxy",
            "options",
            "exchange",
            "tunnel",
            "connector",
            "client",
        ],
    ),
];

/// Every line that names a crate or a module that its own must not name.
pub(super) fn breaches(sources: &[Source]) -> Vec<String> {
    let modules: BTreeMap<_, _> = MODULES.iter().copied().collect();
    let exported = exports(sources);
    let mut breaches = Vec::new();
    for source in sources {
        let Some((package, module)) = source.place() else { continue };
        let allowed = CRATES.iter().find(|(name, _)| *name == package).map(|(_, allowed)| *allowed);
        let order = modules.get(package);
        let root = source.path_to_root();
        let mut list = false;
        for (number, line) in code_lines(&source.text) {
            let place = format!("{}:{number}: `{}`", source.name, line.trim());
            if let Some(found) = allowed.and_then(|allowed| foreign_crate(line, package, allowed)) {
                breaches.push(format!("{place}: {package} must not depend on {found}"));
            }
            let Some(order) = order else { continue };
            for found in names_in_root(line, &root, &mut list) {
                let found = exported.get(&(package, found)).copied().unwrap_or(found);
                breaches
                    .extend(wrong_name(found, module, order).map(|why| format!("{place}: {why}")));
            }
        }
    }
    breaches
}

/// A crate of this workspace that the line names, and that is not allowed here.
fn foreign_crate<'a>(line: &str, package: &str, allowed: &[&str]) -> Option<&'a str> {
    let own = package.replace('-', "_");
    let crates = CRATES.last().map_or(&[][..], |(_, all)| *all);
    let names = |name: &str| line.contains(&format!("{name}::"));
    crates.iter().copied().find(|name| *name != own && !allowed.contains(name) && names(name))
}

/// The names in the crate's root that the line uses, by `crate::` or by `root`, which is the same
/// path by `super::`. A list in braces may have several lines; `list` tells whether it goes on.
fn names_in_root<'a>(line: &'a str, root: &str, list: &mut bool) -> Vec<&'a str> {
    let mut names = Vec::new();
    if *list {
        names.extend(listed(line, list));
    }
    for path in ["crate::", root] {
        for (at, _) in line.match_indices(path) {
            let is_whole = !line[..at].ends_with(|last: char| last == ':' || is_of_name(last));
            let rest = &line[at + path.len()..];
            match rest.strip_prefix('{') {
                _ if !is_whole => {}
                Some(rest) => names.extend(listed(rest, list)),
                None => names.push(first_name(rest)),
            }
        }
    }
    names.retain(|name| !matches!(*name, "" | "self" | "super"));
    names
}

/// The first names of the paths in a list up to its closing brace. Lists inside the list belong to
/// the paths in front of them.
fn listed<'a>(rest: &'a str, list: &mut bool) -> Vec<&'a str> {
    let mut depth = 1_usize;
    let (mut names, mut start) = (Vec::new(), 0);
    for (at, next) in rest.char_indices() {
        match next {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 1 => {
                names.push(first_name(&rest[start..at]));
                start = at + 1;
            }
            _ => {}
        }
        if depth == 0 {
            names.push(first_name(&rest[start..at]));
            *list = false;
            return names;
        }
    }
    names.push(first_name(&rest[start..]));
    *list = true;
    names
}

fn first_name(path: &str) -> &str {
    path.trim_start().split(|next| !is_of_name(next)).next().unwrap_or_default()
}

fn is_of_name(next: char) -> bool {
    next.is_alphanumeric() || next == '_'
}

/// Why `module` must not use this module. Other names are of items in the crate's root itself.
fn wrong_name(name: &str, module: &str, order: &[&str]) -> Option<String> {
    let place = |name: &str| order.iter().position(|one| *one == name);
    let is_above = place(name)? > place(module)?;
    is_above.then(|| format!("`{module}` must not use `{name}`, which is above it"))
}

/// The names that the root of each crate takes from its modules, each with the module.
fn exports(sources: &[Source]) -> BTreeMap<(&str, &str), &str> {
    let mut exported = BTreeMap::new();
    for source in sources {
        let Some((package, "lib")) = source.place() else { continue };
        for statement in source.text.split(';') {
            let Some((_, path)) = statement.rsplit_once("use ") else { continue };
            let module = first_name(path);
            let names = path.split(|next| !is_of_name(next)).skip(1);
            exported.extend(names.map(|name| ((package, name), module)));
        }
    }
    exported
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(name: &str, text: &str) -> Vec<String> {
        breaches(&[Source { name: name.to_owned(), text: text.to_owned() }])
    }

    #[test]
    fn a_use_against_the_direction_is_named_with_its_line() {
        let line = "use keystone_auth::Session;\n";
        assert_eq!(found("glance-core/src/body.rs", &format!("\n{line}")).len(), 1);
        let said = found("glance-core/src/body.rs", line).remove(0);
        assert!(said.starts_with("glance-core/src/body.rs:1: `use keystone_auth"), "{said}");
        assert!(found("glance-client/src/data.rs", line).is_empty());
        assert_eq!(found("glance-core/src/body.rs", "use crate::store::StoreError;\n").len(), 1);
        assert!(found("glance-core/src/store/mod.rs", "use crate::body::Body;\n").is_empty());
        assert!(found("glance-core/src/body.rs", "// crate::store::StoreError\n").is_empty());
        let listed = "use crate::{\n    body,\n    store::{StoreError, memory},\n};\n";
        assert_eq!(found("glance-core/src/image/mod.rs", listed).len(), 1);
        assert_eq!(
            found("glance-core/src/image/mod.rs", "use super::store::StoreError;\n").len(),
            1
        );
        assert!(found("glance-core/src/image/json.rs", "use super::store;\n").is_empty());
        let deep = "use super::super::store::StoreError;\n";
        assert_eq!(found("glance-core/src/image/json.rs", deep).len(), 1);
        let root = "mod store;\npub use store::{ImageStore, StoreError};\n".to_owned();
        let sources = [
            Source { name: "glance-core/src/lib.rs".to_owned(), text: root },
            Source {
                name: "glance-core/src/image/json.rs".to_owned(),
                text: "use crate::StoreError;\n".to_owned(),
            },
        ];
        assert_eq!(breaches(&sources).len(), 1);
        let test = "#[cfg(test)]\nmod tests {\n    use crate::store::memory::MemoryStore;\n}\n";
        assert!(found("glance-core/src/body.rs", test).is_empty());
    }
}
