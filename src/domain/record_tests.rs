//! The promises of [`super`]: the hash is pinned, covers every field, and sealing makes texts fit for PostgreSQL.

use super::*;

fn time(millis: i64) -> DateTime<Utc> {
    DateTime::from_timestamp_millis(millis).unwrap()
}

fn issue() -> IssueRecord {
    IssueRecord {
        id: 10_042,
        key: "ACME-42".into(),
        project_id: 10_001,
        project_key: "ACME".into(),
        summary: "The printer prints only hearts".into(),
        description: Some("Since Monday.".into()),
        issue_type: "Bug".into(),
        status: "In Progress".into(),
        status_category: "indeterminate".into(),
        priority: Some("High".into()),
        resolution: None,
        assignee: Some("5b10a284".into()),
        reporter: Some("5b10a285".into()),
        creator: None,
        parent_id: Some(10_001),
        parent_key: Some("ACME-1".into()),
        labels: vec!["office".into(), "hardware".into()],
        story_points: Some(3.0),
        created_at: time(1_714_551_072_345),
        updated_at: time(1_714_551_099_001),
        resolved_at: None,
        due_date: NaiveDate::from_ymd_opt(2024, 6, 1),
        details: IssueDetails::default(),
        content_hash: [0; 16],
    }
}

fn hex(hash: ContentHash) -> String {
    hash.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn the_hash_of_an_issue_stays_what_it_was_in_earlier_versions() {
    assert_eq!(hex(issue().sealed().content_hash), "e187f9a4d359d64408df6c88c0333b37");
}

#[test]
fn every_field_of_an_issue_changes_its_hash() {
    type Change = fn(&mut IssueRecord);
    let changes: [Change; 38] = [
        |i| i.id += 1,
        |i| i.details.issue_type_id = Some(1),
        |i| i.details.is_subtask = true,
        |i| i.details.status_id = Some(1),
        |i| i.details.priority_id = Some(1),
        |i| i.details.resolution_id = Some(1),
        |i| i.details.environment = Some("attic".into()),
        |i| i.details.security_level = Some("staff".into()),
        |i| i.details.status_category_changed_at = Some(time(1)),
        |i| i.details.original_estimate_seconds = Some(1),
        |i| i.details.remaining_estimate_seconds = Some(1),
        |i| i.details.time_spent_seconds = Some(1),
        |i| i.details.component_ids = vec![1],
        |i| i.details.fix_version_ids = vec![1],
        |i| i.details.affects_version_ids = vec![1],
        |i| i.details.sprint_ids = vec![1],
        |i| drop(i.details.fields.insert("customfield_10001".into(), serde_json::json!({"value": "x"}))),
        |i| i.key.push('1'),
        |i| i.project_id += 1,
        |i| i.project_key.push('1'),
        |i| i.summary.push('1'),
        |i| i.description = None,
        |i| i.issue_type.push('1'),
        |i| i.status.push('1'),
        |i| i.status_category.push('1'),
        |i| i.priority = None,
        |i| i.resolution = Some(String::new()),
        |i| i.assignee = None,
        |i| i.reporter = None,
        |i| i.creator = Some(String::new()),
        |i| i.parent_id = None,
        |i| i.parent_key = None,
        |i| i.labels = vec!["hardwareoffice".into()],
        |i| i.story_points = Some(0.0),
        |i| i.created_at = time(0),
        |i| i.updated_at = time(0),
        |i| i.resolved_at = Some(time(0)),
        |i| i.due_date = None,
    ];
    let before = issue().sealed().content_hash;
    let mut seen = std::collections::HashSet::from([before]);
    for (index, change) in changes.iter().enumerate() {
        let mut changed = issue();
        change(&mut changed);
        assert!(seen.insert(changed.sealed().content_hash), "change {index} leaves the hash as it was");
    }
}

#[test]
fn text_that_moves_to_the_next_field_changes_the_hash() {
    let one = IssueRecord { summary: "ab".into(), description: Some("c".into()), ..issue() };
    let other = IssueRecord { summary: "a".into(), description: Some("bc".into()), ..issue() };
    assert_ne!(one.sealed().content_hash, other.sealed().content_hash);
}

#[test]
fn label_order_and_signed_zero_do_not_change_the_hash() {
    let one = IssueRecord { story_points: Some(0.0), ..issue() };
    let other = IssueRecord {
        labels: vec!["hardware".into(), "office".into(), "hardware".into()],
        story_points: Some(-0.0),
        ..issue()
    };
    assert_eq!(one.sealed().content_hash, other.sealed().content_hash);
}

#[test]
fn a_nul_character_never_reaches_the_database() {
    let sealed = IssueRecord { summary: "a\0b".into(), description: Some("\0".into()), ..issue() }.sealed();
    assert_eq!(sealed.summary, "a\u{FFFD}b");
    assert_eq!(sealed.description.as_deref(), Some("\u{FFFD}"));
}

#[test]
fn a_comment_and_an_equal_worklog_have_different_hashes() {
    let comment = CommentRecord {
        id: 1,
        issue_id: 2,
        author: None,
        update_author: None,
        body: "x".into(),
        created_at: time(3),
        updated_at: time(4),
        restriction: None,
        internal: false,
        content_hash: [0; 16],
    };
    let edited = CommentRecord { body: "y".into(), ..comment.clone() };
    let restricted = |kind: &str, name: &str| Some(Restriction { kind: kind.into(), name: name.into() });
    let others = [
        CommentRecord { restriction: restricted("role", "a"), ..comment.clone() },
        CommentRecord { restriction: restricted("role", "b"), ..comment.clone() },
        CommentRecord { restriction: restricted("group", "a"), ..comment.clone() },
        CommentRecord { internal: true, ..comment.clone() },
        CommentRecord { restriction: restricted("role", "a"), internal: true, ..comment.clone() },
    ]
    .map(|comment| comment.sealed().content_hash);
    let worklog = WorklogRecord {
        id: 1,
        issue_id: 2,
        author: None,
        update_author: None,
        comment: Some("x".into()),
        started_at: time(3),
        time_spent_seconds: 60,
        created_at: time(3),
        updated_at: time(4),
        restriction: None,
        content_hash: [0; 16],
    };
    let longer = WorklogRecord { time_spent_seconds: 61, ..worklog.clone() };
    let hidden = WorklogRecord { restriction: restricted("role", "a"), ..worklog.clone() };
    let hashes = [
        comment.sealed().content_hash,
        edited.sealed().content_hash,
        worklog.sealed().content_hash,
        longer.sealed().content_hash,
        hidden.sealed().content_hash,
    ];
    assert_eq!(hashes.iter().chain(&others).collect::<std::collections::HashSet<_>>().len(), 10);
}
