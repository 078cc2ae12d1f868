-- The twenty issues that have waited longest.
SELECT issue_key, summary, status, round(age_days) AS age_days, round(idle_days) AS idle_days, issue_url
  FROM jira.backlog_age
 ORDER BY age_days DESC
 LIMIT 20;
