//! The walk over pages that are cut by `startAt`: Data Center's way, and that of servers which never got tokens.
//!
//! Rows shift while issues change: one that is updated goes to the end of `ORDER BY updated`, and every row after it moves
//! up by one, so that plain paging skips as many as were updated. So each page begins some rows before the end of the page
//! before, and at least one of those rows must come back as it was; then what follows the last of them is new and nothing
//! was skipped. One that was changed meanwhile says nothing: it stands wherever its change has put it. Where none comes back,
//! the walk steps back until one does, or to the beginning. Rows that are read twice are written once.
//!
//! What must hold: a walk ends on any server: one that ignores `startAt`, gives fewer rows than asked for, or tells no total.
//! Where it ends before the total that the server tells, it says by how much. That a page which is full comes again, whatever
//! place is asked for, is a failure: then the rest is there and cannot be had. A page that comes again and is not full, or an
//! end before the total, is not: some servers count rows that they hide from the account.

use super::page::PageHead;
use crate::domain::failure::{Failure, FailureCode};

/// Rows that are read again from the page before, at most; half a page where pages are short.
const OVERLAP: usize = 10;
/// How often a walk may find nothing again of what it knew and begin anew.
const MAX_RESTARTS: u32 = 5;
/// How many pages a walk goes back before it goes to the beginning.
const MAX_STEPS_BACK: u64 = 16;
/// A walk has this many pages, and as many again as rows were read [`PATIENCE`] times over, before it is given up: the end
/// goes on moving away.
const PAGES_AT_LEAST: u64 = 16;
/// See [`PAGES_AT_LEAST`].
const PATIENCE: u64 = 4;
/// How these tokens begin; Jira's own are longer and opaque.
const PREFIX: &str = "rows-from:";

/// Where a page begins, and what is known of the one before. It travels as the token of a page.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Place {
    /// The index of the first row that is asked for.
    pub begin: u64,
    /// How many rows the page before had.
    rows: u64,
    /// Tells whether the same page came again.
    digest: u64,
    restarts: u32,
    /// How many pages the walk has had.
    pages: u64,
    /// The last rows of the page before, which should come back.
    last: Vec<Row>,
}

/// An issue by its id, and what tells whether it is as it was; 0 where the answer does not say.
pub(super) type Row = (i64, u32);

/// The frame of a page that has no token.
#[derive(Clone, Debug, Default)]
pub(super) struct Rows {
    pub ids: Vec<i64>,
    /// See [`Row`]; empty where the answer does not say.
    pub versions: Vec<u32>,
    /// The most rows that a page has.
    pub limit: u64,
    pub total: Option<u64>,
    pub is_last: Option<bool>,
}

/// What to do with a page.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It follows the page before.
    Take(PageHead),
    /// It does not: ask for the rows from here.
    StepBack(u64),
}

impl Place {
    /// Reads a token of this kind.
    pub(super) fn parse(token: &str) -> Option<Self> {
        let mut parts = token.strip_prefix(PREFIX)?.splitn(6, '/');
        Some(Self {
            begin: parts.next()?.parse().ok()?,
            rows: parts.next()?.parse().ok()?,
            digest: u64::from_str_radix(parts.next()?, 16).ok()?,
            restarts: parts.next()?.parse().ok()?,
            pages: parts.next()?.parse().ok()?,
            last: parts
                .next()?
                .split(',')
                .filter(|row| !row.is_empty())
                .map(|row| {
                    let (id, version) = row.split_once(':')?;
                    Some((id.parse().ok()?, u32::from_str_radix(version, 16).ok()?))
                })
                .collect::<Option<_>>()?,
        })
    }

    fn token(&self) -> String {
        let last: Vec<String> = self.last.iter().map(|(id, version)| format!("{id}:{version:x}")).collect();
        let Self { begin, rows, digest, restarts, pages, .. } = self;
        format!("{PREFIX}{begin}/{rows}/{digest:x}/{restarts}/{pages}/{}", last.join(","))
    }

