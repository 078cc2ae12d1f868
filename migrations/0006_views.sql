-- oldest-program: 3
-- What people ask of the replica that Jira does not store: views over issues, history and sprints. They compute when they
-- are read and are never stale. Times are hours as numbers; every view can be asked for one project by project_key or
-- project_id, or for single issues by site_id and issue_id, and then reads only theirs.

-- The Sprint items of one issue are read together, and the status items in order of time.
CREATE INDEX changelog_status ON syncline.changelog (site_id, issue_id, created_at, id, item) WHERE field_id = 'status' OR field = 'status';
CREATE INDEX issue_project_key ON syncline.issue (project_id, key);

-- ---------------------------------------------------------------------------------------------------- status changes

CREATE VIEW syncline.issue_status_change AS
SELECT i.project_id, p.key AS project_key, c.site_id, c.issue_id, i.key AS issue_key, c.id AS change_id,
       c.created_at AS changed_at, c.author_account_id,
       f.id AS from_status_id, c.from_text AS from_status, fs.category AS from_category,
       t.id AS to_status_id, c.to_text AS to_status, ts.category AS to_category
  FROM syncline.issue i
  JOIN syncline.project p ON p.id = i.project_id
  JOIN syncline.changelog c ON c.site_id = i.site_id AND c.issue_id = i.id AND (c.field_id = 'status' OR c.field = 'status')
 CROSS JOIN LATERAL (SELECT CASE WHEN c.from_value ~ '^[0-9]{1,18}$' THEN c.from_value::bigint END AS id) f
 CROSS JOIN LATERAL (SELECT CASE WHEN c.to_value ~ '^[0-9]{1,18}$' THEN c.to_value::bigint END AS id) t
  LEFT JOIN syncline.status fs ON fs.site_id = c.site_id AND fs.id = f.id
  LEFT JOIN syncline.status ts ON ts.site_id = c.site_id AND ts.id = t.id;
COMMENT ON VIEW syncline.issue_status_change IS 'One row per change of an issue''s status, from its history.';
COMMENT ON COLUMN syncline.issue_status_change.project_id IS 'The project under which the issue is now.';
COMMENT ON COLUMN syncline.issue_status_change.project_key IS 'Its key.';
COMMENT ON COLUMN syncline.issue_status_change.change_id IS 'Jira''s id of the entry of history.';
COMMENT ON COLUMN syncline.issue_status_change.changed_at IS 'When it happened.';
COMMENT ON COLUMN syncline.issue_status_change.author_account_id IS 'Who did it; null for Jira itself and for anonymous changes.';
COMMENT ON COLUMN syncline.issue_status_change.from_status_id IS 'Jira''s id of the status before; null where the history does not tell it.';
COMMENT ON COLUMN syncline.issue_status_change.from_status IS 'The name of the status before, as it was then.';
COMMENT ON COLUMN syncline.issue_status_change.from_category IS 'Its category as the status has it now: new, indeterminate, done; null where the status is no longer known.';
COMMENT ON COLUMN syncline.issue_status_change.to_status_id IS 'Jira''s id of the status after.';
COMMENT ON COLUMN syncline.issue_status_change.to_status IS 'The name of the status after, as it was then.';
COMMENT ON COLUMN syncline.issue_status_change.to_category IS 'Its category as the status has it now.';

-- ---------------------------------------------------------------------------------------------------- stays in a status

CREATE VIEW syncline.issue_status_period AS
-- A stay begins with a change and ends with the next; the first begins with the issue, and the last is open.
SELECT i.project_id, p.key AS project_key, i.site_id, i.id AS issue_id, i.key AS issue_key,
       s.status_id, s.status, coalesce(k.category, CASE WHEN s.ended_at IS NULL THEN i.status_category END, 'undefined') AS category,
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
COMMENT ON VIEW syncline.issue_status_period IS 'One row per stay of an issue in a status; the current one is open.';
COMMENT ON COLUMN syncline.issue_status_period.status_id IS 'Jira''s id of the status.';
COMMENT ON COLUMN syncline.issue_status_period.status IS 'Its name at the time.';
COMMENT ON COLUMN syncline.issue_status_period.category IS 'Its category as the status has it now: new, indeterminate, done, or undefined.';
COMMENT ON COLUMN syncline.issue_status_period.entered_at IS 'When the stay began; of the first one, when the issue was created.';
COMMENT ON COLUMN syncline.issue_status_period.ended_at IS 'When it ended; null for the current status.';
COMMENT ON COLUMN syncline.issue_status_period.hours IS 'Its length in hours; of the open one, until now.';

