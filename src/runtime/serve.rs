//! The API in a process: beside a worker, or by itself with probes and metrics of its own.

use super::sources::{gauge_options, sources};
use super::start::{stop_signal, warn_of_newer_schema};
use crate::api;
use crate::app::App;
use crate::cli::{self, Parts};
use crate::clock::Clock;
use crate::config::Config;
use crate::console;
use crate::http::admin;
use crate::observe::health::{Heartbeats, Readiness, State};
use crate::store::{self, Connections};

/// Serves the API of a process.
pub(super) async fn serve(config: &Config, connections: Connections, clock: Clock) -> anyhow::Result<api::Server> {
    config.serve.check().map_err(cli::Error::usage)?;
    Ok(console::serve(App::new(connections, clock).configured(config), &config.serve, &config.sync).await?)
}

/// `syncline serve`: the API with probes and metrics of its own.
pub(super) struct Api {
    pub(super) api: api::Server,
    pub(super) admin: Option<admin::Server>,
    readiness: Readiness,
}

impl Api {
    pub(super) async fn start(context: &cli::Context, parts: Parts) -> anyhow::Result<Self> {
        let config = &context.config;
        warn_of_newer_schema(store::check_version(&context.pool).await?);
        let connections = Connections::from(context.pool.clone());
        let (readiness, heartbeats) = (Readiness::default(), Heartbeats::default());
        let admin = match config.http.address {
            Some(address) => {
                let sources = sources(gauge_options(config), &connections, &readiness, &heartbeats)?;
                Some(admin::serve(address, config.http.may_move, sources).await?)
            }
            None => None,
        };
        let api = match parts {
            Parts::Webhooks => {
                config.serve.check().map_err(cli::Error::usage)?;
                let app = App::new(connections, context.clock.clone()).configured(config);
                api::serve_webhooks(app, &config.serve, &config.sync).await?
            }
            _ => serve(config, connections, context.clock.clone()).await?,
        };
        readiness.set(State::Ready);
        Ok(Self { api, admin, readiness })
    }

    pub(super) async fn run_until_signal(self) -> anyhow::Result<()> {
        stop_signal().await?;
        self.readiness.set(State::Draining);
        self.api.stop().await;
        if let Some(admin) = self.admin {
            admin.stop().await;
        }
        Ok(())
    }
}
