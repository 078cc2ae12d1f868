//! Changelogs as Jira writes them, inline and on their own.

use super::attributes::Attributes;
use super::catalogue::{COMPONENTS, Catalogue, Project, VERSIONS};
use super::history::{Event, Item, part, sprint_list};
use super::issue::Issue;
use super::json::Json;
use super::options::Kind;
use super::render::Renderer;

/// Entries that Cloud puts inline, the newest first.
const INLINE: usize = 40;
/// Entries in one answer of `/issue/{}/changelog` at most.
pub(super) const PAGE: usize = 100;

/// Writes the `changelog` member of an issue: the newest entries on Cloud, all of them from the oldest on Data Center.
pub(super) fn inline(renderer: &Renderer<'_>, json: &mut Json, issue: &Issue) {
    let history = issue.history(renderer.catalogue);
    let most = if renderer.catalogue.kind == Kind::Cloud { INLINE } else { history.len() };
    json.open('{').number("startAt", 0).number("maxResults", most.max(history.len().min(most)) as i64);
    json.number("total", history.len() as i64).key("histories").open('[');
    match renderer.catalogue.kind {
        Kind::Cloud => history.iter().rev().take(most).for_each(|event| entry(renderer, json, issue, event, false)),
        Kind::DataCenter => history.iter().for_each(|event| entry(renderer, json, issue, event, false)),
    }
    json.close(']').close('}');
}

/// Writes a page of `/issue/{}/changelog`.
pub(super) fn page(renderer: &Renderer<'_>, json: &mut Json, issue: &Issue, start_at: usize, max_results: usize) {
    let history = issue.history(renderer.catalogue);
    let own = format!("{}/issue/{}/changelog", renderer.catalogue.api, issue.id);
    let last = start_at + max_results >= history.len();
    json.open('{').text("self", &format!("{own}?maxResults={max_results}&startAt={start_at}"));
    if !last {
        json.text("nextPage", &format!("{own}?maxResults={max_results}&startAt={}", start_at + max_results));
    }
    json.number("maxResults", max_results as i64).number("startAt", start_at as i64);
    json.number("total", history.len() as i64).member("isLast", if last { "true" } else { "false" });
    json.key("values").open('[');
    history.iter().skip(start_at).take(max_results).for_each(|event| entry(renderer, json, issue, event, false));
    json.close(']').close('}');
}

/// Writes one entry. The bulk endpoint tells times in epoch milliseconds.
pub(super) fn entry(renderer: &Renderer<'_>, json: &mut Json, issue: &Issue, event: &Event, in_bulk: bool) {
    json.item().open('{').id("id", event.id).member("author", renderer.user(event.author));
    match in_bulk {
        true => json.number("created", event.created_ms),
        false => json.time("created", event.created_ms, renderer.zone),
    };
    json.key("items").open('[');
    for item in &event.items {
        write_item(renderer.catalogue, json, issue, item);
    }
    json.close(']').close('}');
}

/// A value as an id and as shown; `None` for none.
type Shown = Option<(String, String)>;

