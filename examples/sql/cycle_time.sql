-- How long work takes, in days: the middle, and what 85 of 100 issues stay below, by month.
SELECT project_key, date_trunc('month', done_at)::date AS month, count(*) AS issues,
       percentile_cont(0.5) WITHIN GROUP (ORDER BY cycle_hours) / 24 AS median_days,
       percentile_cont(0.85) WITHIN GROUP (ORDER BY cycle_hours) / 24 AS p85_days
  FROM jira.issue_cycle_time
 WHERE done_at IS NOT NULL
 GROUP BY project_key, month
 ORDER BY project_key, month;
