//! `cargo xtask endure`: the full-length versions of the suites `endure` and `endure_cloud`. `cargo
//! xtask test` runs short versions.
//!
//! Variables that are already set take precedence, so a shorter run is possible.

use clap::ValueEnum;

use crate::cloud;
use crate::failure::Failure;
use crate::shell::cargo_with;
use crate::test::install_openssl;

/// The endurance test to run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Subject {
    /// Run all endurance tests, one after the other.
    All,
    /// Kill runs with `kill -9` at 200 random instants, between embedded servers and directories.
    Kills,
    /// Kill runs with `kill -9` at random instants, with real Glances.
    KillsInCloud,
    /// Stop runs by signals and by the time limit at 480 random instants: 20 of each kind, for each
    /// command, with one image and with eight.
    Stops,
    /// Drop the connection 20 times during one image of 1 GiB.
    Drops,
    /// Stream an image of 500 GiB for ten and a half minutes with each TLS stack.
    Huge,
    /// Copy 2,000 small images while 2 % of all requests fail.
    Soak,
}

/// Runs the endurance tests of `subject`.
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
    /// The test binary.
    binary: &'static str,
    /// The module of the test in the binary.
    module: &'static str,
    /// The variable that sets the length.
    variable: &'static str,
    extent: &'static str,
}

impl Trial {
    /// Runs the test with the tool in the release profile.
    fn run(&self) -> Result<(), Failure> {
        let extent = std::env::var(self.variable).unwrap_or_else(|_| self.extent.to_owned());
        let suite =
            ["test", "--release", "-p", "tests", "--features", "tests/native-tls,tests/full"];
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
