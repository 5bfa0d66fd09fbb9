//! The console events of Windows: Ctrl-C and Ctrl-Break, and the end of the console or the system.

use replicator_engine::CancelReason;
use tokio::signal::windows::{CtrlBreak, CtrlC, CtrlClose, CtrlShutdown};
use tokio::signal::windows::{ctrl_break, ctrl_c, ctrl_close, ctrl_shutdown};

/// The events that stop the process; `None` if they cannot be received.
pub(super) struct Signals(Option<(CtrlC, CtrlBreak, CtrlClose, CtrlShutdown)>);

impl Signals {
    pub(super) fn listen() -> Self {
        let all =
            || std::io::Result::Ok((ctrl_c()?, ctrl_break()?, ctrl_close()?, ctrl_shutdown()?));
        Self(all().ok())
    }

    /// Waits for the next event.
    pub(super) async fn next(&mut self) -> CancelReason {
        let Some((interrupt, stop, close, shutdown)) = &mut self.0 else {
            return std::future::pending().await;
        };
        tokio::select! {
            _ = interrupt.recv() => CancelReason::Interrupted,
            _ = stop.recv() => CancelReason::Interrupted,
            _ = close.recv() => CancelReason::Terminated,
            _ = shutdown.recv() => CancelReason::Terminated,
        }
    }
}
