-- oldest-program: 3
-- The views again: they read each table once, whatever is asked, and compute what is asked for only. Of an issue that is gone
-- no view tells; `issue.deleted_at` does. All of them name the site and the issue's page in Jira.
--
-- What must hold, or a question for one column is as slow as one for all: what a view joins for some of its columns is joined
-- LEFT, on a key or on an aggregate, so that it can be left out. What is asked by project or by issue reaches the tables: an
-- aggregate is grouped by the keys of all tables whose columns are shown.

-- ---------------------------------------------------------------------------------------------------- status changes

CREATE OR REPLACE VIEW syncline.issue_status_change AS
SELECT i.project_id, p.key AS project_key, c.site_id, c.issue_id, i.key AS issue_key, c.id AS change_id,
       c.created_at AS changed_at, c.author_account_id,
       c.from_status_id, coalesce(nullif(f.name, ''), c.from_text) AS from_status, f.category AS from_category,
       c.to_status_id, coalesce(nullif(t.name, ''), c.to_text) AS to_status, t.category AS to_category,
       s.name AS site_name, rtrim(s.base_url, '/') || '/browse/' || i.key AS issue_url
  FROM syncline.issue i
  JOIN syncline.changelog c ON c.site_id = i.site_id AND c.issue_id = i.id AND c.status_place IS NOT NULL
  LEFT JOIN syncline.project p ON p.id = i.project_id
  LEFT JOIN syncline.site s ON s.id = i.site_id
  LEFT JOIN syncline.status f ON f.site_id = c.site_id AND f.id = c.from_status_id
  LEFT JOIN syncline.status t ON t.site_id = c.site_id AND t.id = c.to_status_id
 WHERE i.deleted_at IS NULL;

-- ---------------------------------------------------------------------------------------------------- stays in a status

CREATE OR REPLACE VIEW syncline.issue_status_period AS
-- Each change begins a stay. Before the first one, the issue was where that one says; without any, where it is.
SELECT i.project_id, p.key AS project_key, i.site_id, i.id AS issue_id, i.key AS issue_key,
       x.status_id, coalesce(nullif(k.name, ''), x.status) AS status,
       coalesce(k.category, CASE WHEN x.ended_at IS NULL THEN i.status_category END, 'undefined') AS category,
       x.entered_at, x.ended_at,
       date_part('epoch', coalesce(x.ended_at, now()) - x.entered_at) / 3600.0 AS hours,
       s.name AS site_name, rtrim(s.base_url, '/') || '/browse/' || i.key AS issue_url
  FROM syncline.issue i
  LEFT JOIN syncline.changelog c ON c.site_id = i.site_id AND c.issue_id = i.id AND c.status_place IS NOT NULL
 CROSS JOIN LATERAL (
       SELECT c.to_status_id AS status_id, c.to_text AS status, c.created_at AS entered_at, c.status_until AS ended_at WHERE c.status_place IS NOT NULL
       UNION ALL
       SELECT CASE WHEN c.status_place = 1 THEN c.from_status_id ELSE i.status_id END,
              CASE WHEN c.status_place = 1 THEN c.from_text ELSE i.status END, i.created_at, c.created_at
        WHERE c.status_place = 1 OR c.status_place IS NULL
       ) x
  LEFT JOIN syncline.project p ON p.id = i.project_id
  LEFT JOIN syncline.site s ON s.id = i.site_id
  LEFT JOIN syncline.status k ON k.site_id = i.site_id AND k.id = x.status_id
 WHERE i.deleted_at IS NULL;

