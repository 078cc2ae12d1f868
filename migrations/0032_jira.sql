-- oldest-program: 3
-- What analysts read, in a schema of its own: `jira` has the replica's tables as views of the same names, the views that
-- compute, and for each site a view with its custom fields by name. Nothing of the engine is in it, and no credential; who reads
-- it needs no right to any table.

-- With roles the schema belongs to who owns this one, as everything that this migration makes does.
-- Where the user may not make schemas, somebody who may makes it before.
DO $$
BEGIN
    IF to_regnamespace('jira') IS NULL THEN
        CREATE SCHEMA jira;
        COMMENT ON SCHEMA jira IS 'The replica of Jira, for reading: issues and what belongs to them, people, sprints, times.';
    ELSIF EXISTS (SELECT FROM pg_class c WHERE c.relnamespace = to_regnamespace('jira') AND c.relkind IN ('r', 'p', 'v', 'm')) THEN
        RAISE EXCEPTION 'the schema jira of this database holds something else'
              USING HINT = 'The views of the replica go there. Rename it first: ALTER SCHEMA jira RENAME TO jira_before;';
    END IF;
END $$;

-- ---------------------------------------------------------------------------------------------------- tables, as views

-- Makes the views of `jira` that show a table or a view of `syncline` as it is, with its comments; to be called at the end of
-- each migration that adds to one of them.
CREATE FUNCTION syncline.publish_replica() RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    relation text;
    columns text;
    said record;
BEGIN
    FOREACH relation IN ARRAY ARRAY[
        'issue', 'comment', 'worklog', 'changelog', 'issue_link', 'attachment', 'board', 'sprint', 'version', 'component', 'status', 'term',
        'field', 'jira_user', 'member', 'member_link', 'issue_status_change', 'issue_status_period', 'issue_time_in_status',
        'issue_cycle_time', 'issue_sprint', 'issue_current_sprint', 'worklog_by_member', 'issue_flat']
    LOOP
        SELECT string_agg(format('r.%I', a.attname), ', ' ORDER BY a.attnum) INTO columns
          FROM pg_attribute a
         WHERE a.attrelid = format('syncline.%I', relation)::regclass AND a.attnum > 0 AND NOT a.attisdropped AND a.attname <> 'content_hash';
        EXECUTE format('CREATE OR REPLACE VIEW jira.%I AS SELECT %s FROM syncline.%I r', relation, columns, relation);
        FOR said IN
            SELECT d.objsubid, a.attname, d.description
              FROM pg_description d
              LEFT JOIN pg_attribute a ON a.attrelid = d.objoid AND a.attnum = d.objsubid
             WHERE d.classoid = 'pg_class'::regclass AND d.objoid = format('syncline.%I', relation)::regclass
               AND (d.objsubid = 0 OR a.attname <> 'content_hash')
        LOOP
            IF said.objsubid = 0 THEN
                EXECUTE format('COMMENT ON VIEW jira.%I IS %L', relation, said.description);
            ELSE
                EXECUTE format('COMMENT ON COLUMN jira.%I.%I IS %L', relation, said.attname, said.description);
            END IF;
        END LOOP;
    END LOOP;
END $$;
REVOKE EXECUTE ON FUNCTION syncline.publish_replica() FROM PUBLIC;

CREATE VIEW jira.site AS
SELECT s.id, s.name, s.base_url, s.kind, s.version, s.cloud_id, s.created_at FROM syncline.site s;
COMMENT ON VIEW jira.site IS 'The Jira sites of this replica.';
COMMENT ON COLUMN jira.site.id IS 'What site_id is in the other views.';
COMMENT ON COLUMN jira.site.name IS 'Its name, as it was given to syncline.';
COMMENT ON COLUMN jira.site.base_url IS 'Its address.';
COMMENT ON COLUMN jira.site.kind IS 'cloud or data_center.';
COMMENT ON COLUMN jira.site.version IS 'The version that it told last; null where it was not asked.';
COMMENT ON COLUMN jira.site.cloud_id IS 'Atlassian''s id of a Cloud site; null where it is not known.';
COMMENT ON COLUMN jira.site.created_at IS 'Since when it is synchronised.';

