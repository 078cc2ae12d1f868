//! How one site wants to be asked, as far as it has shown it.
//!
//! Servers that stand in for Jira know a part of its query language, and some of them answer what they do not understand
//! with 'nothing found'. What a client learns here it keeps as long as it lives.
//!
//! What must hold: a question is only ever relaxed so that it finds more, never less, and only on a server without page
//! tokens: Cloud's own search is taken at its word. What a site has once understood it is not spared again.

use std::borrow::Cow;
use std::sync::atomic::{AtomicU8, Ordering};

/// The most rows that are asked of a server that refused to be asked for more.
pub(super) const FEW_ROWS: u32 = 100;

/// What a question is spared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Spared {
    /// Pages of more than [`FEW_ROWS`].
    pub long_pages: bool,
    /// Bounds of `updated`: rows outside the window come too, and are found to be as they were.
    pub bounds: bool,
    /// A second term of the order.
    pub second_order: bool,
    /// Names of fields that are to be left out: they come, and are dropped here.
    pub left_out_fields: bool,
}

const LONG_PAGES: u8 = 1;
const BOUNDS: u8 = 2;
const SECOND_ORDER: u8 = 4;
const LEFT_OUT_FIELDS: u8 = 8;

/// What is known of one site.
#[derive(Debug, Default)]
pub(super) struct Manners {
    spared: AtomicU8,
    understood: AtomicU8,
}

impl Manners {
    /// What the site is spared from the start.
    pub(super) fn spared(&self) -> Spared {
        Spared::of(self.spared.load(Ordering::Relaxed))
    }

    /// Takes note that the site answered well when it was spared this much.
    pub(super) fn learn(&self, spared: Spared) {
        self.spared.fetch_or(spared.bits(), Ordering::Relaxed);
    }

    /// Takes note of what a question that found something asked for.
    pub(super) fn understood(&self, jql: &str) {
        let bounds = if unbounded(jql) == jql { 0 } else { BOUNDS };
        let order = if one_order(jql) == jql { 0 } else { SECOND_ORDER };
        self.understood.fetch_or(bounds | order, Ordering::Relaxed);
    }

    /// What else a refused question may be spared, step by step; `None` where nothing is left.
    pub(super) fn relaxed(&self, spared: Spared, jql: &str, rows: u32) -> Option<Spared> {
        let understood = Spared::of(self.understood.load(Ordering::Relaxed));
        if !spared.long_pages && rows > FEW_ROWS {
            return Some(Spared { long_pages: true, ..spared });
        }
        if !spared.bounds && !understood.bounds && unbounded(jql) != jql {
            return Some(Spared { bounds: true, ..spared });
        }
        self.ordered_once(spared, jql)
    }

    /// The same with one order, where the question has two and the site has not understood that before.
    pub(super) fn ordered_once(&self, spared: Spared, jql: &str) -> Option<Spared> {
        let understood = Spared::of(self.understood.load(Ordering::Relaxed));
        let may_help = !spared.second_order && !understood.second_order && one_order(jql) != jql;
        may_help.then_some(Spared { second_order: true, ..spared })
    }
}

impl Spared {
    const fn of(bits: u8) -> Self {
        Self {
            long_pages: bits & LONG_PAGES > 0,
            bounds: bits & BOUNDS > 0,
            second_order: bits & SECOND_ORDER > 0,
            left_out_fields: bits & LEFT_OUT_FIELDS > 0,
        }
    }

    fn bits(self) -> u8 {
        let bit = |is: bool, bit: u8| if is { bit } else { 0 };
        bit(self.long_pages, LONG_PAGES)
            | bit(self.bounds, BOUNDS)
            | bit(self.second_order, SECOND_ORDER)
            | bit(self.left_out_fields, LEFT_OUT_FIELDS)
    }

    /// A query without what is spared.
    pub(super) fn query(self, jql: &str) -> Cow<'_, str> {
        match (self.bounds, self.second_order) {
            (false, false) => Cow::Borrowed(jql),
            (false, true) => Cow::Borrowed(one_order(jql)),
            (true, false) => unbounded(jql),
            (true, true) => unbounded(one_order(jql)),
        }
    }

    /// The fields without those to be left out.
    pub(super) fn fields(self, fields: &[String]) -> Cow<'_, [String]> {
        if self.left_out_fields && leaves_out(fields) {
            Cow::Owned(fields.iter().filter(|field| !field.starts_with('-')).cloned().collect())
        } else {
            Cow::Borrowed(fields)
        }
    }
}

/// Whether a list of fields names some that are to be left out.
pub(super) fn leaves_out(fields: &[String]) -> bool {
    fields.iter().any(|field| field.starts_with('-'))
}

/// A query up to the first term of its order.
fn one_order(jql: &str) -> &str {
    let Some(at) = jql.rfind(" ORDER BY ") else { return jql };
    jql[at..].find(',').map_or(jql, |comma| &jql[..at + comma])
}

/// A query without bounds of `updated`, in the form that [`super::jql::clauses`] gives them.
fn unbounded(jql: &str) -> Cow<'_, str> {
    let mut left = Cow::Borrowed(jql);
    for bound in [" AND updated >= ", " AND updated < "] {
        while let Some(at) = left.find(bound) {
            let digits =
                left[at + bound.len()..].bytes().take_while(|byte| byte.is_ascii_digit() || *byte == b'-').count();
            left = Cow::Owned([&left[..at], &left[at + bound.len() + digits..]].concat());
        }
    }
    left
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUERY: &str = r#"project = "A" AND updated >= 17 AND updated < -2 ORDER BY updated ASC, key ASC"#;

    #[test]
    fn a_question_is_spared_step_by_step_and_finds_more_each_time() {
        let manners = Manners::default();
        let mut steps = Vec::new();
        let mut spared = Spared::default();
        while let Some(next) = manners.relaxed(spared, QUERY, 1_000) {
            spared = next;
            steps.push(spared.query(QUERY).into_owned());
        }
        assert_eq!(
            steps,
            [QUERY, r#"project = "A" ORDER BY updated ASC, key ASC"#, r#"project = "A" ORDER BY updated ASC"#,]
        );
        assert_eq!(manners.relaxed(Spared::default(), r#"project = "A""#, 100), None);
    }

    #[test]
    fn what_was_understood_once_is_asked_for_again() {
        let manners = Manners::default();
        manners.understood(QUERY);
        assert_eq!(manners.relaxed(Spared::default(), QUERY, 100), None);
        assert_eq!(manners.ordered_once(Spared::default(), QUERY), None);
        assert_eq!(manners.spared(), Spared::default());
        manners.learn(Spared { left_out_fields: true, ..Spared::default() });
        let fields = ["*all".to_owned(), "-a".to_owned()];
        assert_eq!(manners.spared().fields(&fields).as_ref(), ["*all"]);
        assert_eq!(Spared::default().fields(&fields).len(), 2);
    }

    #[test]
    fn a_name_in_the_query_is_no_order() {
        for jql in [r#"project = "A, B""#, "id in (1,2) ORDER BY key ASC"] {
            assert_eq!(one_order(jql), jql);
        }
    }
}
