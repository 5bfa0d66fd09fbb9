//! The direction of dependencies, from the paths that the sources name: crates, and the top-level
//! modules inside a crate.

use std::collections::BTreeMap;

use super::source::{Source, code_lines};

/// What each crate may name. A crate that is not listed may name every crate.
const CRATES: &[(&str, &[&str])] = &[
    ("glance-core", &[]),
    ("keystone-auth", &["glance_core"]),
    ("glance-client", &["glance_core", "keystone_auth"]),
    ("replicator-engine", &["glance_core", "keystone_auth"]),
    ("format-dump", &["glance_core", "replicator_engine"]),
    ("transport-hyper", &["glance_core"]),
    ("transport-rustls", &["glance_core", "transport_hyper"]),
    ("transport-native", &["glance_core", "transport_hyper"]),
    ("glance-server", &["glance_core", "transport_hyper"]),
    (
        "replicator-cli",
        &[
            "format_dump",
            "glance_client",
            "glance_core",
            "glance_server",
            "keystone_auth",
            "replicator_engine",
            "transport_hyper",
            "transport_native",
            "transport_rustls",
        ],
    ),
];

/// The modules of a crate, lowest first: a module names only modules in front of it.
const MODULES: &[(&str, &[&str])] = &[
    (
        "glance-core",
        &[
            "error",
            "units",
            "project",
            "record_schema",
            "content_format",
            "dir",
            "digest",
            "file_lock",
            "body",
            "image",
            "rate_limit",
            "selection",
            "transport",
            "tls",
            "verified_body",
            "store",
            "sampling",
            "metadefs",
            "conformance",
        ],
    ),
    (
        "keystone-auth",
        &[
            "plain_http",
            "redirect",
            "catalogue",
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
            "request",
            "data",
            "import",
            "listing",
            "members",
            "schema",
            "metadefs",
        ],
    ),
    (
        "replicator-cli",
        &[
            "exit",
            "error",
            "args",
            "recorded_args",
            "named_file",
            "input_file",
            "tls",
            "output",
            "logging",
            "signals",
            "saved_plan",
            "resolve",
            "report",
            "commands",
        ],
    ),
    ("glance-server", &["api", "lingering", "watched", "serve"]),
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
    let mut breaches = Vec::new();
    for source in sources {
        let Some((package, module)) = source.place() else { continue };
        let allowed = CRATES.iter().find(|(name, _)| *name == package).map(|(_, allowed)| *allowed);
        let order = modules.get(package);
        for (number, line) in code_lines(&source.text) {
            let place = format!("{}:{number}: `{}`", source.name, line.trim());
            if let Some(found) = allowed.and_then(|allowed| foreign_crate(line, package, allowed)) {
                breaches.push(format!("{place}: {package} must not depend on {found}"));
            }
            if let Some(found) = order.and_then(|order| higher_module(line, module, order)) {
                breaches
                    .push(format!("{place}: `{module}` must not use `{found}`, which is above it"));
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

/// A module that the line names by `crate::`, and that is above `module`.
fn higher_module<'a>(line: &str, module: &str, order: &[&'a str]) -> Option<&'a str> {
    let own = order.iter().position(|name| *name == module)?;
    order[own + 1..].iter().copied().find(|name| {
        let path = format!("crate::{name}");
        line.match_indices(&path).any(|(at, _)| {
            let rest = &line[at + path.len()..];
            !rest.starts_with(|next: char| next.is_alphanumeric() || next == '_')
        })
    })
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
        let test = "#[cfg(test)]\nmod tests {\n    use crate::store::memory::MemoryStore;\n}\n";
        assert!(found("glance-core/src/body.rs", test).is_empty());
    }
}
