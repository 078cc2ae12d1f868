//! What every route works with.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::graphql::Api;
use crate::app::App;
use crate::app::feed::Feed;
use crate::app::live::Live;
use crate::app::oidc::Oidc;
use crate::app::webhook::Receiver;
use crate::config::{ServeConfig, SyncConfig};

/// The use cases, the runs that are followed, and the configuration; cheap to clone.
#[derive(Clone)]
pub(crate) struct Shared {
    pub app: App,
    pub live: Live,
    pub feed: Feed,
    pub schema: Api,
    pub config: Arc<ServeConfig>,
    pub sync: Arc<SyncConfig>,
    pub oidc: Option<Oidc>,
    pub hooks: Receiver,
    pub stop: CancellationToken,
}
