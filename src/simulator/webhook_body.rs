//! What a site says of a change in a webhook: the same names, ids and times as Jira, and no more than Syncline reads.

use serde_json::{Value, json};

use super::mutation::{Change, Mutation};
use super::world::World;

/// The same of an issue that changed because of another one; nothing where it is gone.
pub(super) fn of_touched(world: &World, id: u64) -> Option<Value> {
    let (project, number) = world.read().live(id).map(|issue| (issue.project, issue.number))?;
    let (key, issue) = (world.catalogue().key(project, number), id.to_string());
    of(world, &Change { mutation: Mutation::EditIssue { issue }, issue_id: id, key })
}

/// What Jira says of a change; nothing where it says nothing.
pub(super) fn of(world: &World, change: &Change) -> Option<Value> {
    use Mutation as M;
    let (catalogue, timestamp) = (world.catalogue(), world.now_ms());
    let kind = match &change.mutation {
        M::CreateIssue { .. } => "jira:issue_created",
        M::DeleteIssue { .. } => "jira:issue_deleted",
        M::AddComment { .. } => "comment_created",
        M::EditComment { .. } => "comment_updated",
        M::DeleteComment { .. } => "comment_deleted",
        M::AddWorklog { .. } => "worklog_created",
        M::EditWorklog { .. } => "worklog_updated",
        M::DeleteWorklog { .. } => "worklog_deleted",
        M::StartSprint { sprint } | M::CloseSprint { sprint } => {
            let kind =
                if matches!(change.mutation, M::StartSprint { .. }) { "sprint_started" } else { "sprint_closed" };
            return Some(json!({ "timestamp": timestamp, "webhookEvent": kind, "sprint": { "id": sprint } }));
        }
        _ if change.issue_id == 0 => {
            let project = catalogue.projects.get(usize::from(catalogue.project(&change.key)?))?;
            return Some(json!({
                "timestamp": timestamp, "webhookEvent": "project_updated",
                "project": { "id": project.id, "key": project.key, "name": project.name },
            }));
        }
        _ => "jira:issue_updated",
    };
    let mut body = json!({ "timestamp": timestamp, "webhookEvent": kind });
    if kind.starts_with("worklog_") {
        // Jira names the issue by its id, and nothing else of it.
        body["worklog"] = json!({ "issueId": change.issue_id.to_string() });
        return Some(body);
    }
    let project = catalogue.split_key(&change.key).map(|(project, _)| project);
    let project = project.and_then(|project| catalogue.projects.get(usize::from(project)));
    let mut issue = json!({ "id": change.issue_id.to_string(), "key": change.key, "fields": {} });
    if let Some(project) = project {
        issue["fields"]["project"] = json!({ "id": project.id.to_string(), "key": project.key });
    }
    // Of an issue with a comment Jira leaves out the time.
    if kind.starts_with("jira:")
        && let Some(shown) = world.read().live(change.issue_id)
        && let Some(at) = chrono::DateTime::from_timestamp_millis(shown.updated_ms)
    {
        issue["fields"]["updated"] = json!(at.format("%Y-%m-%dT%H:%M:%S%.3f+0000").to_string());
    }
    body["issue"] = issue;
    Some(body)
}
