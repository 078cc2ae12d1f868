-- What the last ten sprints took on and completed.
SELECT sprint_name, completed_at, committed_points, added_points, completed_points
  FROM jira.sprint_velocity
 WHERE sprint_state = 'closed'
 ORDER BY completed_at DESC NULLS LAST
 LIMIT 10;
