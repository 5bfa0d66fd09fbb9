//! What the tool prints if its command line is empty.

use crate::exit::Exit;
use crate::output::{self, chain};
use crate::resolve::sign_in;

/// Prints what the tool is, the clouds it found, and where to begin.
///
/// The exit is that of a usage error, as with `uv` and every tool that is built on clap: a script
/// whose command got lost has copied nothing and must notice. The screen goes to standard error, so
/// that no program takes it for results.
pub(crate) fn first_screen() -> Exit {
    err!("glance-replicator copies machine images between OpenStack Glance services over");
    err!("verified HTTPS, and verifies that every replica equals its original.");
    err!("");
    clouds();
    err!("");
    err!("Start with one of these commands, for clouds `a` and `b`:");
    for (about, example) in COMMANDS {
        err!("  {about}");
        err!("      glance-replicator {example}");
    }
    err!("");
    err!("-n shows what a command would do. A store is a cloud, a URL or a directory.");
    err!("All commands: glance-replicator -h");
    err!("Options of one: glance-replicator COMMAND -h");
    err!("The guide: glance-replicator help");
    Exit::Usage
}

/// Five commands, each with an example.
const COMMANDS: &[(&str, &str)] = &[
    ("doctor    check trust, certificates, sign-in and permissions", "doctor a b"),
    ("livecopy  copy missing images, and update changed ones", "livecopy a b --image 'debian-*'"),
    ("compare   report how the images of two stores differ", "compare a b"),
    ("sync      like livecopy; can remove what the source no longer has", "sync a b --delete hide"),
    ("dump      write images to a directory; `load` reads them back", "dump a ./images"),
];

fn clouds() {
    let clouds = match sign_in::clouds() {
        Ok(clouds) => clouds,
        Err(error) => {
            err!("Clouds: {}", chain(&error).join(": "));
            error.hint.iter().for_each(|hint| err!("  hint: {hint}"));
            return;
        }
    };
    let names: Vec<&str> = clouds.names().collect();
    match names.len() {
        0 => {
            err!("Clouds: {}", clouds.absence(""));
            EXAMPLE.lines().for_each(output::message_line);
        }
        1..=SHOWN => err!("Clouds: {}", names.join(", ")),
        all => err!(
            "Clouds: {}, and {} more (glance-replicator clouds)",
            names[..SHOWN].join(", "),
            all - SHOWN
        ),
    }
}

/// The number of clouds that the screen names.
const SHOWN: usize = 8;

const EXAMPLE: &str = "  An example of a clouds.yaml:
    clouds:
      a:
        auth: {auth_url: https://keystone.example.org/v3, username: me,
               user_domain_name: Default, project_domain_name: Default,
               project_name: images}
  The tool asks for a missing password. Dashboards offer the file for download,
  under API Access. More: glance-replicator help sign-in";
