//! `cargo xtask cloud`: real Keystones and Glances, set up as operators do. A and B are regions of
//! one cloud, C is a separate cloud.
//!
//! All services listen on 127.0.0.1, and all files are in `cloud/` below Cargo's target directory.
//! Its `endpoints.json` and `clouds.yaml` tell the tests how to reach the services.

mod command;
mod config;
mod endpoints;
mod fill;
mod layout;
mod packages;
mod pki;
mod process;
mod record;
mod reset;
mod services;

use std::fs::{self, File};
use std::thread::{self, ScopedJoinHandle};
use std::time::Instant;

use clap::{Args, Subcommand};
use rustix::fs::{FlockOperation, flock};

use crate::failure::{Context, Failure};
use crate::output::{print, say};
use crate::workspace;
pub(crate) use command::sheltered;
use config::Secret;
pub(crate) use fill::Records;
use layout::Layout;
pub(crate) use packages::NoServices;
use process::Service;
use services::glance::Glance;
use services::keystone::Keystone;
use services::{keystone, memcached, nginx, postgres};

/// The arguments of `cargo xtask cloud`.
#[derive(Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Install missing packages and start the services that are not running.
    Up {
        /// The first of the 20 consecutive loopback ports that the cloud uses. The default is the
        /// port used before, else 15700.
        #[arg(long, env = "CLOUD_PORT_BASE")]
        port_base: Option<u16>,
    },
    /// Stop the services that `up` started.
    Down {
        /// Also delete the data, but not the Python packages.
        #[arg(long)]
        wipe: bool,
    },
    /// Show which services run.
    Status,
    /// Set the lifetime of Keystone tokens until the next `up`.
    TokenLife {
        /// The lifetime in seconds.
        seconds: u32,
    },
    /// Delete everything in a Glance, so that even deleted image ids can be used again.
    Reset {
        /// The Glance to empty.
        glance: Glance,
    },
}

/// Installs and starts the cloud, on the ports it used before or else on the default ports.
pub(crate) fn start() -> Result<(), Failure> {
    let layout = Layout::new(workspace::target()?.join("cloud"), None)?;
    locked(&layout, up)
}

/// Starts the cloud on its default ports, with nothing but these records in each of A and B.
pub(crate) fn start_with_images(records: Records) -> Result<(), Failure> {
    start()?;
    let layout = Layout::new(workspace::target()?.join("cloud"), None)?;
    locked(&layout, |layout| {
        for glance in [Glance::A, Glance::B] {
            reset::reset(layout, glance)?;
            fill::fill(layout, glance, records)?;
        }
        Ok(())
    })
}

/// Empties A and B.
pub(crate) fn empty() -> Result<(), Failure> {
    reset_all(&[Glance::A, Glance::B])
}

/// Empties B.
pub(crate) fn empty_target() -> Result<(), Failure> {
    reset_all(&[Glance::B])
}

fn reset_all(glances: &[Glance]) -> Result<(), Failure> {
    let layout = Layout::new(workspace::target()?.join("cloud"), None)?;
    locked(&layout, |layout| glances.iter().try_for_each(|glance| reset::reset(layout, *glance)))
}

/// Runs one of the subcommands.
pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let port_base = match arguments.command {
        Command::Up { port_base } => port_base,
        _ => None,
    };
    let layout = Layout::new(workspace::target()?.join("cloud"), port_base)?;
    match arguments.command {
        Command::Up { .. } => locked(&layout, up),
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

/// Runs one `up` or `down` at a time, under a lock.
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
    for keystone in Keystone::ALL {
        process::start(layout, memcached::service(layout, &programs, keystone))?;
    }
    start_together(layout, applications(layout, &secret)?)?;
    process::start(layout, nginx::service(layout, &programs)?)?;
    keystone::fill_catalogs(layout, &secret)?;
    endpoints::write(layout)?;
    say(format_args!(
        "cloud: up after {:.1} s, see {}",
        begin.elapsed().as_secs_f64(),
        layout.path("endpoints.json").display()
    ));
    Ok(())
}

/// Returns the Keystones and Glances as services. Their databases are filled concurrently.
fn applications(layout: &Layout, secret: &Secret) -> Result<Vec<Service>, Failure> {
    thread::scope(|scope| {
        let keystones = Keystone::ALL.map(|keystone| {
            scope.spawn(move || keystone.service(layout, secret, keystone::TOKEN_LIFE))
        });
        let glances = Glance::ALL.map(|glance| scope.spawn(move || glance.service(layout, secret)));
        let ended = |thread: ScopedJoinHandle<'_, _>| {
            thread.join().map_err(|_| Failure::new("a preparation panicked"))?
        };
        keystones.into_iter().chain(glances).map(ended).collect()
    })
}

/// Restarts the Keystones whose token lifetime differs from `seconds`.
fn set_token_life(layout: &Layout, seconds: u32) -> Result<(), Failure> {
    let secret = config::secret(layout)?;
    let keystones = Keystone::ALL.map(|keystone| keystone.service(layout, &secret, seconds));
    start_together(layout, keystones.into_iter().collect::<Result<_, _>>()?)?;
    say(format_args!("cloud: tokens live {seconds} s"));
    Ok(())
}

/// Starts the services that take long concurrently.
fn start_together(layout: &Layout, services: Vec<Service>) -> Result<(), Failure> {
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

/// Removes the files that `up` created, and no others.
fn wipe(layout: &Layout) -> Result<(), Failure> {
    const MADE: [&str; 13] = [
        "clouds.yaml",
        "endpoints.json",
        "etc",
        "glance-a",
        "glance-b",
        "glance-c",
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
            Some(pid) => print(format_args!("{name:<11} runs, process {pid}")),
            None => print(format_args!("{name:<11} stopped")),
        }
    }
    let endpoints = layout.path("endpoints.json");
    if endpoints.exists() {
        print(format_args!("endpoints   {}", endpoints.display()));
    }
    Ok(())
}
