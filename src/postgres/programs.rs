//! Finding PostgreSQL's programs where people and distributions put them.
//!
//! What must hold: of several installations the newest is taken, except that existing data are served by the major
//! version that wrote them; a folder given explicitly is the only one looked at.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::Error;

/// The oldest major version that is supported.
pub const MINIMUM_MAJOR: u32 = 14;

/// One installation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Programs {
    /// The folder of `postgres`, `initdb` and `pg_ctl`.
    pub folder: PathBuf,
    /// The major version.
    pub major: u32,
}

impl Programs {
    /// Finds an installation; `wrote_data` is the major version of data that exist already.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::TooOld`], [`Error::OtherVersion`] (which names `data`).
    pub fn find(explicit: Option<&Path>, wrote_data: Option<&str>, data: &Path) -> Result<Self, Error> {
        let folders = match explicit {
            Some(folder) => vec![folder.to_owned()],
            None => usual_folders(),
        };
        let mut found: Vec<_> = folders.iter().filter_map(|folder| inspect(folder)).collect();
        // A stable sort: of the same version, the one that comes first in PATH.
        found.sort_by_key(|programs| std::cmp::Reverse(programs.major));
        let Some(newest) = found.first().cloned() else {
            let looked_in = folders.iter().map(|folder| folder.display().to_string()).collect::<Vec<_>>().join(", ");
            return Err(Error::NotFound { looked_in });
        };
        if newest.major < MINIMUM_MAJOR {
            return Err(Error::TooOld { found: newest.major, folder: newest.folder });
        }
        match wrote_data {
            None => Ok(newest),
            Some(wanted) => found
                .into_iter()
                .find(|programs| programs.major >= MINIMUM_MAJOR && programs.major.to_string() == wanted)
                .ok_or_else(|| Error::OtherVersion { folder: data.to_owned(), wanted: wanted.to_owned() }),
        }
    }

    /// The path of one of the programs.
    pub fn path(&self, program: &str) -> PathBuf {
        self.folder.join(program)
    }
}

/// PATH first, then what `pg_config` says, then where packages install without touching PATH.
fn usual_folders() -> Vec<PathBuf> {
    let mut folders: Vec<PathBuf> =
        std::env::var_os("PATH").map(|path| std::env::split_paths(&path).collect()).unwrap_or_default();
    folders.retain(|folder| folder.join("postgres").exists());
    if let Ok(output) = Command::new("pg_config").arg("--bindir").output() {
        folders.push(PathBuf::from(String::from_utf8_lossy(&output.stdout).trim()));
    }
    for (parent, prefix, below) in [
        ("/usr/lib/postgresql", "", "bin"),
        ("/usr", "pgsql-", "bin"),
        ("/opt/homebrew/opt", "postgresql", "bin"),
        ("/usr/local/opt", "postgresql", "bin"),
        ("/Applications/Postgres.app/Contents/Versions", "", "bin"),
    ] {
        let Ok(entries) = std::fs::read_dir(parent) else { continue };
        let named = entries.flatten().filter(|entry| entry.file_name().to_string_lossy().starts_with(prefix));
        folders.extend(named.map(|entry| entry.path().join(below)).filter(|folder| folder.is_dir()));
    }
    folders.retain(|folder| !folder.as_os_str().is_empty());
    folders
}

/// Finds a client program, such as `psql`: in PATH, else beside the newest server.
pub fn find_client(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let in_path = std::env::split_paths(&path).map(|folder| folder.join(name)).find(|program| program.is_file());
    in_path.or_else(|| {
        let mut found: Vec<_> = usual_folders().iter().filter_map(|folder| inspect(folder)).collect();
        found.sort_by_key(|programs| std::cmp::Reverse(programs.major));
        found.iter().map(|programs| programs.path(name)).find(|program| program.is_file())
    })
}

fn inspect(folder: &Path) -> Option<Programs> {
    // `postgres` on PATH is often a link into a folder that holds the rest.
    let real = folder.join("postgres").canonicalize().ok()?;
    let home = real.parent()?;
    let complete = |folder: &Path| ["initdb", "pg_ctl"].iter().all(|program| folder.join(program).exists());
    let folder = [home, folder].into_iter().find(|folder| complete(folder))?.to_owned();
    let output = Command::new(&real).arg("--version").output().ok()?;
    let major = major_version(&String::from_utf8_lossy(&output.stdout))?;
    Some(Programs { folder, major })
}

/// `postgres (PostgreSQL) 15.8 (Debian 15.8-0+deb12u1)`, `postgres (PostgreSQL) 18beta2`.
fn major_version(text: &str) -> Option<u32> {
    let version = text.split_once(')')?.1.trim_start();
    let digits: String = version.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().ok()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn fake_installation(folder: &Path, version: &str) {
        std::fs::create_dir_all(folder).unwrap();
        for program in ["postgres", "initdb", "pg_ctl"] {
            let path = folder.join(program);
            std::fs::write(&path, format!("#!/bin/sh\necho '{program} (PostgreSQL) {version}'\n")).unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        }
    }

    #[test]
    fn versions_are_read_as_distributions_write_them() {
        assert_eq!(major_version("postgres (PostgreSQL) 15.8 (Debian 15.8-0+deb12u1)\n"), Some(15));
        assert_eq!(major_version("postgres (PostgreSQL) 18beta2"), Some(18));
        assert_eq!(major_version("postgres (PostgreSQL) 9.6.24"), Some(9));
        assert_eq!(major_version("command not found"), None);
    }

    #[test]
    fn a_version_that_is_too_old_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        fake_installation(folder.path(), "13.14");
        let error = Programs::find(Some(folder.path()), None, Path::new("d")).unwrap_err();
        assert!(matches!(error, Error::TooOld { found: 13, .. }), "{error:?}");
    }

    #[test]
    fn a_missing_postgres_is_answered_with_the_ways_to_get_it() {
        let folder = tempfile::tempdir().unwrap();
        let message = Programs::find(Some(folder.path()), None, Path::new("d")).unwrap_err().to_string();
        for part in ["apt-get install postgresql", "brew install", "docker run", "DATABASE_URL"] {
            assert!(message.contains(part), "{message}");
        }
    }

    #[test]
    fn data_are_served_by_the_version_that_wrote_them() {
        let folder = tempfile::tempdir().unwrap();
        fake_installation(folder.path(), "16.2");
        let find = |wrote| Programs::find(Some(folder.path()), wrote, Path::new("d"));
        assert_eq!(find(Some("16")).unwrap().major, 16);
        assert!(matches!(find(Some("15")), Err(Error::OtherVersion { wanted, .. }) if wanted == "15"));
    }
}
