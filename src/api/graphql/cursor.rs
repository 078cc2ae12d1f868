//! Cursors of the lists within an issue: a time and an id.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::app::issue::ChangePosition;
use crate::app::{Result, cursor};

/// Reads where a list goes on.
///
/// # Errors
/// When the text is none of our cursors, or belongs to another list.
pub fn item(list: &str, text: Option<String>) -> Result<Option<(DateTime<Utc>, i64)>> {
    let read = |text: String| cursor::decode_numbered(list, &text).map(|(at, _, id)| (at, id));
    text.map(read).transpose()
}

/// Where a list goes on.
pub fn of_item(list: &str, (at, id): (DateTime<Utc>, i64)) -> String {
    cursor::encode_numbered(list, (at, Uuid::nil(), id))
}

/// Reads where a history goes on.
///
/// # Errors
/// When the text is none of our cursors, or belongs to another list.
pub fn change(text: Option<String>) -> Result<Option<ChangePosition>> {
    let read = |text: String| {
        let (at, id, item) = cursor::decode_numbered("history", &text)?;
        let (_, id) = id.as_u64_pair();
        Ok((at, id.cast_signed(), item))
    };
    text.map(read).transpose()
}

/// Where a history goes on.
pub fn of_change((at, id, item): ChangePosition) -> String {
    cursor::encode_numbered("history", (at, Uuid::from_u64_pair(0, id.cast_unsigned()), item))
}
