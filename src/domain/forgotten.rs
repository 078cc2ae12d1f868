//! People who are forgotten: what names them is replaced by [`FORMER_USER`] wherever it is written.
//!
//! A forgotten person is known by account id, which stays as a pseudonym, and by fingerprints of what they were called: a
//! display name, an e-mail address, a user name. One set of rules serves what is stored already, what a sync brings, and what
//! a verification compares, so that all three agree:
//!
//! - a user object (in a custom field, say) keeps its ids and loses the rest;
//! - the shown value of a change is replaced where the value behind it is the account;
//! - in texts, a mention (`@Name`, `[~name]`) and an e-mail address are replaced. A name that somebody typed without a sign
//!   that it is one stays: only a person can tell.
//!
//! What must hold: the rules are idempotent; with nobody forgotten nothing is looked at.

use std::collections::{HashMap, HashSet};

use serde_json::{Map, Value};
use uuid::Uuid;

use super::entity::ChangeRecord;
use super::record::{CommentRecord, IssueRecord, WorklogRecord};

/// What stands where a name stood. Jira's own word for it on Cloud.
pub const FORMER_USER: &str = "Former user";

/// Whether an account that is shown so has no name any more: Cloud calls a closed account [`FORMER_USER`]; Data Center gives
/// an anonymised one an alias of the form `user-57690`.
pub fn is_anonymised(active: bool, display_name: &str) -> bool {
    let alias = display_name.strip_prefix("user-").is_some_and(|rest| {
        (4..=12).contains(&rest.len())
            && rest.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
            && rest.bytes().any(|byte| byte.is_ascii_digit())
    });
    !active && (display_name == FORMER_USER || alias)
}

/// The 16 bytes by which something that a person was called is recognised.
pub type Mark = [u8; 16];

/// The longest mention that is looked for, in words and in bytes.
const MOST_WORDS: usize = 8;
const MOST_BYTES: usize = 160;

/// What kind of name a fingerprint is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Called {
    /// The name shown.
    Name,
    /// An e-mail address; capital letters or not.
    Email,
    /// The user name of Data Center; capital letters or not.
    Username,
}

/// The fingerprint of a name on a site: the first 16 bytes of BLAKE3 over the site's id, the kind and the name.
pub fn mark(site_id: Uuid, called: Called, name: &str) -> Mark {
    let kind = match called {
        Called::Name => b'n',
        Called::Email => b'e',
        Called::Username => b'u',
    };
    let mut hasher = blake3::Hasher::new_derive_key("people forgotten in syncline, 1");
    hasher.update(site_id.as_bytes()).update(&[kind]);
    match called {
        Called::Name => hasher.update(name.trim().as_bytes()),
        Called::Email | Called::Username => hasher.update(name.trim().to_lowercase().as_bytes()),
    };
    let mut short = [0; 16];
    short.copy_from_slice(&hasher.finalize().as_bytes()[..16]);
    short
}

/// The people of one site who are forgotten.
#[derive(Clone, Debug, Default)]
pub struct Forgotten {
    site_id: Uuid,
    accounts: HashSet<String>,
    /// The account of each fingerprint.
    marks: HashMap<Mark, String>,
    /// How the texts at hand mention them besides, e.g. by a name of before.
    mentions: Vec<String>,
}

impl Forgotten {
    /// Of a site: account ids, and fingerprints with the account of each.
    pub fn new(site_id: Uuid, accounts: HashSet<String>, marks: HashMap<Mark, String>) -> Self {
        Self { site_id, accounts, marks, mentions: Vec::new() }
    }

    /// Nobody is.
    pub fn is_empty(&self) -> bool {
        self.accounts.is_empty()
    }

    /// Whether the account is one of them.
    pub fn has(&self, account_id: &str) -> bool {
        self.accounts.contains(account_id)
    }

