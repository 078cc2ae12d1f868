//! `syncline serve`: the API in a process of its own. What it is made of is composed above this module ([`super::Work`]).

use super::{Context, Error, Parts, Work};

/// Serve the API until SIGTERM or Ctrl-C
#[derive(Debug, clap::Args)]
pub struct ServeArgs {
    /// Serve this part alone
    #[arg(long, value_enum)]
    only: Option<Only>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Only {
    /// What Jira sends: neither the API nor the console
    Webhooks,
}

pub(super) async fn run(args: &ServeArgs, context: &Context, work: Work) -> Result<(), Error> {
    let announce = |served: super::Served| {
        let Some(api) = served.api else { return };
        let base = &context.config.serve.base_path;
        context.output.note(&match args.only {
            None => format!("the API answers at http://{api}{base}/api  (its description: /api/openapi.json)"),
            Some(Only::Webhooks) => format!("webhooks are taken at http://{api}{base}/hooks/jira/SITE"),
        });
    };
    let parts = if args.only.is_some() { Parts::Webhooks } else { Parts::Api };
    Ok(work(context, parts, Box::new(announce)).await?)
}
