//! The signals of Unix.

use replicator_engine::CancelReason;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// The signals that stop the process; `None` for one that cannot be received.
pub(super) struct Signals {
    interrupted: Option<Signal>,
    terminated: Option<Signal>,
}

impl Signals {
    pub(super) fn listen() -> Self {
        Self {
            interrupted: signal(SignalKind::interrupt()).ok(),
            terminated: signal(SignalKind::terminate()).ok(),
        }
    }

    /// Waits for the next signal.
    pub(super) async fn next(&mut self) -> CancelReason {
        tokio::select! {
            () = received(&mut self.interrupted) => CancelReason::Interrupted,
            () = received(&mut self.terminated) => CancelReason::Terminated,
        }
    }
}

async fn received(signal: &mut Option<Signal>) {
    match signal {
        Some(signal) => drop(signal.recv().await),
        None => std::future::pending().await,
    }
}
