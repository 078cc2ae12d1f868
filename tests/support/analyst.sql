INSERT INTO syncline.site (id, name, base_url, account_email, credential)
VALUES ('00000000-0000-7000-8000-000000000001', 'big', 'https://big.example/', 'a@example.com', 'env:T');
INSERT INTO syncline.project (id, site_id, key, name)
SELECT ('00000000-0000-7000-8000-0000000001' || lpad(n::text, 2, '0'))::uuid, '00000000-0000-7000-8000-000000000001', 'P' || n, 'Project ' || n
  FROM generate_series(0, 19) n;
INSERT INTO syncline.status (site_id, id, name, category)
SELECT '00000000-0000-7000-8000-000000000001', n, 'Status ' || n, (ARRAY['new', 'indeterminate', 'indeterminate', 'done'])[n] FROM generate_series(1, 4) n;
INSERT INTO syncline.sprint (site_id, id, name, state, started_at, ends_at, completed_at)
VALUES ('00000000-0000-7000-8000-000000000001', 1, 'One', 'closed', '2026-01-01Z', '2026-01-15Z', '2026-01-15Z'),
       ('00000000-0000-7000-8000-000000000001', 2, 'Two', 'active', '2026-01-15Z', '2026-01-29Z', NULL);
INSERT INTO syncline.issue (site_id, id, project_id, key, summary, issue_type, status, status_category, status_id, created_at, updated_at, content_hash, synced_at,
                            sprint_ids, story_points)
SELECT '00000000-0000-7000-8000-000000000001', n, ('00000000-0000-7000-8000-0000000001' || lpad((n % 20)::text, 2, '0'))::uuid, 'P' || n % 20 || '-' || n, 'x', 'Bug',
       'Status ' || 2 + n % 3, (ARRAY['indeterminate', 'indeterminate', 'done'])[1 + n % 3], 2 + n % 3, '2026-01-01Z', '2026-01-20Z', '', now(),
       CASE WHEN n % 4 = 0 THEN '{2}'::bigint[] ELSE '{}' END, n % 5
  FROM generate_series(1, 2000) n;
INSERT INTO syncline.changelog (site_id, id, item, issue_id, created_at, field, field_id, from_value, from_text, to_value, to_text)
SELECT i.site_id, i.id * 10 + k, 0, i.id, i.created_at + make_interval(hours => k * 7), 'status', 'status', k::text, 'Status ' || k,
       (k + 1)::text, 'Status ' || k + 1
  FROM syncline.issue i CROSS JOIN LATERAL generate_series(1, 1 + (i.id % 3)::int) k;
INSERT INTO syncline.changelog (site_id, id, item, issue_id, created_at, field, field_id, from_value, to_value)
SELECT i.site_id, i.id * 10 + 5 + k, 0, i.id, i.created_at + make_interval(hours => k), CASE WHEN k = 1 AND i.id % 4 = 0 THEN 'Sprint' ELSE 'labels' END, NULL, '1', '2'
  FROM syncline.issue i CROSS JOIN LATERAL generate_series(1, 2) k;
ANALYZE;
