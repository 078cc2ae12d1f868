//! What every route works with.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use crate::app::App;
use crate::app::live::Live;
use crate::app::oidc::Oidc;
use crate::config::{ServeConfig, SyncConfig};

/// The use cases, the runs that are followed, and the configuration; cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Shared {
    pub app: App,
    pub live: Live,
    pub config: Arc<ServeConfig>,
    pub sync: Arc<SyncConfig>,
    pub oidc: Option<Oidc>,
    pub stop: CancellationToken,
}
