-- What was left of each sprint at the end of each of its days.
SELECT sprint_name, day, remaining_points, scope_points
  FROM jira.sprint_day
 ORDER BY sprint_id, day;
