//! The private server's data move to another version of PostgreSQL: whole or not at all, wherever it is killed.
//!
//! One version is enough: it is its own target, or stands behind programs that call themselves version 99.

use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use syncline::clock::Clock;
use syncline::postgres::{self, Programs, Stage, UpgradeOptions};
use tempfile::TempDir;

use crate::support::{eventually, program};

/// Set for the process that is to be killed: the folder, and the stage after which it is.
const FOLDER: &str = "SYNCLINE_TEST_UPGRADE_FOLDER";
const STAGE: &str = "SYNCLINE_TEST_UPGRADE_STAGE";

const STAGES: [Stage; 5] = [Stage::Alone, Stage::Made, Stage::Copied, Stage::Ready, Stage::Moved];

fn folder() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    folder
}

fn command(home: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(program());
    command.args(arguments).env_clear().env("PATH", std::env::var_os("PATH").unwrap()).stdin(Stdio::null());
    command.env("SYNCLINE__DATABASE__DATA_DIR", home.join("pg")).current_dir(home);
    command
}

fn said(output: &Output) -> String {
    [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes)).concat()
}

fn succeeds(home: &Path, arguments: &[&str]) -> String {
    let output = command(home, arguments).output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", said(&output));
    said(&output)
}

fn sql(home: &Path, statement: &str) -> String {
    succeeds(home, &["psql", "--", "-At", "-c", statement]).trim().to_owned()
}

/// Roles, databases and rows besides the program's own.
fn fill(home: &Path) {
    sql(home, "CREATE ROLE analyst LOGIN PASSWORD 'of-the-analyst'");
    sql(home, "CREATE DATABASE \"it's other\"");
    sql(home, "CREATE TABLE kept (id serial, text text)");
    sql(home, "INSERT INTO kept (text) SELECT repeat('x', n) FROM generate_series(1, 1000) n");
    sql(home, "GRANT SELECT ON kept TO analyst");
    sql(home, "ALTER ROLE analyst SET search_path = syncline, public");
}

const HELD: &str =
    "SELECT concat_ws(' ', (SELECT count(*) FROM kept), (SELECT max(id) FROM kept), nextval('kept_id_seq'),
    has_table_privilege('analyst', 'kept', 'SELECT'),
    (SELECT left(rolpassword, 13) FROM pg_authid WHERE rolname = 'analyst'),
    (SELECT count(*) FROM pg_db_role_setting WHERE setrole = 'analyst'::regrole),
    (SELECT count(*) FROM pg_database WHERE datname = 'it''s other'))";

fn entries(home: &Path) -> Vec<String> {
    let found = std::fs::read_dir(home.join("pg")).unwrap();
    let mut names: Vec<String> = found.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.retain(|name| name.starts_with("data"));
    names.sort();
    names
}

fn installed() -> Programs {
    Programs::find(None, None, Path::new("none")).unwrap()
}

/// Programs that say they are version 99 and are what is installed.
fn version_99(home: &Path) -> PathBuf {
    let folder = home.join("99");
    std::fs::create_dir(&folder).unwrap();
    for name in ["postgres", "initdb", "pg_ctl", "pg_dump", "pg_dumpall", "pg_restore", "psql"] {
        let (real, path) = (installed().path(name), folder.join(name));
        let answer = format!("[ \"$1\" = --version ] && echo '{name} (PostgreSQL) 99.1' && exit");
        std::fs::write(&path, format!("#!/bin/sh\n{answer}\nexec '{}' \"$@\"\n", real.display())).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    }
    folder
}

async fn ended(home: &Path) {
    let lock = home.join("pg/data/postmaster.pid");
    eventually("the end of the server", async || !lock.exists()).await;
}

