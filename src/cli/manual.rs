//! `syncline man-pages`: the manual, for `make install` and for packages.
//!
//! What must hold: the pages are made from the same description as `--help`, so that they cannot differ from it.

use std::path::PathBuf;

use clap::CommandFactory;

use super::{Cli, Error};

/// Write the manual, a page for each command, into a folder
#[derive(Debug, clap::Args)]
pub struct ManPagesArgs {
    /// A folder that exists; pages of the same names are replaced
    pub folder: PathBuf,
}

pub(super) fn run(args: &ManPagesArgs) -> Result<(), Error> {
    clap_mangen::generate_to(Cli::command(), &args.folder).map_err(|problem| {
        Error::failure(format!("cannot write the manual to {}: {problem}", args.folder.display()))
            .help("name an existing, writable folder")
    })
}
