//! Which process a service is, so that only that one is ever stopped.

use std::fs;
use std::path::PathBuf;
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process, kill_process_group};

use super::config::write_private;
use super::layout::Layout;
use crate::failure::{Context, Failure};

/// Which process a service is. A process id alone would not do: the system uses ids again.
pub(crate) struct Record {
    pub(crate) pid: u32,
    /// When the process began, in clock ticks since the boot.
    began: u64,
    boot: String,
    /// Of the configuration it was started with.
    pub(crate) fingerprint: String,
}

impl Record {
    fn path(layout: &Layout, name: &str) -> PathBuf {
        layout.path("run").join(format!("{name}.pid"))
    }

    /// The record of a process that was just started.
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

    /// Keeps the record for the next command.
    pub(crate) fn write(&self, layout: &Layout, name: &str) -> Result<(), Failure> {
        let Self { pid, began, boot, fingerprint } = self;
        let text = format!("{pid} {began} {boot} {fingerprint}\n");
        write_private(&Self::path(layout, name), &text)
    }

    /// Whether the process still runs and is the same one.
    pub(crate) fn is_alive(&self) -> bool {
        let same_boot = boot_id().is_ok_and(|boot| boot == self.boot);
        same_boot
            && ProcessState::of(self.pid)
                .is_some_and(|process| process.began == self.began && !process.is_zombie)
    }

    /// Ends the process by `signal`, or by force when that does not help.
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

const STOP_DEADLINE: Duration = Duration::from_secs(15);
const POLL: Duration = Duration::from_millis(20);
