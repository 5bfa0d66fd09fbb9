//! One read of the source, shared by several targets.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::{self, StreamExt};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until, timeout};

use crate::error::CopyError;
use crate::spool::{Spool, SpoolFile, SpoolWhen};
use crate::streaming::abort_on_drop::Task;
use glance_core::body::Body;
use glance_core::digest::Awaited;
use glance_core::error::BodyError;
use glance_core::store::StoreError;
use glance_core::verified_body::DataFault;
use glance_core::verified_body::DataVerdict;
use glance_core::wait_time::WaitTime;

use super::window::{Next, Window};
use super::{Opened, SourceRead};

/// A read that several targets follow. It is aborted when the group is dropped.
#[derive(Debug)]
pub(super) struct SharedRead {
    spool: Spool,
    /// Time in which the disk of the spool is waited for.
    spooling: WaitTime,
    window: Arc<watch::Sender<Window>>,
    beginning: watch::Receiver<Option<Result<Beginning, StoreError>>>,
    /// The reader, until its task is started.
    reader: Mutex<Option<Reader>>,
    task: OnceLock<Task<()>>,
}

/// What is known once the data starts to arrive.
#[derive(Debug, Clone)]
struct Beginning {
    size: Option<u64>,
    digests: Option<Awaited>,
    verdict: DataVerdict,
}

impl SharedRead {
    /// A group of `shares` targets.
    pub(super) fn new(reading: SourceRead, spool: Spool, shares: usize) -> Self {
        let window = Window::new(shares, spool.when != SpoolWhen::Never);
        let window = Arc::new(watch::Sender::new(window));
        let (sender, beginning) = watch::channel(None);
        let spooling = reading.meter.spool();
        let reader = Reader {
            reading,
            spooling: spooling.clone(),
            window: Arc::clone(&window),
            beginning: sender,
            spool_file: SpoolFile::new(&spool),
            held_up: None,
        };
        let reader = Mutex::new(Some(reader));
        Self { spool, spooling, window, beginning, reader, task: OnceLock::new() }
    }

    /// Stops waiting for one share that will not be opened.
    pub(super) fn one_less(&self) {
        self.window.send_modify(|window| window.awaited -= 1);
    }

    /// Follows the read from the first byte. `None` if the first byte is no longer available or the
    /// read has failed.
    ///
    /// # Errors
    /// When the source does not deliver the data.
    pub(super) async fn join(self: &Arc<Self>, awaited: bool) -> Result<Option<Opened>, CopyError> {
        let mut number = None;
        self.window.send_modify(|window| {
            number = window.follow();
            window.awaited -= usize::from(awaited);
        });
        let Some(number) = number else { return Ok(None) };
        let group = Arc::clone(self);
        let mut follower = Follower { number, at: 0, group, verdict: DataVerdict::default() };
        self.start();
        let mut beginning = self.beginning.clone();
        let beginning = beginning.wait_for(Option::is_some).await;
        let beginning = match beginning.as_deref() {
            Ok(Some(Ok(beginning))) => beginning.clone(),
            Ok(Some(Err(error))) => return Err(CopyError::Source(error.repeated())),
            Ok(None) | Err(_) => return Ok(None),
        };
        follower.verdict = beginning.verdict.shared();
        let verdict = follower.verdict.clone();
        let chunks = stream::try_unfold(follower, Follower::step);
        let data = Body::from_stream(chunks, beginning.size).carrying(beginning.digests);
        Ok(Some(Opened { data, verdict, begun: 0 }))
    }

    fn start(&self) {
        let reader = self.reader.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(reader) = reader {
            let _ = self.task.set(Task::start(reader.run()));
        }
    }
}

/// One target's position in the data.
struct Follower {
    number: usize,
    /// Number of bytes taken.
    at: u64,
    group: Arc<SharedRead>,
    verdict: DataVerdict,
}

impl Follower {
    async fn step(mut self) -> Result<Option<(Bytes, Self)>, BodyError> {
        let mut changes = self.group.window.subscribe();
        let chunk = loop {
            let next = changes.borrow_and_update().next(self.number, self.at);
            match next {
                Next::Chunk(chunk) => break chunk,
                Next::Spooled(part) => match self.group.spooling.during(part.read(self.at)).await {
                    Ok(chunk) => break chunk,
                    Err(error) => {
                        return Err(self.verdict.fail(spool_fault(&self.group.spool, &error)));
                    }
                },
                Next::Nothing => changes.changed().await?,
                Next::End => return Ok(None),
                Next::Fault(fault) => return Err(self.verdict.fail(fault)),
            }
        };
        self.at += chunk.len() as u64;
        self.group.window.send_if_modified(|window| window.take(self.number, self.at));
        Ok(Some((chunk, self)))
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        self.group.window.send_if_modified(|window| window.leave(self.number));
    }
}

