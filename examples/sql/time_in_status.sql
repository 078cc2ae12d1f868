-- Where issues wait: hours in each status, all issues together and for each issue that was there.
SELECT project_key, status, sum(hours) AS hours, avg(hours) AS hours_per_issue
  FROM jira.issue_time_in_status
 WHERE category <> 'done'
 GROUP BY project_key, status
 ORDER BY project_key, hours DESC;
