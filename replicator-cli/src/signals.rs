//! Signals, which end a command before its end.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use replicator_engine::{Level, Stop, Why};
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::exit::Exit;
use crate::output;

/// By what a command is ended. A run that heeds it ends itself at the first signal, and reports; else,
/// and at a second signal, the process ends at once.
#[derive(Debug, Default)]
pub(crate) struct Stopping {
    stop: Mutex<Stop>,
    is_heeded: AtomicBool,
}

impl Stopping {
    /// The handle by which runs are told to end. Whoever asks for it heeds it, until he
    /// [lets it be](Self::let_be).
    pub(crate) fn heed(&self) -> Stop {
        self.is_heeded.store(true, Ordering::Relaxed);
        let mut stop = self.stop();
        // The next run of the same command has time of its own.
        if stop.why() == Some(Why::OutOfTime) {
            *stop = Stop::default();
        }
        stop.clone()
    }

    fn stop(&self) -> MutexGuard<'_, Stop> {
        self.stop.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From now on a signal ends the process at once, the first one too.
    pub(crate) fn let_be(&self) {
        self.is_heeded.store(false, Ordering::Relaxed);
    }

    /// Waits until the process is to end at once.
    pub(crate) async fn at_once(&self) -> Exit {
        let mut interrupted = signal(SignalKind::interrupt()).ok();
        let mut terminated = signal(SignalKind::terminate()).ok();
        let mut is_told = false;
        loop {
            let why = tokio::select! {
                () = received(&mut interrupted) => Why::Interrupted,
                () = received(&mut terminated) => Why::Terminated,
            };
            if is_told || !self.is_heeded.load(Ordering::Relaxed) {
                let exit = Exit::from(why);
                output::stopped(exit);
                return exit;
            }
            is_told = true;
            output::stopping(why);
            self.stop().stop(Level::BreakOff, why);
        }
    }
}

async fn received(signals: &mut Option<Signal>) {
    match signals {
        Some(signals) => drop(signals.recv().await),
        None => std::future::pending().await,
    }
}
