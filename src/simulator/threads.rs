//! Comments and worklogs, inline in an issue and in collections of their own.

use super::attributes::Attributes;
use super::catalogue::Catalogue;
use super::issue::{Entry, Issue};
use super::json::Json;
use super::options::Kind;
use super::render::{Renderer, Shown};
use super::seed::{Dice, Purpose};

/// Writes the `comment` field: the oldest comments, up to the inline limit, and how many there are.
pub(super) fn inline_comments(renderer: &Renderer<'_>, json: &mut Json, issue: &Issue) {
    let (total, most) = (issue.comment_count(), renderer.inline_limits.0);
    json.open('{').key("comments").open('[');
    for at in 0..total.min(most) {
        comment(renderer, json, issue, issue.comment(renderer.catalogue, at));
    }
    json.close(']').key("self").raw("\"").raw(&renderer.catalogue.api).raw("/issue/");
    json.int(issue.id as i64).raw("/comment\"").number("maxResults", most.min(total.max(20)) as i64);
    json.number("total", total as i64).number("startAt", 0).close('}');
}

/// Writes the `worklog` field, in the same way.
pub(super) fn inline_worklogs(renderer: &Renderer<'_>, json: &mut Json, issue: &Issue) {
    worklog_page(renderer, json, issue, 0, renderer.inline_limits.1.min(issue.worklog_count().max(20)));
}

/// Writes a page of `/issue/{id}/comment`.
pub(super) fn comment_page(
    renderer: &Renderer<'_>,
    json: &mut Json,
    issue: &Issue,
    start_at: usize,
    max_results: usize,
    newest_first: bool,
) {
    let total = issue.comment_count();
    json.open('{').number("startAt", start_at as i64).number("maxResults", max_results as i64);
    json.number("total", total as i64).key("comments").open('[');
    for at in (start_at..total).take(max_results) {
        let at = if newest_first { total - 1 - at } else { at };
        comment(renderer, json, issue, issue.comment(renderer.catalogue, at));
    }
    json.close(']').close('}');
}

/// Writes a page of `/issue/{id}/worklog`.
pub(super) fn worklog_page(
    renderer: &Renderer<'_>,
    json: &mut Json,
    issue: &Issue,
    start_at: usize,
    max_results: usize,
) {
    let total = issue.worklog_count();
    json.open('{').number("startAt", start_at as i64).number("maxResults", max_results as i64);
    json.number("total", total as i64).key("worklogs").open('[');
    for at in (start_at..total).take(max_results) {
        worklog(renderer, json, issue, issue.worklog(renderer.catalogue, at));
    }
    json.close(']').close('}');
}

fn head(renderer: &Renderer<'_>, json: &mut Json, issue: &Issue, entry: Entry, collection: &str) {
    let user = |index: u16| renderer.catalogue.people[usize::from(index)].json.as_str();
    json.item().open('{').key("self").raw("\"").raw(&renderer.catalogue.api).raw("/issue/");
    json.int(issue.id as i64).raw(collection).int(entry.id as i64).raw("\"").id("id", entry.id);
    json.member("author", user(entry.author)).member("updateAuthor", user(entry.update_author));
    json.time("created", entry.created_ms, renderer.zone).time("updated", entry.updated_ms, renderer.zone);
}

