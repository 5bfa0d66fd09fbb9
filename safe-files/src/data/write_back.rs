//! Writeback of a file while it grows.

use std::fs::File;
use std::io;
use std::sync::Arc;

use tokio::task::JoinHandle;

use crate::dir::{self, blocking};

/// Starts writeback while data is arriving, so that the final sync has little left to do.
pub(super) struct WriteBack {
    file: Arc<File>,
    /// Bytes received since the last writeback started.
    since: u64,
    under_way: Option<JoinHandle<io::Result<()>>>,
}

impl WriteBack {
    pub(super) fn of(file: Arc<File>) -> Self {
        Self { file, since: 0, under_way: None }
    }

    pub(super) async fn passes(&mut self, bytes: usize) -> io::Result<()> {
        self.since += bytes as u64;
        let is_busy = self.under_way.as_ref().is_some_and(|earlier| !earlier.is_finished());
        if self.since < WRITE_BACK || is_busy {
            return Ok(());
        }
        self.end().await?;
        self.since = 0;
        let file = Arc::clone(&self.file);
        self.under_way = Some(tokio::task::spawn_blocking(move || dir::sync_data(&file)));
        Ok(())
    }

    async fn end(&mut self) -> io::Result<()> {
        match self.under_way.take() {
            Some(earlier) => earlier.await.map_err(io::Error::other)?,
            None => Ok(()),
        }
    }

    /// Waits until all data is on the disk.
    pub(super) async fn finish(mut self) -> io::Result<()> {
        self.end().await?;
        blocking(move || dir::sync_all(&self.file)).await
    }
}

/// Bytes per writeback.
const WRITE_BACK: u64 = 64 << 20;
