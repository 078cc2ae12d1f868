//! Custom fields, one of each kind that readers must know, and one of a kind that nobody knows.

use super::attributes::Attributes;
use super::catalogue::kind;
use super::fields::{CLASSIC_POINTS, STORY_POINTS};
use super::issue::{Issue, writer};
use super::json::Json;
use super::options::Kind;
use super::render::{Renderer, Shown};
use super::seed::{Dice, Purpose};

const CUSTOMERS: [&str; 4] = ["Northwind \"B2B\"", "Contoso", "Ünal & Söhne", "株式会社サンプル"];
const SEVERITIES: [&str; 4] = ["S1", "S2", "S3", "S4"];
const PLATFORMS: [&str; 3] = ["Linux", "macOS", "Windows"];
const AREAS: [(&str, [&str; 2]); 2] = [("Shop", ["Cart", "Checkout"]), ("Back office", ["Stock", "Returns"])];

/// Writes a custom field of an issue; unknown names write nothing.
pub(super) fn write(renderer: &Renderer<'_>, json: &mut Json, shown: &Shown, attributes: &Attributes, name: &str) {
    let (issue, bits) = (&*shown.issue, attributes.more);
    match name {
        STORY_POINTS | CLASSIC_POINTS => {
            let company_managed = renderer.catalogue.projects[usize::from(issue.project)].company_managed;
            let points = attributes.points(issue.kind).filter(|_| company_managed == (name == CLASSIC_POINTS));
            if name == STORY_POINTS || renderer.catalogue.kind == Kind::Cloud {
                json.member(name, points.unwrap_or("null"));
            }
        }
        "customfield_10014" => match &shown.parent {
            Some(epic) if epic.kind == kind::EPIC => {
                json.text(name, &renderer.catalogue.key(epic.project, epic.number));
            }
            _ => drop(json.member(name, "null")),
        },
        "customfield_10011" if issue.kind == kind::EPIC => renderer.summary(json.key(name), issue.id, issue.edits),
        "customfield_10019" => drop(json.text(name, &rank(issue))),
        "customfield_10030" if bits >> 10 & 1 == 0 => drop(json.text(name, CUSTOMERS[(bits >> 11 & 3) as usize])),
        "customfield_10031" if bits >> 13 & 3 == 0 => {
            json.key(name).int((bits >> 15 & 255) as i64).raw(if bits >> 23 & 1 == 0 { ".5" } else { ".0" });
        }
        "customfield_10032" if bits >> 24 & 1 == 0 => {
            option(renderer, json.key(name), 10_100 + (bits >> 25 & 3), SEVERITIES[(bits >> 25 & 3) as usize]);
        }
        "customfield_10033" if bits >> 27 & 7 != 0 => {
            json.key(name).open('[');
            for (at, platform) in (0..).zip(PLATFORMS) {
                if bits >> (27 + at) & 1 == 1 {
                    option(renderer, json.item(), 10_110 + at, platform);
                }
            }
            json.close(']');
        }
        "customfield_10034" if bits >> 30 & 3 == 0 => {
            let mut dice = Dice::new(renderer.catalogue.seed, Purpose::Person, bits, 1);
            json.member(name, renderer.user(writer(renderer.catalogue, &mut dice)));
        }
        "customfield_10035" if bits >> 32 & 3 == 0 => {
            json.date(name, issue.created_ms + (bits >> 34 & 63) as i64 * 86_400_000);
        }
        "customfield_10036" if bits >> 40 & 1 == 0 => {
            let (at, below) = ((bits >> 41 & 1) as usize, (bits >> 42 & 1) as usize);
            let (area, parts) = AREAS[at];
            json.key(name).open('{');
            self_and_id(renderer, json, 10_120 + at as u64);
            json.text("value", area);
            option(renderer, json.key("child"), 10_130 + 2 * at as u64 + below as u64, parts[below]);
            json.close('}');
        }
        "customfield_10037" if bits >> 44 & 7 == 0 => {
            json.key(name).open('{').number("v", 2).key("gauge").open('{').number("p50", (bits >> 47 & 63) as i64);
            json.key("trail").raw("[1,[2.5,null],\"x\"]").close('}').close('}');
        }
        // Runs on while nobody touches the issue.
        "customfield_10039" if bits >> 50 & 7 == 0 => {
            let left_ms = issue.created_ms + 3 * 365 * 86_400_000 - renderer.now_ms;
            json.key(name).open('{').text("id", "1").text("name", "Time to resolution").key("ongoingCycle").open('{');
            json.member("breached", if left_ms < 0 { "true" } else { "false" }).key("remainingTime").open('{');
            json.number("millis", left_ms)
                .text("friendly", &format!("{}h", left_ms / 3_600_000))
                .close('}')
                .close('}')
                .close('}');
        }
        "customfield_10040" if bits >> 53 & 7 == 0 => {
            let count = renderer.now_ms / 86_400_000 % 5;
            json.text(name, &format!("{{pullrequest={{dataType=pullrequest, state=OPEN, stateCount={count}}}}}"));
        }
        name if name.starts_with("customfield_") => drop(json.member(name, "null")),
        _ => {}
    }
}

fn rank(issue: &Issue) -> String {
    format!("0|i{:05}:", issue.id % 100_000)
}

fn self_and_id(renderer: &Renderer<'_>, json: &mut Json, id: u64) {
    json.key("self").raw("\"").raw(&renderer.catalogue.api).raw("/customFieldOption/").int(id as i64).raw("\"");
    json.id("id", id);
}

fn option(renderer: &Renderer<'_>, json: &mut Json, id: u64, value: &str) {
    json.open('{');
    self_and_id(renderer, json, id);
    json.text("value", value).close('}');
}
