//! The progress of a run on standard error: a live view at a terminal, and one line a minute
//! elsewhere. The [`Events`] of the engine are its only source.

use std::io;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use replicator_engine::Events;

use crate::args::Command;
use crate::output;
use crate::terminal::{self, Stream};
use model::Model;

mod model;
mod render;
mod speed;
mod text;

/// The progress of the run of this process.
struct View {
    events: Events,
    model: Mutex<Model>,
    /// Whether the terminal shows live lines.
    is_live: bool,
}

/// Shows the progress of runs from now on.
///
/// # Errors
/// When no thread can be started.
pub(crate) fn start() -> io::Result<()> {
    let view = VIEW.get_or_init(|| View {
        events: Events::to(|event| {
            if let Some(view) = VIEW.get() {
                view.model().hear(event, Instant::now());
            }
        }),
        model: Mutex::new(Model::new(String::new(), Vec::new(), Instant::now())),
        is_live: is_live(),
    });
    thread::Builder::new().name("progress".to_owned()).spawn(|| view.watch()).map(drop)
}

/// Whether standard error is a terminal on which lines can be drawn anew.
fn is_live() -> bool {
    let is_dumb = std::env::var_os("TERM").is_none_or(|term| term.is_empty() || term == "dumb");
    Stream::Err.is_terminal() && !is_dumb && terminal::size().is_some()
}

/// Records the stores of a command, as on the command line.
pub(crate) fn begin(command: &Command) {
    let Some(source) = command.source() else { return };
    let source = if source == "-" { "standard input" } else { source };
    let target = |target| if target == "-" { "standard output" } else { target };
    let mut stores: Vec<String> =
        command.targets().into_iter().map(|word| target(word).to_owned()).collect();
    *names() = Some((source.to_owned(), stores.join(", ")));
    if let Command::Verify(_) = command {
        // Both sides are read.
        stores.insert(0, source.to_owned());
    }
    if let Some(view) = VIEW.get() {
        *view.model() = Model::new(source.to_owned(), stores, Instant::now());
    }
}

/// The receivers of the events of a run: the progress and the document, as far as they are wanted.
pub(crate) fn events() -> Events {
    output::listening(VIEW.get().map(|view| view.events.clone()).unwrap_or_default())
}

/// Removes the live lines at the end of a run.
pub(crate) fn end() {
    if let Some(view) = VIEW.get() {
        view.model().end();
        terminal::clear();
    }
}

/// How much of the run is done, such as `3/8 images, 1.2/4.0 GiB`; `None` if no run is in progress.
pub(crate) fn done() -> Option<String> {
    let model = VIEW.get()?.model();
    model.is_active().then(|| render::done(&model))
}

/// What a run moved to `target`, or to all its targets, how long this took, and between which stores.
pub(crate) fn course(bytes: u64, time: Duration, target: Option<&str>) -> String {
    let mut course = format!("{} in {}", text::bytes(bytes), text::duration(time));
    if bytes > 0 && time >= Duration::from_millis(1) {
        #[expect(clippy::cast_precision_loss, reason = "three digits are shown")]
        let rate = bytes as f64 / time.as_secs_f64();
        course = format!("{course}, {}", text::rate(rate));
    }
    match &*names() {
        Some((source, all)) => format!("{course}, {source} → {}", target.unwrap_or(all)),
        None => course,
    }
}

impl View {
    /// Shows the progress again and again.
    fn watch(&self) {
        let mut told = Instant::now();
        loop {
            thread::sleep(REDRAW);
            let now = Instant::now();
            let mut model = self.model();
            if !model.is_active() || now - model.begin < SHORT {
                told = now;
                continue;
            }
            model.measure(now);
            if self.is_live {
                if let Some((columns, rows)) = terminal::size() {
                    // The model stays locked, so that no line appears after `end`.
                    terminal::show(render::lines(&model, now, columns, rows));
                }
            } else if now - told >= HEARTBEAT {
                told = now;
                err!("progress: {}", render::heartbeat(&model, now));
            }
        }
    }

    fn model(&self) -> MutexGuard<'_, Model> {
        self.model.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The source of the command and its targets, as on the command line.
fn names() -> MutexGuard<'static, Option<(String, String)>> {
    NAMES.lock().unwrap_or_else(PoisonError::into_inner)
}

static VIEW: OnceLock<View> = OnceLock::new();
static NAMES: Mutex<Option<(String, String)>> = Mutex::new(None);

/// The time between two frames of the live view.
const REDRAW: Duration = Duration::from_millis(200);

/// A run that is shorter shows no progress.
const SHORT: Duration = Duration::from_millis(500);

/// The time between two lines where there is no terminal.
const HEARTBEAT: Duration = Duration::from_secs(60);
