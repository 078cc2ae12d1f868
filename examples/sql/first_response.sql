-- How long people wait for an answer, by month.
SELECT project_key, date_trunc('month', created_at)::date AS month, count(*) AS issues, count(first_response_at) AS answered,
       percentile_cont(0.5) WITHIN GROUP (ORDER BY response_hours) AS median_hours
  FROM jira.issue_first_response
 GROUP BY project_key, month
 ORDER BY project_key, month;
