//! Copying one running cluster into another by PostgreSQL's own programs, and comparing them.
//!
//! What must hold: the newer version's programs do it, which know the older one's shapes and not the other way round; the
//! password is in no command line; a program that says anything is wrong ends the copy.

use std::path::PathBuf;
use std::process::{Output, Stdio};

use tokio::io::AsyncWriteExt;
use tokio::process::Command;

use super::super::folder::NAME;
use super::super::initialise::tail;
use super::super::{Error, Programs};

/// What an upgrade needs besides the server.
pub const PROGRAMS: [&str; 4] = ["pg_dumpall", "pg_dump", "pg_restore", "psql"];

/// The database that every cluster has.
const FIRST: &str = "postgres";
/// What is written is on disk when the server has ended, and that is waited for.
const RESTORE_OPTIONS: &str = "-c synchronous_commit=off -c maintenance_work_mem=256MB";

const DATABASES: &str = "SELECT datname FROM pg_database WHERE datallowconn AND NOT datistemplate ORDER BY datname;\n";

/// What a database holds: rows by table, sequences with where they are, and how many of everything else.
const HOLDS: &str = r#"
SELECT format('SELECT %L, count(*) FROM ONLY %I.%I', 'rows of ' || n.nspname || '.' || c.relname, n.nspname, c.relname)
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
 WHERE c.relkind = 'r' AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema' \gexec
SELECT 'sequence ' || schemaname || '.' || sequencename, last_value FROM pg_sequences;
SELECT 'relations of kind ' || c.relkind::text || ' in ' || n.nspname, count(*)
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
 WHERE n.nspname !~ '^pg_' AND n.nspname <> 'information_schema' GROUP BY 1;
SELECT 'functions in ' || n.nspname, count(*)
  FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
 WHERE n.nspname !~ '^pg_' AND n.nspname <> 'information_schema' GROUP BY 1;
-- Version 18 counts NOT NULL among the constraints.
SELECT 'constraints in ' || n.nspname, count(*)
  FROM pg_constraint k JOIN pg_namespace n ON n.oid = k.connamespace
 WHERE k.contype <> 'n' AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema' GROUP BY 1;
SELECT 'triggers', count(*) FROM pg_trigger WHERE NOT tgisinternal;
"#;

/// How a cluster is reached. No `Debug`: it holds the password.
#[derive(Clone, Copy)]
pub struct Side<'a> {
    pub port: u16,
    pub password: &'a str,
}

/// What was copied.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counts {
    pub databases: usize,
    pub tables: usize,
    pub rows: u64,
}

/// Copies roles and databases from one to the other; `copied` is called before they are compared.
///
/// # Errors
/// [`Error::Program`] with what a program said; [`Error::NotTheSame`].
pub async fn copy(programs: &Programs, from: Side<'_>, to: Side<'_>, copied: impl FnOnce()) -> Result<Counts, Error> {
    let copy = Copy { programs, from, to };
    copy.roles().await?;
    let databases = copy.ask(from, FIRST, DATABASES).await?;
    let databases: Vec<&str> = databases.lines().collect();
    for database in &databases {
        copy.database(database).await?;
    }
    copied();
    let mut counts = Counts { databases: databases.len(), ..Counts::default() };
    for database in databases {
        let (before, after) = (copy.ask(from, database, HOLDS).await?, copy.ask(to, database, HOLDS).await?);
        if let Some(difference) = difference(&before, &after) {
            return Err(Error::NotTheSame { database: database.to_owned(), difference });
        }
        for rows in
            before.lines().filter_map(|line| line.strip_prefix("rows of ")?.rsplit_once('|')?.1.parse::<u64>().ok())
        {
            counts.tables += 1;
            counts.rows += rows;
        }
        // Without statistics the first queries would be planned in the dark.
        copy.ask(to, database, "ANALYZE;\n").await?;
    }
    Ok(counts)
}

struct Copy<'a> {
    programs: &'a Programs,
    from: Side<'a>,
    to: Side<'a>,
}

