//! `cargo xtask endure`: what a run endures, at full length: the suites `endure` and `endure_cloud`,
//! of which `cargo xtask test` runs short versions.
//!
//! Variables that are set already count, so that one can begin with less.

use clap::ValueEnum;

use crate::cloud;
use crate::failure::Failure;
use crate::shell::cargo_with;
use crate::test::install_openssl;

/// What is endured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Subject {
    /// All of it, one after the other.
    All,
    /// `kill -9` at 200 random instants, between embedded servers and directories.
    Kills,
    /// The same with real Glances.
    KillsInCloud,
    /// Signals and the limit of time at 480 random instants: 20 of each kind, for each command and
    /// one or eight images.
    Stops,
    /// 20 dropped connections during one image of 1 GiB.
    Drops,
    /// 500 GiB in one image, for ten and a half minutes on each TLS stack.
    Huge,
    /// 2,000 small images while 2 % of all requests fail.
    Soak,
}

/// Endures it.
pub(crate) fn run(subject: Subject) -> Result<(), Failure> {
    install_openssl()?;
    let wanted = |one| subject == one || subject == Subject::All;
    for trial in TRIALS.iter().filter(|trial| wanted(trial.subject)) {
        if trial.subject == Subject::KillsInCloud {
            cloud::start()?;
        }
        trial.run()?;
    }
    Ok(())
}

/// A test at full length.
struct Trial {
    subject: Subject,
    /// The binary of suites.
    binary: &'static str,
    /// The module in it.
    module: &'static str,
    /// What makes it long.
    variable: &'static str,
    extent: &'static str,
}

impl Trial {
    /// The tool is the one that is released.
    fn run(&self) -> Result<(), Failure> {
        let extent = std::env::var(self.variable).unwrap_or_else(|_| self.extent.to_owned());
        let suite = ["test", "--release", "-p", "tests", "--features", "tests/native-tls"];
        let filter = ["--test", self.binary, "--", "--nocapture", self.module];
        cargo_with(&[&suite[..], &filter].concat(), &[(self.variable, &extent)])
    }
}

const TRIALS: [Trial; 6] = [
    Trial {
        subject: Subject::Kills,
        binary: "endure",
        module: "embedded::",
        variable: "ENDURE_KILLS",
        extent: "200",
    },
    Trial {
        subject: Subject::Stops,
        binary: "endure",
        module: "stops::",
        variable: "ENDURE_STOPS",
        extent: "480",
    },
    Trial {
        subject: Subject::KillsInCloud,
        binary: "cloud",
        module: "endure_cloud::",
        variable: "ENDURE_KILLS_IN_CLOUD",
        extent: "200",
    },
    Trial {
        subject: Subject::Drops,
        binary: "endure",
        module: "drops::",
        variable: "ENDURE_DROPS_MIB",
        extent: "1024",
    },
    Trial {
        subject: Subject::Huge,
        binary: "endure",
        module: "huge::",
        variable: "ENDURE_SECONDS",
        extent: "630",
    },
    Trial {
        subject: Subject::Soak,
        binary: "endure",
        module: "soak::",
        variable: "ENDURE_IMAGES",
        extent: "2000",
    },
];
