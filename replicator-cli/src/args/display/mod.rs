//! Progress, messages and colours.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

/// What the command shows while it works, and the destination and level of log messages.
#[derive(Debug, Args)]
#[command(next_help_heading = "Display and log")]
#[expect(clippy::struct_excessive_bools, reason = "each is an option of its own")]
pub struct Display {
    /// Show the progress of the run on standard error: live at a terminal, and one line a minute
    /// elsewhere (default, except with --quiet)
    #[arg(long, global = true, overrides_with_all = ["progress", "no_progress"])]
    pub progress: bool,
    /// Show no progress
    #[arg(long, global = true, overrides_with_all = ["progress", "no_progress"])]
    pub no_progress: bool,
    /// Print errors only: no text report, no warnings, no progress
    #[arg(short, long, global = true, conflicts_with = "verbose", overrides_with = "quiet")]
    pub quiet: bool,
    /// Log every step; -vv logs more details. Tokens are never logged
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub verbose: u8,
    /// Use -vv
    #[arg(short, long, global = true, hide = true, overrides_with = "debug")]
    pub debug: bool,
    /// Use colours in messages and in the progress: at a terminal unless NO_COLOR is set, always, or
    /// never
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto", overrides_with = "color")]
    pub color: ColorArg,
    /// Write log messages to FILE
    #[arg(
        short,
        long,
        global = true,
        value_name = "FILE",
        alias = "log-file",
        overrides_with = "logfile"
    )]
    pub logfile: Option<PathBuf>,
    /// Send log messages to syslog
    #[arg(
        short,
        long,
        global = true,
        alias = "use-syslog",
        conflicts_with = "logfile",
        overrides_with = "syslog"
    )]
    pub syslog: bool,
}

impl Display {
    /// The number of `-v`; the old tool's `--debug` counts as two.
    pub(crate) fn verbosity(&self) -> u8 {
        match self.debug {
            true => self.verbose.max(2),
            false => self.verbose,
        }
    }

    /// Whether the progress is shown.
    pub(crate) fn shows_progress(&self) -> bool {
        self.progress || !(self.quiet || self.no_progress)
    }
}

/// When the output has colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ColorArg {
    /// At a terminal, unless the environment variable `NO_COLOR` is set.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

#[cfg(test)]
mod tests {
    use crate::parse;

    fn display(more: &[&str]) -> super::Display {
        let line = [&["glance-replicator", "livecopy", "a", "b"], more].concat();
        parse(line).unwrap().display
    }

    #[test]
    fn the_last_word_on_progress_counts_and_quiet_means_no_progress() {
        for (more, shown) in [
            (&[][..], true),
            (&["--no-progress"], false),
            (&["--progress", "--no-progress"], false),
            (&["--no-progress", "--progress"], true),
            (&["-q"], false),
            (&["-q", "--progress"], true),
        ] {
            assert_eq!(display(more).shows_progress(), shown, "{more:?}");
        }
    }

    #[test]
    fn the_level_of_the_log_is_counted() {
        for (more, level) in [(&[][..], 0), (&["-v"], 1), (&["-vv"], 2), (&["-d"], 2)] {
            assert_eq!(display(more).verbosity(), level, "{more:?}");
        }
        assert!(parse(["glance-replicator", "size", "a", "-q", "-v"]).is_err());
    }
}
