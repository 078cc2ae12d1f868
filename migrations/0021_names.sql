-- oldest-program: 3
-- Names of statuses, priorities, resolutions and types stand in each issue beside their ids. The site's lists say what they
-- are called: the lists are read every few minutes, and a name that has changed is written into all issues that have it.

ALTER TABLE syncline.site
    ADD COLUMN names_asked_at   timestamptz,
    ADD COLUMN names_read_at    timestamptz,
    ADD COLUMN names_doubted_at timestamptz,
    ADD COLUMN names_version    bigint NOT NULL DEFAULT 1,
    -- Of a site that is there already, all issues are looked at once: what was renamed before stands in them still.
    ADD COLUMN names_applied    bigint NOT NULL DEFAULT 0;
ALTER TABLE syncline.site ALTER COLUMN names_applied SET DEFAULT 1;
COMMENT ON COLUMN syncline.site.names_asked_at IS 'When somebody last set out to read the lists of statuses, priorities, resolutions and issue types, by the database''s clock.';
COMMENT ON COLUMN syncline.site.names_read_at IS 'When the lists that are stored were asked for: an older answer does not overwrite them.';
COMMENT ON COLUMN syncline.site.names_doubted_at IS 'When the lists were last read because an issue showed another name, and said the same as before: for some minutes issues are not reason enough.';
COMMENT ON COLUMN syncline.site.names_version IS 'Grows with each change of a name.';
COMMENT ON COLUMN syncline.site.names_applied IS 'The version up to which names are written into all issues; behind names_version while that is under way.';

-- A status has one name in the views, however it was called when it was entered; the history keeps what it was called then.
CREATE OR REPLACE VIEW syncline.issue_status_change AS
SELECT i.project_id, p.key AS project_key, c.site_id, c.issue_id, i.key AS issue_key, c.id AS change_id,
       c.created_at AS changed_at, c.author_account_id,
       f.id AS from_status_id, coalesce(nullif(fs.name, ''), c.from_text) AS from_status, fs.category AS from_category,
       t.id AS to_status_id, coalesce(nullif(ts.name, ''), c.to_text) AS to_status, ts.category AS to_category
  FROM syncline.issue i
  JOIN syncline.project p ON p.id = i.project_id
  JOIN syncline.changelog c ON c.site_id = i.site_id AND c.issue_id = i.id AND (c.field_id = 'status' OR c.field = 'status')
 CROSS JOIN LATERAL (SELECT CASE WHEN c.from_value ~ '^[0-9]{1,18}$' THEN c.from_value::bigint END AS id) f
 CROSS JOIN LATERAL (SELECT CASE WHEN c.to_value ~ '^[0-9]{1,18}$' THEN c.to_value::bigint END AS id) t
  LEFT JOIN syncline.status fs ON fs.site_id = c.site_id AND fs.id = f.id
  LEFT JOIN syncline.status ts ON ts.site_id = c.site_id AND ts.id = t.id;
COMMENT ON COLUMN syncline.issue_status_change.from_status IS 'The status before, by the name that it has now; by the one of then where the status is not known. changelog keeps the latter.';
COMMENT ON COLUMN syncline.issue_status_change.to_status IS 'The status after, in the same way.';

CREATE OR REPLACE VIEW syncline.issue_status_period AS
-- A stay begins with a change and ends with the next; the first begins with the issue, and the last is open.
SELECT i.project_id, p.key AS project_key, i.site_id, i.id AS issue_id, i.key AS issue_key,
       s.status_id, coalesce(nullif(k.name, ''), s.status) AS status,
       coalesce(k.category, CASE WHEN s.ended_at IS NULL THEN i.status_category END, 'undefined') AS category,
       s.entered_at, s.ended_at,
       (extract(epoch FROM coalesce(s.ended_at, now()) - s.entered_at) / 3600.0)::float8 AS hours
  FROM syncline.issue i
  JOIN syncline.project p ON p.id = i.project_id
 CROSS JOIN LATERAL (
       WITH change AS (
           SELECT c.created_at, c.id, c.item, c.from_text, c.to_text,
                  CASE WHEN c.from_value ~ '^[0-9]{1,18}$' THEN c.from_value::bigint END AS from_id,
                  CASE WHEN c.to_value ~ '^[0-9]{1,18}$' THEN c.to_value::bigint END AS to_id,
                  lead(c.created_at) OVER w AS next_at, row_number() OVER w AS n
             FROM syncline.changelog c
            WHERE c.site_id = i.site_id AND c.issue_id = i.id AND (c.field_id = 'status' OR c.field = 'status')
           WINDOW w AS (ORDER BY c.created_at, c.id, c.item)
       )
       SELECT from_id AS status_id, from_text AS status, i.created_at AS entered_at, created_at AS ended_at FROM change WHERE n = 1
       UNION ALL
       SELECT to_id, to_text, created_at, next_at FROM change
       UNION ALL
       SELECT i.status_id, i.status, i.created_at, NULL WHERE NOT EXISTS (SELECT 1 FROM change)
       ) s
  LEFT JOIN syncline.status k ON k.site_id = i.site_id AND k.id = s.status_id;
COMMENT ON COLUMN syncline.issue_status_period.status IS 'The status, by the name that it has now; by the one of then where the status is not known.';
COMMENT ON COLUMN syncline.issue_time_in_status.status IS 'The status, by the name that it has now; by the one of then where the status is not known.';
COMMENT ON COLUMN syncline.issue_flat.parent_key IS 'That issue''s key, as it is now; where it is not in the replica, as Jira last showed it.';
COMMENT ON COLUMN syncline.issue_flat.story_points IS 'Its estimate in points: of the fields that hold estimates, the one in which the issue has a value, the named one (site update --story-points-field) before that of its project''s style.';
COMMENT ON COLUMN syncline.issue_link.other_key IS 'The key of the issue at the other end, as it is now; where that is not in the replica, as Jira last showed it.';
COMMENT ON COLUMN syncline.issue.parent_key IS 'The key of the issue that it belongs to, as it is now; where that is not in the replica, as Jira last showed it.';
COMMENT ON COLUMN syncline.issue.status IS 'The name of its status, as the site''s list has it (status_id is what stays).';