CREATE VIEW syncline.issue_time_in_status AS
SELECT project_id, project_key, site_id, issue_id, issue_key, status_id, status, category,
       count(*) AS stays, sum(hours) AS hours, min(entered_at) AS first_entered_at, bool_or(ended_at IS NULL) AS is_current
  FROM syncline.issue_status_period
 GROUP BY project_id, project_key, site_id, issue_id, issue_key, status_id, status, category;
COMMENT ON VIEW syncline.issue_time_in_status IS 'How long each issue was in each status, all stays added up.';
COMMENT ON COLUMN syncline.issue_time_in_status.stays IS 'How often it was in the status.';
COMMENT ON COLUMN syncline.issue_time_in_status.hours IS 'All stays together, in hours of the clock (nights and weekends count); the open one is counted until now.';
COMMENT ON COLUMN syncline.issue_time_in_status.first_entered_at IS 'When it was in the status for the first time.';
COMMENT ON COLUMN syncline.issue_time_in_status.is_current IS 'Whether it is in the status now.';

-- ---------------------------------------------------------------------------------------------------- cycle time

CREATE VIEW syncline.issue_cycle_time AS
SELECT i.project_id, p.key AS project_key, i.site_id, i.id AS issue_id, i.key AS issue_key,
       w.started_at, w.done_at,
       CASE WHEN w.done_at >= w.started_at THEN (extract(epoch FROM w.done_at - w.started_at) / 3600.0)::float8 END AS cycle_hours,
       i.created_at, i.resolved_at,
       (extract(epoch FROM i.resolved_at - i.created_at) / 3600.0)::float8 AS lead_hours
  FROM syncline.issue i
  JOIN syncline.project p ON p.id = i.project_id
 CROSS JOIN LATERAL (
       SELECT min(s.entered_at) FILTER (WHERE s.category = 'indeterminate') AS started_at,
              -- An issue that was opened again is not done, whatever it was before.
              CASE WHEN i.status_category = 'done' THEN max(s.entered_at) FILTER (WHERE s.category = 'done' AND s.from_open) END AS done_at
         FROM (
           SELECT q.entered_at, q.category,
                  q.category = 'done' AND lag(q.category, 1, 'new') OVER (ORDER BY q.entered_at, q.ended_at NULLS LAST) <> 'done' AS from_open
             FROM syncline.issue_status_period q
            WHERE q.site_id = i.site_id AND q.issue_id = i.id
         ) s
       ) w;
COMMENT ON VIEW syncline.issue_cycle_time IS 'Cycle time and lead time of each issue, in hours of the clock.';
COMMENT ON COLUMN syncline.issue_cycle_time.started_at IS 'When work began: the first entry into a status of category indeterminate; null where there was none.';
COMMENT ON COLUMN syncline.issue_cycle_time.done_at IS 'When it was done: the last entry into the category done from another one; null while the issue is not done. A move from one status of the category to another does not count.';
COMMENT ON COLUMN syncline.issue_cycle_time.cycle_hours IS 'From started_at to done_at; null while either is missing.';
COMMENT ON COLUMN syncline.issue_cycle_time.lead_hours IS 'From created_at to resolved_at (when the resolution was set); null while unresolved.';

-- ---------------------------------------------------------------------------------------------------- sprints

CREATE VIEW syncline.issue_sprint AS
-- The history names all sprints of an issue before and after each change; what one side lacks was added or removed. What
-- the field holds without a word in the history was there from the issue's beginning.
SELECT i.project_id, p.key AS project_key, i.site_id, i.id AS issue_id, i.key AS issue_key, m.sprint_id,
       s.name AS sprint_name, s.state AS sprint_state,
       coalesce(m.added_at, i.created_at) AS added_at,
       CASE WHEN m.sprint_id = ANY (i.sprint_ids) THEN NULL ELSE m.removed_at END AS removed_at,
       m.sprint_id = ANY (i.sprint_ids) AS in_field,
       s.started_at IS NOT NULL AND coalesce(m.added_at, i.created_at) > s.started_at AS added_after_start
  FROM syncline.issue i
  JOIN syncline.project p ON p.id = i.project_id
 CROSS JOIN LATERAL (
       SELECT x.sprint_id, min(x.at) FILTER (WHERE x.added) AS added_at, max(x.at) FILTER (WHERE NOT x.added) AS removed_at
         FROM (
           SELECT v.id AS sprint_id, c.created_at AS at, v.added
             FROM syncline.changelog c
            CROSS JOIN LATERAL (
                  SELECT trim(part)::bigint AS id, true AS added FROM regexp_split_to_table(coalesce(c.to_value, ''), ',') part
                   WHERE trim(part) ~ '^[0-9]{1,18}$' AND trim(part) <> ALL (regexp_split_to_array(coalesce(c.from_value, ''), '\s*,\s*'))
                  UNION ALL
                  SELECT trim(part)::bigint, false FROM regexp_split_to_table(coalesce(c.from_value, ''), ',') part
                   WHERE trim(part) ~ '^[0-9]{1,18}$' AND trim(part) <> ALL (regexp_split_to_array(coalesce(c.to_value, ''), '\s*,\s*'))
                  ) v
            WHERE c.site_id = i.site_id AND c.issue_id = i.id AND c.field = 'Sprint'
           UNION ALL
           SELECT unnest(i.sprint_ids), NULL, true
         ) x
        GROUP BY x.sprint_id
       ) m
  LEFT JOIN syncline.sprint s ON s.site_id = i.site_id AND s.id = m.sprint_id;