fn comment(renderer: &Renderer<'_>, json: &mut Json, issue: &Issue, entry: Entry) {
    head(renderer, json, issue, entry, "/comment/");
    let mut dice = Dice::new(renderer.catalogue.seed, Purpose::Comment, entry.id, u64::from(entry.edits));
    if dice.chance(0.04) {
        json.member("visibility", r#"{"type":"role","value":"Administrators","identifier":"Administrators"}"#);
    }
    renderer.short_text(json.key("body"), &mut dice, 10, issue.reporter);
    if renderer.catalogue.kind == Kind::Cloud {
        json.member("jsdPublic", if dice.chance(0.05) { "false" } else { "true" });
    }
    json.close('}');
}

/// Writes one worklog.
pub(super) fn worklog(renderer: &Renderer<'_>, json: &mut Json, issue: &Issue, entry: Entry) {
    head(renderer, json, issue, entry, "/worklog/");
    let mut dice = Dice::new(renderer.catalogue.seed, Purpose::Worklog, entry.id, u64::from(entry.edits));
    let seconds = spent_seconds(&mut dice);
    json.time("started", entry.created_ms - dice.below(172_800_000) as i64, renderer.zone);
    json.key("timeSpent").raw("\"").raw(&in_words(seconds)).raw("\"").number("timeSpentSeconds", seconds);
    // A note is optional.
    if dice.chance(0.7) {
        renderer.short_text(json.key("comment"), &mut dice, 4, issue.reporter);
    }
    if dice.chance(0.04) {
        json.member("visibility", r#"{"type":"group","value":"managers","identifier":"5f1c"}"#);
    }
    json.id("issueId", issue.id).close('}');
}

fn spent_seconds(dice: &mut Dice) -> i64 {
    900 * (1 + dice.below(32) as i64)
}

fn in_words(seconds: i64) -> String {
    match (seconds / 3600, seconds % 3600 / 60) {
        (0, minutes) => format!("{minutes}m"),
        (hours, 0) => format!("{hours}h"),
        (hours, minutes) => format!("{hours}h {minutes}m"),
    }
}

/// Seconds that a worklog tells.
fn seconds_of(catalogue: &Catalogue, entry: Entry) -> i64 {
    spent_seconds(&mut Dice::new(catalogue.seed, Purpose::Worklog, entry.id, u64::from(entry.edits)))
}

/// Seconds that all worklogs of an issue tell.
pub(super) fn total_seconds(catalogue: &Catalogue, issue: &Issue) -> i64 {
    (0..issue.worklog_count()).map(|at| seconds_of(catalogue, issue.worklog(catalogue, at))).sum()
}

/// Writes the fields of time tracking, which agree with the worklogs.
pub(super) fn time_fields(
    renderer: &Renderer<'_>,
    json: &mut Json,
    issue: &Issue,
    attributes: &Attributes,
    name: &'static str,
) {
    let estimate = attributes.estimate_seconds;
    let spent = || Some(total_seconds(renderer.catalogue, issue)).filter(|total| *total > 0);
    let left = |spent: Option<i64>| estimate.map(|estimate| (estimate - spent.unwrap_or(0)).max(0));
    match name {
        "timespent" => optional(json.key(name), spent()),
        "timeoriginalestimate" => optional(json.key(name), estimate),
        "timeestimate" => optional(json.key(name), left(spent())),
        "workratio" => {
            let ratio = estimate.map_or(-1, |estimate| spent().unwrap_or(0) * 100 / estimate);
            json.number(name, ratio);
        }
        "progress" => {
            let spent = spent();
            let (done, total) = (spent.unwrap_or(0), spent.unwrap_or(0) + left(spent).unwrap_or(0));
            json.key(name).open('{').number("progress", done).number("total", total).close('}');
        }
        _ => {
            let spent = spent();
            json.key(name).open('{');
            if let (Some(estimate), Some(left)) = (estimate, left(spent)) {
                json.text("originalEstimate", &in_words(estimate)).text("remainingEstimate", &in_words(left));
                json.number("originalEstimateSeconds", estimate).number("remainingEstimateSeconds", left);
            }
            if let Some(spent) = spent {
                json.text("timeSpent", &in_words(spent)).number("timeSpentSeconds", spent);
            }
            json.close('}');
        }
    }
}

/// What the issue and its sub-tasks come to together.
pub(super) fn sums(renderer: &Renderer<'_>, json: &mut Json, shown: &Shown, name: &'static str) {
    let issues = || std::iter::once(&shown.issue).chain(&shown.subtasks);
    let spent = || issues().map(|issue| total_seconds(renderer.catalogue, issue)).sum::<i64>();
    let seed = renderer.catalogue.seed;
    let estimated = || {
        let estimates = issues().filter_map(|issue| Attributes::of(seed, issue.id, issue.edits).estimate_seconds);
        Some(estimates.sum::<i64>()).filter(|seconds| *seconds > 0)
    };
    match name {
        "aggregatetimespent" => optional(json.key(name), Some(spent()).filter(|seconds| *seconds > 0)),
        "aggregateprogress" => {
            let spent = spent();
            let total = spent.max(estimated().unwrap_or(0));
            json.key(name).open('{').number("progress", spent).number("total", total).close('}');
        }
        "aggregatetimeestimate" => optional(json.key(name), estimated().map(|seconds| (seconds - spent()).max(0))),
        _ => optional(json.key(name), estimated()),
    }
}

fn optional(json: &mut Json, value: Option<i64>) {
    match value {
        Some(value) => json.int(value),
        None => json.raw("null"),
    };
}
