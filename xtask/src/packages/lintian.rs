//! Debian's checks of the packages, and the reasons for what they find.

use std::fs;
use std::path::Path;

use super::system::System;
use crate::failure::{Context, Failure};
use crate::workspace;

/// Runs lintian on packages in a system, which it removes. Fails on errors, warnings and overrides
/// that override nothing. Each override must have a comment.
pub(crate) fn check(system: System, packages: &[&Path]) -> Result<(), Failure> {
    every_override_has_a_reason()?;
    system.update()?;
    // debootstrap cannot install it: it does not know virtual packages.
    system.install_quietly(&["lintian"])?;
    let mut files = Vec::new();
    for package in packages {
        files.push(system.bring(package)?);
    }
    let mut line = vec!["lintian", "--fail-on", "error,warning", "--show-overrides"];
    line.extend(["--display-info", "--tag-display-limit", "0"]);
    line.extend(files.iter().map(String::as_str));
    let said = system.run_as_user(&line)?;
    let unused: Vec<&str> = said.lines().filter(|line| line.contains(UNUSED)).collect();
    match unused.is_empty() {
        true => system.remove(),
        false => Err(Failure::new(format!("remove these overrides:\n{}", unused.join("\n")))),
    }
}

fn every_override_has_a_reason() -> Result<(), Failure> {
    let folder = workspace::root().join("packaging/debian");
    for folder in [folder.clone(), folder.join("source")] {
        for entry in fs::read_dir(&folder).context(|| folder.display().to_string())? {
            let path = entry.context(|| folder.display().to_string())?.path();
            if path.to_string_lossy().ends_with("lintian-overrides") {
                let text = fs::read_to_string(&path).context(|| path.display().to_string())?;
                if let Some(line) = without_reason(&text) {
                    let text = format!("{}: {line} has no comment above it", path.display());
                    return Err(Failure::new(text));
                }
            }
        }
    }
    Ok(())
}

/// The first override that does not follow a comment or another override of the same tag.
fn without_reason(text: &str) -> Option<&str> {
    let mut explained = "";
    for line in text.lines() {
        let tag = line.split(' ').next().unwrap_or_default();
        match tag {
            "#" => explained = "#",
            "" => explained = "",
            _ if explained == "#" || explained == tag => explained = tag,
            _ => return Some(line),
        }
    }
    None
}

/// lintian's tags for overrides that override nothing.
const UNUSED: &str = "-override ";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_comment_explains_the_overrides_of_one_tag() {
        assert_eq!(without_reason("# Why.\ntag one\ntag two\n\n# Why.\nother\n"), None);
        assert_eq!(without_reason("# Why.\ntag one\nother\n"), Some("other"));
        assert_eq!(without_reason("# Why.\n\ntag\n"), Some("tag"));
        assert_eq!(without_reason("tag\n"), Some("tag"));
    }
}
