-- Issues of ten projects of one site with six entries of history each, some comments and worklogs. The places of changes of status
-- are given, as the program gives them.
INSERT INTO syncline.site (id, name, base_url, account_email, credential)
VALUES ('00000000-0000-7000-8000-000000000001', 'big', 'https://big.example', 'a@example.com', 'env:T');
INSERT INTO syncline.project (id, site_id, key, name)
SELECT ('00000000-0000-7000-8000-0000000001' || lpad(n::text, 2, '0'))::uuid, '00000000-0000-7000-8000-000000000001', 'P' || n, 'Project ' || n
  FROM generate_series(0, 9) n;
INSERT INTO syncline.status (site_id, id, name, category)
SELECT '00000000-0000-7000-8000-000000000001', n, 'Status ' || n, (ARRAY['new','new','indeterminate','indeterminate','indeterminate','done','done'])[n]
  FROM generate_series(1, 7) n;
INSERT INTO syncline.jira_user (site_id, account_id, display_name, active)
SELECT '00000000-0000-7000-8000-000000000001', 'user-' || n, 'User ' || n, true FROM generate_series(1, 400) n;
INSERT INTO syncline.member (id, name, team) SELECT ('00000000-0000-7000-8000-0000000' || lpad(n::text, 5, '0'))::uuid, 'Member ' || n, 'Team ' || n % 20 FROM generate_series(1, 300) n;
INSERT INTO syncline.member_link (site_id, account_id, member_id, matched_by, linked_by)
SELECT '00000000-0000-7000-8000-000000000001', 'user-' || n, ('00000000-0000-7000-8000-0000000' || lpad(n::text, 5, '0'))::uuid, 'email', 'x' FROM generate_series(1, 300) n;
INSERT INTO syncline.board (site_id, id, name, board_type, jira_project_id)
SELECT '00000000-0000-7000-8000-000000000001', n, 'Board ' || n, 'scrum', n FROM generate_series(1, 10) n;
INSERT INTO syncline.sprint (site_id, id, name, state, board_id, started_at, ends_at, completed_at)
SELECT '00000000-0000-7000-8000-000000000001', n, 'Sprint ' || n, CASE WHEN n % 50 < 47 THEN 'closed' WHEN n % 50 = 47 THEN 'active' ELSE 'future' END, 1 + n / 50,
       CASE WHEN n % 50 < 48 THEN now() - make_interval(days => 14 * (48 - n % 50)) END, now() - make_interval(days => 14 * (47 - n % 50)),
       CASE WHEN n % 50 < 47 THEN now() - make_interval(days => 14 * (47 - n % 50)) END
  FROM generate_series(0, 499) n;
INSERT INTO syncline.version (site_id, id, jira_project_id, name, archived, released)
SELECT '00000000-0000-7000-8000-000000000001', n, n / 20, 'Version ' || n, false, n % 2 = 0 FROM generate_series(1, 200) n;
INSERT INTO syncline.component (site_id, id, jira_project_id, name)
SELECT '00000000-0000-7000-8000-000000000001', n, n / 10, 'Component ' || n FROM generate_series(1, 100) n;
INSERT INTO syncline.field (site_id, id, name, custom, value_type)
SELECT '00000000-0000-7000-8000-000000000001', 'customfield_' || n, 'Field ' || n, true, 'string' FROM generate_series(10001, 10010) n;
-- Which changes each issue has: some two of its status, four others, one in three of a sprint.
INSERT INTO syncline.issue (site_id, id, project_id, key, summary, description, issue_type, status, status_category, status_id, priority, assignee_account_id,
       reporter_account_id, parent_id, parent_key, labels, story_points, created_at, updated_at, resolved_at, content_hash, synced_at, sprint_ids, fix_version_ids, component_ids,
       original_estimate_seconds, time_spent_seconds, fields)
