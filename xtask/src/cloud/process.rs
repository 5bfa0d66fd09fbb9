//! Services: started unless they run as configured, waited for, stopped.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use super::command::{log_files, sheltered, tail};
use super::layout::Layout;
use super::record::Record;
use crate::failure::{Context, Failure};
use crate::output::say;

/// A program that keeps running in the foreground.
pub(crate) struct Service {
    pub(crate) name: &'static str,
    /// The command, built by `command::detached`.
    pub(crate) command: Command,
    /// The text of the configuration files. A changed text restarts the service.
    pub(crate) configuration: String,
    /// The ports that the service will listen on.
    pub(crate) ports: Vec<u16>,
    pub(crate) ready: Ready,
}

/// How to tell that a service is ready.
pub(crate) enum Ready {
    /// All ports of the service accept connections.
    Connect,
    /// This command succeeds.
    Command { program: PathBuf, arguments: Vec<String> },
    /// A request for this path on the first port is answered with one of these statuses.
    Http { path: &'static str, statuses: &'static [u16] },
}

impl Service {
    /// All services in the order of their start.
    #[rustfmt::skip]
    pub(crate) const NAMES: [&str; 9] = [
        "postgres", "memcached", "memcached-c", "keystone", "keystone-c", "glance-a", "glance-b",
        "glance-c", "nginx",
    ];

    fn fingerprint(&self) -> String {
        let mut hasher = DefaultHasher::new();
        self.command.get_args().for_each(|argument| argument.hash(&mut hasher));
        self.configuration.hash(&mut hasher);
        self.ports.hash(&mut hasher);
        format!("{:016x}", hasher.finish())
    }
}

/// The result of [`spawn`].
pub(crate) enum Started {
    /// The service already ran, as configured.
    Before,
    /// The service was started and may not be ready yet.
    Now(Child),
}

/// Starts a service unless it runs, and waits until it is ready.
pub(crate) fn start(layout: &Layout, mut service: Service) -> Result<(), Failure> {
    let started = spawn(layout, &mut service)?;
    wait_until_ready(layout, &service, started)
}

/// Starts a service unless it runs as configured.
pub(crate) fn spawn(layout: &Layout, service: &mut Service) -> Result<Started, Failure> {
    let fingerprint = service.fingerprint();
    if let Some(record) = Record::read(layout, service.name)? {
        if record.is_alive() && record.fingerprint == fingerprint {
            return Ok(Started::Before);
        }
    }
    stop(layout, service.name)?;
    for &port in &service.ports {
        TcpListener::bind((Ipv4Addr::LOCALHOST, port)).context(|| {
            format!("port {port} for {} (move all by CLOUD_PORT_BASE)", service.name)
        })?;
    }
    say(format_args!("cloud: starting {}", service.name));
    let (output, errors) = log_files(&layout.log(service.name))?;
    let child = service
        .command
        .stdout(output)
        .stderr(errors)
        .spawn()
        .context(|| format!("cannot start {}", service.name))?;
    Record::of(child.id(), fingerprint)?.write(layout, service.name)?;
    Ok(Started::Now(child))
}

/// Waits until a service is ready. A service that already ran counts as ready.
pub(crate) fn wait_until_ready(
    layout: &Layout,
    service: &Service,
    started: Started,
) -> Result<(), Failure> {
    let Started::Now(mut child) = started else {
        return Ok(());
    };
    let log = layout.log(service.name);
    let deadline = Instant::now() + READY_DEADLINE;
    while !is_ready(service) {
        let ended = child.try_wait().context(|| format!("cannot watch {}", service.name))?;
        let trouble = match ended {
            Some(status) => format!("{} ended at once ({status})", service.name),
            None if Instant::now() > deadline => format!("{} is not ready in time", service.name),
            None => {
                sleep(POLL);
                continue;
            }
        };
        return Err(Failure::new(format!("{trouble}{}", tail(&log))));
    }
    Ok(())
}

/// Stops a service if its process is still the one that was started.
pub(crate) fn stop(layout: &Layout, name: &str) -> Result<(), Failure> {
    let Some(record) = Record::read(layout, name)? else {
        return Ok(());
    };
    if record.is_alive() {
        say(format_args!("cloud: stopping {name}"));
        record.end(stop_signal(name)).context(|| format!("cannot stop {name}"))?;
    }
    Record::forget(layout, name)
}

/// The process id of a service, if it runs.
pub(crate) fn running(layout: &Layout, name: &str) -> Result<Option<u32>, Failure> {
    let record = Record::read(layout, name)?.filter(Record::is_alive);
    Ok(record.map(|record| record.pid))
}

fn stop_signal(name: &str) -> Signal {
    match name {
        "memcached" | "memcached-c" | "nginx" => Signal::TERM,
        // On INT, uWSGI ends its workers and PostgreSQL its sessions; on TERM both would wait.
        _ => Signal::INT,
    }
}

fn is_ready(service: &Service) -> bool {
    match &service.ready {
        Ready::Connect => service.ports.iter().all(|&port| connect(port).is_some()),
        Ready::Command { program, arguments } => {
            let mut command = sheltered(program);
            command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null());
            command.status().is_ok_and(|status| status.success())
        }
        Ready::Http { path, statuses } => {
            let status = service.ports.first().and_then(|&port| http_status(port, path));
            status.is_some_and(|status| statuses.contains(&status))
        }
    }
}

fn connect(port: u16) -> Option<TcpStream> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    TcpStream::connect_timeout(&address, Duration::from_secs(1)).ok()
}

fn http_status(port: u16, path: &str) -> Option<u16> {
    let mut stream = connect(port)?;
    stream.set_read_timeout(Some(Duration::from_secs(30))).ok()?;
    write!(stream, "GET {path} HTTP/1.0\r\nHost: localhost:{port}\r\n\r\n").ok()?;
    let mut head = Vec::new();
    stream.take(12).read_to_end(&mut head).ok()?;
    String::from_utf8(head).ok()?.split(' ').nth(1)?.parse().ok()
}

const READY_DEADLINE: Duration = Duration::from_secs(90);
const POLL: Duration = Duration::from_millis(20);
