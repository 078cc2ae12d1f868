//! Searching: the one question that every site answers in its own way.
//!
//! Cloud walks by tokens (`/search/jql`). Data Center walks by `startAt` (`/search`), which skips rows while issues
//! change; see [`super::walk`] for how this is mended. Servers that stand in for Cloud may only know the old way, or only
//! GET: the first way that is there is kept for as long as the client lives.
//!
//! What must hold: a way is left for another one only where it is absent. What a site refuses (a 400 above all) is a
//! failure and never 'nothing found'.

use std::sync::atomic::Ordering;

use bytes::Bytes;

use serde::Deserialize;
use serde_json::{Value, json};

use super::answers::{IdPage, Offered, RawPage, SearchRequest};
use super::bounded;
use super::client::{Api, JiraClient, decode, offered};
use super::endpoint::Endpoint;
use super::frame::{First, Frame, number};
use super::loose::{Loose, Whole};
use super::manners::{FEW_ROWS, Spared, leaves_out};
use super::page;
use super::transport::Refused;
use super::walk::{Place, Verdict};
use crate::domain::failure::{Failure, FailureCode};
use crate::domain::site_kind::SiteKind;

/// The most ids in a page of an id-only search on Cloud.
pub const ID_PAGE_SIZE: u32 = 5000;
/// The same on Data Center, as it is delivered.
pub(super) const OFFSET_PAGE_SIZE: u32 = 1000;

/// A way of searching.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    TokenPost = 1,
    TokenGet,
    OffsetPost3,
    OffsetGet3,
    OffsetPost2,
    OffsetGet2,
}

impl Way {
    const CLOUD: [Self; 6] =
        [Self::TokenPost, Self::TokenGet, Self::OffsetPost3, Self::OffsetGet3, Self::OffsetPost2, Self::OffsetGet2];
    const DATA_CENTER: [Self; 2] = [Self::OffsetPost2, Self::OffsetGet2];

    const fn is_by_token(self) -> bool {
        matches!(self, Self::TokenPost | Self::TokenGet)
    }

    const fn is_post(self) -> bool {
        matches!(self, Self::TokenPost | Self::OffsetPost3 | Self::OffsetPost2)
    }

    const fn place(self) -> (Endpoint, Api, &'static str) {
        match self {
            Self::TokenPost | Self::TokenGet => (Endpoint::Search, Api::Version(3), "search/jql"),
            Self::OffsetPost3 | Self::OffsetGet3 => (Endpoint::OffsetSearch, Api::Version(3), "search"),
            Self::OffsetPost2 | Self::OffsetGet2 => (Endpoint::OffsetSearch, Api::Version(2), "search"),
        }
    }
}

/// One question, whatever the way.
#[derive(Clone, Copy)]
pub(super) struct Question<'a> {
    pub jql: &'a str,
    pub fields: &'a [String],
    pub rows: u32,
    pub token: Option<&'a str>,
    pub begin: Option<u64>,
    /// Whether ids that do not exist are left out instead of refused, where that can be asked.
    pub lenient: bool,
}

impl Question<'_> {
    /// Histories come with the issues where there is no other way to have them together.
    fn with_changelog(&self, way: Way) -> bool {
        !way.is_by_token() && self.rows > 0 && self.fields.iter().any(|field| field != "id")
    }

    fn body(&self, way: Way) -> Value {
        let mut body = serde_json::Map::new();
        body.insert("jql".into(), self.jql.into());
        body.insert("fields".into(), json!(self.fields));
        body.insert("maxResults".into(), self.rows.into());
        if let Some(token) = self.token {
            body.insert("nextPageToken".into(), token.into());
        }
        if let Some(begin) = self.begin {
            body.insert("startAt".into(), begin.into());
        }
        if self.with_changelog(way) {
            body.insert("expand".into(), json!(["changelog"]));
        }
        if self.lenient && way == Way::OffsetPost2 {
            body.insert("validateQuery".into(), false.into());
        }
        Value::Object(body)
    }

    fn query(&self, way: Way) -> Vec<(&'static str, String)> {
        let mut query = vec![
            ("jql", self.jql.to_owned()),
            ("fields", self.fields.join(",")),
            ("maxResults", self.rows.to_string()),
        ];
        query.extend(self.token.map(|token| ("nextPageToken", token.to_owned())));
        query.extend(self.begin.map(|begin| ("startAt", begin.to_string())));
        query.extend(self.with_changelog(way).then(|| ("expand", "changelog".to_owned())));
        query
    }
}

