//! The array of `packaging/slurm` on a real Slurm, with a killed task and a stopped one.

mod array;
mod daemons;

use std::path::Path;

use super::merged;
use super::site::Site;
use crate::cloud::{NoServices, sheltered};
use crate::failure::Failure;
use crate::output::{print, say};
use crate::shell::{self, output, succeed};
use crate::workspace;
use array::{Array, Slurm};
use daemons::Daemons;

/// Installs Debian's Slurm and munge, and shellcheck, without starting services.
pub(crate) fn install() -> Result<(), Failure> {
    if PROGRAMS.iter().all(|program| Path::new(program).exists()) {
        return Ok(());
    }
    let _no_services = NoServices::begin()?;
    shell::install(&["slurm-wlm", "munge", "shellcheck", "iproute2"])
}

/// Submits the array, kills one task, stops another, and repeats both.
pub(crate) fn run(directory: &Path, tool: &Path) -> Result<(), Failure> {
    let script = workspace::root().join("packaging/slurm/array.sh");
    succeed(sheltered("shellcheck").arg(&script))?;
    let site = Site::open(directory.join("slurm"), tool)?;
    let daemons = Daemons::start(&site.path("daemons"))?;
    let slurm = Slurm::new(&site, &daemons, tool)?;
    say("cluster: Slurm runs; submitting the array, killing one task, stopping another");
    let array = slurm.submit_array(&script, &["--bwlimit", "256K"])?;
    let merge = array.merge_afterwards()?;
    let (killed, stopped) = (3, 6);
    array.kill_during_upload(killed)?;
    array.stop_during_upload(stopped)?;
    array.wait()?;
    array.expect_exit(killed, "0:9")?;
    array.expect_exit(stopped, "143:0")?;
    let said = array.output_of(&merge)?;
    print(format_args!("\nThe merged report without the killed task:\n{said}"));
    if !said.contains("7 of 8 shards, without 3\n") || !said.contains("broken off") {
        return Err(Failure::new("this report should lack shard 3, and images of shard 6"));
    }

    say("cluster: repeating the killed and the stopped task");
    array.repeat(killed)?;
    array.repeat(stopped)?;
    array.wait()?;
    print(format_args!("\nThe merged report:\n{}", complete(&site, &array)?));

    say("cluster: submitting the whole array again");
    let again = slurm.submit_array(&script, &[])?;
    again.wait()?;
    print(format_args!("\nThe merged report of the second array:\n{}", complete(&site, &again)?));
    Ok(())
}

/// Fails unless every image is in place. Returns the merged report.
fn complete(site: &Site, array: &Array<'_>) -> Result<String, Failure> {
    site.expect_same()?;
    let merge = |options: &[&str]| {
        output(site.tool().args(["report", "merge"]).arg(array.reports()).args(options))
    };
    merged::expect_complete(&merge(&["--output", "json"])?)?;
    merge(&[])
}

/// The programs that the packages install.
const PROGRAMS: [&str; 6] = [
    "/usr/sbin/slurmctld",
    "/usr/sbin/slurmd",
    "/usr/bin/sbatch",
    "/usr/sbin/munged",
    "/usr/bin/shellcheck",
    "/usr/sbin/ip",
];
