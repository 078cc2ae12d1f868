INSERT INTO syncline.site (id, name, base_url, account_email, credential)
VALUES ('00000000-0000-7000-8000-000000000001', 'acme', 'https://acme.example', 'a@example.com', 'env:T');
INSERT INTO syncline.project (id, site_id, key, name) VALUES ('00000000-0000-7000-8000-000000000002', '00000000-0000-7000-8000-000000000001', 'ACME', 'Acme');
INSERT INTO syncline.status (site_id, id, name, category) VALUES
    ('00000000-0000-7000-8000-000000000001', 1, 'Open', 'new'), ('00000000-0000-7000-8000-000000000001', 3, 'Done', 'done');
INSERT INTO syncline.jira_user (site_id, account_id, display_name, active) VALUES
    ('00000000-0000-7000-8000-000000000001', 'ana', 'Ana', true), ('00000000-0000-7000-8000-000000000001', 'bob', 'Bob', true);
INSERT INTO syncline.sprint (site_id, id, name, state, started_at, ends_at, completed_at)
VALUES ('00000000-0000-7000-8000-000000000001', 7, 'Seven', 'closed', '2026-01-05T09:00Z', '2026-01-09T17:00Z', '2026-01-09T17:00Z');
INSERT INTO syncline.field (site_id, id, name, custom, value_type, custom_kind)
VALUES ('00000000-0000-7000-8000-000000000001', 'customfield_9', 'Time to resolution', true, 'sd-servicelevelagreement', 'com.atlassian.servicedesk:sd-sla-field'),
       ('00000000-0000-7000-8000-000000000001', 'customfield_10', 'Team', true, 'option', NULL);
INSERT INTO syncline.issue (site_id, id, project_id, key, summary, issue_type, status, status_category, status_id, created_at, updated_at, content_hash, synced_at,
                            reporter_account_id, assignee_account_id, sprint_ids, story_points, status_category_changed_at, fields)
VALUES ('00000000-0000-7000-8000-000000000001', 1, '00000000-0000-7000-8000-000000000002', 'ACME-1', 'One', 'Bug', 'Done', 'done', 3, '2026-01-02Z', '2026-01-07Z', '', now(),
        'ana', 'bob', '{7}', 2, '2026-01-07T12:00Z', '{"customfield_10": {"value": "Red"}}'),
       ('00000000-0000-7000-8000-000000000001', 2, '00000000-0000-7000-8000-000000000002', 'ACME-2', 'Two', 'Bug', 'Open', 'new', 1, '2026-01-02Z', '2026-01-07Z', '', now(),
        'ana', NULL, '{7}', 4, NULL, '{"customfield_9": {"completedCycles": [{"startTime": {"epochMillis": 1767312000000}, "stopTime": {"epochMillis": 1767333600000},
        "breached": true, "goalDuration": {"millis": 14400000}, "elapsedTime": {"millis": 21600000}, "remainingTime": {"millis": -7200000}}]}}'),
       ('00000000-0000-7000-8000-000000000001', 3, '00000000-0000-7000-8000-000000000002', 'ACME-3', 'Three', 'Bug', 'Open', 'new', 1, '2026-01-02Z', '2026-01-08Z', '', now(),
        'ana', NULL, '{}', 1, NULL, '{}');
INSERT INTO syncline.changelog (site_id, id, item, issue_id, created_at, field, field_id, from_value, from_text, to_value, to_text) VALUES
    ('00000000-0000-7000-8000-000000000001', 1, 0, 1, '2026-01-03Z', 'Sprint', 'customfield_2', '', '', '7', 'Seven'),
    ('00000000-0000-7000-8000-000000000001', 2, 0, 3, '2026-01-03Z', 'Sprint', 'customfield_2', '', '', '7', 'Seven'),
    ('00000000-0000-7000-8000-000000000001', 3, 0, 2, '2026-01-06T10:00Z', 'Sprint', 'customfield_2', '', '', '7', 'Seven'),
    ('00000000-0000-7000-8000-000000000001', 4, 0, 1, '2026-01-07T12:00Z', 'status', 'status', '1', 'Open', '3', 'Done'),
    ('00000000-0000-7000-8000-000000000001', 5, 0, 3, '2026-01-08T10:00Z', 'Sprint', 'customfield_2', '7', 'Seven', '', '');
INSERT INTO syncline.comment (site_id, id, issue_id, author_account_id, body, created_at, updated_at, content_hash, is_internal) VALUES
    ('00000000-0000-7000-8000-000000000001', 1, 1, 'ana', 'By the way', '2026-01-02T01:00Z', '2026-01-02T01:00Z', '', false),
    ('00000000-0000-7000-8000-000000000001', 2, 1, 'bob', 'Among us', '2026-01-02T02:00Z', '2026-01-02T02:00Z', '', true),
    ('00000000-0000-7000-8000-000000000001', 3, 1, 'bob', 'I see', '2026-01-02T06:00Z', '2026-01-02T06:00Z', '', false);
INSERT INTO syncline.worklog (site_id, id, issue_id, author_account_id, started_at, time_spent_seconds, created_at, updated_at, content_hash) VALUES
    ('00000000-0000-7000-8000-000000000001', 1, 1, 'ana', '2026-01-06T10:00Z', 5400, '2026-01-06T12:00Z', '2026-01-06T12:00Z', ''),
    ('00000000-0000-7000-8000-000000000001', 2, 1, 'ana', '2026-01-07T10:00Z', 5400, '2026-01-07T12:00Z', '2026-01-07T12:00Z', '');
