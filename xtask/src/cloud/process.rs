//! Processes: started in sessions of their own, known again later, stopped without harm to others.

use std::fs::{self, File};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process, kill_process_group};

use super::config::write_private;
use super::layout::Layout;
use crate::failure::{Context, Failure};
use crate::say::say;

const READY_DEADLINE: Duration = Duration::from_secs(90);
const STOP_DEADLINE: Duration = Duration::from_secs(15);
const POLL: Duration = Duration::from_millis(50);

/// A program that keeps running in the foreground.
pub(crate) struct Service {
    pub(crate) name: &'static str,
    pub(crate) command: Command,
    /// The text of its configuration files: when it changes, the service is started anew.
    pub(crate) configuration: String,
    /// The ports it is about to take.
    pub(crate) ports: Vec<u16>,
    pub(crate) ready: Ready,
}

/// How to see that a service is ready.
pub(crate) enum Ready {
    /// All its ports accept connections.
    Connect,
    /// This path is answered, on the first port, by one of the statuses.
    Http { path: &'static str, statuses: &'static [u16] },
}

impl Service {
    /// All services in the order of their start.
    pub(crate) const NAMES: [&str; 6] =
        ["postgres", "memcached", "keystone", "glance-a", "glance-b", "nginx"];

    fn fingerprint(&self) -> String {
        let mut hasher = DefaultHasher::new();
        format!("{:?}", self.command).hash(&mut hasher);
        self.configuration.hash(&mut hasher);
        self.ports.hash(&mut hasher);
        format!("{:016x}", hasher.finish())
    }
}

/// What [`spawn`] did.
pub(crate) enum Started {
    /// It ran already, as configured.
    Before,
    /// It was started, but need not be ready.
    Now(Child),
}

/// Starts a service if it does not run, and waits until it is ready.
pub(crate) fn start(layout: &Layout, service: &Service) -> Result<(), Failure> {
    let started = spawn(layout, service)?;
    wait_until_ready(layout, service, started)
}

/// Starts a service if it does not run as configured.
pub(crate) fn spawn(layout: &Layout, service: &Service) -> Result<Started, Failure> {
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
    let child = detached(layout, service)?;
    Record::of(child.id(), fingerprint)?.write(layout, service.name)?;
    Ok(Started::Now(child))
}

/// Waits until a service is ready; a service that ran before is taken to be.
pub(crate) fn wait_until_ready(
    layout: &Layout,
    service: &Service,
    started: Started,
) -> Result<(), Failure> {
    let Started::Now(mut child) = started else { return Ok(()) };
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

/// Stops a service if it is still the process that was started.
pub(crate) fn stop(layout: &Layout, name: &str) -> Result<(), Failure> {
    let Some(record) = Record::read(layout, name)? else { return Ok(()) };
    if record.is_alive() {
        say(format_args!("cloud: stopping {name}"));
        record.end(stop_signal(name)).context(|| format!("cannot stop {name}"))?;
    }
    let path = Record::path(layout, name);
    fs::remove_file(&path).context(|| format!("cannot remove {}", path.display()))
}

/// The process of a service, if it runs.
pub(crate) fn running(layout: &Layout, name: &str) -> Result<Option<u32>, Failure> {
    let record = Record::read(layout, name)?.filter(Record::is_alive);
    Ok(record.map(|record| record.pid))
}

/// A command that sees nothing of the caller's proxies, trust stores and clouds.
pub(crate) fn sheltered(program: impl AsRef<std::ffi::OsStr>) -> Command {
    const HARMFUL: [&str; 13] = [
        "CURL_CA_BUNDLE", "REQUESTS_CA_BUNDLE", "SSL_CERT_DIR", "SSL_CERT_FILE", "PYTHONPATH",
        "ALL_PROXY", "HTTPS_PROXY", "HTTP_PROXY", "NO_PROXY",
        "all_proxy", "https_proxy", "http_proxy", "no_proxy",
    ];
    let mut command = Command::new(program);
    for name in HARMFUL {
        command.env_remove(name);
    }
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("OS_") {
            command.env_remove(name);
        }
    }
    command
}

/// Runs a command to its end, its output in a log file.
pub(crate) fn finish(layout: &Layout, log: &str, command: &mut Command) -> Result<(), Failure> {
    let log = layout.log(log);
    let program = command.get_program().to_string_lossy().into_owned();
    let (output, errors) = log_files(&log)?;
    let status = command
        .stdin(Stdio::null())
        .stdout(output)
        .stderr(errors)
        .status()
        .context(|| format!("cannot run {program}"))?;
    if status.success() {
        return Ok(());
    }
    Err(Failure::new(format!("{program} failed ({status}){}", tail(&log))))
}

/// Where a log is and how it ends, for an error message.
fn tail(log: &Path) -> String {
    let text = fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<&str> = text.lines().collect();
    let last = lines[lines.len().saturating_sub(20)..].join("\n");
    format!("\nthe log {} ends so:\n{last}", log.display())
}

