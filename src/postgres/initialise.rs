//! Making a cluster's data, aside first and then in one move: a first start that is killed leaves nothing half-made.

use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use tokio::io::AsyncWriteExt;
use tokio::process::Command;

use super::Error;
use super::account::Account;
use super::folder::{Folder, NAME, remove};
use super::programs::Programs;
use super::server::Server;
use crate::clock::Clock;

/// Where data go when the server's account cannot enter the folder. Only root gets here.
const FALLBACK: &str = "/var/lib/syncline";

/// Makes the data with `initdb`; returns where they are.
pub async fn initialise(
    folder: &Folder,
    programs: &Programs,
    account: Account,
    password: &str,
    clock: &Clock,
) -> Result<PathBuf, Error> {
    let aside = make(folder, "data.new", programs, account, password, clock).await?;
    single_user(programs, account, &aside, &format!("CREATE DATABASE {NAME}")).await?;
    let (draft, data) = (folder.file("data.new"), folder.file("data"));
    // What is there has no PG_VERSION, or `Folder::data` would have found it: a dangling link, or an empty folder.
    match std::fs::symlink_metadata(&data) {
        Ok(found) if found.is_symlink() => {
            std::fs::remove_file(&data).map_err(Error::io("remove the dangling link", &data))?;
        }
        Ok(_) => std::fs::remove_dir(&data).map_err(Error::io("replace (it holds no PostgreSQL data)", &data))?,
        Err(_) => {}
    }
    std::fs::rename(&draft, &data).map_err(Error::io("rename", &draft))?;
    data.canonicalize().map_err(Error::io("open the folder", data))
}

/// Makes a cluster without a database of ours, by the name `draft` in the folder; returns where it is. What was there by
/// that name is removed.
pub async fn make(
    folder: &Folder,
    draft: &str,
    programs: &Programs,
    account: Account,
    password: &str,
    clock: &Clock,
) -> Result<PathBuf, Error> {
    let draft = folder.file(draft);
    if draft.symlink_metadata().is_ok() {
        remove(&draft)?;
    }
    let aside = if account.can_enter(folder.path()).await {
        draft.clone()
    } else {
        std::fs::create_dir_all(FALLBACK).map_err(Error::io("create the folder", FALLBACK))?;
        let aside = Path::new(FALLBACK).join(format!("pg-{}", new_password(clock)));
        tracing::info!(data = %aside.display(), "the server's account cannot enter the cluster's folder");
        // The link comes first: what is made is found again, however this ends.
        std::os::unix::fs::symlink(&aside, &draft).map_err(Error::io("create the link", &draft))?;
        aside
    };
    std::fs::DirBuilder::new().mode(0o700).create(&aside).map_err(Error::io("create the folder", &aside))?;
    account.own(&aside)?;
    let password_file = aside.with_extension("password");
    let made = run_initdb(programs, account, &aside, &password_file, password).await;
    std::fs::remove_file(&password_file).ok();
    made?;
    Ok(aside)
}

/// Writes the data of a server that has ended to the disk.
pub async fn sync(server: &Server) -> Result<(), Error> {
    let mut command = Command::new(server.programs.path("initdb"));
    command.arg("--sync-only").arg("-D").arg(&server.data).current_dir(&server.data).stdin(Stdio::null());
    server.account.apply(&mut command);
    ended(command, &server.programs).await
}

/// 32 hexadecimal digits: nothing to be escaped in a URL or in SQL.
pub fn new_password(clock: &Clock) -> String {
    let mut bytes = [0_u8; 16];
    clock.fill_random(&mut bytes);
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Gives the cluster's user a new password, while the server is stopped.
pub async fn set_password(server: &Server, password: &str) -> Result<(), Error> {
    let statement = format!("ALTER ROLE {NAME} PASSWORD '{password}'");
    single_user(&server.programs, server.account, &server.data, &statement).await
}

async fn run_initdb(
    programs: &Programs,
    account: Account,
    data: &Path,
    password_file: &Path,
    password: &str,
) -> Result<(), Error> {
    std::fs::remove_file(password_file).ok();
    let file = std::fs::OpenOptions::new().create_new(true).write(true).mode(0o600).open(password_file);
    let written = file.and_then(|mut file| file.write_all(password.as_bytes()));
    written.map_err(Error::io("write", password_file))?;
    account.own(password_file)?;
    let mut command = Command::new(programs.path("initdb"));
    command.arg("-D").arg(data).arg("--pwfile").arg(password_file);
    // No locale: text compares by bytes, the same on every machine, and indices serve prefix searches.
    command.args(["--username", NAME, "--auth", "scram-sha-256", "--encoding", "UTF8", "--no-locale"]);
    command.current_dir(data).stdin(Stdio::null());
    account.apply(&mut command);
    ended(command, programs).await
}

/// Runs `initdb` to its end.
async fn ended(mut command: Command, programs: &Programs) -> Result<(), Error> {
    let output = command.output().await.map_err(Error::io("run", programs.path("initdb")))?;
    if output.status.success() {
        return Ok(());
    }
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    Err(Error::Program { program: "initdb", status: output.status.to_string(), output: tail(&said) })
}

/// Runs one statement without a server: `postgres --single` reads it from its input.
async fn single_user(programs: &Programs, account: Account, data: &Path, statement: &str) -> Result<(), Error> {
    let program = programs.path("postgres");
    let mut command = Command::new(&program);
    command.args(["--single", "-D"]).arg(data).arg("postgres").current_dir(data);
    command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
    account.apply(&mut command);
    let mut child = command.spawn().map_err(Error::io("run", &program))?;
    if let Some(mut input) = child.stdin.take() {
        input.write_all(format!("{statement}\n").as_bytes()).await.ok();
    }
    let output = child.wait_with_output().await.map_err(Error::io("run", &program))?;
    let said = String::from_utf8_lossy(&output.stderr);
    // It exits with 0 also when the statement failed.
    if output.status.success() && !said.contains("ERROR:") {
        return Ok(());
    }
    // The server repeats a failing statement; a password must not come with it.
    let said: Vec<_> = said.lines().filter(|line| !line.contains("STATEMENT:")).collect();
    Err(Error::Program {
        program: "postgres --single",
        status: output.status.to_string(),
        output: tail(&said.join("\n")),
    })
}

/// The last lines of what a program said, for an error.
pub fn tail(text: &str) -> String {
    let lines: Vec<_> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    lines[lines.len().saturating_sub(5)..].join("; ")
}
