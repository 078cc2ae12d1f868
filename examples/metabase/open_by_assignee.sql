-- A question of Metabase; "project" is a variable of type text.
SELECT coalesce(assignee, 'nobody') AS assignee, count(*) AS issues
  FROM jira.issue_flat
 WHERE status_category <> 'done' AND project_key = {{project}}
 GROUP BY 1
 ORDER BY 2 DESC