CREATE OR REPLACE VIEW syncline.issue_time_in_status AS
SELECT g.project_id, g.project_key, g.site_id, g.issue_id, g.issue_key, g.status_id,
       -- A status that no list has is called what its history calls it; that is looked for only where it is needed.
       coalesce(nullif(k.name, ''),
                (SELECT c.to_text FROM syncline.changelog c
                  WHERE c.site_id = g.site_id AND c.issue_id = g.issue_id AND c.status_place IS NOT NULL
                    AND c.to_status_id IS NOT DISTINCT FROM g.status_id ORDER BY c.status_place DESC LIMIT 1),
                (SELECT c.from_text FROM syncline.changelog c
                  WHERE c.site_id = g.site_id AND c.issue_id = g.issue_id AND c.status_place = 1
                    AND c.from_status_id IS NOT DISTINCT FROM g.status_id LIMIT 1),
                g.issue_status) AS status,
       coalesce(k.category, CASE WHEN g.is_current THEN g.status_category END, 'undefined') AS category,
       g.stays, g.hours, g.first_entered_at, g.is_current, s.name AS site_name, rtrim(s.base_url, '/') || '/browse/' || g.issue_key AS issue_url
  FROM (SELECT i.project_id, p.key AS project_key, i.site_id, i.id AS issue_id, i.key AS issue_key, i.status AS issue_status, i.status_category,
               x.status_id, count(*) AS stays, sum(date_part('epoch', coalesce(x.ended_at, now()) - x.entered_at)) / 3600.0 AS hours,
               min(x.entered_at) AS first_entered_at, count(x.ended_at) < count(*) AS is_current
          FROM syncline.issue i
          LEFT JOIN syncline.changelog c ON c.site_id = i.site_id AND c.issue_id = i.id AND c.status_place IS NOT NULL
         CROSS JOIN LATERAL (
               SELECT c.to_status_id AS status_id, c.created_at AS entered_at, c.status_until AS ended_at WHERE c.status_place IS NOT NULL
               UNION ALL
               SELECT CASE WHEN c.status_place = 1 THEN c.from_status_id ELSE i.status_id END, i.created_at, c.created_at
                WHERE c.status_place = 1 OR c.status_place IS NULL
               ) x
          LEFT JOIN syncline.project p ON p.id = i.project_id
         WHERE i.deleted_at IS NULL
         GROUP BY i.site_id, i.id, p.id, x.status_id) g
  LEFT JOIN syncline.site s ON s.id = g.site_id
  LEFT JOIN syncline.status k ON k.site_id = g.site_id AND k.id = g.status_id;

-- ---------------------------------------------------------------------------------------------------- cycle time

-- What the statuses of each site mean, as lists of ids: looking into a list of ten costs less than a join.
CREATE VIEW syncline.site_status_category AS
SELECT site_id, array_agg(id) AS known, array_agg(id) FILTER (WHERE category = 'indeterminate') AS begun,
       array_agg(id) FILTER (WHERE category = 'done') AS done
  FROM syncline.status GROUP BY site_id;
COMMENT ON VIEW syncline.site_status_category IS 'The statuses of each site by category, as lists of their ids.';
COMMENT ON COLUMN syncline.site_status_category.site_id IS 'The site: syncline.site.id.';
COMMENT ON COLUMN syncline.site_status_category.known IS 'All of them.';
COMMENT ON COLUMN syncline.site_status_category.begun IS 'Those of category indeterminate; null where there is none.';
COMMENT ON COLUMN syncline.site_status_category.done IS 'Those of category done; null where there is none.';

CREATE OR REPLACE VIEW syncline.issue_cycle_time AS
SELECT g.project_id, g.project_key, g.site_id, g.issue_id, g.issue_key, g.started_at, g.done_at,
       CASE WHEN g.done_at >= g.started_at THEN date_part('epoch', g.done_at - g.started_at) / 3600.0 END AS cycle_hours,
       g.created_at, g.resolved_at, date_part('epoch', g.resolved_at - g.created_at) / 3600.0 AS lead_hours,
       s.name AS site_name, rtrim(s.base_url, '/') || '/browse/' || g.issue_key AS issue_url
  FROM (SELECT i.project_id, p.key AS project_key, i.site_id, i.id AS issue_id, i.key AS issue_key, i.created_at, i.resolved_at,
               -- Where it began: with the issue, when its first status was one of work, else with the first change to one. The
               -- category of a status that no list has is known while the issue is in it.
               CASE WHEN bool_or(c.status_place = 1 AND c.from_status_id = ANY (k.begun)) OR count(c.status_place) = 0 AND i.status_category = 'indeterminate'
                    THEN i.created_at
                    ELSE min(c.created_at) FILTER (WHERE c.to_status_id = ANY (k.begun)
                         OR c.status_until IS NULL AND i.status_category = 'indeterminate' AND (c.to_status_id = ANY (k.known)) IS NOT TRUE) END AS started_at,
               -- An issue that was opened again is not done, whatever it was before.
               CASE WHEN i.status_category = 'done'
                    THEN coalesce(max(c.created_at) FILTER (WHERE (c.from_status_id = ANY (k.done)) IS NOT TRUE
                                  AND (c.to_status_id = ANY (k.done) OR c.status_until IS NULL AND (c.to_status_id = ANY (k.known)) IS NOT TRUE)),
                                  CASE WHEN bool_or(c.status_place = 1 AND c.from_status_id = ANY (k.done)) OR count(c.status_place) = 0 THEN i.created_at END) END AS done_at
          FROM syncline.issue i
          LEFT JOIN syncline.site_status_category k ON k.site_id = i.site_id
          LEFT JOIN syncline.changelog c ON c.site_id = i.site_id AND c.issue_id = i.id AND c.status_place IS NOT NULL
          LEFT JOIN syncline.project p ON p.id = i.project_id
         WHERE i.deleted_at IS NULL
         GROUP BY i.site_id, i.id, p.id) g
  LEFT JOIN syncline.site s ON s.id = g.site_id;

