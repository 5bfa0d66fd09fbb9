//! The array of `packaging/slurm` on a real Slurm, with a killed task and a stopped one.

mod array;
mod daemons;

use std::fs;
use std::path::Path;

use super::merged;
use super::site::Site;
use crate::cloud::NoServices;
use crate::failure::{Context, Failure};
use crate::output::{print, say};
use crate::shell;
use crate::workspace;
use array::{Array, Slurm};
use daemons::Daemons;

/// Installs Debian's Slurm and munge, and shellcheck, without starting services.
pub(crate) fn install() -> Result<(), Failure> {
    let is_missing = |program: &&str| !Path::new(program).exists();
    if PROGRAMS.iter().any(|program| is_missing(program)) {
        let _no_services = NoServices::begin()?;
        shell::install(&["slurm-wlm", "munge", "shellcheck", "iproute2"])?;
    }
    Ok(())
}

/// Submits the array, kills one task, stops another, and repeats both.
pub(crate) fn run(directory: &Path, tool: &Path) -> Result<(), Failure> {
    let script = workspace::root().join("packaging/slurm/array.sh");
    shell::succeed(shell::quiet_command("shellcheck").arg(&script))?;
    let site = Site::open(directory.join("slurm"), tool)?;
    let daemons = Daemons::start(&site.path("daemons"))?;
    let slurm = Slurm::new(&site, &daemons, tool)?;
    say("cluster: Slurm runs; submitting an array of 8 tasks");
    let array = slurm.submit_array(&script, &["--bwlimit", "256K"])?;
    let merged = array.merge_afterwards()?;
    let (killed, stopped) = (3, 6);
    array.kill_during_upload(killed)?;
    array.stop_during_upload(stopped)?;
    array.wait()?;
    array.expect_exit(killed, "0:9")?;
    array.expect_exit(stopped, "143:0")?;
    expect(&merged.output()?, &["7 of 8 shards, without 3\n", "broken off"])?;

    say("cluster: repeating the killed and the stopped task");
    array.repeat(killed)?;
    array.repeat(stopped)?;
    array.wait()?;
    complete(&site, &array)?;

    say("cluster: submitting the whole array again");
    let again = slurm.submit_array(&script, &[])?;
    again.wait()?;
    complete(&site, &again)
}
