-- How many issues became done, by week.
SELECT project_key, week, done_issues, done_points
  FROM jira.throughput_week
 ORDER BY project_key, week;