-- ---------------------------------------------------------------------------------------------------- sprints

CREATE OR REPLACE VIEW syncline.issue_sprint AS
-- The history names all sprints of an issue before and after each change; what one side lacks was added or removed. What
-- the field holds without a word in the history was there from the issue's beginning.
SELECT g.project_id, g.project_key, g.site_id, g.issue_id, g.issue_key, g.sprint_id, n.name AS sprint_name, n.state AS sprint_state,
       coalesce(g.added_at, g.created_at) AS added_at,
       CASE WHEN g.in_field THEN NULL ELSE g.removed_at END AS removed_at, g.in_field,
       n.started_at IS NOT NULL AND coalesce(g.added_at, g.created_at) > n.started_at AS added_after_start,
       s.name AS site_name, rtrim(s.base_url, '/') || '/browse/' || g.issue_key AS issue_url
  FROM (SELECT x.project_id, x.project_key, x.site_id, x.issue_id, x.issue_key, x.created_at, x.sprint_id,
               min(x.at) FILTER (WHERE x.added) AS added_at, max(x.at) FILTER (WHERE NOT x.added) AS removed_at, bool_or(x.at IS NULL) AS in_field
          FROM (SELECT i.project_id, p.key AS project_key, i.site_id, i.id AS issue_id, i.key AS issue_key, i.created_at,
                       v.id AS sprint_id, c.created_at AS at, v.added
                  FROM syncline.issue i
                  JOIN syncline.changelog c ON c.site_id = i.site_id AND c.issue_id = i.id AND c.field = 'Sprint'
                  LEFT JOIN syncline.project p ON p.id = i.project_id
                 CROSS JOIN LATERAL (SELECT string_to_array(replace(coalesce(c.from_value, ''), ' ', ''), ',') AS old,
                                            string_to_array(replace(coalesce(c.to_value, ''), ' ', ''), ',') AS new OFFSET 0) l
                 CROSS JOIN LATERAL (
                       SELECT part::bigint AS id, true AS added FROM unnest(l.new) part WHERE part ~ '^[0-9]{1,18}$' AND part <> ALL (l.old)
                       UNION ALL
                       SELECT part::bigint, false FROM unnest(l.old) part WHERE part ~ '^[0-9]{1,18}$' AND part <> ALL (l.new)
                       ) v
                 WHERE i.deleted_at IS NULL
                UNION ALL
                SELECT i.project_id, p.key, i.site_id, i.id, i.key, i.created_at, f.id, NULL, true
                  FROM syncline.issue i
                  LEFT JOIN syncline.project p ON p.id = i.project_id
                 CROSS JOIN LATERAL unnest(i.sprint_ids) AS f (id)
                 WHERE i.deleted_at IS NULL AND i.sprint_ids <> '{}'
               ) x
         GROUP BY x.site_id, x.issue_id, x.sprint_id, x.project_id, x.project_key, x.issue_key, x.created_at) g
  LEFT JOIN syncline.sprint n ON n.site_id = g.site_id AND n.id = g.sprint_id
  LEFT JOIN syncline.site s ON s.id = g.site_id;