CREATE VIEW jira.project AS
SELECT p.id, p.site_id, p.jira_id, p.key, p.name, p.state, p.jira_state, p.project_type, p.lead_account_id, p.previous_keys, p.tracking,
       s.name AS site_name, rtrim(s.base_url, '/') || '/browse/' || p.key AS project_url,
       (SELECT min(t.cursor_at) FROM syncline.sync_state t WHERE t.project_id = p.id AND t.entity = 'issue') AS newest_change_at,
       (SELECT max(t.last_sync_time) FROM syncline.sync_state t WHERE t.project_id = p.id AND t.entity = 'issue') AS last_success_at
  FROM syncline.project p
  LEFT JOIN syncline.site s ON s.id = p.site_id;
COMMENT ON VIEW jira.project IS 'The projects of this replica.';
COMMENT ON COLUMN jira.project.id IS 'What project_id is in the other views.';
COMMENT ON COLUMN jira.project.site_id IS 'The site that it is on: jira.site.id.';
COMMENT ON COLUMN jira.project.jira_id IS 'Jira''s id of it; null until its first run.';
COMMENT ON COLUMN jira.project.key IS 'Its key, as it is now.';
COMMENT ON COLUMN jira.project.name IS 'Its name, as it was at its last run.';
COMMENT ON COLUMN jira.project.state IS 'active, paused, or removed: whether it is synchronised.';
COMMENT ON COLUMN jira.project.jira_state IS 'How Jira shows it: live, archived, deleted or not_visible.';
COMMENT ON COLUMN jira.project.project_type IS 'software, service_desk, business, or what Jira calls it otherwise.';
COMMENT ON COLUMN jira.project.lead_account_id IS 'Who leads it: jira_user.account_id.';
COMMENT ON COLUMN jira.project.previous_keys IS 'Keys that it had before.';
COMMENT ON COLUMN jira.project.tracking IS 'all: every issue is here. listed: only those that concern listed users.';
COMMENT ON COLUMN jira.project.site_name IS 'The site''s name.';
COMMENT ON COLUMN jira.project.project_url IS 'Its page in Jira.';
COMMENT ON COLUMN jira.project.newest_change_at IS 'Up to which change of an issue the replica has read it.';
COMMENT ON COLUMN jira.project.last_success_at IS 'When it was last read with success.';

-- ---------------------------------------------------------------------------------------------------- when an issue was done

-- Jira itself says since when an issue has its category; where it does not (some of Data Center), the resolution does.
CREATE VIEW jira.issue_done AS
SELECT i.project_id, p.key AS project_key, i.site_id, i.id AS issue_id, i.key AS issue_key, i.story_points, i.created_at,
       CASE WHEN i.status_category = 'done' THEN coalesce(i.status_category_changed_at, i.resolved_at, i.updated_at) END AS done_at,
       s.name AS site_name, rtrim(s.base_url, '/') || '/browse/' || i.key AS issue_url
  FROM syncline.issue i
  LEFT JOIN syncline.project p ON p.id = i.project_id
  LEFT JOIN syncline.site s ON s.id = i.site_id
 WHERE i.deleted_at IS NULL;
COMMENT ON VIEW jira.issue_done IS 'Since when each issue is done. Issues that are gone are left out.';
COMMENT ON COLUMN jira.issue_done.story_points IS 'Its estimate in points.';
COMMENT ON COLUMN jira.issue_done.created_at IS 'When it was created.';
COMMENT ON COLUMN jira.issue_done.done_at IS 'Since when its status is of category done; null while it is not.';

-- ---------------------------------------------------------------------------------------------------- sprints

