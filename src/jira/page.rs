//! What a page of search results says of its successor, and the guards of a walk over pages.
//!
//! What must hold: a walk ends. Jira's tokens are opaque, and users of other clients have met walks that went in circles
//! or over empty pages for ever, so each page passes a [`TokenGuard`] before its token is followed. A page that says that
//! there is more and gives no token is an error, because ending there would lose the rest in silence.

use std::fmt;

use serde::de::{Deserializer, IgnoredAny, SeqAccess, Visitor};
use serde::{Deserialize, Serialize};

use super::brought::Brought;
use super::loose::{Loose, Whole};
use super::repair;
use crate::domain::failure::{Failure, FailureCode};

/// The frame of one page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PageHead {
    /// How many issues the page holds.
    pub issue_count: usize,
    /// What to send for the next page; absent on the last.
    pub next_page_token: Option<String>,
    /// Whether the walk ends here.
    pub is_last: bool,
    /// Of a last page: how many rows more its total promises than the walk has met. Where servers count what they do not
    /// show, these are the rows that nobody may see; else they are lost.
    pub missing: u64,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Head {
    issues: Count,
    #[serde(default)]
    next_page_token: Option<String>,
    #[serde(default)]
    is_last: Option<bool>,
    #[serde(default)]
    total: Loose<Whole>,
}

/// Reads the frame and skips the issues, at the speed of a scan for brackets.
///
/// # Errors
/// `SCHEMA_CHANGED` where `issues` is no array, the token no text, or the page says that there is more without a token.
pub fn page_head(body: &[u8]) -> Result<PageHead, Failure> {
    let head = read(body)?;
    frame(head.issues.0, head.next_page_token, head.is_last)
}

/// The same of a page that should have a token; `None` of one that says nothing of a next page but has fewer issues than
/// its `total`.
pub(super) fn head_by_token(body: &[u8]) -> Result<Option<PageHead>, Failure> {
    let head = read(body)?;
    let held = i64::try_from(head.issues.0).unwrap_or(i64::MAX);
    let says_nothing = head.is_last.is_none() && head.next_page_token.as_deref().is_none_or(str::is_empty);
    if says_nothing && matches!(head.total, Loose::Good(Whole(total)) if total > held) {
        return Ok(None);
    }
    frame(head.issues.0, head.next_page_token, head.is_last).map(Some)
}

fn read(body: &[u8]) -> Result<Head, Failure> {
    // The bytes first: that their texts are UTF-8 is for whoever reads the issues.
    let head = serde_json::from_slice(body).or_else(|_| repair::read_owned(body));
    head.map_err(|error| repair::unreadable("a page of search results", body, &error))
}

/// The frame from its parts; see [`page_head`].
pub(super) fn frame(
    issue_count: usize,
    next_page_token: Option<String>,
    is_last: Option<bool>,
) -> Result<PageHead, Failure> {
    let next_page_token = next_page_token.filter(|token| !token.is_empty());
    if next_page_token.is_none() && is_last == Some(false) {
        return Err(Failure::new(
            FailureCode::SchemaChanged,
            "a page of search results says isLast = false and has no nextPageToken",
        ));
    }
    let is_last = is_last.unwrap_or(next_page_token.is_none());
    Ok(PageHead { issue_count, next_page_token, is_last, missing: 0 })
}

/// The length of an array whose elements are skipped.
struct Count(usize);

impl<'de> Deserialize<'de> for Count {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Counter;
        impl<'de> Visitor<'de> for Counter {
            type Value = Count;
            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str("an array of issues")
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Count, A::Error> {
                let mut count = 0;
                while seq.next_element::<IgnoredAny>()?.is_some() {
                    count += 1;
                }
                Ok(Count(count))
            }
        }
        deserializer.deserialize_seq(Counter)
    }
}

/// How a walk goes on after a page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    /// With the page of this token.
    Page(String),
    /// It does not: this was the last page.
    End,
}

/// Watches one walk: its tokens here, and what its pages bring in [`Brought`]. It is small, of constant size, and can be kept in a checkpoint, so that a walk which is continued by
/// another process is still guarded.
///
/// A repeated token is found by Brent's method: the token of page 1, 2, 4, 8, … is remembered and compared with each one
/// after it, which finds a circle of any length within twice its length.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenGuard {
    remembered: Option<[u8; 16]>,
    since_remembered: u64,
    remember_after: u64,
    empty_pages: u32,
    allowed_empty_pages: u32,
    /// How much the walk has brought.
    #[serde(default)]
    pub brought: Brought,
}

impl TokenGuard {
    /// How many empty pages in a row may carry a token, unless told otherwise.
    pub const ALLOWED_EMPTY_PAGES: u32 = 3;

    /// A guard that lets `allowed_empty_pages` empty pages in a row carry a token: Jira filters by permission after it
    /// has cut a page.
    pub fn new(allowed_empty_pages: u32) -> Self {
        let brought = Brought::default();
        Self { remembered: None, since_remembered: 0, remember_after: 1, empty_pages: 0, allowed_empty_pages, brought }
    }