impl JiraClient {
    /// A page of at most so many issues.
    pub(super) async fn search_rows(&self, request: &SearchRequest<'_>, rows: u32) -> Result<RawPage, Refused> {
        let place = request.next_page_token.as_deref().and_then(Place::parse);
        let mut question = Question {
            jql: request.jql,
            fields: request.fields,
            rows,
            token: request.next_page_token.as_deref().filter(|_| place.is_none()),
            begin: place.as_ref().map(|place| place.begin),
            lenient: false,
        };
        let (way, body) = self.ask(&question).await?;
        if way.is_by_token() && place.is_none() {
            // A page that has no word of tokens, only a total, is walked by places all the same.
            if let Some(head) = page::head_by_token(&body).map_err(|failure| bounded::of_body(failure, &body))? {
                return Ok(RawPage { head: Some(head), ..RawPage::new(body) });
            }
        }
        let place = place.unwrap_or_default();
        let (mut begin, mut body) = (place.begin, body);
        loop {
            let frame = Frame::rows(&body, question.rows).map_err(|failure| bounded::of_body(failure, &body))?;
            match place.judge(begin, &frame)? {
                Verdict::Take(head) => return Ok(RawPage { head: Some(head), ..RawPage::new(body) }),
                Verdict::StepBack(to) => begin = to,
            }
            question.begin = Some(begin);
            body = self.ask(&question).await?.1;
        }
    }

    /// A page of up to 5000 issue ids (1000 on Data Center): for comparing the replica with Jira.
    pub async fn search_ids(&self, jql: &str, next_page_token: Option<String>) -> Result<IdPage, Failure> {
        let fields = ["id".to_owned()];
        let raw =
            self.search(&SearchRequest { jql, fields: &fields, page_size: ID_PAGE_SIZE, next_page_token }).await?;
        let mut rows = Frame::rows(&raw.body, ID_PAGE_SIZE)?;
        if !rows.ids.is_empty() && rows.ids.iter().all(|id| *id == 0) {
            return Err(Failure::new(
                FailureCode::SchemaChanged,
                "a search for ids returns issues without a numeric id",
            ));
        }
        // One without an id is as good as not met: whoever misses it asks for it by itself.
        rows.ids.retain(|id| *id != 0);
        Ok(IdPage { ids: rows.ids, head: raw.head()? })
    }

    /// How many issues match, roughly: for progress and the sizes of partitions, never for a decision. `None` where the
    /// site does not tell.
    pub async fn approximate_count(&self, jql: &str) -> Result<Option<u64>, Failure> {
        #[derive(Deserialize)]
        struct Count {
            #[serde(default)]
            count: Loose<Whole>,
        }
        if self.kind == SiteKind::Cloud {
            let body = json!({ "jql": jql });
            let endpoint = Endpoint::ApproximateCount;
            let answer = self.try_post(endpoint, Api::Version(3), "search/approximate-count", &body).await;
            if let Offered::Available(body) = offered(answer)? {
                return decode::<Count>(endpoint.template(), &body).map(|answer| number(answer.count));
            }
            if self.known_way().is_none_or(Way::is_by_token) {
                return Ok(None);
            }
        }
        let question = Question { jql, fields: &[], rows: 0, token: None, begin: Some(0), lenient: false };
        let (_, body) = self.ask(&question).await.map_err(|refused| refused.failure)?;
        Ok(Frame::rows(&body, 0)?.total)
    }

    fn known_way(&self) -> Option<Way> {
        let number = self.search_way.load(Ordering::Relaxed);
        Way::CLOUD.into_iter().find(|way| *way as u8 == number)
    }