CREATE VIEW jira.sprint_velocity AS
SELECT n.site_id, n.id AS sprint_id, n.name AS sprint_name, n.state AS sprint_state, n.board_id, b.name AS board_name,
       n.started_at, n.ends_at, n.completed_at, m.committed_issues, m.committed_points, m.added_issues, m.added_points,
       m.removed_issues, m.removed_points, m.completed_issues, m.completed_points, s.name AS site_name, m.project_id, p.key AS project_key
  FROM (SELECT x.site_id, x.sprint_id, x.project_id,
               count(*) FILTER (WHERE NOT d.late) AS committed_issues,
               coalesce(sum(x.story_points) FILTER (WHERE NOT d.late), 0) AS committed_points,
               count(*) FILTER (WHERE d.late) AS added_issues,
               coalesce(sum(x.story_points) FILTER (WHERE d.late), 0) AS added_points,
               count(*) FILTER (WHERE x.removed_at IS NOT NULL) AS removed_issues,
               coalesce(sum(x.story_points) FILTER (WHERE x.removed_at IS NOT NULL), 0) AS removed_points,
               count(*) FILTER (WHERE d.done) AS completed_issues,
               coalesce(sum(x.story_points) FILTER (WHERE d.done), 0) AS completed_points
          FROM (SELECT g.site_id, g.issue_id, g.sprint_id, coalesce(g.added_at, i.created_at) AS added_at, i.project_id, i.story_points,
                       i.status_category, i.status_category_changed_at, i.resolved_at, i.updated_at,
                       CASE WHEN g.in_field THEN NULL ELSE g.removed_at END AS removed_at
                  -- As in issue_sprint, for all issues at once: nothing but ids is sorted.
                  FROM (SELECT m.site_id, m.issue_id, m.sprint_id, min(m.at) FILTER (WHERE m.added) AS added_at,
                               max(m.at) FILTER (WHERE NOT m.added) AS removed_at, bool_or(m.at IS NULL) AS in_field
                          FROM (SELECT c.site_id, c.issue_id, v.id AS sprint_id, c.created_at AS at, v.added
                                  FROM syncline.changelog c
                                 CROSS JOIN LATERAL (SELECT string_to_array(replace(coalesce(c.from_value, ''), ' ', ''), ',') AS old,
                                                            string_to_array(replace(coalesce(c.to_value, ''), ' ', ''), ',') AS new OFFSET 0) l
                                 CROSS JOIN LATERAL (
                                       SELECT part::bigint AS id, true AS added FROM unnest(l.new) part WHERE part ~ '^[0-9]{1,18}$' AND part <> ALL (l.old)
                                       UNION ALL
                                       SELECT part::bigint, false FROM unnest(l.old) part WHERE part ~ '^[0-9]{1,18}$' AND part <> ALL (l.new)
                                       ) v
                                 WHERE c.field = 'Sprint'
                                UNION ALL
                                SELECT i.site_id, i.id, f.id, NULL, true FROM syncline.issue i CROSS JOIN LATERAL unnest(i.sprint_ids) AS f (id)
                                 WHERE i.sprint_ids <> '{}'
                               ) m
                         GROUP BY m.site_id, m.issue_id, m.sprint_id) g
                  JOIN syncline.issue i ON i.site_id = g.site_id AND i.id = g.issue_id AND i.deleted_at IS NULL) x
          JOIN syncline.sprint n ON n.site_id = x.site_id AND n.id = x.sprint_id
         CROSS JOIN LATERAL (
               SELECT n.started_at IS NOT NULL AND x.added_at > n.started_at AS late,
                      x.removed_at IS NULL AND x.status_category = 'done'
                      AND coalesce(x.status_category_changed_at, x.resolved_at, x.updated_at) BETWEEN coalesce(n.started_at, '-infinity')
                          AND coalesce(n.completed_at, 'infinity') AS done) d
         -- Taken out before it began: it was never part of it.
         WHERE x.removed_at IS NULL OR n.started_at IS NULL OR x.removed_at > n.started_at
         GROUP BY x.site_id, x.sprint_id, x.project_id) m
  JOIN syncline.sprint n ON n.site_id = m.site_id AND n.id = m.sprint_id
  LEFT JOIN syncline.board b ON b.site_id = n.site_id AND b.id = n.board_id
  LEFT JOIN syncline.project p ON p.id = m.project_id
  LEFT JOIN syncline.site s ON s.id = m.site_id;
