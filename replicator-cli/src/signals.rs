//! SIGINT, SIGTERM and SIGHUP.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use replicator_engine::{CancelMode, CancelReason, CancelToken};
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::exit::Exit;
use crate::output;
use crate::progress;

/// Stops a command after a signal. A run that has called [`take_over`](Self::take_over) stops and reports
/// after the first signal. Otherwise, or after a second signal, the process exits immediately.
#[derive(Debug, Default)]
pub(crate) struct SignalHandler {
    stop: Mutex<CancelToken>,
    is_taken_over: AtomicBool,
}

impl SignalHandler {
    /// Returns the handle that tells a run to stop. From now on the first signal only stops this
    /// handle, until [`release`](Self::release) is called.
    pub(crate) fn take_over(&self) -> CancelToken {
        self.is_taken_over.store(true, Ordering::Relaxed);
        let mut stop = self.stop();
        // The time limit applies to each run of a command separately.
        if stop.why() == Some(CancelReason::OutOfTime) {
            *stop = CancelToken::default();
        }
        stop.clone()
    }

    fn stop(&self) -> MutexGuard<'_, CancelToken> {
        self.stop.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes the process exit immediately after the next signal.
    pub(crate) fn release(&self) {
        self.is_taken_over.store(false, Ordering::Relaxed);
    }

    /// Waits for a signal after which the process must exit immediately, and returns the exit code.
    pub(crate) async fn at_once(&self) -> Exit {
        let mut interrupted = signal(SignalKind::interrupt()).ok();
        let mut terminated = signal(SignalKind::terminate()).ok();
        let mut hung_up = match is_hangup_ignored() {
            true => None,
            false => signal(SignalKind::hangup()).ok(),
        };
        let mut has_stopped = false;
        loop {
            let why = tokio::select! {
                () = received(&mut interrupted) => CancelReason::Interrupted,
                () = received(&mut terminated) => CancelReason::Terminated,
                () = received(&mut hung_up) => CancelReason::HungUp,
            };
            if has_stopped || !self.is_taken_over.load(Ordering::Relaxed) {
                let exit = Exit::from(why);
                let done = progress::done();
                progress::end();
                output::stopped(exit, done.as_deref());
                return exit;
            }
            has_stopped = true;
            output::stopping(why);
            self.stop().stop(CancelMode::Abort, why);
        }
    }
}

async fn received(signals: &mut Option<Signal>) {
    match signals {
        Some(signals) => drop(signals.recv().await),
        None => std::future::pending().await,
    }
}

/// Whether the process was started with SIGHUP ignored, as `nohup` does: it is to survive the end of
/// its terminal. A handler would undo that, so there is none where it is not known.
fn is_hangup_ignored() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    ignored(&status).is_none_or(|signals| signals & 1 != 0)
}

/// The ignored signals of a `/proc/PID/status`, one bit for each, SIGHUP first (`man 5 proc`).
fn ignored(status: &str) -> Option<u64> {
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"))?;
    u64::from_str_radix(mask.trim(), 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ignored_signals_are_read_from_the_status_of_a_process() {
        let status = |mask: &str| format!("Name:\tx\nSigBlk:\tffff\nSigIgn:\t{mask}\nSigCgt:\t0\n");
        assert_eq!(ignored(&status("0000000000001001")), Some(0x1001));
        assert_eq!(ignored(&status("0000000000001000")), Some(0x1000));
        assert_eq!(ignored("Name:\tx\n"), None);
    }
}
