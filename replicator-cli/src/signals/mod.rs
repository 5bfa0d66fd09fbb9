//! SIGINT and SIGTERM, and the console events of Windows that stand for them.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use replicator_engine::{CancelMode, CancelReason, CancelToken};

use crate::exit::Exit;
use crate::output;
use crate::progress;
use sources::Signals;

#[cfg_attr(unix, path = "unix.rs")]
#[cfg_attr(windows, path = "windows.rs")]
mod sources;

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
        let mut signals = Signals::listen();
        let mut has_stopped = false;
        loop {
            let why = signals.next().await;
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
