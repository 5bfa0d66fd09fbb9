//! `cargo xtask cloud`: a real Keystone and two real Glances, as an operator runs them.
//!
//! Everything listens on 127.0.0.1 and lives in `cloud/` below Cargo's target directory. What tests
//! need to know stands in `endpoints.json` and `clouds.yaml` there.

mod command;
mod config;
mod endpoints;
mod glance;
mod keystone;
mod layout;
mod memcached;
mod nginx;
mod packages;
mod pki;
mod postgres;
mod process;
mod record;
mod reset;
mod uwsgi;

use std::fs::{self, File};
use std::time::Instant;

use clap::{Args, Subcommand};
use rustix::fs::{FlockOperation, flock};

use crate::failure::{Context, Failure};
use crate::say::{print, say};
use crate::workspace;
use glance::Glance;
use keystone::Keystone;
use layout::{DEFAULT_PORT_BASE, Layout};
use process::Service;

/// What to do with the cloud.
#[derive(Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Command,
    /// The first of the loopback ports that the cloud takes (15 in a row).
    #[arg(long, global = true, env = "CLOUD_PORT_BASE", default_value_t = DEFAULT_PORT_BASE)]
    port_base: u16,
}

#[derive(Subcommand)]
enum Command {
    /// Install what is missing and start what does not run.
    Up,
    /// Stop what `up` started.
    Down {
        /// Delete the data too, but not the Python packages.
        #[arg(long)]
        wipe: bool,
    },
    /// Show what runs.
    Status,
    /// Have Keystone give tokens that live this long, until the next `up`.
    TokenLife {
        /// Seconds.
        seconds: u32,
    },
    /// Empty a Glance, so that even deleted ids can be used again.
    Reset {
        /// Which Glance.
        glance: Glance,
    },
}

/// Installs and starts the cloud, on its default ports.
pub(crate) fn start() -> Result<(), Failure> {
    let layout = Layout::new(workspace::target()?.join("cloud"), DEFAULT_PORT_BASE)?;
    locked(&layout, up)
}

/// Runs one of the subcommands.
pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let layout = Layout::new(workspace::target()?.join("cloud"), arguments.port_base)?;
    match arguments.command {
        Command::Up => locked(&layout, up),
        Command::Down { wipe: false } => locked(&layout, down),
        Command::Down { wipe: true } => locked(&layout, |layout| {
            down(layout)?;
            wipe(layout)
        }),
        Command::Status => status(&layout),
        Command::TokenLife { seconds } => locked(&layout, |layout| set_token_life(layout, seconds)),
        Command::Reset { glance } => locked(&layout, |layout| reset::reset(layout, glance)),
    }
}

/// One `up` or `down` at a time.
fn locked(
    layout: &Layout,
    action: impl FnOnce(&Layout) -> Result<(), Failure>,
) -> Result<(), Failure> {
    if !rustix::process::geteuid().is_root() {
        return Err(Failure::new("the cloud needs root: it installs packages and switches users"));
    }
    fs::create_dir_all(layout.dir()).context(|| "cannot make the cloud's directory")?;
    let path = layout.path("lock");
    let lock = File::create(&path).context(|| format!("cannot open {}", path.display()))?;
    flock(&lock, FlockOperation::LockExclusive)
        .context(|| format!("cannot lock {}", path.display()))?;
    action(layout)
}

fn up(layout: &Layout) -> Result<(), Failure> {
    let begin = Instant::now();
    layout.make_directories()?;
    let programs = packages::install(layout)?;
    pki::make(layout)?;
    let secret = config::secret(layout)?;

    postgres::start(layout, &programs, &secret)?;
    process::start(layout, memcached::service(layout, &programs))?;
    let services = [
        Keystone::prepare(layout, &secret, keystone::TOKEN_LIFE)?.service(layout)?,
        Glance::A.prepare(layout, &secret)?.service(layout)?,
        Glance::B.prepare(layout, &secret)?.service(layout)?,
    ];
    start_together(layout, services)?;
    process::start(layout, nginx::service(layout, &programs)?)?;
    keystone::fill_catalogue(layout, &secret)?;
    endpoints::write(layout)?;
    say(format_args!(
        "cloud: up after {:.1} s, see {}",
        begin.elapsed().as_secs_f64(),
        layout.path("endpoints.json").display()
    ));
    Ok(())
}

/// Starts Keystone anew when its tokens live longer or shorter than that.
fn set_token_life(layout: &Layout, seconds: u32) -> Result<(), Failure> {
    let secret = config::secret(layout)?;
    let keystone = Keystone::prepare(layout, &secret, seconds)?.service(layout)?;
    process::start(layout, keystone)?;
    say(format_args!("cloud: tokens live {seconds} s"));
    Ok(())
}

/// Starts what takes long at the same time.
fn start_together(layout: &Layout, services: [Service; 3]) -> Result<(), Failure> {
    let mut waiting = Vec::new();
    for mut service in services {
        let started = process::spawn(layout, &mut service)?;
        waiting.push((service, started));
    }
    for (service, started) in waiting {
        process::wait_until_ready(layout, &service, started)?;
    }
    Ok(())
}

fn down(layout: &Layout) -> Result<(), Failure> {
    for service in Service::NAMES.iter().rev() {
        process::stop(layout, service)?;
    }
    say("cloud: down");
    Ok(())
}

/// Removes what `up` made, but nothing that someone else put there.
fn wipe(layout: &Layout) -> Result<(), Failure> {
    const MADE: [&str; 12] = [
        "clouds.yaml",
        "endpoints.json",
        "etc",
        "glance-a",
        "glance-b",
        "ids.json",
        "log",
        "nginx",
        "pki",
        "run",
        "secret",
        "totp.json",
    ];
    postgres::remove(layout)?;
    for name in MADE {
        let path = layout.path(name);
        let removed = if path.is_dir() {
            fs::remove_dir_all(&path)
        } else if path.exists() {
            fs::remove_file(&path)
        } else {
            continue;
        };
        removed.context(|| format!("cannot remove {}", path.display()))?;
    }
    say("cloud: data removed");
    Ok(())
}

fn status(layout: &Layout) -> Result<(), Failure> {
    for name in Service::NAMES {
        match process::running(layout, name)? {
            Some(pid) => print(format_args!("{name:<10} runs, process {pid}")),
            None => print(format_args!("{name:<10} stopped")),
        }
    }
    let endpoints = layout.path("endpoints.json");
    if endpoints.exists() {
        print(format_args!("endpoints  {}", endpoints.display()));
    }
    Ok(())
}
