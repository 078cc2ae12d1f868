//! Parts of lists.

use async_graphql::SimpleObject;

use crate::app::COUNTED;

/// Where a list goes on.
#[derive(Debug, SimpleObject)]
pub struct PageInfo {
    /// Whether there are more.
    pub has_next_page: bool,
    /// Where the next part begins: give it as `after`.
    pub end_cursor: Option<String>,
}

impl PageInfo {
    /// By the cursor of the next part.
    pub fn of(next: Option<String>) -> Self {
        Self { has_next_page: next.is_some(), end_cursor: next }
    }
}

/// How many there are.
#[derive(Debug, SimpleObject)]
pub struct Count {
    /// The number; 10,000 where there are more.
    pub value: i32,
    /// False where there are more than the number.
    pub exact: bool,
}

impl Count {
    /// Of a number that was counted up to one more than the limit.
    pub fn of(counted: i64) -> Self {
        Self { value: i32::try_from(counted.min(COUNTED)).unwrap_or(i32::MAX), exact: counted <= COUNTED }
    }
}
