//! The database server, which runs as the user `postgres`.

use std::fs;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use super::config::{Secret, write_private};
use super::layout::{HOST, Layout, Port};
use super::packages::Programs;
use super::process::{self, Ready, Service, finish, sheltered};
use crate::failure::{Context, Failure};
use crate::say::say;

const DEADLINE: Duration = Duration::from_secs(60);
const DATABASES: [&str; 3] = ["keystone", "glance_a", "glance_b"];

/// Starts the server and makes the databases.
pub(crate) fn start(layout: &Layout, programs: &Programs, secret: &Secret) -> Result<(), Failure> {
    if !layout.path("postgres/PG_VERSION").exists() {
        say("cloud: making the database cluster");
        initialise(layout, programs, secret)?;
    }
    process::start(layout, &service(layout, programs))?;
    let sql = "select datname from pg_database";
    let deadline = Instant::now() + DEADLINE;
    // The server listens before it lets anyone in.
    let present = loop {
        match query(layout, programs, secret, "postgres", sql) {
            Ok(names) => break names,
            Err(failure) if Instant::now() > deadline => return Err(failure),
            Err(_) => sleep(Duration::from_millis(100)),
        }
    };
    for database in DATABASES {
        if !present.lines().any(|name| name == database) {
            query(
                layout,
                programs,
                secret,
                "postgres",
                &format!("create database {database}"),
            )?;
        }
    }
    Ok(())
}

/// Runs SQL and gives its bare output.
pub(crate) fn query(
    layout: &Layout,
    programs: &Programs,
    secret: &Secret,
    database: &str,
    sql: &str,
) -> Result<String, Failure> {
    let output = sheltered(programs.postgres.join("psql"))
        .env("PGPASSWORD", secret.reveal())
        .args([
            "-h",
            HOST,
            "-p",
            &layout.port(Port::Postgres).to_string(),
            "-U",
            "postgres",
        ])
        .args(["-XqAt", "-v", "ON_ERROR_STOP=1", "-c", sql, database])
        .stdin(Stdio::null())
        .output()
        .context(|| "cannot run psql")?;
    if !output.status.success() {
        let errors = String::from_utf8_lossy(&output.stderr);
        return Err(Failure::new(format!(
            "database {database}: {}",
            errors.trim()
        )));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// The URL by which Python reaches a database.
pub(crate) fn url(layout: &Layout, secret: &Secret, database: &str) -> String {
    let port = layout.port(Port::Postgres);
    format!(
        "postgresql+psycopg2://postgres:{}@{HOST}:{port}/{database}",
        secret.reveal()
    )
}

fn service(layout: &Layout, programs: &Programs) -> Service {
    let port = layout.port(Port::Postgres);
    let mut command = as_postgres(programs, "postgres");
    command.arg("-D").arg(layout.path("postgres"));
    for setting in [
        format!("listen_addresses={HOST}"),
        format!("port={port}"),
        // No Unix socket: its path could be too long, and no two clouds share a port.
        "unix_socket_directories=".to_owned(),
        "max_connections=300".to_owned(),
        "shared_buffers=256MB".to_owned(),
        // The data may be lost when the machine falls; `down` keeps them.
        "fsync=off".to_owned(),
        "synchronous_commit=off".to_owned(),
        "full_page_writes=off".to_owned(),
    ] {
        command.args(["-c", &setting]);
    }
    let ready = Ready::Connect;
    let configuration = String::new();
    Service {
        name: "postgres",
        command,
        configuration,
        ports: vec![port],
        ready,
    }
}

fn initialise(layout: &Layout, programs: &Programs, secret: &Secret) -> Result<(), Failure> {
    let data = layout.path("postgres");
    let own = ["-o", "postgres", "-g", "postgres"];
    let mut make = Command::new("install");
    finish(
        layout,
        "initdb",
        make.args(["-d", "-m", "700"]).args(own).arg(&data),
    )?;

    let password = layout.path("run/initdb-password");
    write_private(&password, secret.reveal())?;
    let made = finish(
        layout,
        "initdb",
        Command::new("chown").arg("postgres").arg(&password),
    )
    .and_then(|()| {
        let mut initdb = as_postgres(programs, "initdb");
        initdb.args(["-U", "postgres", "-E", "UTF8", "--locale=C.UTF-8"]);
        initdb
            .args(["-A", "scram-sha-256", "--pwfile"])
            .arg(&password);
        finish(
            layout,
            "initdb",
            initdb.arg("-D").arg(&data).current_dir("/"),
        )
    });
    fs::remove_file(&password).context(|| "cannot remove the password file")?;
    made
}

/// A program of PostgreSQL under its user; `setpriv` keeps the process id, unlike `su`.
fn as_postgres(programs: &Programs, program: &str) -> Command {
    let mut command = sheltered("setpriv");
    command.args([
        "--reuid=postgres",
        "--regid=postgres",
        "--init-groups",
        "--",
    ]);
    command.arg(programs.postgres.join(program));
    command
}
