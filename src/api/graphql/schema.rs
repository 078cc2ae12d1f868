//! The schema: its roots, and its text.

use async_graphql::Schema;

use super::types::SyncStatus;
use super::{mutation, query, subscription};

/// The schema with its roots.
pub type Api = Schema<query::Query, mutation::Mutation, subscription::Subscription>;

/// Makes the schema.
pub fn schema() -> Api {
    Schema::build(query::Query, mutation::Mutation, subscription::Subscription)
        .register_output_type::<SyncStatus>()
        .limit_directives(10)
        .finish()
}

/// The schema as text.
pub fn sdl() -> String {
    schema().sdl()
}