CREATE OR REPLACE VIEW syncline.issue_current_sprint AS
SELECT i.project_id, p.key AS project_key, i.site_id, i.id AS issue_id, i.key AS issue_key,
       n.id AS sprint_id, n.name AS sprint_name, n.state AS sprint_state, n.goal, n.started_at, n.ends_at,
       s.name AS site_name, rtrim(s.base_url, '/') || '/browse/' || i.key AS issue_url
  FROM syncline.issue i
  LEFT JOIN syncline.project p ON p.id = i.project_id
  LEFT JOIN syncline.site s ON s.id = i.site_id
 CROSS JOIN LATERAL (
       SELECT n.* FROM syncline.sprint n
        WHERE n.site_id = i.site_id AND n.id = ANY (i.sprint_ids) AND n.state IN ('active', 'future') AND n.deleted_at IS NULL
        ORDER BY n.state = 'active' DESC, n.started_at DESC NULLS LAST, n.id DESC LIMIT 1
       ) n
 WHERE i.deleted_at IS NULL AND i.sprint_ids <> '{}';

-- ---------------------------------------------------------------------------------------------------- people

CREATE OR REPLACE VIEW syncline.worklog_by_member AS
SELECT i.project_id, p.key AS project_key, w.site_id, w.issue_id, i.key AS issue_key, w.id AS worklog_id,
       w.author_account_id, u.display_name AS author_name, m.id AS member_id, m.name AS member_name, m.team,
       w.started_at, w.time_spent_seconds, (w.time_spent_seconds / 3600.0)::float8 AS hours, w.comment,
       s.name AS site_name, rtrim(s.base_url, '/') || '/browse/' || i.key AS issue_url
  FROM syncline.issue i
  JOIN syncline.worklog w ON w.site_id = i.site_id AND w.issue_id = i.id
  LEFT JOIN syncline.project p ON p.id = i.project_id
  LEFT JOIN syncline.site s ON s.id = i.site_id
  LEFT JOIN syncline.jira_user u ON u.site_id = w.site_id AND u.account_id = w.author_account_id
  LEFT JOIN syncline.member_link l ON l.site_id = w.site_id AND l.account_id = w.author_account_id
  LEFT JOIN syncline.member m ON m.id = l.member_id
 WHERE i.deleted_at IS NULL;

-- ---------------------------------------------------------------------------------------------------- all in one