COMMENT ON VIEW syncline.issue_sprint IS 'Which issues are or were in which sprints: one row per issue and sprint, from the history and the sprint field together.';
COMMENT ON COLUMN syncline.issue_sprint.sprint_id IS 'Jira''s id of the sprint.';
COMMENT ON COLUMN syncline.issue_sprint.sprint_name IS 'Its name now; null where the account may not see it.';
COMMENT ON COLUMN syncline.issue_sprint.sprint_state IS 'future, active or closed.';
COMMENT ON COLUMN syncline.issue_sprint.added_at IS 'When the issue came into the sprint for the first time; when it was created, where the history does not say.';
COMMENT ON COLUMN syncline.issue_sprint.removed_at IS 'When it was taken out; null while the sprint field still names the sprint. A closed sprint stays in the field.';
COMMENT ON COLUMN syncline.issue_sprint.in_field IS 'Whether the sprint field names it now.';
COMMENT ON COLUMN syncline.issue_sprint.added_after_start IS 'Whether it came in after the sprint had begun.';

CREATE VIEW syncline.issue_current_sprint AS
SELECT i.project_id, p.key AS project_key, i.site_id, i.id AS issue_id, i.key AS issue_key,
       s.id AS sprint_id, s.name AS sprint_name, s.state AS sprint_state, s.goal, s.started_at, s.ends_at
  FROM syncline.issue i
  JOIN syncline.project p ON p.id = i.project_id
 CROSS JOIN LATERAL (
       SELECT s.* FROM syncline.sprint s
        WHERE s.site_id = i.site_id AND s.id = ANY (i.sprint_ids) AND s.state IN ('active', 'future') AND s.deleted_at IS NULL
        ORDER BY s.state = 'active' DESC, s.started_at DESC NULLS LAST, s.id DESC LIMIT 1
       ) s;
COMMENT ON VIEW syncline.issue_current_sprint IS 'The sprint that an issue is in: the active one, else the next future one. Issues in neither are not listed.';

-- ---------------------------------------------------------------------------------------------------- people

CREATE VIEW syncline.worklog_by_member AS
SELECT i.project_id, p.key AS project_key, w.site_id, w.issue_id, i.key AS issue_key, w.id AS worklog_id,
       w.author_account_id, u.display_name AS author_name, m.id AS member_id, m.name AS member_name, m.team,
       w.started_at, w.time_spent_seconds, (w.time_spent_seconds / 3600.0)::float8 AS hours, w.comment
  FROM syncline.issue i
  JOIN syncline.project p ON p.id = i.project_id
  JOIN syncline.worklog w ON w.site_id = i.site_id AND w.issue_id = i.id
  LEFT JOIN syncline.jira_user u ON u.site_id = w.site_id AND u.account_id = w.author_account_id
  LEFT JOIN syncline.member_link l ON l.site_id = w.site_id AND l.account_id = w.author_account_id
  LEFT JOIN syncline.member m ON m.id = l.member_id
 WHERE i.deleted_at IS NULL;
COMMENT ON VIEW syncline.worklog_by_member IS 'Logged work with the people who did it; worklogs of issues that are gone are left out.';
COMMENT ON COLUMN syncline.worklog_by_member.author_name IS 'As Jira shows the account.';
COMMENT ON COLUMN syncline.worklog_by_member.member_id IS 'The member whose account it is; null where the account is linked to nobody.';
COMMENT ON COLUMN syncline.worklog_by_member.team IS 'The member''s team.';
COMMENT ON COLUMN syncline.worklog_by_member.hours IS 'time_spent_seconds as hours.';

