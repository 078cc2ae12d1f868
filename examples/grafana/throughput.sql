-- A panel of Grafana (bars): issues done in each week.
SELECT week::timestamptz AS time, project_key AS metric, done_issues AS value
  FROM jira.throughput_week
 WHERE $__timeFilter(week::timestamptz)
 ORDER BY time