COMMENT ON VIEW jira.sprint_velocity IS 'What each sprint took on and completed, one row per sprint and project. Points are those that the issues have now. Issues that are gone are left out.';
COMMENT ON COLUMN jira.sprint_velocity.sprint_id IS 'Jira''s id of the sprint.';
COMMENT ON COLUMN jira.sprint_velocity.sprint_name IS 'Its name now.';
COMMENT ON COLUMN jira.sprint_velocity.sprint_state IS 'future, active or closed.';
COMMENT ON COLUMN jira.sprint_velocity.board_id IS 'The board on which it was made.';
COMMENT ON COLUMN jira.sprint_velocity.board_name IS 'That board''s name.';
COMMENT ON COLUMN jira.sprint_velocity.started_at IS 'When it began; null before.';
COMMENT ON COLUMN jira.sprint_velocity.ends_at IS 'When it is planned to end.';
COMMENT ON COLUMN jira.sprint_velocity.completed_at IS 'When it was closed; null before.';
COMMENT ON COLUMN jira.sprint_velocity.committed_issues IS 'Issues that were in it when it began.';
COMMENT ON COLUMN jira.sprint_velocity.committed_points IS 'Their points.';
COMMENT ON COLUMN jira.sprint_velocity.added_issues IS 'Issues that came in after it had begun.';
COMMENT ON COLUMN jira.sprint_velocity.added_points IS 'Their points.';
COMMENT ON COLUMN jira.sprint_velocity.removed_issues IS 'Issues that were taken out after it had begun.';
COMMENT ON COLUMN jira.sprint_velocity.removed_points IS 'Their points.';
COMMENT ON COLUMN jira.sprint_velocity.completed_issues IS 'Issues that became done while it ran, and are still: in it, and done.';
COMMENT ON COLUMN jira.sprint_velocity.completed_points IS 'Their points: the velocity.';

CREATE VIEW jira.sprint_day AS
SELECT g.site_id, g.sprint_id, n.name AS sprint_name, n.state AS sprint_state, g.day, g.scope_issues, g.scope_points, g.done_issues, g.done_points,
       g.scope_issues - g.done_issues AS remaining_issues, g.scope_points - g.done_points AS remaining_points,
       s.name AS site_name, g.project_id, p.key AS project_key
  FROM (SELECT x.site_id, x.sprint_id, x.project_id, d.day::date AS day, count(*) AS scope_issues, coalesce(sum(i.story_points), 0) AS scope_points,
               count(*) FILTER (WHERE w.done_at < e.at) AS done_issues, coalesce(sum(i.story_points) FILTER (WHERE w.done_at < e.at), 0) AS done_points
          FROM syncline.sprint n
         CROSS JOIN LATERAL generate_series(date_trunc('day', n.started_at, 'UTC') AT TIME ZONE 'UTC',
               date_trunc('day', least(coalesce(n.completed_at, n.ends_at, now()), now(), n.started_at + interval '1 year'), 'UTC') AT TIME ZONE 'UTC', interval '1 day') AS d (day)
         CROSS JOIN LATERAL (SELECT least(d.day AT TIME ZONE 'UTC' + interval '1 day', coalesce(n.completed_at, 'infinity')) AS at) e
          JOIN syncline.issue_sprint x ON x.site_id = n.site_id AND x.sprint_id = n.id AND x.added_at < e.at AND (x.removed_at IS NULL OR x.removed_at >= e.at)
          JOIN syncline.issue i ON i.site_id = x.site_id AND i.id = x.issue_id
         CROSS JOIN LATERAL (SELECT CASE WHEN i.status_category = 'done' THEN coalesce(i.status_category_changed_at, i.resolved_at, i.updated_at) END AS done_at) w
         WHERE n.started_at IS NOT NULL
         GROUP BY x.site_id, x.sprint_id, x.project_id, d.day) g
  JOIN syncline.sprint n ON n.site_id = g.site_id AND n.id = g.sprint_id
  LEFT JOIN syncline.project p ON p.id = g.project_id
  LEFT JOIN syncline.site s ON s.id = g.site_id;