SELECT '00000000-0000-7000-8000-000000000001', 10000 + n, ('00000000-0000-7000-8000-0000000001' || lpad((n % 10)::text, 2, '0'))::uuid,
       'P' || n % 10 || '-' || n / 10 + 1, 'Something is to be done about number ' || n, repeat('A line of a description, as people write. ', 12), (ARRAY['Bug','Story','Task'])[1 + n % 3],
       'Status ' || s.id, (ARRAY['new','new','indeterminate','indeterminate','indeterminate','done','done'])[s.id], s.id, (ARRAY['High','Medium','Low'])[1 + n % 3],
       CASE WHEN n % 7 > 0 THEN 'user-' || 1 + n % 400 END, 'user-' || 1 + (n * 7) % 400,
       CASE WHEN n % 5 = 0 THEN 10000 + n / 2 END, CASE WHEN n % 5 = 0 THEN 'P0-1' END, ARRAY['l' || n % 50, 'm' || n % 11], (n % 8)::float8,
       now() - make_interval(hours => n % 17000 + 600), now() - make_interval(hours => n % 600), CASE WHEN s.id >= 6 THEN now() - make_interval(hours => n % 600) END, '\x00', now(),
       CASE WHEN n % 3 = 0 THEN ARRAY[(n % 10 * 50 + n / 10 % 50)::bigint] ELSE '{}' END, CASE WHEN n % 2 = 0 THEN ARRAY[1 + n % 200::bigint] ELSE '{}' END, ARRAY[1 + n % 100::bigint],
       3600 * (n % 9), 1800 * (n % 9),
       (SELECT jsonb_object_agg('customfield_' || 10000 + k, 'value ' || n * k) FROM generate_series(1, 10) k)
  FROM generate_series(0, :issues - 1) n CROSS JOIN LATERAL (SELECT CASE WHEN n % 10 < 6 THEN 6 + n % 2 ELSE 1 + n % 5 END AS id) s;
INSERT INTO syncline.changelog (site_id, id, item, issue_id, author_account_id, created_at, field, field_id, field_type, from_value, from_text, to_value, to_text,
                                status_place, status_until)
SELECT i.site_id, i.id * 20 + k, 0, i.id, 'user-' || 1 + i.id % 400, i.created_at + make_interval(hours => (k * 90 + (i.id % 13)::int)), 'status', 'status', 'jira',
       x.f::text, 'Status ' || x.f, x.t::text, 'Status ' || x.t, k,
       CASE WHEN k < 1 + i.id % 3 THEN i.created_at + make_interval(hours => ((k + 1) * 90 + (i.id % 13)::int)) END
  FROM syncline.issue i CROSS JOIN LATERAL generate_series(1, 1 + (i.id % 3)::int) k
 CROSS JOIN LATERAL (SELECT CASE WHEN k = 1 THEN 1 ELSE 1 + k END AS f, CASE WHEN k = 1 + i.id % 3 THEN i.status_id ELSE 2 + k END AS t) x;
INSERT INTO syncline.changelog (site_id, id, item, issue_id, author_account_id, created_at, field, field_id, field_type, from_value, from_text, to_value, to_text)
SELECT i.site_id, i.id * 20 + 10, 0, i.id, 'user-' || 1 + i.id % 400, i.created_at + make_interval(hours => 30), 'Sprint', 'customfield_10020', 'custom', '', '', i.sprint_ids[1]::text, 'Sprint ' || i.sprint_ids[1]
  FROM syncline.issue i WHERE i.sprint_ids <> '{}';
INSERT INTO syncline.changelog (site_id, id, item, issue_id, author_account_id, created_at, field, field_id, field_type, from_value, from_text, to_value, to_text)
SELECT i.site_id, i.id * 20 + 10 + k, 0, i.id, 'user-' || 1 + i.id % 400, i.created_at + make_interval(hours => k * 20), (ARRAY['assignee','description','labels','priority'])[k], (ARRAY['assignee','description','labels','priority'])[k], 'jira',
       'a', 'Some text before', 'b', 'Some text after'
  FROM syncline.issue i CROSS JOIN LATERAL generate_series(1, 3 + (i.id % 2)::int) k;
INSERT INTO syncline.comment (site_id, id, issue_id, author_account_id, body, created_at, updated_at, content_hash)
SELECT i.site_id, i.id * 4 + k, i.id, 'user-' || 1 + (i.id * k) % 400, repeat('What somebody says. ', 6), i.created_at + make_interval(hours => k * 11), i.created_at + make_interval(hours => k * 11), '\x00'
  FROM syncline.issue i CROSS JOIN LATERAL generate_series(1, (i.id % 4)::int) k;
INSERT INTO syncline.worklog (site_id, id, issue_id, author_account_id, started_at, time_spent_seconds, created_at, updated_at, content_hash)
SELECT i.site_id, i.id * 2 + k, i.id, 'user-' || 1 + (i.id * k) % 400, i.created_at + make_interval(hours => k * 40), 1800 * k, i.created_at, i.created_at, '\x00'
  FROM syncline.issue i CROSS JOIN LATERAL generate_series(1, (i.id % 3)::int) k;