    /// Judges the page that was read from `begin`, which is [`Place::begin`] or, after steps back, before it.
    ///
    /// # Errors
    /// `SERVER_ERROR` where the order of the rows changes so much that a walk cannot be followed; `SCHEMA_CHANGED` where
    /// the server gives one full page for ever and says that there are more.
    pub(super) fn judge(&self, begin: u64, page: &Rows) -> Result<Verdict, Failure> {
        let rows = page.ids.len();
        let version = |place: usize| page.versions.get(place).copied().unwrap_or_default();
        let shown: Vec<Row> = page.ids.iter().enumerate().map(|(place, id)| (*id, version(place))).collect();
        let found = self.last.iter().filter(|row| shown.contains(row)).count();
        // Rows that are as they were are where they were, so one is enough. Where that is not known it may be chance.
        let enough = match self.last.iter().all(|(_, version)| *version > 0) {
            true => found > 0,
            false => found * 2 >= self.last.len(),
        };
        let first_is_known = shown.first().is_some_and(|first| self.last.contains(first));
        let follows = self.last.is_empty() || first_is_known || enough;
        if !follows && begin > 0 {
            // Page by page with some rows in common, and not for ever: a walk of a million rows rather begins anew.
            let gone_back = self.begin - begin;
            let step = (self.rows - self.rows / 4).max(1);
            let to = if gone_back > MAX_STEPS_BACK * self.rows { 0 } else { begin.saturating_sub(step) };
            return Ok(Verdict::StepBack(to));
        }
        let restarts = self.restarts + u32::from(!follows);
        let most_pages = PAGES_AT_LEAST + PATIENCE * page.total.unwrap_or(u64::MAX / 8) / (rows as u64 / 2).max(1);
        if restarts > MAX_RESTARTS || self.pages > most_pages {
            let problem = "the rows of a search change their positions faster than they can be read";
            return Err(Failure::new(FailureCode::ServerError, problem));
        }
        let last_known = shown.iter().rposition(|row| self.last.contains(row));
        let new_rows = rows - last_known.map_or(0, |place| place + 1);
        let digest = digest(&page.ids);
        let end = begin + rows as u64;
        let again = self.rows > 0 && digest == self.digest;
        let stepped_back = begin < self.begin;
        let is_last = match (page.is_last, page.total) {
            _ if rows == 0 || again => true,
            (Some(true), _) => true,
            _ if stepped_back && follows && new_rows == 0 => true,
            (_, Some(total)) => end >= total,
            (Some(false), None) => false,
            (None, None) => new_rows == 0,
        };
        // A page that came again is where it was before.
        let met = if again { self.begin + self.last.len() as u64 } else { end };
        let missing = page.total.filter(|_| is_last).map_or(0, |total| total.saturating_sub(met));
        if again && missing > 0 && rows as u64 >= page.limit {
            let problem = format!(
                "the site returns the same {rows} issues for every page, and reports a total of {}",
                page.total.unwrap_or_default()
            );
            return Err(Failure::new(FailureCode::SchemaChanged, problem));
        }
        let overlap = OVERLAP.min(rows / 2);
        let last = shown[rows - overlap..].to_vec();
        let pages = self.pages + 1;
        let next = Self { begin: end - overlap as u64, rows: rows as u64, digest, restarts, pages, last };
        let next_page_token = (!is_last).then(|| next.token());
        Ok(Verdict::Take(PageHead { issue_count: rows, next_page_token, is_last, missing }))
    }
}

fn digest(ids: &[i64]) -> u64 {
    let mut hasher = blake3::Hasher::new();
    for id in ids {
        hasher.update(&id.to_le_bytes());
    }
    let mut short = [0; 8];
    short.copy_from_slice(&hasher.finalize().as_bytes()[..8]);
    u64::from_le_bytes(short)
}

#[cfg(test)]
#[path = "walk_tests.rs"]
mod tests;
