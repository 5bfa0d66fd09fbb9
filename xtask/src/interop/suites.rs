//! The suites, and the outcome of each of their tests.

use std::fmt;
use std::fs::{self, File};
use std::process::{Command, Stdio};

use serde_json::Value;

use super::Outcomes;
use super::python::Python;
use super::server::Site;
use crate::failure::{Context, Failure};

/// A suite of another project.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Suite {
    /// The integration tests of `OpenStack`.
    Tempest,
    /// The functional tests of openstacksdk.
    Sdk,
    /// Every verb of glanceclient and of `openstack image`.
    Verbs,
}

pub(crate) const ALL: [Suite; 3] = [Suite::Tempest, Suite::Sdk, Suite::Verbs];

impl fmt::Display for Suite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tempest => "tempest",
            Self::Sdk => "openstacksdk",
            Self::Verbs => "verbs",
        })
    }
}

/// The outcome of a test.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Outcome {
    Passed,
    /// The test failed or was skipped, with the reason.
    Other(String),
}

impl Outcome {
    pub(crate) fn is_passed(&self) -> bool {
        *self == Self::Passed
    }
}

/// Runs a suite against a Glance.
pub(crate) fn run(suite: Suite, at: &Site<'_>, python: &Python) -> Result<Outcomes, Failure> {
    let directory = &at.directory;
    // One of openstacksdk's tests uploads this file.
    let any = directory.join("CONTRIBUTING.rst");
    fs::write(&any, "some text\n").context(|| any.display().to_string())?;
    let errors = directory.join(format!("{suite}.log"));
    let log = File::create(&errors).context(|| errors.display().to_string())?;
    let output = command(suite, at, python)
        .current_dir(directory)
        .stdin(Stdio::null())
        .stderr(log)
        .output()
        .context(|| format!("cannot run {suite}"))?;
    if !output.status.success() {
        let log = errors.display();
        return Err(Failure::new(format!("{suite} broke off ({}), see {log}", output.status)));
    }
    Ok(read(&String::from_utf8_lossy(&output.stdout)))
}

fn command(suite: Suite, at: &Site<'_>, python: &Python) -> Command {
    let directory = &at.directory;
    match suite {
        Suite::Tempest => {
            let mut command = python.command(TESTS);
            command.arg("tempest.api.image.v2").env("TEMPEST_CONFIG_DIR", directory);
            command
        }
        Suite::Sdk => {
            let mut command = python.command(TESTS);
            command.args(["openstack.tests.functional.image.v2"]);
            command.args(["openstack.tests.functional.cloud.test_image"]);
            command.env("OS_CLIENT_CONFIG_FILE", directory.join("clouds.yaml"));
            command.envs(SDK_CLOUDS);
            command
        }
        Suite::Verbs => {
            let mut command = python.command(VERBS);
            let lines = crate::workspace::root().join("xtask/interop/verbs.txt");
            command.arg(lines).arg(directory).arg(python.cloud.join("ids.json"));
            command
        }
    }
}

/// Parses the output of a suite: a line of JSON for each test, among any other output.
fn read(said: &str) -> Outcomes {
    let lines = said.lines().filter_map(|line| {
        // A test may have printed text in front of the JSON.
        let line = &line[line.find(r#"{"test": "#)?..];
        let line: Value = serde_json::from_str(line).ok()?;
        // Tempest appends the test's permanent id to its name.
        let name = line["test"].as_str()?.split('[').next()?.to_owned();
        let outcome = match (line["outcome"].as_str()?, line["why"].as_str()?) {
            ("passed", _) => Outcome::Passed,
            (_, why) => Outcome::Other(why.to_owned()),
        };
        Some((name, outcome))
    });
    lines.collect()
}

/// Variables that tell openstacksdk's tests the names of the clouds of `prepare.py` and the
/// timeouts.
const SDK_CLOUDS: [(&str, &str); 7] = [
    ("OS_CLOUD", "admin"),
    ("OPENSTACKSDK_OPERATOR_CLOUD", "admin"),
    ("OPENSTACKSDK_SYSTEM_ADMIN_CLOUD", "system"),
    ("OPENSTACKSDK_DEMO_CLOUD", "user"),
    ("OPENSTACKSDK_DEMO_CLOUD_ALT", "other"),
    ("OPENSTACKSDK_FUNC_TEST_TIMEOUT", "20"),
    ("OS_TEST_TIMEOUT", "60"),
];

const TESTS: &str = include_str!("../../interop/tests.py");
const VERBS: &str = include_str!("../../interop/verbs.py");
