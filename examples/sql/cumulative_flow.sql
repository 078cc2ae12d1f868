-- A cumulative flow diagram of one project, the last 90 days that it has.
SELECT day, category, issues
  FROM jira.cumulative_flow
 WHERE project_key = 'ACME' AND day > now()::date - 90
 ORDER BY day, category;
