//! `syncline serve`: the API in a process of its own. What it is made of is composed above this module ([`super::Work`]).

use super::{Context, Error, Parts, Work};

/// Serve the API until SIGTERM or Ctrl-C
#[derive(Debug, clap::Args)]
pub struct ServeArgs {}

pub(super) async fn run(context: &Context, work: Work) -> Result<(), Error> {
    let announce = |served: super::Served| {
        let Some(api) = served.api else { return };
        let base = &context.config.serve.base_path;
        context
            .output
            .note(&format!("the API answers at http://{api}{base}/api  (its description: /api/openapi.json)"));
    };
    Ok(work(context, Parts::Api, Box::new(announce)).await?)
}