impl Copy<'_> {
    /// One of the programs, connected to a side.
    fn command(&self, program: &str, side: Side<'_>) -> Command {
        let mut command = Command::new(self.programs.path(program));
        // What a person has set for their own connections is not meant for these.
        for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("PG")) {
            command.env_remove(name);
        }
        command.env("PGPASSWORD", side.password).current_dir("/").kill_on_drop(true);
        command.args(["--host", "127.0.0.1", "--port", &side.port.to_string(), "--username", NAME, "--no-password"]);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// What psql answers to a script: lines of fields with a bar between them.
    async fn ask(&self, side: Side<'_>, database: &str, script: &str) -> Result<String, Error> {
        let mut command = self.command("psql", side);
        command.args(["--no-psqlrc", "--quiet", "--no-align", "--tuples-only", "--set", "ON_ERROR_STOP=1", "--dbname"]);
        command.arg(connection(database)).stdin(Stdio::piped());
        let mut psql = command.spawn().map_err(Error::io("run", self.programs.path("psql")))?;
        if let Some(mut input) = psql.stdin.take() {
            // One that has ended says why.
            input.write_all(script.as_bytes()).await.ok();
        }
        let output = psql.wait_with_output().await.map_err(Error::io("run", self.programs.path("psql")))?;
        said("psql", output)
    }

    /// The roles with their passwords and memberships; the cluster's user is there already.
    async fn roles(&self) -> Result<(), Error> {
        let output = self.command("pg_dumpall", self.from).args(["--roles-only", "--database", FIRST]).output().await;
        let dumped = said("pg_dumpall", output.map_err(Error::io("run", self.programs.path("pg_dumpall")))?)?;
        let own = format!("CREATE ROLE {NAME};");
        let script: String = dumped.lines().filter(|line| *line != own).flat_map(|line| [line, "\n"]).collect();
        self.ask(self.to, FIRST, &script).await.map(drop)
    }

    /// One database with its settings and rights.
    async fn database(&self, database: &str) -> Result<(), Error> {
        let mut dump = self.command("pg_dump", self.from);
        dump.args(["--format=custom", "--compress=0", "--dbname"]).arg(connection(database));
        let mut restore = self.command("pg_restore", self.to);
        restore.args(["--exit-on-error", "--dbname", FIRST]).env("PGOPTIONS", RESTORE_OPTIONS);
        if database != FIRST {
            restore.arg("--create");
        }
        let (dump_path, restore_path) = (self.programs.path("pg_dump"), self.programs.path("pg_restore"));
        let mut dump = dump.spawn().map_err(Error::io("run", &dump_path))?;
        if let Some(out) = dump.stdout.take() {
            let out: Stdio = out.try_into().map_err(Error::io("read from", &dump_path))?;
            restore.stdin(out);
        }
        let restore = restore.spawn().map_err(Error::io("run", &restore_path))?;
        let (dumped, restored) = tokio::join!(dump.wait_with_output(), restore.wait_with_output());
        // A dump whose reader has gone only says so: the reader's reason comes first.
        let ended = |program, path: PathBuf, output: std::io::Result<Output>| {
            said(program, output.map_err(Error::io("run", path))?).map(drop)
        };
        ended("pg_restore", restore_path, restored)?;
        ended("pg_dump", dump_path, dumped)
    }
}

/// A name is taken as a name, whatever it is made of.
fn connection(database: &str) -> String {
    format!("dbname='{}'", database.replace('\\', r"\\").replace('\'', r"\'"))
}

/// What a program wrote, where all went well.
fn said(program: &'static str, output: Output) -> Result<String, Error> {
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    // A statement about a role has its password's hash.
    let said: Vec<_> = said.lines().filter(|line| !line.contains("PASSWORD")).collect();
    Err(Error::Program { program, status: output.status.to_string(), output: tail(&said.join("\n")) })
}

/// The first line that is on one side only.
fn difference(before: &str, after: &str) -> Option<String> {
    let only = |one: &str, other: &str| {
        let other: std::collections::HashSet<&str> = other.lines().collect();
        one.lines().find(|line| !other.contains(line)).map(|line| line.replacen('|', ": ", 1))
    };
    match (only(before, after), only(after, before)) {
        (None, None) => None,
        (before, after) => {
            let word = |line: Option<String>| line.unwrap_or_else(|| "nothing".to_owned());
            Some(format!("the old one has {}, the new one {}", word(before), word(after)))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_that_lacks_a_row_is_not_the_same() {
        let before = "rows of syncline.issue|12\nfunctions in syncline|3\n";
        assert_eq!(difference(before, before), None);
        let told = difference(before, "rows of syncline.issue|11\nfunctions in syncline|3\n").unwrap();
        assert_eq!(told, "the old one has rows of syncline.issue: 12, the new one rows of syncline.issue: 11");
        let told = difference(before, "rows of syncline.issue|12\n").unwrap();
        assert_eq!(told, "the old one has functions in syncline: 3, the new one nothing");
    }

    #[test]
    fn a_database_may_have_any_name() {
        assert_eq!(connection("it's"), r"dbname='it\'s'");
    }
}