/// Name, id and whether it is a custom field; before and after.
fn described(catalogue: &Catalogue, issue: &Issue, item: &Item) -> ((&'static str, &'static str, bool), Shown, Shown) {
    let seed = catalogue.seed;
    let attributes = |edits: u32| Attributes::of(seed, issue.id, edits);
    let text = |text: String| Some((String::new(), text));
    let summary = |edits: u32| {
        let mut json = Json::default();
        let mut dice = super::seed::Dice::new(seed, super::seed::Purpose::Summary, issue.id, u64::from(edits));
        super::text::summary(&mut json, &mut dice);
        serde_json::from_slice::<String>(&json.into_bytes()).unwrap_or_default()
    };
    let issue_key = |id: u64| (id.to_string(), format!("#{id}"));
    match *item {
        Item::Status(from, to) => {
            let shown = |at: u8| {
                catalogue
                    .statuses
                    .get(usize::from(at))
                    .map(|status| (status.id.to_owned(), status.first_name.to_owned()))
            };
            (("status", "status", false), shown(from), shown(to))
        }
        Item::Resolution(from, to) => {
            let shown = |at: Option<u8>| {
                let named = at.and_then(|at| catalogue.resolutions.get(usize::from(at)));
                named.map(|resolution| (resolution.id.to_owned(), resolution.first_name.to_owned()))
            };
            (("resolution", "resolution", false), shown(from), shown(to))
        }
        Item::Assignee(from, to) => {
            let shown = |at: Option<u16>| {
                let person = at.and_then(|at| catalogue.people.get(usize::from(at)));
                person.map(|person| (person.id(catalogue.kind).to_owned(), person.first_name.clone()))
            };
            (("assignee", "assignee", false), shown(from), shown(to))
        }
        Item::Priority(from, to) => {
            let shown = |at: u8| {
                catalogue
                    .priorities
                    .get(usize::from(at))
                    .map(|named| (named.id.to_owned(), named.first_name.to_owned()))
            };
            (("priority", "priority", false), shown(from), shown(to))
        }
        Item::Sprint(project, from, to) => {
            let shown = |sprints| Some(sprint_list(catalogue, project, sprints));
            (("Sprint", super::fields::SPRINT, true), shown(from), shown(to))
        }
        Item::Summary(from, to) => (("summary", "summary", false), text(summary(from)), text(summary(to))),
        Item::Description(from, to) => {
            let shown = |edits| text(format!("version {edits} of the description"));
            (("description", "description", false), shown(from), shown(to))
        }
        Item::Labels(from, to) => {
            let shown = |edits| text(attributes(edits).labels().collect::<Vec<_>>().join(" "));
            (("labels", "labels", false), shown(from), shown(to))
        }
        Item::Points(from, to) => {
            let shown = |edits| attributes(edits).points(issue.kind).map(|points| (String::new(), points.to_owned()));
            let field = match catalogue.projects[usize::from(issue.project)].company_managed {
                true => ("Story Points", super::fields::CLASSIC_POINTS, true),
                false => ("Story point estimate", super::fields::STORY_POINTS, true),
            };
            (field, shown(from), shown(to))
        }
        Item::Component(project, from, to) => {
            let shown = |edits| {
                part(
                    &catalogue.projects[usize::from(project)],
                    attributes(edits).component(),
                    Project::component_id,
                    &COMPONENTS,
                )
            };
            (("Component", "components", false), shown(from), shown(to))
        }
        Item::FixVersion(project, from, to) => {
            let shown = |edits| {
                part(
                    &catalogue.projects[usize::from(project)],
                    attributes(edits).fix_version(),
                    Project::version_id,
                    &VERSIONS,
                )
            };
            (("Fix Version", "fixVersions", false), shown(from), shown(to))
        }
        Item::DueDate(from, to) => {
            let day = |days: i64| chrono::DateTime::from_timestamp_millis(issue.created_ms + days * 86_400_000);
            let shown = |edits| {
                let day = attributes(edits).due_in_days.and_then(day)?;
                Some((day.format("%Y-%m-%d").to_string(), day.format("%Y-%m-%d %H:%M:%S.0").to_string()))
            };
            (("duedate", "duedate", false), shown(from), shown(to))
        }
        Item::Key(from, to) => {
            let shown = |(project, number)| text(catalogue.key(project, number));
            (("Key", "", false), shown(from), shown(to))
        }
        Item::Parent(from, to) => (("IssueParentAssociation", "", false), from.map(issue_key), to.map(issue_key)),
        Item::TimeSpent(from, to) => {
            let shown = |seconds: i64| (seconds > 0).then(|| (seconds.to_string(), seconds.to_string()));
            (("timespent", "timespent", false), shown(from), shown(to))
        }
        Item::Unlinked(other) => (("Link", "", false), Some(issue_key(other)), None),
        Item::Security(now) => {
            let shown = |is: bool| is.then(|| ("10000".to_owned(), "Confidential".to_owned()));
            (("security", "security", false), shown(!now), shown(now))
        }
        Item::RankedHigher => {
            (("Rank", "customfield_10019", true), text(String::new()), text("Ranked higher".to_owned()))
        }
    }
}

fn write_item(catalogue: &Catalogue, json: &mut Json, issue: &Issue, item: &Item) {
    let ((field, id, custom), from, to) = described(catalogue, issue, item);
    json.item().open('{').text("field", field).text("fieldtype", if custom { "custom" } else { "jira" });
    // Data Center does not tell the field's id.
    if catalogue.kind == Kind::Cloud && !id.is_empty() {
        json.text("fieldId", id);
    }
    for (side, shown_side, value) in [("from", "fromString", from), ("to", "toString", to)] {
        // Text has no id; an empty Sprint list is an empty string on both sides.
        match &value {
            Some((id, _)) if !id.is_empty() || field == "Sprint" => json.text(side, id),
            _ => json.member(side, "null"),
        };
        match &value {
            Some((_, shown)) => json.text(shown_side, shown),
            None => json.member(shown_side, "null"),
        };
    }
    json.close('}');
}