    /// Asks as the site wants to be asked. A server without tokens that refuses the first rows of a question, or finds
    /// none, or leaves out their fields, is asked for less at a time; where that helps, it is kept.
    pub(super) async fn ask(&self, question: &Question<'_>) -> Result<(Way, Bytes), Refused> {
        let mut spared = self.manners.spared();
        let first = self.ask_spared(question, spared).await;
        let is_by_token = self.known_way().map_or(self.kind == SiteKind::Cloud, Way::is_by_token);
        if is_by_token || question.token.is_some() || question.begin.is_some_and(|at| at > 0) {
            return first;
        }
        let (mut answer, mut refusal) = (first, None);
        loop {
            let next = match &answer {
                Err(refused) if refused.failure.code == FailureCode::BadQuery => {
                    self.manners.relaxed(spared, question.jql, question.rows)
                }
                Ok(_) if question.rows == 0 => {
                    self.manners.learn(spared);
                    None
                }
                Ok((_, body)) => match First::of(body) {
                    Some(First::Nothing) => self.manners.ordered_once(spared, question.jql),
                    Some(First::Bare) if leaves_out(question.fields) && !spared.left_out_fields => {
                        Some(Spared { left_out_fields: true, ..spared })
                    }
                    Some(First::Bare | First::Whole) => {
                        self.manners.understood(&spared.query(question.jql));
                        self.manners.learn(spared);
                        None
                    }
                    None => None,
                },
                Err(_) => None,
            };
            let Some(next) = next else { break };
            let again = self.ask_spared(question, next).await;
            if again.is_err() && answer.is_ok() {
                break; // what was answered before stands
            }
            spared = next;
            if let Err(refused) = std::mem::replace(&mut answer, again) {
                refusal.get_or_insert(refused);
            }
        }
        // That less was refused too says nothing of what was asked for.
        answer.map_err(|last| refusal.unwrap_or(last))
    }

    async fn ask_spared(&self, question: &Question<'_>, spared: Spared) -> Result<(Way, Bytes), Refused> {
        let (jql, fields) = (spared.query(question.jql), spared.fields(question.fields));
        let rows = if spared.long_pages { question.rows.min(FEW_ROWS) } else { question.rows };
        self.ask_in_any_way(&Question { jql: &jql, fields: &fields, rows, ..*question }).await
    }

    /// Asks in the way that is known, or in each that there may be until one is there.
    async fn ask_in_any_way(&self, question: &Question<'_>) -> Result<(Way, Bytes), Refused> {
        let known = self.known_way().map(|way| [way]);
        let ways = match (&known, self.kind) {
            (Some(known), _) => known.as_slice(),
            (None, SiteKind::Cloud) => &Way::CLOUD,
            (None, SiteKind::DataCenter) => &Way::DATA_CENTER,
        };
        let mut first = None;
        for way in ways {
            match self.ask_in(*way, question).await {
                Ok(body) => {
                    self.search_way.store(*way as u8, Ordering::Relaxed);
                    return Ok((*way, body));
                }
                Err(refused) if refused.is_absent() => {
                    first.get_or_insert(refused);
                }
                // Of the ways that come after an absent one, only a refusal in Jira's own words counts.
                Err(refused) => return Err(first.filter(|_| refused.status.is_none()).unwrap_or(refused)),
            }
        }
        let none = || Failure::new(FailureCode::Internal, "there is no way to search").into();
        Err(first.unwrap_or_else(none))
    }

    async fn ask_in(&self, way: Way, question: &Question<'_>) -> Result<Bytes, Refused> {
        let (endpoint, api, path) = way.place();
        let mut question = *question;
        if !way.is_by_token() {
            question.begin = question.begin.or(Some(0));
            question.token = None;
            question.rows = question.rows.min(OFFSET_PAGE_SIZE);
        }
        if way.is_post() {
            self.try_post(endpoint, api, path, &question.body(way)).await
        } else {
            self.try_get(endpoint, api, path, &question.query(way)).await
        }
    }
}