-- ---------------------------------------------------------------------------------------------------- all in one

CREATE VIEW syncline.issue_flat AS
SELECT i.project_id, p.key AS project_key, p.name AS project_name, i.site_id, i.id AS issue_id, i.key AS issue_key, i.summary,
       i.issue_type, i.is_subtask, i.status, i.status_category, i.priority, i.resolution, i.labels, i.story_points,
       i.parent_id, i.parent_key, i.due_date, i.created_at, i.updated_at, i.resolved_at,
       i.assignee_account_id, coalesce(am.name, au.display_name) AS assignee, am.id AS assignee_member_id, am.team AS assignee_team,
       i.reporter_account_id, coalesce(rm.name, ru.display_name) AS reporter, rm.id AS reporter_member_id,
       s.sprint_id, s.sprint_name, s.sprint_state,
       ARRAY(SELECT v.name FROM syncline.version v WHERE v.site_id = i.site_id AND v.id = ANY (i.fix_version_ids) ORDER BY v.name) AS fix_versions,
       ARRAY(SELECT k.name FROM syncline.component k WHERE k.site_id = i.site_id AND k.id = ANY (i.component_ids) ORDER BY k.name) AS components,
       c.started_at, c.done_at, c.cycle_hours, c.lead_hours,
       (i.original_estimate_seconds / 3600.0)::float8 AS original_estimate_hours,
       (i.time_spent_seconds / 3600.0)::float8 AS time_spent_hours,
       i.fields
  FROM syncline.issue i
  JOIN syncline.project p ON p.id = i.project_id
  LEFT JOIN syncline.jira_user au ON au.site_id = i.site_id AND au.account_id = i.assignee_account_id
  LEFT JOIN syncline.member_link al ON al.site_id = i.site_id AND al.account_id = i.assignee_account_id
  LEFT JOIN syncline.member am ON am.id = al.member_id
  LEFT JOIN syncline.jira_user ru ON ru.site_id = i.site_id AND ru.account_id = i.reporter_account_id
  LEFT JOIN syncline.member_link rl ON rl.site_id = i.site_id AND rl.account_id = i.reporter_account_id
  LEFT JOIN syncline.member rm ON rm.id = rl.member_id
  LEFT JOIN LATERAL (SELECT q.sprint_id, q.sprint_name, q.sprint_state FROM syncline.issue_current_sprint q
                      WHERE q.site_id = i.site_id AND q.issue_id = i.id LIMIT 1) s ON true
  LEFT JOIN LATERAL (SELECT q.started_at, q.done_at, q.cycle_hours, q.lead_hours FROM syncline.issue_cycle_time q
                      WHERE q.site_id = i.site_id AND q.issue_id = i.id LIMIT 1) c ON true
 WHERE i.deleted_at IS NULL;
COMMENT ON VIEW syncline.issue_flat IS 'One row per issue that Jira shows, with the names of people, the sprint, versions, components and the times that are asked for most. Issues that are gone are left out.';
COMMENT ON COLUMN syncline.issue_flat.assignee IS 'The member''s name where the account is linked to one, else the name that Jira shows.';
COMMENT ON COLUMN syncline.issue_flat.assignee_member_id IS 'Null where the account is linked to nobody.';
COMMENT ON COLUMN syncline.issue_flat.reporter IS 'As assignee.';
COMMENT ON COLUMN syncline.issue_flat.sprint_name IS 'The active sprint, else the next future one; see issue_current_sprint.';
COMMENT ON COLUMN syncline.issue_flat.started_at IS 'When work began; see issue_cycle_time.';
COMMENT ON COLUMN syncline.issue_flat.done_at IS 'When it was done; see issue_cycle_time.';
COMMENT ON COLUMN syncline.issue_flat.cycle_hours IS 'From started_at to done_at.';
COMMENT ON COLUMN syncline.issue_flat.lead_hours IS 'From created_at to resolved_at.';
COMMENT ON COLUMN syncline.issue_flat.original_estimate_hours IS 'As estimated at first, without sub-tasks.';
COMMENT ON COLUMN syncline.issue_flat.time_spent_hours IS 'Logged on the issue itself.';
COMMENT ON COLUMN syncline.issue_flat.fields IS 'The fields without a column of their own, by field id; syncline.field has their names.';
