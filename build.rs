//! Builds again when a migration is added, since the embedded list would otherwise stay the old one, and tells the program
//! which revision it was built from.

use std::process::Command;

fn main() {
    println!("cargo:rerun-if-changed=migrations");
    println!("cargo:rerun-if-env-changed=SYNCLINE_REVISION");
    println!("cargo:rustc-env=SYNCLINE_REVISION={}", revision());
}

/// `SYNCLINE_REVISION` where it is set, as by a build without the repository's history; else the commit of a release build.
/// A development build does not ask: it would have to be built again after each commit.
fn revision() -> String {
    let given = std::env::var("SYNCLINE_REVISION").ok().filter(|revision| !revision.is_empty());
    given.unwrap_or_else(|| match std::env::var("PROFILE").as_deref() {
        Ok("release") => commit().unwrap_or_else(|| "unknown".to_owned()),
        _ => "development".to_owned(),
    })
}

fn commit() -> Option<String> {
    let head = git(&["rev-parse", "--short=12", "HEAD"])?;
    // The log of HEAD grows with each commit and each switch of branches.
    println!("cargo:rerun-if-changed={}", git(&["rev-parse", "--git-path", "logs/HEAD"])?);
    let dirty = git(&["status", "--porcelain", "--untracked-files=no"])?;
    Some(if dirty.is_empty() { head } else { format!("{head}-dirty") })
}

fn git(arguments: &[&str]) -> Option<String> {
    let output = Command::new("git").args(arguments).output().ok().filter(|output| output.status.success())?;
    Some(String::from_utf8(output.stdout).ok()?.trim().to_owned())
}
