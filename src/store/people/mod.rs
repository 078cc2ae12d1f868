//! Members of the organisation, and which users of Jira they are.
//!
//! What must hold: a link that a person made is never changed by matching; matching links only what is certain (the rules
//! are those of `syncline.match_members`), and an e-mail address that Jira hides is counted, never guessed.

mod export;
mod forget;
mod import;
mod matching;
mod member;
mod report;
mod sweep;

pub use export::export;
pub use forget::{
    Account, Counts, alone, erase_records, erased, find_accounts, forgotten, held, mark, marks_of, unlink_person,
    waiting,
};
pub use import::{ImportColumns, ImportOptions, ImportReport, ImportedMember, Refusal, import};
pub use matching::{MatchCounts, User, UserMatch, link, match_site, matches, unlink, users};
pub use member::{Member, NewMember, add, find, list, remove};
pub use report::{claim_report, note_reported, reportable, reported};
pub use sweep::{Position, sweep};