COMMENT ON VIEW jira.sprint_day IS 'Burn-down and burn-up: what was in each sprint and what of it was done at the end of each of its days (UTC), one row per sprint, project and day. Points are those that the issues have now. Issues that are gone are left out.';
COMMENT ON COLUMN jira.sprint_day.sprint_id IS 'Jira''s id of the sprint.';
COMMENT ON COLUMN jira.sprint_day.sprint_name IS 'Its name now.';
COMMENT ON COLUMN jira.sprint_day.sprint_state IS 'active or closed; those to come have no days.';
COMMENT ON COLUMN jira.sprint_day.day IS 'The day, in UTC; of today, what is so by now.';
COMMENT ON COLUMN jira.sprint_day.scope_issues IS 'Issues in the sprint.';
COMMENT ON COLUMN jira.sprint_day.scope_points IS 'Their points.';
COMMENT ON COLUMN jira.sprint_day.done_issues IS 'Those of them that were done, and are still: the line that burns up.';
COMMENT ON COLUMN jira.sprint_day.done_points IS 'Their points.';
COMMENT ON COLUMN jira.sprint_day.remaining_issues IS 'Those that were not: the line that burns down.';
COMMENT ON COLUMN jira.sprint_day.remaining_points IS 'Their points.';

-- ---------------------------------------------------------------------------------------------------- flow

CREATE VIEW jira.cumulative_flow AS
SELECT f.project_id, f.project_key, f.site_id, f.site_name, f.day, f.category,
       (sum(f.moved) OVER (PARTITION BY f.project_id, f.project_key, f.site_id, f.category ORDER BY f.day))::bigint AS issues
  FROM (SELECT p.id AS project_id, p.key AS project_key, p.site_id, s.name AS site_name, d.day, k.category, coalesce(e.moved, 0) AS moved
          FROM syncline.project p
          LEFT JOIN syncline.site s ON s.id = p.site_id
         CROSS JOIN LATERAL (SELECT (min(i.created_at) AT TIME ZONE 'UTC')::date AS first FROM syncline.issue i WHERE i.project_id = p.id AND i.deleted_at IS NULL) b
         CROSS JOIN LATERAL (SELECT g::date AS day FROM generate_series(b.first::timestamp, (now() AT TIME ZONE 'UTC')::date::timestamp, interval '1 day') g) d
         CROSS JOIN (VALUES ('new'), ('indeterminate'), ('done'), ('undefined')) AS k (category)
          LEFT JOIN (SELECT q.project_id, q.project_key, (v.at AT TIME ZONE 'UTC')::date AS day, q.category, sum(v.moved) AS moved
                       FROM syncline.issue_status_period q
                      CROSS JOIN LATERAL (VALUES (q.entered_at, 1), (q.ended_at, -1)) AS v (at, moved)
                      WHERE v.at IS NOT NULL
                      GROUP BY q.project_id, q.project_key, (v.at AT TIME ZONE 'UTC')::date, q.category) e
            ON e.project_id = p.id AND e.project_key = p.key AND e.day = d.day AND e.category = k.category) f;
COMMENT ON VIEW jira.cumulative_flow IS 'How many issues of each project were in each category of status at the end of each day (UTC), from its first issue on. Issues that are gone are left out.';
COMMENT ON COLUMN jira.cumulative_flow.day IS 'The day, in UTC; of today, what is so by now.';
COMMENT ON COLUMN jira.cumulative_flow.category IS 'new, indeterminate, done or undefined; of a status, the category that it has now.';
COMMENT ON COLUMN jira.cumulative_flow.issues IS 'How many issues.';

