//! Records that are told twice: which of the two counts.

use chrono::{DateTime, Utc};

/// Of records with the same id, keeps the one that was edited last, and of those the one that was told last: in the order of
/// ids. Jira shows an id twice now and then, and everybody must take the same one.
pub fn newest_of_each<T>(records: &mut Vec<T>, version: impl Fn(&T) -> (i64, DateTime<Utc>)) {
    records.sort_by_key(&version);
    records.dedup_by(|later, kept| {
        let same = version(later).0 == version(kept).0;
        if same {
            std::mem::swap(later, kept);
        }
        same
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_of_duplicate_records_counts_else_the_last() {
        let at = |seconds| DateTime::from_timestamp(seconds, 0).unwrap();
        let mut records =
            vec![(2, at(5), 'a'), (1, at(9), 'b'), (1, at(3), 'c'), (2, at(5), 'd'), (3, at(1), 'e'), (1, at(4), 'f')];
        newest_of_each(&mut records, |record| (record.0, record.1));
        assert_eq!(records.iter().map(|record| record.2).collect::<String>(), "bde");
        let mut none: Vec<(i64, DateTime<Utc>)> = Vec::new();
        newest_of_each(&mut none, |record| *record);
        assert!(none.is_empty());
    }
}