/// The task that reads the source for all targets.
#[derive(Debug)]
struct Reader {
    reading: SourceRead,
    window: Arc<watch::Sender<Window>>,
    beginning: watch::Sender<Option<Result<Beginning, StoreError>>>,
    spool_file: SpoolFile,
    /// Time in which the disk of the spool is waited for.
    spooling: WaitTime,
    /// Since when some targets have been waiting for slower ones.
    held_up: Option<Instant>,
}

impl Reader {
    async fn run(mut self) {
        let mut shares = self.window.subscribe();
        let _ = timeout(GATHERING, shares.wait_for(|window| window.awaited == 0)).await;
        let Opened { data, verdict, .. } = match self.reading.open(Body::empty()).await {
            Ok(opened) => opened,
            Err(error) => {
                self.beginning.send_replace(Some(Err(error)));
                return;
            }
        };
        let beginning = Beginning {
            size: data.size(),
            digests: data.digests().cloned(),
            verdict: verdict.clone(),
        };
        self.beginning.send_replace(Some(Ok(beginning)));
        let result = self.read(data, &verdict).await;
        self.window.send_modify(|window| window.finish(result));
        // The spooled data remains available until the group is dropped.
        std::future::pending::<()>().await;
    }

    async fn read(&mut self, mut data: Body, verdict: &DataVerdict) -> Result<(), DataFault> {
        loop {
            self.room().await;
            match data.next().await {
                None => return Ok(()),
                Some(Ok(chunk)) => self.hand_on(chunk).await?,
                Some(Err(error)) => {
                    let got = self.window.borrow().end();
                    let other = || DataFault::Interrupted { got, reason: error.to_string() };
                    return Err(verdict.fault().unwrap_or_else(other));
                }
            }
        }
    }

    async fn hand_on(&mut self, chunk: Bytes) -> Result<(), DataFault> {
        if self.spool_file.spool().when == SpoolWhen::Always {
            let at = self.window.borrow().end();
            let appended = self.spool_file.append(at, chunk.clone());
            let appended = self.spooling.during(appended).await;
            appended.map_err(|error| spool_fault(self.spool_file.spool(), &error))?;
        }
        let part = self.spool_file.part();
        self.window.send_modify(|window| {
            window.push(chunk);
            window.set_spooled(part);
        });
        loop {
            let overflow = self.window.borrow().overflow();
            let Some((at, first)) = overflow else { return Ok(()) };
            match self.spooling.during(self.spool_file.append(at, first)).await {
                Ok(()) => {
                    let part = self.spool_file.part();
                    self.window.send_modify(|window| window.set_spooled(part));
                }
                Err(error) => {
                    tracing::warn!(
                        "{}; slow targets are left behind",
                        spool_fault(self.spool_file.spool(), &error)
                    );
                    self.window.send_modify(Window::stop_spooling);
                }
            }
        }
    }

    /// Waits until the window has room. Drops targets that hold up the others for too long.
    async fn room(&mut self) {
        let mut changes = self.window.subscribe();
        loop {
            let (has_room, is_held_up, is_relaxed) = {
                let window = changes.borrow_and_update();
                (window.has_room(), window.is_held_up(), window.is_relaxed())
            };
            if is_relaxed {
                self.held_up = None;
            }
            if has_room {
                return;
            }
            let waiting_since = if is_held_up {
                *self.held_up.get_or_insert_with(Instant::now)
            } else {
                Instant::now()
            };
            tokio::select! {
                _ = changes.changed() => {}
                () = sleep_until(waiting_since + PATIENCE), if is_held_up => {
                    // The slow target may have caught up slightly in the meantime. Then it may be
                    // dropped next time.
                    if self.window.send_if_modified(Window::leave_behind) {
                        self.held_up = None;
                    }
                }
            }
        }
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.window.send_modify(|window| {
            let reason = "the read of the source was ended".to_owned();
            window.finish(Err(DataFault::Interrupted { got: window.end(), reason }));
        });
    }
}

fn spool_fault(spool: &Spool, error: &std::io::Error) -> DataFault {
    DataFault::Spool { directory: spool.directory.clone(), reason: error.to_string() }
}

/// How long the read waits for the expected targets to join.
const GATHERING: Duration = Duration::from_secs(10);

/// How long targets wait for a slow one.
const PATIENCE: Duration = Duration::from_secs(30);