CREATE VIEW jira.backlog_age AS
SELECT i.project_id, p.key AS project_key, i.site_id, i.id AS issue_id, i.key AS issue_key, i.summary, i.status, i.status_category, i.issue_type, i.priority,
       i.story_points, i.assignee_account_id, i.created_at, i.updated_at,
       date_part('epoch', now() - i.created_at) / 86400.0 AS age_days, date_part('epoch', now() - i.updated_at) / 86400.0 AS idle_days,
       s.name AS site_name, rtrim(s.base_url, '/') || '/browse/' || i.key AS issue_url
  FROM syncline.issue i
  LEFT JOIN syncline.project p ON p.id = i.project_id
  LEFT JOIN syncline.site s ON s.id = i.site_id
 WHERE i.deleted_at IS NULL AND i.status_category <> 'done';
COMMENT ON VIEW jira.backlog_age IS 'How long each issue that is not done has been there. Issues that are gone are left out.';
COMMENT ON COLUMN jira.backlog_age.summary IS 'The issue''s one-line title.';
COMMENT ON COLUMN jira.backlog_age.status IS 'The name of its status.';
COMMENT ON COLUMN jira.backlog_age.status_category IS 'new, indeterminate or undefined.';
COMMENT ON COLUMN jira.backlog_age.issue_type IS 'The name of its type.';
COMMENT ON COLUMN jira.backlog_age.priority IS 'The name of its priority; null where it has none.';
COMMENT ON COLUMN jira.backlog_age.story_points IS 'Its estimate in points.';
COMMENT ON COLUMN jira.backlog_age.assignee_account_id IS 'Whose turn it is: jira_user.account_id; null where it is nobody''s.';
COMMENT ON COLUMN jira.backlog_age.created_at IS 'When it was created.';
COMMENT ON COLUMN jira.backlog_age.updated_at IS 'When it was last changed in Jira.';
COMMENT ON COLUMN jira.backlog_age.age_days IS 'Days since it was created.';
COMMENT ON COLUMN jira.backlog_age.idle_days IS 'Days since it was last changed.';

CREATE VIEW jira.throughput_week AS
SELECT d.project_id, d.project_key, d.site_id, d.site_name, (date_trunc('week', d.done_at AT TIME ZONE 'UTC'))::date AS week,
       count(*) AS done_issues, coalesce(sum(d.story_points), 0) AS done_points
  FROM jira.issue_done d
 WHERE d.done_at IS NOT NULL
 GROUP BY d.project_id, d.project_key, d.site_id, d.site_name, (date_trunc('week', d.done_at AT TIME ZONE 'UTC'))::date;
COMMENT ON VIEW jira.throughput_week IS 'How many issues of each project became done in each week, and are still. Weeks without any have no row. Issues that are gone are left out.';
COMMENT ON COLUMN jira.throughput_week.week IS 'The Monday with which the week begins, in UTC.';
COMMENT ON COLUMN jira.throughput_week.done_issues IS 'How many issues.';
COMMENT ON COLUMN jira.throughput_week.done_points IS 'Their points.';

-- ---------------------------------------------------------------------------------------------------- people

CREATE VIEW jira.hours_week AS
SELECT w.project_id, w.project_key, w.site_id, w.site_name, w.author_account_id, coalesce(w.member_name, w.author_name) AS person, w.member_id, w.team,
       (date_trunc('week', w.started_at AT TIME ZONE 'UTC'))::date AS week, sum(w.hours) AS hours, count(*) AS worklogs
  FROM syncline.worklog_by_member w
 GROUP BY w.project_id, w.project_key, w.site_id, w.site_name, w.author_account_id, coalesce(w.member_name, w.author_name), w.member_id, w.team,
          (date_trunc('week', w.started_at AT TIME ZONE 'UTC'))::date;
