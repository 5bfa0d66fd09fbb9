//! Options of the old tool that this tool accepts without effect, or to answer them.

use clap::Args;

/// Options of the old tool that have no counterpart. Of two opposite options, the last one applies,
/// as in the old tool.
#[derive(Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "each one is an option of the old tool")]
pub struct OldOptions {
    /// Accept the buffer size of the old tool, without effect
    #[arg(
        short,
        long,
        global = true,
        value_name = "BYTES",
        hide = true,
        overrides_with = "chunksize"
    )]
    pub chunksize: Option<u64>,
    /// Turn off --metaonly
    #[arg(long, global = true, hide = true, overrides_with_all = ["metaonly", "nometaonly"])]
    pub nometaonly: bool,
    /// Turn off --debug
    #[arg(long, global = true, hide = true, overrides_with_all = ["debug", "nodebug"])]
    pub nodebug: bool,
    /// Turn off --use-syslog
    #[arg(long = "nouse-syslog", global = true, hide = true, alias = "nouse_syslog", overrides_with_all = ["syslog", "nouse_syslog"])]
    pub nouse_syslog: bool,
    /// Turn off --use-journal, which this tool does not have
    #[arg(
        long = "nouse-journal",
        global = true,
        hide = true,
        alias = "nouse_journal",
        overrides_with = "nouse_journal"
    )]
    pub nouse_journal: bool,
    /// Turn off --use-json, which this tool does not have
    #[arg(
        long = "nouse-json",
        global = true,
        hide = true,
        alias = "nouse_json",
        overrides_with = "nouse_json"
    )]
    pub nouse_json: bool,
    /// Refuse configuration files of the old tool
    #[arg(long, global = true, value_name = "PATH", hide = true, aliases = ["config-dir", "config_file", "config_dir"], value_parser = no_configuration_file)]
    pub config_file: Option<String>,
}

fn no_configuration_file(_: &str) -> Result<String, String> {
    Err("glance-replicator reads no configuration file: clouds are in clouds.yaml, options on the \
         command line, or in the environment variables that `help sign-in` names"
        .to_owned())
}
