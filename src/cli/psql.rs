//! `syncline psql`: PostgreSQL's own client on the database of this program.
//!
//! What must hold: the password is in no command line, where every user of the machine could read it; the private server
//! runs as long as the client does.

use std::process::Command;

use secrecy::ExposeSecret;
use url::Url;

use super::{Context, Error};
use crate::postgres::find_client;

/// Open psql on the database, with the schema `syncline` first in the search path
///
/// Arguments after `--` are psql's: `syncline psql -- -c 'SELECT count(*) FROM issue'`.
#[derive(Debug, clap::Args)]
pub struct PsqlArgs {
    /// Arguments of psql
    #[arg(last = true, value_name = "ARGUMENT")]
    arguments: Vec<String>,
}

/// Executes the command: its exit code is success when psql's is.
///
/// # Errors
/// When psql is not installed or fails.
pub(super) async fn run(args: &PsqlArgs, context: &Context) -> Result<(), Error> {
    let mut command = client("psql", context)?;
    let path = std::env::var("PGOPTIONS").unwrap_or_default();
    command.env("PGOPTIONS", format!("{path} -c search_path=syncline,public")).args(&args.arguments);
    // The client owns the terminal: its Ctrl-C cancels a query and ends nothing here.
    let interrupted = async { while tokio::signal::ctrl_c().await.is_ok() {} };
    let ended = tokio::process::Command::from(command).status();
    let status = tokio::select! {
        status = ended => status?,
        () = interrupted => return Ok(()),
    };
    match status.code() {
        Some(0) => Ok(()),
        _ => Err(Error::failure(format!("psql ended with {status}"))),
    }
}

/// A client program of PostgreSQL that connects to the database of `context`.
///
/// # Errors
/// When it is not installed.
pub(super) fn client(name: &str, context: &Context) -> Result<Command, Error> {
    let program = match find_client(name) {
        Some(path) => path,
        None => {
            return Err(Error::failure(format!("{name} is not installed"))
                .help("install PostgreSQL's clients (Debian: apt-get install postgresql-client)"));
        }
    };
    let mut url = Url::parse(context.database_url.expose_secret())
        .map_err(|_| Error::failure("the database URL cannot be read"))?;
    let password = url.password().map(str::to_owned);
    // A URL without a host takes no password, and has none.
    url.set_password(None).ok();
    let mut command = Command::new(program);
    if let Some(password) = password {
        command.env("PGPASSWORD", decoded(&password));
    }
    command.arg("--dbname").arg(url.as_str());
    Ok(command)
}

/// A URL holds its password percent-encoded, the environment does not.
fn decoded(password: &str) -> String {
    url::form_urlencoded::parse(password.replace('+', "%2B").as_bytes()).map(|(name, _)| name.into_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::decoded;

    #[test]
    fn a_password_is_taken_as_it_was_meant() {
        assert_eq!(decoded("p%40ss+w%2Bord"), "p@ss+w+ord");
        assert_eq!(decoded("plain"), "plain");
    }
}