COMMENT ON VIEW jira.hours_week IS 'Logged hours by project, person and week. Worklogs of issues that are gone are left out.';
COMMENT ON COLUMN jira.hours_week.author_account_id IS 'Whose account it was logged with: jira_user.account_id.';
COMMENT ON COLUMN jira.hours_week.person IS 'The member''s name where the account is linked to one, else the name that Jira shows.';
COMMENT ON COLUMN jira.hours_week.member_id IS 'The member; null where the account is linked to nobody.';
COMMENT ON COLUMN jira.hours_week.team IS 'The member''s team.';
COMMENT ON COLUMN jira.hours_week.week IS 'The Monday with which the week begins, in UTC.';
COMMENT ON COLUMN jira.hours_week.hours IS 'Logged hours.';
COMMENT ON COLUMN jira.hours_week.worklogs IS 'In how many worklogs.';

CREATE VIEW jira.issue_first_response AS
SELECT g.project_id, g.project_key, g.site_id, g.issue_id, g.issue_key, g.reporter_account_id, g.created_at, g.first_response_at,
       date_part('epoch', g.first_response_at - g.created_at) / 3600.0 AS response_hours,
       s.name AS site_name, rtrim(s.base_url, '/') || '/browse/' || g.issue_key AS issue_url
  FROM (SELECT i.project_id, p.key AS project_key, i.site_id, i.id AS issue_id, i.key AS issue_key, i.reporter_account_id, i.created_at,
               min(c.created_at) AS first_response_at
          FROM syncline.issue i
          LEFT JOIN syncline.comment c ON c.site_id = i.site_id AND c.issue_id = i.id AND NOT c.is_internal
                AND c.author_account_id IS NOT NULL AND c.author_account_id IS DISTINCT FROM i.reporter_account_id
          LEFT JOIN syncline.project p ON p.id = i.project_id
         WHERE i.deleted_at IS NULL
         GROUP BY i.site_id, i.id, p.id) g
  LEFT JOIN syncline.site s ON s.id = g.site_id;
COMMENT ON VIEW jira.issue_first_response IS 'How long each issue waited for the first comment of somebody else than its reporter; internal comments do not count. Issues that are gone are left out.';
COMMENT ON COLUMN jira.issue_first_response.reporter_account_id IS 'Who reported it: jira_user.account_id.';
COMMENT ON COLUMN jira.issue_first_response.created_at IS 'When it was created.';
COMMENT ON COLUMN jira.issue_first_response.first_response_at IS 'When that comment was written; null while there is none.';
COMMENT ON COLUMN jira.issue_first_response.response_hours IS 'The hours between, by the clock.';