CREATE OR REPLACE VIEW syncline.issue_flat AS
-- The times of an issue as in issue_cycle_time, but issue by issue: whatever this view is asked by, only those histories are
-- read, by the index alone.
SELECT i.project_id, p.key AS project_key, p.name AS project_name, i.site_id, i.id AS issue_id, i.key AS issue_key, i.summary,
       i.issue_type, i.is_subtask, i.status, i.status_category, i.priority, i.resolution, i.labels, i.story_points,
       i.parent_id, i.parent_key, i.due_date, i.created_at, i.updated_at, i.resolved_at,
       i.assignee_account_id, coalesce(am.name, au.display_name) AS assignee, am.id AS assignee_member_id, am.team AS assignee_team,
       i.reporter_account_id, coalesce(rm.name, ru.display_name) AS reporter, rm.id AS reporter_member_id,
       n.id AS sprint_id, n.name AS sprint_name, n.state AS sprint_state,
       fv.names AS fix_versions, co.names AS components,
       c.started_at, c.done_at,
       CASE WHEN c.done_at >= c.started_at THEN date_part('epoch', c.done_at - c.started_at) / 3600.0 END AS cycle_hours,
       date_part('epoch', i.resolved_at - i.created_at) / 3600.0 AS lead_hours,
       (i.original_estimate_seconds / 3600.0)::float8 AS original_estimate_hours,
       (i.time_spent_seconds / 3600.0)::float8 AS time_spent_hours,
       i.fields, s.name AS site_name, rtrim(s.base_url, '/') || '/browse/' || i.key AS issue_url
  FROM syncline.issue i
  LEFT JOIN syncline.project p ON p.id = i.project_id
  LEFT JOIN syncline.site s ON s.id = i.site_id
  LEFT JOIN syncline.jira_user au ON au.site_id = i.site_id AND au.account_id = i.assignee_account_id
  LEFT JOIN syncline.member_link al ON al.site_id = i.site_id AND al.account_id = i.assignee_account_id
  LEFT JOIN syncline.member am ON am.id = al.member_id
  LEFT JOIN syncline.jira_user ru ON ru.site_id = i.site_id AND ru.account_id = i.reporter_account_id
  LEFT JOIN syncline.member_link rl ON rl.site_id = i.site_id AND rl.account_id = i.reporter_account_id
  LEFT JOIN syncline.member rm ON rm.id = rl.member_id
  LEFT JOIN LATERAL (
       SELECT (array_agg(q.id ORDER BY q.state = 'active' DESC, q.started_at DESC NULLS LAST, q.id DESC))[1] AS id
         FROM syncline.sprint q
        WHERE q.site_id = i.site_id AND q.id = ANY (i.sprint_ids) AND q.state IN ('active', 'future') AND q.deleted_at IS NULL
       ) cs ON true
  LEFT JOIN syncline.sprint n ON n.site_id = i.site_id AND n.id = cs.id
  -- Not in the list of columns: here PostgreSQL remembers the names of each set of ids.
  LEFT JOIN LATERAL (SELECT coalesce(array_agg(v.name ORDER BY v.name), '{}') AS names FROM syncline.version v
                      WHERE v.site_id = i.site_id AND v.id = ANY (i.fix_version_ids)) fv ON true
  LEFT JOIN LATERAL (SELECT coalesce(array_agg(v.name ORDER BY v.name), '{}') AS names FROM syncline.component v
                      WHERE v.site_id = i.site_id AND v.id = ANY (i.component_ids)) co ON true
  LEFT JOIN syncline.site_status_category k ON k.site_id = i.site_id
  LEFT JOIN LATERAL (
       SELECT CASE WHEN bool_or(c.status_place = 1 AND c.from_status_id = ANY (k.begun)) OR count(*) = 0 AND i.status_category = 'indeterminate'
                   THEN i.created_at
                   ELSE min(c.created_at) FILTER (WHERE c.to_status_id = ANY (k.begun)
                        OR c.status_until IS NULL AND i.status_category = 'indeterminate' AND (c.to_status_id = ANY (k.known)) IS NOT TRUE) END AS started_at,
              CASE WHEN i.status_category = 'done'
                   THEN coalesce(max(c.created_at) FILTER (WHERE (c.from_status_id = ANY (k.done)) IS NOT TRUE
                                 AND (c.to_status_id = ANY (k.done) OR c.status_until IS NULL AND (c.to_status_id = ANY (k.known)) IS NOT TRUE)),
                                 CASE WHEN bool_or(c.status_place = 1 AND c.from_status_id = ANY (k.done)) OR count(*) = 0 THEN i.created_at END) END AS done_at
         FROM syncline.changelog c WHERE c.site_id = i.site_id AND c.issue_id = i.id AND c.status_place IS NOT NULL
       ) c ON true
 WHERE i.deleted_at IS NULL;

-- ---------------------------------------------------------------------------------------------------- what they mean

DO $$
DECLARE
    shared record;
BEGIN
    FOR shared IN
        SELECT c.relname, t.name, t.meaning
          FROM pg_class c
          JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0
          JOIN (VALUES ('site_name', 'The site''s name, as it was given to syncline.'),
                       ('issue_url', 'The issue''s page in Jira.')) AS t (name, meaning) ON t.name = a.attname
         WHERE c.relnamespace = 'syncline'::regnamespace AND c.relkind = 'v'
    LOOP
        EXECUTE format('COMMENT ON COLUMN syncline.%I.%I IS %L', shared.relname, shared.name, shared.meaning);
    END LOOP;
END $$;
COMMENT ON VIEW syncline.issue_status_period IS 'One row per stay of an issue in a status; the current one is open. Issues that are gone are left out.';
COMMENT ON VIEW syncline.issue_time_in_status IS 'How long each issue was in each status, all stays added up. Issues that are gone are left out.';