    /// Says how the walk goes on after `page`.
    ///
    /// # Errors
    /// `SCHEMA_CHANGED` for a token that was there before, and for too many empty pages in a row.
    pub fn next(&mut self, page: &PageHead) -> Result<Next, Failure> {
        let token = match &page.next_page_token {
            Some(token) if !page.is_last => token,
            _ => return Ok(Next::End),
        };
        self.empty_pages = if page.issue_count == 0 { self.empty_pages + 1 } else { 0 };
        if self.empty_pages > self.allowed_empty_pages {
            return Err(Failure::new(
                FailureCode::SchemaChanged,
                format!(
                    "{} empty pages of search results in a row, each with a token for another one",
                    self.empty_pages
                ),
            ));
        }
        let mut digest = [0; 16];
        digest.copy_from_slice(&blake3::hash(token.as_bytes()).as_bytes()[..16]);
        if self.remembered == Some(digest) {
            return Err(Failure::new(
                FailureCode::SchemaChanged,
                "the search returned the same page token again: the pages would never end",
            ));
        }
        self.since_remembered += 1;
        if self.remembered.is_none() || self.since_remembered >= self.remember_after {
            self.remembered = Some(digest);
            self.since_remembered = 0;
            self.remember_after = self.remember_after.saturating_mul(2);
        }
        Ok(Next::Page(token.clone()))
    }
}

impl Default for TokenGuard {
    fn default() -> Self {
        Self::new(Self::ALLOWED_EMPTY_PAGES)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(issue_count: usize, token: &str) -> PageHead {
        PageHead { issue_count, next_page_token: Some(token.into()), is_last: false, missing: 0 }
    }

    #[test]
    fn the_frame_is_read_without_the_issues() {
        let head = page_head(br#"{"issues":[{"id":"1","fields":{"a":[1,{"b":"\ud800"}]}},{"id":2}],"nextPageToken":"t1","isLast":false}"#);
        assert_eq!(head, Ok(page(2, "t1")));
    }

    #[test]
    fn a_missing_is_last_is_told_by_the_token() {
        let last = PageHead { issue_count: 0, next_page_token: None, is_last: true, missing: 0 };
        assert_eq!(page_head(br#"{"issues":[]}"#), Ok(last.clone()));
        assert_eq!(page_head(br#"{"issues":[],"nextPageToken":null}"#), Ok(last));
        assert_eq!(page_head(br#"{"issues":[0],"nextPageToken":"x"}"#), Ok(page(1, "x")));
    }

    #[test]
    fn more_without_a_token_is_an_error_and_not_the_end() {
        let failure = page_head(br#"{"issues":[{}],"isLast":false}"#).unwrap_err();
        assert_eq!(failure.code, FailureCode::SchemaChanged);
    }

    #[test]
    fn a_page_without_issues_is_a_changed_schema() {
        for body in [
            &br#"{"errorMessages":[]}"#[..],
            b"[]",
            b"",
            b"<html>",
            br#"{"issues":{}}"#,
            br#"{"issues":[],"nextPageToken":5}"#,
        ] {
            assert_eq!(
                page_head(body).unwrap_err().code,
                FailureCode::SchemaChanged,
                "{}",
                String::from_utf8_lossy(body)
            );
        }
    }

    #[test]
    fn a_repeated_token_ends_the_page_walk_with_an_error() {
        for (lead, circle) in [(0, 1), (3, 1), (0, 2), (5, 7), (100, 64)] {
            let mut guard = TokenGuard::default();
            let walked = (0..2_000)
                .take_while(|step| {
                    let token = if *step < lead { *step } else { lead + (step - lead) % circle };
                    guard.next(&page(1, &token.to_string())).is_ok()
                })
                .count();
            assert!(walked <= 2 * (lead + circle) + circle, "lead {lead}, circle {circle}: found after {walked}");
        }
    }

    #[test]
    fn a_long_walk_of_different_tokens_is_let_through() {
        let mut guard = TokenGuard::default();
        for step in 0..10_000 {
            assert_eq!(guard.next(&page(1, &step.to_string())), Ok(Next::Page(step.to_string())));
        }
        assert_eq!(
            guard.next(&PageHead { issue_count: 1, next_page_token: None, is_last: true, missing: 0 }),
            Ok(Next::End)
        );
    }

    #[test]
    fn empty_pages_with_a_token_are_allowed_a_few_times_in_a_row() {
        let mut guard = TokenGuard::new(2);
        for (step, count) in [0, 0, 1, 0, 0].into_iter().enumerate() {
            assert!(guard.next(&page(count, &step.to_string())).is_ok(), "{step}");
        }
        assert_eq!(guard.next(&page(0, "z")).unwrap_err().code, FailureCode::SchemaChanged);
    }

    #[test]
    fn a_guard_is_as_watchful_after_a_restart() {
        let mut guard = TokenGuard::default();
        guard.next(&page(1, "a")).unwrap();
        let kept = serde_json::to_string(&guard).unwrap();
        let mut guard: TokenGuard = serde_json::from_str(&kept).unwrap();
        assert!(guard.next(&page(1, "a")).is_err());
    }
}