CREATE VIEW jira.issue_sla AS
SELECT i.project_id, p.key AS project_key, i.site_id, i.id AS issue_id, i.key AS issue_key, f.id AS field_id, f.name AS sla, x.is_ongoing,
       to_timestamp(least(x.started, 253402300799000) / 1000.0) AS started_at, to_timestamp(least(x.stopped, 253402300799000) / 1000.0) AS stopped_at,
       x.breached, x.goal / 3600000.0 AS goal_hours, x.elapsed / 3600000.0 AS elapsed_hours, x.remaining / 3600000.0 AS remaining_hours,
       s.name AS site_name, rtrim(s.base_url, '/') || '/browse/' || i.key AS issue_url
  FROM syncline.field f
  JOIN syncline.issue i ON i.site_id = f.site_id AND jsonb_typeof(i.fields -> f.id) = 'object'
  LEFT JOIN syncline.project p ON p.id = i.project_id
  LEFT JOIN syncline.site s ON s.id = i.site_id
 CROSS JOIN LATERAL (
       SELECT o.value AS cycle, false AS is_ongoing
         FROM jsonb_array_elements(CASE WHEN jsonb_typeof(i.fields -> f.id -> 'completedCycles') = 'array' THEN i.fields -> f.id -> 'completedCycles' ELSE '[]' END) o
       UNION ALL
       SELECT i.fields -> f.id -> 'ongoingCycle', true WHERE jsonb_typeof(i.fields -> f.id -> 'ongoingCycle') = 'object'
       ) c
 CROSS JOIN LATERAL (
       SELECT c.is_ongoing,
              CASE WHEN jsonb_typeof(c.cycle #> '{startTime,epochMillis}') = 'number' THEN (c.cycle #>> '{startTime,epochMillis}')::float8 END AS started,
              CASE WHEN jsonb_typeof(c.cycle #> '{stopTime,epochMillis}') = 'number' THEN (c.cycle #>> '{stopTime,epochMillis}')::float8 END AS stopped,
              CASE WHEN jsonb_typeof(c.cycle -> 'breached') = 'boolean' THEN (c.cycle ->> 'breached')::boolean END AS breached,
              CASE WHEN jsonb_typeof(c.cycle #> '{goalDuration,millis}') = 'number' THEN (c.cycle #>> '{goalDuration,millis}')::float8 END AS goal,
              CASE WHEN jsonb_typeof(c.cycle #> '{elapsedTime,millis}') = 'number' THEN (c.cycle #>> '{elapsedTime,millis}')::float8 END AS elapsed,
              CASE WHEN jsonb_typeof(c.cycle #> '{remainingTime,millis}') = 'number' THEN (c.cycle #>> '{remainingTime,millis}')::float8 END AS remaining
       ) x
 WHERE i.deleted_at IS NULL AND f.custom_kind LIKE '%:sd-sla-field';
COMMENT ON VIEW jira.issue_sla IS 'The agreed times of service projects, one row per issue, agreement and cycle, as of the last change of the issue. Sites without such fields have no rows. Issues that are gone are left out.';
COMMENT ON COLUMN jira.issue_sla.field_id IS 'Jira''s id of the field that holds it.';
COMMENT ON COLUMN jira.issue_sla.sla IS 'What the agreement is called, such as "Time to resolution".';
COMMENT ON COLUMN jira.issue_sla.is_ongoing IS 'Whether the cycle still runs.';
COMMENT ON COLUMN jira.issue_sla.started_at IS 'When the cycle began.';
COMMENT ON COLUMN jira.issue_sla.stopped_at IS 'When it ended; null while it runs.';
COMMENT ON COLUMN jira.issue_sla.breached IS 'Whether it took longer than was agreed.';
COMMENT ON COLUMN jira.issue_sla.goal_hours IS 'What was agreed, in hours of the agreement''s calendar.';
COMMENT ON COLUMN jira.issue_sla.elapsed_hours IS 'What it has taken, in the same hours.';
COMMENT ON COLUMN jira.issue_sla.remaining_hours IS 'What is left; negative where it was breached.';

DO $$
DECLARE
    shared record;
BEGIN
    FOR shared IN
        SELECT c.relname, t.name, t.meaning
          FROM pg_class c
          JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0
          JOIN (VALUES ('project_id', 'The project that the issue is in now: jira.project.id.'), ('project_key', 'That project''s key, as it is now.'),
                       ('site_id', 'The site that it is on: jira.site.id.'), ('site_name', 'The site''s name, as it was given to syncline.'),
                       ('issue_id', 'Jira''s id of the issue, which a move to another project does not change.'),
                       ('issue_key', 'The issue''s key, as it is now.'), ('issue_url', 'The issue''s page in Jira.')) AS t (name, meaning) ON t.name = a.attname
         WHERE c.relnamespace = 'jira'::regnamespace AND c.relkind = 'v' AND col_description(c.oid, a.attnum) IS NULL
    LOOP
        EXECUTE format('COMMENT ON COLUMN jira.%I.%I IS %L', shared.relname, shared.name, shared.meaning);
    END LOOP;
END $$;

SELECT syncline.publish_replica();
