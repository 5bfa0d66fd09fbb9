//! What the manual pages say about files, environment variables and related pages.

/// An entry of FILES or of ENVIRONMENT.
pub(super) struct Entry {
    /// The path or the variables.
    pub(super) name: &'static str,
    pub(super) text: &'static str,
    /// The commands that it is about.
    pub(super) place: Where,
}

/// The commands that an entry is about.
#[derive(Clone, Copy)]
pub(super) enum Where {
    /// All commands.
    Everywhere,
    /// The commands that have the option of this id.
    With(&'static str),
}

use Where::{Everywhere, With};

const fn entry(name: &'static str, place: Where, text: &'static str) -> Entry {
    Entry { name, text, place }
}

/// The commands that read clouds.yaml, and those that open stores, have `--cacert`.
const WITH_CLOUDS: Where = With("cacert");

/// The commands that open stores have `--token`.
const WITH_STORES: Where = With("token");

pub(super) const FILES: &[Entry] = &[
    entry(
        "clouds.yaml",
        WITH_CLOUDS,
        "The clouds, with secure.yaml for their secrets and clouds-public.yaml for profiles. Each is \
         searched in the working directory, then in the directory openstack below \
         $XDG_CONFIG_HOME, ~/.config, /etc/xdg and /etc. See `glance-replicator-clouds`(5).",
    ),
    entry(
        "~/.local/state/glance-replicator",
        With("state_dir"),
        "The journals of runs, and the digests of images whose records have none. `--state-dir` and \
         $XDG_STATE_HOME name another directory.",
    ),
    entry(
        "/var/tmp",
        With("spool_dir"),
        "The spool of image data. `--spool-dir` and $TMPDIR name another directory.",
    ),
    entry(
        "/etc/ssl/certs",
        WITH_CLOUDS,
        "The trust store of the system on many distributions, used if no option, cloud or variable \
         names another one.",
    ),
];

pub(super) const ENVIRONMENT: &[Entry] = &[
    entry(
        "OS_CLIENT_CONFIG_FILE, OS_CLIENT_SECURE_FILE",
        WITH_CLOUDS,
        "The paths of clouds.yaml and secure.yaml. A file that such a variable names must exist.",
    ),
    entry(
        "OS_AUTH_URL and other variables named OS_*",
        WITH_CLOUDS,
        "The settings of a cloud that is named envvars, or as OS_CLOUD_NAME says. They never change \
         a cloud of a file.",
    ),
    entry(
        "GLANCE_REPLICATOR_SOURCE_TOKEN, GLANCE_REPLICATOR_TARGET_TOKEN",
        WITH_STORES,
        "The token for a source or a target that is named by URL, unless an option gives one.",
    ),
    entry(
        "OS_TOKEN, OS_AUTH_TOKEN",
        WITH_STORES,
        "The token for both sides, where nothing else gives one.",
    ),
    entry(
        "OS_CACERT, REQUESTS_CA_BUNDLE, CURL_CA_BUNDLE, SSL_CERT_FILE, SSL_CERT_DIR",
        WITH_CLOUDS,
        "The trust store, unless an option or the cloud names one. The first of these variables \
         counts; the last two count together.",
    ),
    entry(
        "OS_CERT, OS_KEY",
        WITH_CLOUDS,
        "The client certificate and its private key, unless an option or the cloud names one.",
    ),
    entry(
        "HTTPS_PROXY, HTTP_PROXY, ALL_PROXY, NO_PROXY",
        With("connect_timeout"),
        "The proxies, and the servers that are reached without one. Names in lower case take \
         precedence. See `glance-replicator-proxy`(7).",
    ),
    entry(
        "GLANCE_REPLICATOR_REQUIRE_FIPS",
        Everywhere,
        "Any value except 0, f, false, n, no and off acts like `--require-fips`.",
    ),
    entry(
        "JOB_COMPLETION_INDEX, SLURM_ARRAY_TASK_ID",
        With("shard"),
        "Set by Kubernetes and Slurm. `--shard auto/N` reads them, and in an array of Slurm also \
         SLURM_ARRAY_TASK_MIN, SLURM_ARRAY_TASK_MAX and SLURM_ARRAY_TASK_COUNT. See \
         `glance-replicator-scale`(7).",
    ),
    entry(
        "XDG_CONFIG_HOME, XDG_CONFIG_DIRS, HOME, SNAP_REAL_HOME",
        WITH_CLOUDS,
        "Where clouds.yaml is searched.",
    ),
    entry("XDG_STATE_HOME", With("state_dir"), "The directory above the state directory."),
    entry("TMPDIR", With("spool_dir"), "The directory of the spool, and of temporary files."),
    entry(
        "NO_COLOR, TERM",
        Everywhere,
        "With `--color auto`, no colours are used if NO_COLOR has a value, or if TERM is dumb or has \
         none.",
    ),
    entry("COLUMNS", Everywhere, "The width of help texts where no terminal tells one."),
];

/// The pages that belong to the subject of a command: topics of the guide, and `COMMAND(1)`.
pub(super) const RELATED: &[(&str, &[&str])] = &[
    ("ls", &["show(1)", "size(1)", "selection", "reports"]),
    ("show", &["ls(1)", "selection"]),
    ("size", &["ls(1)", "selection"]),
    ("dump", &["load(1)", "serve(1)", "verify(1)", "dump-format", "copy", "selection", "recovery"]),
    ("load", &["dump(1)", "dump-format", "copy", "transfer", "mapping", "placement", "selection"]),
    (
        "livecopy",
        &[
            "compare(1)",
            "sync(1)",
            "copy",
            "transfer",
            "selection",
            "mapping",
            "placement",
            "recovery",
            "scale",
        ],
    ),
    ("compare", &["plan(1)", "verify(1)", "sync", "selection", "reports"]),
    ("plan", &["sync(1)", "compare(1)", "sync", "selection"]),
    (
        "sync",
        &[
            "livecopy(1)",
            "plan(1)",
            "sync",
            "copy",
            "transfer",
            "selection",
            "mapping",
            "placement",
            "recovery",
            "scale",
        ],
    ),
    ("resume", &["repair(1)", "recovery"]),
    ("repair", &["resume(1)", "recovery"]),
    ("metadefs", &["metadefs"]),
    ("verify", &["compare(1)", "verify", "selection"]),
    ("run", &["config check(1)", "jobs", "monitoring"]),
    ("config", &["run(1)", "jobs"]),
    ("config check", &["run(1)", "jobs"]),
    ("config schema", &["run(1)", "jobs"]),
    ("serve", &["dump(1)", "serve", "dump-format"]),
    ("clouds", &["doctor(1)"]),
    ("completion", &["help(1)"]),
    ("report", &["reports", "scale"]),
    ("report merge", &["reports", "scale"]),
    ("doctor", &["clouds(1)", "doctor", "proxy"]),
    ("help", &["completion(1)"]),
];