#[tokio::test]
async fn data_move_to_a_newer_version_and_the_old_are_kept() {
    let folder = folder();
    let home = folder.path();
    succeeds(home, &["migrate"]);
    fill(home);
    let version = installed().major;
    let nothing = succeeds(home, &["database", "upgrade"]);
    assert!(nothing.contains("nothing to do") && nothing.contains(&format!("postgresql-{}", version + 1)), "{nothing}");

    let newer = version_99(home);
    let upgrade = |arguments: &[&str]| {
        let mut command = command(home, &[&["database", "upgrade"], arguments].concat());
        let path = format!("{}:{}", newer.display(), std::env::var("PATH").unwrap());
        command.env("PATH", path).output().unwrap()
    };
    // Somebody uses the server.
    let mut worker = command(home, &["worker"]).stderr(Stdio::null()).spawn().unwrap();
    eventually("the worker", async || sql(home, "SELECT count(*) FROM syncline.worker") == "1").await;
    let refused = upgrade(&[]);
    assert!(!refused.status.success() && said(&refused).contains("is in use: stop the workers"), "{}", said(&refused));
    Command::new("kill").arg(worker.id().to_string()).status().unwrap();
    worker.wait().unwrap();

    let done = upgrade(&["-o", "json"]);
    assert!(done.status.success(), "{}", said(&done));
    let done: serde_json::Value = serde_json::from_slice(&done.stdout).unwrap();
    assert_eq!((&done["outcome"], &done["from"], &done["to"]), (&"upgraded".into(), &version.into(), &99.into()));
    assert!(done["rows"].as_u64().unwrap() >= 1000 && done["tables"].as_u64().unwrap() > 30, "{done}");
    let kept = format!("data.old-{version}");
    assert_eq!(entries(home), ["data", kept.as_str()]);
    assert_eq!(sql(home, HELD), "1000 1000 1001 t SCRAM-SHA-256 1 1");
    succeeds(home, &["project", "list"]);

    ended(home).await;
    assert_eq!(said(&upgrade(&[])).matches("holds data of an earlier upgrade").count(), 1);
    assert_eq!(upgrade(&["--remove-old"]).status.code(), Some(2), "nobody can be asked");
    assert!(said(&upgrade(&["--remove-old", "--yes"])).contains("removed"));
    assert_eq!(entries(home), ["data"]);
    let other =
        command(home, &["database", "upgrade"]).env("DATABASE_URL", "postgres://x@127.0.0.1/x").output().unwrap();
    assert!(
        other.status.code() == Some(2) && said(&other).contains("not Syncline's private server"),
        "{}",
        said(&other)
    );
}

#[tokio::test]
async fn an_upgrade_that_is_killed_anywhere_leaves_whole_data() {
    let folder = folder();
    let home = folder.path();
    succeeds(home, &["migrate"]);
    fill(home);
    let kept = format!("data.old-{}", installed().major);
    for (at, stage) in STAGES.into_iter().enumerate() {
        let killed = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "private_upgrade::upgrade_to_be_killed", "--ignored", "--nocapture"])
            .env(FOLDER, home.join("pg"))
            .env(STAGE, format!("{stage:?}"))
            .output()
            .unwrap();
        assert_eq!(killed.status.signal(), Some(9), "{stage:?}: {}", said(&killed));
        let is_finished = at >= 3;
        let left: &[&str] = match stage {
            Stage::Alone => &["data"],
            Stage::Made | Stage::Copied => &["data", "data.upgrade"],
            Stage::Ready => &["data", "data.ready"],
            Stage::Moved => &[&kept, "data.ready"],
        };
        assert_eq!(
            entries(home),
            {
                let mut left = left.to_vec();
                left.sort_unstable();
                left
            },
            "{stage:?}"
        );
        // The next command finds data as they were, or as they are now; what was half is gone.
        assert_eq!(sql(home, "SELECT count(*) FROM kept"), "1000", "{stage:?}");
        assert_eq!(entries(home).contains(&kept), is_finished, "{stage:?}");
        assert_eq!(entries(home).len(), 1 + usize::from(is_finished), "{stage:?}");
        if is_finished {
            succeeds(home, &["database", "upgrade", "--remove-old", "--yes"]);
        }
    }
    assert_eq!(sql(home, HELD), "1000 1000 1001 t SCRAM-SHA-256 1 1");
}

#[tokio::test]
async fn a_copy_that_fails_changes_nothing() {
    let folder = folder();
    let home = folder.path();
    succeeds(home, &["migrate"]);
    fill(home);
    let newer = version_99(home);
    let path = newer.join("pg_restore");
    // It loses a table.
    let real = installed().path("pg_restore");
    std::fs::write(&path, format!("#!/bin/sh\nexec '{}' \"$@\" --exclude-schema=jira\n", real.display())).unwrap();
    let search = format!("{}:{}", newer.display(), std::env::var("PATH").unwrap());
    let output = command(home, &["database", "upgrade"]).env("PATH", search).output().unwrap();
    let text = said(&output);
    assert!(!output.status.success() && text.contains("differs: the old one has"), "{text}");
    assert_eq!(entries(home), ["data"]);
    assert_eq!(sql(home, "SELECT count(*) FROM kept"), "1000");
}

/// Not a promise: the process that a test above has kill itself.
#[tokio::test]
#[ignore = "started by another test"]
async fn upgrade_to_be_killed() {
    let (Some(folder), Ok(last)) = (std::env::var_os(FOLDER), std::env::var(STAGE)) else { return };
    let options = UpgradeOptions { data_dir: folder.into(), target: Some(installed().folder) };
    let tell = |stage: Stage| {
        if format!("{stage:?}") == last {
            Command::new("kill").args(["-9", &std::process::id().to_string()]).status().unwrap();
        }
    };
    postgres::upgrade(&options, &Clock::system(), tell).await.unwrap();
}