    /// Takes over how texts mention people, as (account id, text), where those are forgotten.
    pub fn mentioned_as<'a>(&mut self, mentions: impl IntoIterator<Item = (&'a str, &'a str)>) {
        let own = mentions.into_iter().filter(|(id, _)| self.accounts.contains(*id));
        let mut texts: Vec<String> = own.map(|(_, text)| text.trim().to_owned()).collect();
        texts.retain(|text| text.len() > 1 && text != "@Former user");
        // A name that begins with another one goes first.
        texts.sort_unstable_by_key(|text| std::cmp::Reverse(text.len()));
        texts.dedup();
        self.mentions = texts;
    }

    fn account(&self, called: Called, name: &str) -> Option<&str> {
        self.marks.get(&mark(self.site_id, called, name)).map(String::as_str)
    }

    /// The text without what names them; `None` where it names nobody of them.
    pub fn text(&self, text: &str) -> Option<String> {
        if self.is_empty() || !text.contains(['@', '~']) {
            return None;
        }
        let mut out = String::with_capacity(text.len());
        let mut done = 0;
        let mut at = 0;
        while let Some(found) = text[at..].find(['@', '~']) {
            let sign = at + found;
            at = sign + 1;
            let replaced = match text.as_bytes()[sign] {
                b'~' => self.wiki_mention(text, sign),
                _ => self.mention(text, sign).or_else(|| self.address(text, sign, done)),
            };
            if let Some((from, to, by)) = replaced.filter(|(from, to, by)| *from >= done && text[*from..*to] != **by) {
                out.push_str(&text[done..from]);
                out.push_str(&by);
                (done, at) = (to, to);
            }
        }
        if done == 0 {
            return None;
        }
        out.push_str(&text[done..]);
        Some(out)
    }

    /// `@Name` at `sign`.
    fn mention(&self, text: &str, sign: usize) -> Option<(usize, usize, String)> {
        if text[..sign].chars().next_back().is_some_and(char::is_alphanumeric) {
            return None;
        }
        let by = || format!("@{FORMER_USER}");
        let ends = |end: usize| !text[end..].starts_with(char::is_alphanumeric);
        for known in &self.mentions {
            if text[sign..].starts_with(known.as_str()) && ends(sign + known.len()) {
                return Some((sign, sign + known.len(), by()));
            }
        }
        let name = &text[sign + 1..];
        let mut found = None;
        let mut words = 0;
        let mut before = ' ';
        for (place, letter) in name.char_indices().chain([(name.len(), '\n')]) {
            // A name may end with a sign: "Ana (QA)".
            if !letter.is_alphanumeric() && !before.is_whitespace() {
                words += usize::from(before.is_alphanumeric());
                if self.account(Called::Name, &name[..place]).is_some() {
                    found = Some(sign + 1 + place);
                }
            }
            before = letter;
            if words >= MOST_WORDS || place > MOST_BYTES || matches!(letter, '\n' | '@') {
                break;
            }
        }
        Some((sign, found?, by()))
    }

    /// `name@host` around `sign`; nothing before `from`.
    fn address(&self, text: &str, sign: usize, from: usize) -> Option<(usize, usize, String)> {
        let local = |letter: char| letter.is_alphanumeric() || "!#$%&'*+/=?^_`{|}~.-".contains(letter);
        let host = |letter: char| letter.is_alphanumeric() || matches!(letter, '.' | '-');
        let before = &text[from..sign];
        let length: usize = before.chars().rev().take_while(|letter| local(*letter)).map(char::len_utf8).sum();
        let after = &text[sign + 1..];
        let end = after.find(|letter| !host(letter)).unwrap_or(after.len());
        let after = after[..end].trim_end_matches(['.', '-']);
        let start = sign - length;
        // A sign of the text around it may count as part of a name: the longest that is known is meant.
        let starts = text[start..sign].char_indices().map(|(place, _)| start + place);
        let end = sign + 1 + after.len();
        let known = |start: &usize| {
            (*start == sign - length || !text[..*start].ends_with(char::is_alphanumeric))
                && self.account(Called::Email, &text[*start..end]).is_some()
        };
        starts.take(MOST_BYTES).find(known).map(|start| (start, end, FORMER_USER.to_owned()))
    }

    /// `[~name]` of wiki markup, whose `~` is at `sign`: the pseudonym takes the name's place.
    fn wiki_mention(&self, text: &str, sign: usize) -> Option<(usize, usize, String)> {
        if !text[..sign].ends_with('[') {
            return None;
        }
        let name = &text[sign + 1..];
        let name = &name[..name.find([']', '\n'])?];
        let account = self.account(Called::Username, name)?;
        Some((sign + 1, sign + 1 + name.len(), account.to_owned()))
    }

    fn replace(&self, text: &mut String) -> bool {
        self.text(text).map(|clean| *text = clean).is_some()
    }

    /// Cleans a value of any shape; answers whether it changed.
    pub fn value(&self, value: &mut Value) -> bool {
        match value {
            Value::String(text) => self.replace(text),
            Value::Array(elements) => elements.iter_mut().fold(false, |changed, element| self.value(element) | changed),
            Value::Object(members) => {
                let own = self.user(members) | self.mention_node(members);
                members.values_mut().fold(own, |changed, member| self.value(member) | changed)
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => false,
        }
    }

    /// A user object keeps what identifies the account and loses what describes the person.
    fn user(&self, members: &mut Map<String, Value>) -> bool {
        let text = |name: &str| members.get(name).and_then(Value::as_str);
        let is_own = match (text("accountId"), text("key")) {
            (Some(id), _) => self.has(id),
            (None, Some(key)) if self.has(key) => true,
            _ => {
                members.contains_key("displayName")
                    && text("name").is_some_and(|name| self.has(name) || self.account(Called::Username, name).is_some())
            }
        };
        if !is_own {
            return false;
        }
        let mut changed = false;
        // Whether the account is active changes when it is closed, behind the issue.
        for name in ["emailAddress", "avatarUrls", "timeZone", "name", "locale", "active"] {
            changed |= members.remove(name).is_some();
        }
        if members.get("self").and_then(Value::as_str).is_some_and(|link| link.contains("username=")) {
            changed |= members.remove("self").is_some();
        }
        let named = members.get("displayName").is_some_and(|name| name != FORMER_USER);
        if named {
            members.insert("displayName".to_owned(), FORMER_USER.into());
        }
        changed | named
    }

    /// `{"type": "mention", "attrs": {"id": …, "text": …}}` of a document.
    fn mention_node(&self, members: &mut Map<String, Value>) -> bool {
        if members.get("type").and_then(Value::as_str) != Some("mention") {
            return false;
        }
        let Some(Value::Object(attributes)) = members.get_mut("attrs") else { return false };
        if !attributes.get("id").and_then(Value::as_str).is_some_and(|id| self.has(id)) {
            return false;
        }
        let clean = Value::from(format!("@{FORMER_USER}"));
        let changed = attributes.get("text").is_some_and(|text| *text != clean);
        if changed {
            attributes.insert("text".to_owned(), clean);
        }
        changed
    }

    /// Cleans an issue; answers whether it changed. The hash is set anew.
    pub fn issue(&self, issue: &mut IssueRecord) -> bool {
        let mut changed = self.replace(&mut issue.summary);
        for text in [&mut issue.description, &mut issue.details.environment].into_iter().flatten() {
            changed |= self.replace(text);
        }
        let details = &mut issue.details;
        for value in details.fields.values_mut().chain(details.beside.values_mut()) {
            changed |= self.value(value);
        }
        if changed {
            *issue = issue.clone().sealed();
        }
        changed
    }

    /// The same for a comment.
    pub fn comment(&self, comment: &mut CommentRecord) -> bool {
        // Its hash stays that of what Jira shows, as it does in a row whose text was replaced where it stands.
        self.replace(&mut comment.body)
    }

    /// The same for a worklog.
    pub fn worklog(&self, worklog: &mut WorklogRecord) -> bool {
        worklog.comment.as_mut().is_some_and(|text| self.replace(text))
    }

    /// The same for one changed field of a history.
    pub fn change(&self, change: &mut ChangeRecord) -> bool {
        self.side(&mut change.from_value, &mut change.from_text) | self.side(&mut change.to_value, &mut change.to_text)
    }

    /// The same for a history.
    pub fn history(&self, changes: &mut [ChangeRecord]) {
        for change in changes {
            self.change(change);
        }
    }

    fn side(&self, value: &mut Option<String>, text: &mut Option<String>) -> bool {
        let mut changed = false;
        if let Some(account) = value.as_deref().and_then(|value| self.account(Called::Username, value)) {
            // Before accounts had keys, the user name stood for the account.
            let account = account.to_owned();
            changed = value.as_deref() != Some(account.as_str());
            *value = Some(account);
        }
        let Some(shown) = text else { return changed };
        let of_account = match value.as_deref() {
            None | Some("") => self.account(Called::Name, shown).is_some(),
            Some(value) => self.has(value),
        };
        if of_account {
            let named = shown != FORMER_USER;
            FORMER_USER.clone_into(shown);
            return changed | named;
        }
        // Several users: `[id, id]` and `[Name, Name]`.
        let parts = |list: &str| -> Vec<String> {
            list.trim_matches(['[', ']']).split(',').map(|part| part.trim().to_owned()).collect()
        };
        let ids = value.as_deref().map(parts).unwrap_or_default();
        if ids.len() > 1 && ids.iter().any(|id| self.has(id)) {
            let mut names = parts(shown);
            let clean = if names.len() == ids.len() {
                names
                    .iter_mut()
                    .zip(&ids)
                    .filter(|(_, id)| self.has(id))
                    .for_each(|(name, _)| FORMER_USER.clone_into(name));
                let list = names.join(", ");
                if shown.starts_with('[') { format!("[{list}]") } else { list }
            } else {
                FORMER_USER.to_owned()
            };
            let named = *shown != clean;
            *shown = clean;
            return changed | named;
        }
        self.replace(shown) | changed
    }
}

#[cfg(test)]
#[path = "forgotten_tests.rs"]
mod tests;
