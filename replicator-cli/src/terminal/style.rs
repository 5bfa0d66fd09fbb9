//! The colours of this tool's own output.

use std::sync::atomic::{AtomicBool, Ordering};

use anstyle::{AnsiColor, Style};

use super::Stream;
use crate::args::ColorArg;

/// The meaning of a text, which decides its colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tone {
    Plain,
    Strong,
    Weak,
    Good,
    Notice,
    Bad,
    Hint,
}

impl Tone {
    fn style(self) -> Style {
        match self {
            Self::Plain => Style::new(),
            Self::Strong => Style::new().bold(),
            Self::Weak => Style::new().dimmed(),
            Self::Good => AnsiColor::Green.on_default(),
            Self::Notice => AnsiColor::Yellow.on_default(),
            Self::Bad => AnsiColor::Red.on_default().bold(),
            Self::Hint => AnsiColor::Cyan.on_default(),
        }
    }
}

/// Decides whether each stream has colours, for the rest of the process.
pub(crate) fn choose_colors(when: ColorArg) {
    OUT.store(has_colors(when, Stream::Out), Ordering::Relaxed);
    ERR.store(has_colors(when, Stream::Err), Ordering::Relaxed);
}

fn has_colors(when: ColorArg, stream: Stream) -> bool {
    let variable = |name| std::env::var_os(name).filter(|value| !value.is_empty());
    match when {
        ColorArg::Always => true,
        ColorArg::Never => false,
        ColorArg::Auto => {
            let is_dumb = variable("TERM").is_none_or(|term| term == "dumb");
            stream.is_terminal() && variable("NO_COLOR").is_none() && !is_dumb
        }
    }
}

/// The text in the colour of `tone`, if the stream has colours.
pub(crate) fn painted(stream: Stream, tone: Tone, text: &str) -> String {
    let has_colors = match stream {
        Stream::Out => &OUT,
        Stream::Err => &ERR,
    };
    if tone == Tone::Plain || text.is_empty() || !has_colors.load(Ordering::Relaxed) {
        return text.to_owned();
    }
    let style = tone.style();
    format!("{style}{text}{style:#}")
}

static OUT: AtomicBool = AtomicBool::new(false);
static ERR: AtomicBool = AtomicBool::new(false);