fn log_files(log: &Path) -> Result<(File, File), Failure> {
    File::options()
        .create(true)
        .append(true)
        .open(log)
        .and_then(|file| Ok((file.try_clone()?, file)))
        .context(|| format!("cannot open {}", log.display()))
}

/// Starts the service in a session of its own, so that neither a closed terminal nor Ctrl-C ends it.
fn detached(layout: &Layout, service: &Service) -> Result<Child, Failure> {
    let (output, errors) = log_files(&layout.log(service.name))?;
    let mut command = Command::new("setsid");
    command.arg(service.command.get_program()).args(service.command.get_args());
    for (name, value) in service.command.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    // setsid executes the program in its own place: the process id stays.
    command
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(output)
        .stderr(errors)
        .spawn()
        .context(|| format!("cannot start {}", service.name))
}

fn stop_signal(name: &str) -> Signal {
    match name {
        // uWSGI ends its workers at once, PostgreSQL its sessions; by TERM both would wait for them.
        "postgres" | "keystone" | "glance-a" | "glance-b" => Signal::INT,
        _ => Signal::TERM,
    }
}

fn is_ready(service: &Service) -> bool {
    match service.ready {
        Ready::Connect => service.ports.iter().all(|&port| connect(port).is_some()),
        Ready::Http { path, statuses } => {
            service.ports.first().and_then(|&port| http_status(port, path)).is_some_and(|status| statuses.contains(&status))
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

/// Which process a service is. A process id alone would not do: the system uses ids again.
struct Record {
    pid: u32,
    /// When the process began, in clock ticks since the boot.
    began: u64,
    boot: String,
    fingerprint: String,
}

impl Record {
    fn path(layout: &Layout, name: &str) -> std::path::PathBuf {
        layout.path("run").join(format!("{name}.pid"))
    }

    fn of(pid: u32, fingerprint: String) -> Result<Self, Failure> {
        let process = ProcessState::of(pid)
            .ok_or_else(|| Failure::new(format!("process {pid} ended at once")))?;
        Ok(Self { pid, began: process.began, boot: boot_id()?, fingerprint })
    }

    fn read(layout: &Layout, name: &str) -> Result<Option<Self>, Failure> {
        let path = Self::path(layout, name);
        if !path.exists() {
            return Ok(None);
        }
        let text =
            fs::read_to_string(&path).context(|| format!("cannot read {}", path.display()))?;
        let record = Self::parse(&text)
            .ok_or_else(|| Failure::new(format!("{} is not a record of ours", path.display())))?;
        Ok(Some(record))
    }

    fn parse(text: &str) -> Option<Self> {
        let mut words = text.split_whitespace();
        Some(Self {
            pid: words.next()?.parse().ok()?,
            began: words.next()?.parse().ok()?,
            boot: words.next()?.to_owned(),
            fingerprint: words.next()?.to_owned(),
        })
    }

    fn write(&self, layout: &Layout, name: &str) -> Result<(), Failure> {
        let Self { pid, began, boot, fingerprint } = self;
        let text = format!("{pid} {began} {boot} {fingerprint}\n");
        write_private(&Self::path(layout, name), &text)
    }

    fn is_alive(&self) -> bool {
        let same_boot = boot_id().is_ok_and(|boot| boot == self.boot);
        same_boot
            && ProcessState::of(self.pid)
                .is_some_and(|process| process.began == self.began && !process.is_zombie)
    }

    fn end(&self, signal: Signal) -> Result<(), Failure> {
        let pid = i32::try_from(self.pid)
            .ok()
            .and_then(Pid::from_raw)
            .ok_or_else(|| Failure::new(format!("{} is no process id", self.pid)))?;
        if self.ends_by(|| kill_process(pid, signal))
            || self.ends_by(|| kill_process_group(pid, Signal::KILL))
        {
            return Ok(());
        }
        Err(Failure::new(format!("process {pid} is still there")))
    }

    fn ends_by(&self, kill: impl FnOnce() -> rustix::io::Result<()>) -> bool {
        // A process that just ended cannot be signalled; the poll sees that it is gone.
        let _ = kill();
        let deadline = Instant::now() + STOP_DEADLINE;
        while self.is_alive() {
            if Instant::now() > deadline {
                return false;
            }
            sleep(POLL);
        }
        true
    }
}

/// What the kernel says about a process.
struct ProcessState {
    began: u64,
    is_zombie: bool,
}

impl ProcessState {
    fn of(pid: u32) -> Option<Self> {
        let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // The name in parentheses may hold spaces; what follows it does not.
        let (_, fields) = text.rsplit_once(") ")?;
        let fields: Vec<&str> = fields.split(' ').collect();
        Some(Self {
            is_zombie: matches!(*fields.first()?, "Z" | "X"),
            began: fields.get(19)?.parse().ok()?,
        })
    }
}

fn boot_id() -> Result<String, Failure> {
    fs::read_to_string("/proc/sys/kernel/random/boot_id")
        .map(|text| text.trim().to_owned())
        .context(|| "cannot read the boot id")
}
