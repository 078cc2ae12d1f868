-- Who logged how many hours, by week.
SELECT person, team, week, sum(hours) AS hours
  FROM jira.hours_week
 GROUP BY person, team, week
 ORDER BY week, person;
