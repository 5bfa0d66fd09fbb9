//! The manifests of `packaging/kubernetes`: validated, and their containers' commands executed.

mod manifest;
mod pod;

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::merged;
use super::site::Site;
use crate::cloud::sheltered;
use crate::failure::{Context, Failure};
use crate::output::{print, say};
use crate::shell::{self, output, succeed};
use crate::stamp::once;
use crate::workspace;
use manifest::Template;
use pod::{Name, Node};

/// Installs the schemas of the Kubernetes API, in a Python environment.
pub(crate) fn install(directory: &Path) -> Result<(), Failure> {
    let venv = directory.join("venv");
    once(&venv.join("installed"), REQUIREMENTS, || {
        let mut probe = sheltered("python3");
        if output(probe.args(["-c", "import ensurepip, venv"])).is_err() {
            shell::install(&["python3-venv"])?;
        }
        succeed(sheltered("python3").args(["-m", "venv", "--clear"]).arg(&venv))?;
        let list = directory.join("requirements.txt");
        fs::write(&list, REQUIREMENTS).context(|| list.display().to_string())?;
        let mut pip = sheltered(venv.join("bin/pip"));
        succeed(pip.args(["install", "--quiet", "--requirement"]).arg(&list))
    })
}

/// Validates every manifest, and runs their pods.
pub(crate) fn run(directory: &Path, tool: &Path) -> Result<(), Failure> {
    let manifests = workspace::root().join("packaging/kubernetes");
    let [job, nightly] = MANIFESTS.map(|name| manifests.join(name));
    let job_resources = validated(directory, &job)?;
    let nightly_resources = validated(directory, &nightly)?;
    say(format_args!("cluster: the manifests are valid for Kubernetes {VERSION}"));
    for manifest in [&job, &nightly] {
        expect_refused(directory, manifest)?;
    }
    run_job(directory, tool, &Template::of(&job_resources, "Job", "/spec/template/spec")?)?;
    let path = "/spec/jobTemplate/spec/template/spec";
    run_nightly(directory, tool, &Template::of(&nightly_resources, "CronJob", path)?)
}

/// Runs the pods of the Indexed Job at the same time, and merges their reports in another pod.
fn run_job(directory: &Path, tool: &Path, template: &Template<'_>) -> Result<(), Failure> {
    let site = Site::open(directory.join("job"), tool)?;
    let node = Node::new(&site, tool)?;
    let name = |index| Name { job: "glance-replicator-x7k2p".to_owned(), index };
    let pods: Vec<_> = (0..8).map(|index| node.start(template, &name(index), None)).collect();
    for pod in pods {
        pod?.succeed()?;
    }
    site.expect_same()?;
    let reports = "/var/lib/glance-replicator/reports/glance-replicator-x7k2p";
    let merge = |options: &[&str]| {
        let line = [&["report", "merge", reports], options].concat();
        node.start(template, &name(0), Some(&line))?.succeed()
    };
    merged::expect_complete(&merge(&["--output", "json"])?)?;
    // A report that is not JSON is made from a temporary file.
    let said = merge(&["--report=/var/lib/glance-replicator/merged.html"])?;
    print(format_args!("\nThe merged report of the Job's 8 pods:\n{said}"));

    let outside = ["sync", "a", "b", "--no-state", "--report=/report.json"];
    let refused = node.start(template, &name(0), Some(&outside))?.fail()?;
    match refused.contains("Read-only file system") {
        true => Ok(()),
        false => Err(Failure::new(format!("the root should be read-only:\n{refused}"))),
    }
}

/// Runs the nightly pod twice.
fn run_nightly(directory: &Path, tool: &Path, template: &Template<'_>) -> Result<(), Failure> {
    let site = Site::open(directory.join("nightly"), tool)?;
    let node = Node::new(&site, tool)?;
    for (job, says) in [("nightly-1", "48 copied and verified"), ("nightly-2", "48 in place")] {
        let said =
            node.start(template, &Name { job: job.to_owned(), index: 0 }, None)?.succeed()?;
        if !said.contains(says) {
            return Err(Failure::new(format!("{job} should say {says}:\n{said}")));
        }
        let summary = said.lines().rev().take(2).last().unwrap_or_default().to_owned();
        print(format_args!("The nightly pod: {summary}"));
    }
    site.expect_same()
}

/// The resources of a manifest that the API's schemas admit, without unknown fields.
fn validated(directory: &Path, manifest: &Path) -> Result<Vec<Value>, Failure> {
    let mut python = sheltered(directory.join("venv/bin/python"));
    python.arg("-c").arg(VALIDATE).arg(VERSION).arg(manifest);
    let text = output(&mut python)?;
    serde_json::from_str(&text).context(|| manifest.display().to_string())
}

/// Fails if the schemas admit the manifest with a misspelt field.
fn expect_refused(directory: &Path, manifest: &Path) -> Result<(), Failure> {
    let text = fs::read_to_string(manifest).context(|| manifest.display().to_string())?;
    let wrong: PathBuf = directory.join("wrong.yaml");
    let text = text.replace("readOnlyRootFilesystem", "readOnlyRootFileSystem");
    fs::write(&wrong, text).context(|| wrong.display().to_string())?;
    match validated(directory, &wrong) {
        Err(refused) if refused.to_string().contains("'readOnlyRootFileSystem'") => Ok(()),
        Err(refused) => Err(refused),
        Ok(_) => Err(Failure::new("the schemas admit the field readOnlyRootFileSystem")),
    }
}

/// The manifests: of the indexed Job, and of the nightly pod.
const MANIFESTS: [&str; 2] = ["indexed-job.yaml", "nightly-cronjob.yaml"];

/// The version of the API, whose schemas the requirements contain.
const VERSION: &str = "1.37";

const REQUIREMENTS: &str = include_str!("../../../cluster/requirements.txt");
const VALIDATE: &str = include_str!("../../../cluster/validate.py");
