-- A panel of Grafana (time series, stacked); "project" is a variable of the dashboard.
SELECT day::timestamptz AS time, category AS metric, issues AS value
  FROM jira.cumulative_flow
 WHERE project_key = ${project:sqlstring} AND $__timeFilter(day::timestamptz)
 ORDER BY time
