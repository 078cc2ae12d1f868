-- A question of Metabase: a bar for each sprint.
SELECT sprint_name, committed_points, completed_points
  FROM jira.sprint_velocity
 WHERE project_key = {{project}}
 ORDER BY started_at
