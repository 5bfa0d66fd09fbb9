//! Runs the tool as an operator does.

use std::io::Read;
use std::panic::Location;
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

/// Sends a signal to a process that was not waited for. Not with the program `kill`, which is not on
/// every machine.
pub(crate) fn send(signal: Signal, child: &Child) {
    kill_process(Pid::from_child(child), signal).unwrap();
}

/// The exit code and output of a run.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// Runs the tool with these variables, in an environment without this machine's trust and proxy
/// variables. Fails the test if the tool prints a secret that it was given, or panics.
#[track_caller]
pub(crate) fn replicator_with(line: &[&str], variables: &[(&str, &str)]) -> Run {
    let output = command().args(line).envs(variables.iter().copied()).output().unwrap();
    let run = Run::of(output);
    run.says_none_of(secrets(line, variables));
    run.says_none_of(["panicked at", "x-auth-token", "gAAAAA"]);
    run
}

/// The secrets among arguments and variables, except short ones, which may be ordinary words.
fn secrets<'a>(line: &[&'a str], variables: &[(&str, &'a str)]) -> Vec<&'a str> {
    let of_option = |pair: &[&'a str]| TOKEN_OPTIONS.contains(&pair[0]).then_some(pair[1]);
    let of_variable = |(name, value): &(&str, &'a str)| {
        let is_secret =
            ["TOKEN", "PASSWORD", "PASSCODE", "SECRET"].iter().any(|s| name.ends_with(s));
        is_secret.then_some(*value)
    };
    let options = line.windows(2).filter_map(of_option);
    let all = options.chain(variables.iter().filter_map(of_variable));
    all.filter(|secret| secret.len() > 4).collect()
}

/// The line, with those of the options that act on its command. Each option has a value.
pub(crate) fn with_options<'a>(line: &[&'a str], options: &[[&'a str; 2]]) -> Vec<&'a str> {
    let acts = |option: &[&str; 2]| {
        let line = ["glance-replicator"].iter().chain(line).chain(option);
        let parsed = replicator_cli::parse(line);
        !parsed.is_err_and(|error| error.to_string().contains(" has no effect on "))
    };
    let options = options.iter().filter(|option| acts(option)).flatten();
    line.iter().chain(options).copied().collect()
}

/// Runs the tool with its standard output going to `out`.
#[track_caller]
pub(crate) fn start_into(line: &[&str], output: impl Into<Stdio>) -> Run {
    let mut command = command();
    command.args(line).stdout(output).stderr(Stdio::piped());
    Run::of(command.spawn().unwrap().wait_with_output().unwrap())
}

/// Starts the tool, and discards its output.
#[track_caller]
pub(crate) fn start(line: &[String]) -> Child {
    command().args(line).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

/// Waits until a run succeeds. Returns its peak memory in KiB (`VmHWM` of proc(5)).
pub(crate) fn peak_memory(mut run: Child) -> u64 {
    let status = format!("/proc/{}/status", run.id());
    let mut peak = 0;
    loop {
        let text = std::fs::read_to_string(&status).unwrap_or_default();
        let found = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let found = found.and_then(|rest| rest.split_whitespace().next()?.parse().ok());
        peak = found.unwrap_or(0).max(peak);
        if let Some(ended) = run.try_wait().unwrap() {
            assert!(ended.success(), "{ended}");
            return peak;
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Starts the tool with these variables, and discards its output.
#[track_caller]
pub(crate) fn start_with(line: &[String], variables: &[(String, String)]) -> Child {
    let variables = variables.iter().map(|(name, value)| (name, value));
    let mut command = command();
    command.args(line).envs(variables).stdout(Stdio::null()).stderr(Stdio::null());
    command.spawn().unwrap()
}

/// Starts the tool with these variables and piped output, which the caller has to read. The tool
/// receives SIGHUP, even if the tests run under `nohup`.
#[track_caller]
pub(crate) fn start_heard(line: &[String], variables: &[(String, String)]) -> Child {
    let variables = variables.iter().map(|(name, value)| (name, value));
    let mut command = cleared(Command::new("env"));
    command.args(["--default-signal=HUP", env!("CARGO_BIN_EXE_glance-replicator-under-test")]);
    command.args(line).envs(variables).stdin(Stdio::null());
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

/// Starts the tool with its standard output in a pipe that the caller reads.
#[track_caller]
pub(crate) fn start_piped(line: &[&str]) -> Child {
    command().args(line).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap()
}

/// Runs the tool twice with a pipe between the runs, which passes the first `cut` bytes, or all.
#[track_caller]
pub(crate) fn piped(from: &[String], cut: Option<u64>, to: &[String]) -> [Run; 2] {
    let start = |mut command: Command, line: &[String], input: Stdio| {
        command.args(line).stdin(input).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.spawn().unwrap()
    };
    let mut writer = start(command(), from, Stdio::null());
    let mut reader = start(command(), to, Stdio::piped());
    let (out, mut input) = (writer.stdout.take().unwrap(), reader.stdin.take().unwrap());
    // The reader may end before the writer.
    let _ = std::io::copy(&mut out.take(cut.unwrap_or(u64::MAX)), &mut input);
    drop(input);
    [writer, reader].map(|child| {
        let output = child.wait_with_output().unwrap();
        let run = Run::of(output);
        run.says_none_of(["panicked at", "x-auth-token", "gAAAAA"]);
        run
    })
}

#[track_caller]
fn command() -> Command {
    cleared(Command::new(env!("CARGO_BIN_EXE_glance-replicator-under-test")))
}

/// The same command, in an environment without this machine's variables.
#[track_caller]
pub(crate) fn cleared(mut command: Command) -> Command {
    for variable in CLEARED {
        command.env_remove(variable);
    }
    // Every test has a state directory of its own, and so its own locks. A test's thread is named
    // after the test, but all threads of a runtime share one name, so the path contains the suite
    // too.
    let suite = Location::caller().file().split('/').skip_while(|part| *part != "suites").nth(1);
    let suite = suite.unwrap_or("support");
    let test = std::thread::current().name().unwrap_or("other").replace("::", "-");
    let state = format!("state-{}/{suite}/{test}", std::process::id());
    command.env("XDG_STATE_HOME", std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join(state));
    command
}

impl Run {
    pub(crate) fn of(output: Output) -> Self {
        let [stdout, stderr] =
            [output.stdout, output.stderr].map(|text| String::from_utf8(text).unwrap());
        Self { code: output.status.code(), stdout, stderr }
    }

    #[track_caller]
    pub(crate) fn says_none_of<'a>(&self, secrets: impl IntoIterator<Item = &'a str>) {
        for secret in secrets {
            let said = self.stdout.contains(secret) || self.stderr.contains(secret);
            assert!(!said, "{secret:?} was said:\n{}\n{}", self.stdout, self.stderr);
        }
    }

    /// Fails the test with the run's output unless the exit code is `code`.
    #[track_caller]
    pub(crate) fn exits(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "stdout:\n{}\nstderr:\n{}", self.stdout, self.stderr);
        self
    }
}

const TOKEN_OPTIONS: &[&str] = &["-t", "--token", "--sourcetoken", "--targettoken"];

const CLEARED: &[&str] = &[
    "JOB_COMPLETION_INDEX",
    "SLURM_ARRAY_TASK_ID",
    "GLANCE_REPLICATOR_REQUIRE_FIPS",
    "GLANCE_REPLICATOR_SOURCE_TOKEN",
    "GLANCE_REPLICATOR_TARGET_TOKEN",
    "OS_AUTH_URL",
    "OS_CACERT",
    "OS_CERT",
    "OS_INSECURE",
    "OS_KEY",
    "OS_TOKEN",
    "OS_AUTH_TOKEN",
    "OS_CLIENT_CONFIG_FILE",
    "REQUESTS_CA_BUNDLE",
    "CURL_CA_BUNDLE",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "https_proxy",
    "HTTPS_PROXY",
    "http_proxy",
    "HTTP_PROXY",
    "all_proxy",
    "ALL_PROXY",
    "no_proxy",
    "NO_PROXY",
];

/// Every command that the help shows, and the commands below them.
pub(crate) const COMMANDS: &[&str] = &[
    "ls",
    "show",
    "size",
    "dump",
    "load",
    "livecopy",
    "compare",
    "plan",
    "sync",
    "resume",
    "run",
    "config check",
    "config schema",
    "repair",
    "metadefs",
    "verify",
    "serve",
    "clouds",
    "completion",
    "report merge",
    "doctor",
    "help",
];
