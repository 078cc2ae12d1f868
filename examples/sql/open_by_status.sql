-- How many issues are open, by project and status.
SELECT project_key, status, count(*) AS issues
  FROM jira.issue_flat
 WHERE status_category <> 'done'
 GROUP BY project_key, status
 ORDER BY project_key, issues DESC;
