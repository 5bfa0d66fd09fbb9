//! Postgres as the user `postgres`, reached over TCP only, because a socket's path could get too
//! long.

use std::env;
use std::fs;
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio, id};

use super::glance::Glance;
use super::keystone::Keystone;
use crate::cloud::command::{detached, finish, sheltered, tail};
use crate::cloud::config::{Secret, Values, write_private};
use crate::cloud::layout::{HOST, Layout, Port};
use crate::cloud::packages::Programs;
use crate::cloud::process::{self, Ready, Service};
use crate::failure::{Context, Failure};
use crate::output::say;

/// Starts Postgres and creates the databases.
pub(crate) fn start(layout: &Layout, programs: &Programs, secret: &Secret) -> Result<(), Failure> {
    let user = User::find("postgres")?;
    let directory = directory(layout, &user)?;
    let cluster = directory.join("cluster");
    if !cluster.join("PG_VERSION").exists() {
        say("cloud: making the PostgreSQL cluster");
        init(layout, programs, &user, &directory, secret)?;
    }
    let configuration = Values::new(layout).render(CONFIGURATION)?;
    let file = cluster.join("postgresql.conf");
    write_private(&file, &configuration)?;
    user.own(&file)?;

    let mut command = detached(programs.postgres.join("postgres"));
    command.arg("-D").arg(&cluster).uid(user.uid).gid(user.gid);
    let port = layout.port(Port::Postgres);
    let service = Service {
        name: "postgres",
        command,
        configuration,
        ports: vec![port],
        // Postgres accepts connections before it answers queries.
        ready: Ready::Command {
            program: programs.postgres.join("pg_isready"),
            arguments: vec![format!("--host={HOST}"), format!("--port={port}")],
        },
    };
    process::start(layout, service)?;

    let have = query(layout, programs, secret, "postgres", "select datname from pg_database")?;
    let keystones = Keystone::ALL.map(Keystone::database);
    for database in keystones.into_iter().chain(Glance::ALL.map(Glance::database)) {
        if !have.lines().any(|line| line == database) {
            let statement = format!("create database {database}");
            query(layout, programs, secret, "postgres", &statement)?;
        }
    }
    Ok(())
}

/// Runs a statement. Returns one row per line.
pub(crate) fn query(
    layout: &Layout,
    programs: &Programs,
    secret: &Secret,
    database: &str,
    statement: &str,
) -> Result<String, Failure> {
    let output = sheltered(programs.postgres.join("psql"))
        .args(["-h", HOST, "-p", &layout.port(Port::Postgres).to_string(), "-U", "postgres"])
        .args(["-qAtX", "-v", "ON_ERROR_STOP=1", "-d", database, "-c", statement])
        .env("PGPASSWORD", secret.reveal())
        .stdin(Stdio::null())
        .output()
        .context(|| "cannot run psql")?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let message = String::from_utf8_lossy(&output.stderr);
    let tail = tail(&layout.log("postgres"));
    Err(Failure::new(format!("psql failed on {statement:?}: {}{tail}", message.trim())))
}

/// Removes the cluster, even if it is outside the cloud's directory.
pub(crate) fn remove(layout: &Layout) -> Result<(), Failure> {
    let own = layout.path("postgres");
    if own.is_symlink() {
        let target = fs::read_link(&own).context(|| format!("cannot read {}", own.display()))?;
        fs::remove_file(&own).context(|| format!("cannot remove {}", own.display()))?;
        return remove_directory(&target);
    }
    remove_directory(&own)
}

fn remove_directory(directory: &Path) -> Result<(), Failure> {
    if !directory.exists() {
        return Ok(());
    }
    fs::remove_dir_all(directory).context(|| format!("cannot remove {}", directory.display()))
}

fn init(
    layout: &Layout,
    programs: &Programs,
    user: &User,
    directory: &Path,
    secret: &Secret,
) -> Result<(), Failure> {
    let password = directory.join("password");
    write_private(&password, secret.reveal())?;
    user.own(&password)?;
    let mut command = sheltered(programs.postgres.join("initdb"));
    command
        .args(["-U", "postgres", "-E", "UTF8", "--locale=C.UTF-8", "-A", "scram-sha-256"])
        .arg("-D")
        .arg(directory.join("cluster"))
        .arg("--pwfile")
        .arg(&password);
    let made = finish(layout, "initdb", user.run(&mut command));
    fs::remove_file(&password).context(|| format!("cannot remove {}", password.display()))?;
    made
}

/// The directory of the cluster. It is in the cloud's directory if the user can access that, else a
/// short path in the temporary directory with a symbolic link to it.
fn directory(layout: &Layout, user: &User) -> Result<PathBuf, Failure> {
    let own = layout.path("postgres");
    if own.exists() {
        return own.canonicalize().context(|| format!("cannot resolve {}", own.display()));
    }
    if user.can_reach(layout.dir()) {
        user.make_directory(&own)?;
        return Ok(own);
    }
    let elsewhere = env::temp_dir().join(format!("cloud-postgres-{}", id()));
    if !user.can_reach(&env::temp_dir()) {
        return Err(Failure::new(format!(
            "user postgres can reach neither {} nor {}",
            layout.dir().display(),
            env::temp_dir().display()
        )));
    }
    user.make_directory(&elsewhere)?;
    // An old link may be dangling, since temporary directories get emptied.
    remove(layout)?;
    symlink(&elsewhere, &own).context(|| format!("cannot link {}", own.display()))?;
    Ok(elsewhere)
}

/// A system user.
struct User {
    uid: u32,
    gid: u32,
}

impl User {
    fn find(name: &str) -> Result<Self, Failure> {
        let users = fs::read_to_string("/etc/passwd").context(|| "cannot read /etc/passwd")?;
        users
            .lines()
            .filter_map(|line| line.strip_prefix(name)?.strip_prefix(':'))
            .find_map(|rest| {
                let mut fields = rest.split(':').skip(1);
                let uid = fields.next()?.parse().ok()?;
                let gid = fields.next()?.parse().ok()?;
                Some(Self { uid, gid })
            })
            .ok_or_else(|| Failure::new(format!("there is no user {name}")))
    }

    fn own(&self, path: &Path) -> Result<(), Failure> {
        chown(path, Some(self.uid), Some(self.gid))
            .context(|| format!("cannot change the owner of {}", path.display()))
    }

    /// Creates a new directory that only this user can access.
    fn make_directory(&self, path: &Path) -> Result<(), Failure> {
        fs::create_dir(path)
            .and_then(|()| fs::set_permissions(path, fs::Permissions::from_mode(0o700)))
            .context(|| format!("cannot make {}", path.display()))?;
        self.own(path)
    }

    fn can_reach(&self, directory: &Path) -> bool {
        let mut command = Command::new("test");
        let status = self.run(command.arg("-x").arg(directory)).status();
        status.is_ok_and(|status| status.success())
    }

    fn run<'a>(&self, command: &'a mut Command) -> &'a mut Command {
        command.current_dir("/").uid(self.uid).gid(self.gid)
    }
}

const CONFIGURATION: &str = include_str!("../../../cloud/postgresql.conf");
