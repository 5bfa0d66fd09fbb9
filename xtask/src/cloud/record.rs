//! Records of the services' processes, so that no other process is ever stopped.

use std::fs;
use std::path::PathBuf;
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process, kill_process_group};

use super::config::write_private;
use super::layout::Layout;
use crate::failure::{Context, Failure};

/// Identifies the process of a service. A process id alone would not do, because ids are reused.
pub(crate) struct Record {
    pub(crate) pid: u32,
    /// The start time of the process, in clock ticks since boot.
    began: u64,
    boot: String,
    /// The fingerprint of the configuration that the service was started with.
    pub(crate) fingerprint: String,
}

impl Record {
    fn path(layout: &Layout, name: &str) -> PathBuf {
        layout.path("run").join(format!("{name}.pid"))
    }

    /// The record of a newly started process.
    pub(crate) fn of(pid: u32, fingerprint: String) -> Result<Self, Failure> {
        let process = ProcessState::of(pid)
            .ok_or_else(|| Failure::new(format!("process {pid} ended at once")))?;
        Ok(Self { pid, began: process.began, boot: boot_id()?, fingerprint })
    }

    /// The record of a service, if it was started.
    pub(crate) fn read(layout: &Layout, name: &str) -> Result<Option<Self>, Failure> {
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

    /// Removes the record of a service.
    pub(crate) fn forget(layout: &Layout, name: &str) -> Result<(), Failure> {
        let path = Self::path(layout, name);
        fs::remove_file(&path).context(|| format!("cannot remove {}", path.display()))
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

    /// Writes the record for later commands.
    pub(crate) fn write(&self, layout: &Layout, name: &str) -> Result<(), Failure> {
        let Self { pid, began, boot, fingerprint } = self;
        let text = format!("{pid} {began} {boot} {fingerprint}\n");
        write_private(&Self::path(layout, name), &text)
    }

    /// Whether the process still runs and is the recorded one.
    pub(crate) fn is_alive(&self) -> bool {
        let same_boot = boot_id().is_ok_and(|boot| boot == self.boot);
        same_boot
            && ProcessState::of(self.pid)
                .is_some_and(|process| process.began == self.began && !process.is_zombie)
    }

    /// Ends the process with `signal`, and kills it if that does not suffice.
    pub(crate) fn end(&self, signal: Signal) -> Result<(), Failure> {
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
        // Signalling a process that has just ended fails; the poll notices that it is gone.
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

/// The kernel's data about a process.
struct ProcessState {
    began: u64,
    is_zombie: bool,
}

impl ProcessState {
    fn of(pid: u32) -> Option<Self> {
        let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // The name in parentheses may contain spaces; the fields after it do not.
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

const STOP_DEADLINE: Duration = Duration::from_secs(15);
const POLL: Duration = Duration::from_millis(20);
