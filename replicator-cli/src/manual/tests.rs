use std::collections::BTreeMap;

use super::facts::RELATED;
use super::*;

/// The sources of all pages by name and section.
fn sources() -> BTreeMap<Reference, String> {
    pages().unwrap().into_iter().map(|page| (page.reference, page.source)).collect()
}

/// The names of all commands that the help shows, such as `report merge`.
fn commands(tree: &Command, parent: &str) -> Vec<String> {
    let shown = tree.get_subcommands().filter(|command| !command.is_hide_set());
    shown
        .flat_map(|command| {
            let name = format!("{parent}{}", command.get_name());
            let inner = commands(command, &format!("{name} "));
            [name].into_iter().chain(inner)
        })
        .collect()
}

#[test]
fn each_command_and_each_page_of_the_guide_has_a_page() {
    let commands = commands(&Args::tree(), "");
    let mut expected: BTreeSet<Reference> =
        commands.iter().map(|command| of_command(command)).collect();
    expected.insert(of_command(""));
    expected.extend(guide::PAGES.iter().map(reference));
    let found: BTreeSet<Reference> = sources().into_keys().collect();
    assert_eq!(found, expected);
    let related: BTreeSet<&str> = RELATED.iter().map(|(command, _)| *command).collect();
    assert_eq!(related, commands.iter().map(String::as_str).collect());
}

#[test]
fn every_related_page_exists() {
    let sources = sources();
    for (command, _) in RELATED {
        let mut tree = Args::tree();
        tree.build();
        let found = command.split(' ').try_fold(&tree, |tree, name| tree.find_subcommand(name));
        for page in command::related(found.unwrap(), command) {
            assert!(sources.contains_key(&page), "{command}: {page:?}");
        }
    }
}

#[test]
fn the_page_of_a_command_has_its_options_examples_and_sections() {
    let sources = sources();
    let page = &sources[&of_command("livecopy")];
    for section in ["NAME", "SYNOPSIS", "OPTIONS", "EXAMPLES", "FILES", "ENVIRONMENT", "SEE ALSO"] {
        let heading = [section, &format!("\"{section}\"")].map(|it| format!("\n.SH {it}\n"));
        assert!(heading.iter().any(|it| page.contains(it)), "{section}:\n{page}");
    }
    for text in [
        "glance\\-replicator\\-livecopy \\- Copy missing and update changed images",
        "\nglance\\-replicator livecopy paris lyon \\-\\-image \\*(Aqdebian\\-*\\*(Aq\n",
        ".SH \"EXIT STATUS\"\n.TP\n\\fB0\\fR\nsuccess\n",
        "\\fBglance\\-replicator\\-clouds\\fR(5)",
        // An option that only `--help` shows.
        "\\fB\\-\\-low\\-level\\-retries\\fR",
        "Retry N times a request without image data",
    ] {
        assert!(page.contains(text), "{text}:\n{page}");
    }
    // Options that have no effect on the command, and what only they use.
    for text in ["\\-\\-columns", "\\-\\-chunksize"] {
        assert!(!page.contains(text), "{text}:\n{page}");
    }
    let completion = &sources[&of_command("completion")];
    assert!(!completion.contains("clouds.yaml") && !completion.contains("spool"), "{completion}");
}

#[test]
fn lines_are_short_and_only_pages_with_tables_name_the_preprocessor() {
    for (page, source) in sources() {
        let has_table = source.contains("\n.TS\n");
        assert_eq!(source.starts_with("'\\\" t\n"), has_table, "{page:?}");
        assert!(source.is_ascii(), "{page:?}");
        let heading = source.lines().find(|line| line.starts_with(".TH ")).unwrap();
        assert!(heading.contains(RELEASED) && heading.contains(env!("CARGO_PKG_VERSION")));
        assert!(heading.contains(&page.name.to_uppercase()), "{heading}");
        // What `apropos` and `whatis` read.
        let name = format!("\n.SH NAME\n{} \\- ", page.name.replace('-', "\\-"));
        assert!(source.contains(&name), "{page:?}: {source}");
    }
}
