//! Names resolved to the site: what exists, what the caller may see, what time a date means.

use std::sync::Arc;

use chrono::{DateTime, NaiveDate, NaiveDateTime, TimeDelta, TimeZone};
use chrono_tz::Tz;

use super::Error;
use super::parser::{Clause, Expr, Operator, Parsed, Value};
use super::query::{self, Comparison, Order, Presence, Query, Sort, Test};
use crate::simulator::catalogue::{CATEGORIES, Catalogue, Named, Project};
use crate::simulator::options::Kind;

/// Who asks, where and when.
pub(in crate::simulator) struct Scope<'a> {
    pub(in crate::simulator) catalogue: &'a Arc<Catalogue>,
    /// True for the projects that the caller may browse.
    pub(in crate::simulator) may_browse: &'a dyn Fn(u16) -> bool,
    /// True for the issues that search shows to the caller.
    pub(in crate::simulator) exists: &'a dyn Fn(u64) -> bool,
    /// Finds the issue behind a present or former key.
    pub(in crate::simulator) id_of_key: &'a dyn Fn((u16, u32)) -> Option<u64>,
    /// Index of the caller in the catalogue's people.
    pub(in crate::simulator) caller: u16,
    /// Time zone of the caller's profile: quoted dates are read in it.
    pub(in crate::simulator) zone: Tz,
    pub(in crate::simulator) now_ms: i64,
}

/// Jira accepts at most this many fields in ORDER BY.
const MAX_ORDER_FIELDS: usize = 7;

/// Resolves a query, or says in Jira's words why it cannot be run.
pub(in crate::simulator) fn bind(parsed: &Parsed, scope: &Scope<'_>) -> Result<Query, Error> {
    let test = match &parsed.condition {
        Some(condition) => scope.expr(condition)?,
        // Data Center answers with everything.
        None if scope.catalogue.kind == Kind::DataCenter => Test::All(Vec::new()),
        None => {
            return Err(Error(
                "Unbounded JQL queries are not allowed here. Please add a search restriction to your query.".into(),
            ));
        }
    };
    if parsed.order.len() > MAX_ORDER_FIELDS {
        return Err(Error(format!("The maximum number of sort fields ({MAX_ORDER_FIELDS}) has been exceeded.")));
    }
    let mut order = Vec::with_capacity(parsed.order.len());
    for (field, descending) in &parsed.order {
        let by = match field.as_str() {
            "updated" | "updateddate" => Order::Updated,
            "created" | "createddate" => Order::Created,
            "key" | "issuekey" | "issue" => Order::Key,
            "id" => Order::Id,
            _ => return Err(Error(format!("Not able to sort using field '{field}'."))),
        };
        // Without a direction Jira sorts times newest first and keys lowest first.
        let newest_first = matches!(by, Order::Updated | Order::Created);
        order.push(Sort { by, descending: descending.unwrap_or(newest_first), coarse: false });
    }
    if order.is_empty() {
        order.push(Sort { by: Order::Created, descending: true, coarse: false });
    }
    let (mut project, mut ids) = (None, None);
    let conjuncts = match &test {
        Test::All(tests) => tests.as_slice(),
        single => std::slice::from_ref(single),
    };
    for conjunct in conjuncts {
        match conjunct {
            Test::Project(projects) if projects.len() == 1 => project = projects.first().copied(),
            Test::Id(named) => ids = Some(named.clone()),
            _ => {}
        }
    }
    let coarse = scope.catalogue.kind == Kind::DataCenter;
    order.iter_mut().for_each(|sort| sort.coarse = coarse);
    Ok(Query { test, order, project, ids, catalogue: scope.catalogue.clone() })
}

fn missing(value: &Value, field: &str) -> Error {
    Error(format!("The value '{}' does not exist for the field '{field}'.", value.text()))
}

impl Scope<'_> {
    fn expr(&self, expr: &Expr) -> Result<Test, Error> {
        let bound = |parts: &[Expr]| parts.iter().map(|part| self.expr(part)).collect::<Result<Vec<_>, _>>();
        Ok(match expr {
            Expr::And(parts) => Test::All(bound(parts)?),
            Expr::Or(parts) => Test::Any(bound(parts)?),
            Expr::Not(part) => Test::Not(Box::new(self.expr(part)?)),
            Expr::Clause(clause) => self.clause(clause)?,
        })
    }

    fn clause(&self, clause: &Clause) -> Result<Test, Error> {
        let field = clause.field.as_str();
        match field {
            "project" => membership(clause, |value| self.project(value), Test::Project, None),
            "updated" | "updateddate" => self.time(clause, Order::Updated),
            "created" | "createddate" => self.time(clause, Order::Created),
            "id" | "issue" | "key" | "issuekey" => self.identity(clause),
            "assignee" => {
                let person = |value: &Value| self.person(value, field).map(Some);
                let empty = Some((None, Presence::Assignee));
                membership(clause, person, Test::Assignee, empty)
            }
            "reporter" | "creator" => membership(clause, |value| self.person(value, field), Test::Reporter, None),
            "worklogauthor" => membership(clause, |value| self.person(value, field), Test::WorklogAuthor, None),
            "sprint" => {
                let none = Some((query::NO_SPRINT, Presence::Sprint));
                membership(clause, |value| self.sprint(value, field), Test::Sprint, none)
            }
            "resolution" => self.resolution(clause),
            "issuetype" | "type" => {
                membership(clause, |value| named(&self.catalogue.types, value, field), Test::Kind, None)
            }
            "status" => membership(clause, |value| named(&self.catalogue.statuses, value, field), Test::Status, None),
            "priority" => {
                membership(clause, |value| named(&self.catalogue.priorities, value, field), Test::Priority, None)
            }
            "statuscategory" => status_category(clause),
            "parent" => {
                let issue = |value: &Value| self.issue_id(value, field).map(Some);
                membership(clause, issue, Test::Parent, Some((None, Presence::Parent)))
            }
            _ => Err(Error(format!("Field '{field}' does not exist or you do not have permission to view it."))),
        }
    }

    fn project(&self, value: &Value) -> Result<u16, Error> {
        let found = self.catalogue.project(value.text()).or_else(|| {
            let named = |project: &Arc<Project>| Project::is_named(project, value.text());
            self.catalogue.projects.iter().position(named).and_then(|index| u16::try_from(index).ok())
        });
        found.filter(|project| (self.may_browse)(*project)).ok_or_else(|| missing(value, "project"))
    }

    fn person(&self, value: &Value, field: &str) -> Result<u16, Error> {
        match value {
            Value::Function(name) if name == "currentuser" => Ok(self.caller),
            Value::Function(name) => Err(unknown_function(name)),
            value => self.catalogue.person_named(value.text()).ok_or_else(|| missing(value, field)),
        }
    }

    /// A sprint by id: its project and number plus one.
    fn sprint(&self, value: &Value, field: &str) -> Result<(u16, u8), Error> {
        let sprint = value.text().parse().ok().and_then(|id| self.catalogue.sprint_by_id(id));
        sprint.map(|sprint| (sprint.project, sprint.number + 1)).ok_or_else(|| missing(value, field))
    }

    fn issue_id(&self, value: &Value, field: &str) -> Result<u64, Error> {
        let text = value.text();
        if let Ok(id) = text.parse() {
            // Data Center insists that the issue is there, Cloud does not.
            return match self.catalogue.kind == Kind::Cloud || (self.exists)(id) {
                true => Ok(id),
                false => Err(Error(format!("A value with ID '{text}' does not exist for the field '{field}'."))),
            };
        }
        let key = self.catalogue.split_key(text).filter(|(project, _)| (self.may_browse)(*project));
        key.and_then(self.id_of_key)
            .ok_or_else(|| Error(format!("An issue with key '{text}' does not exist for field '{field}'.")))
    }

    /// `Unresolved` and EMPTY mean the same.
    fn resolution(&self, clause: &Clause) -> Result<Test, Error> {
        let resolve = |value: &Value| match value.text().eq_ignore_ascii_case("unresolved") {
            true => Ok(None),
            false => named(&self.catalogue.resolutions, value, "resolution").map(Some),
        };
        let test = membership(clause, resolve, Test::Resolution, Some((None, Presence::Always)))?;
        Ok(test)
    }

    fn identity(&self, clause: &Clause) -> Result<Test, Error> {
        if let Some(comparison) = comparison(clause.operator) {
            let id = clause.values.first().map_or(Ok(0), |value| self.issue_id(value, &clause.field))?;
            return Ok(Test::IdIs(comparison, id));
        }
        let sorted = |mut ids: Vec<u64>| {
            ids.sort_unstable();
            ids.dedup();
            Test::Id(ids)
        };
        membership(clause, |value| self.issue_id(value, &clause.field), sorted, None)
    }

    fn time(&self, clause: &Clause, field: Order) -> Result<Test, Error> {
        if clause.values == [Value::Empty] {
            // Every issue has these times.
            return match clause.operator {
                Operator::Is | Operator::Equal => Ok(Test::Any(Vec::new())),
                Operator::IsNot | Operator::NotEqual => Ok(Test::All(Vec::new())),
                _ => Err(wrong_operator(clause)),
            };
        }
        if clause.operator == Operator::NotEqual {
            let equal = Clause { operator: Operator::Equal, ..clause.clone() };
            return Ok(Test::Not(Box::new(self.time(&equal, field)?)));
        }
        let comparison = match clause.operator {
            Operator::Equal => Some(Comparison::Equal),
            operator => comparison(operator),
        };
        let (Some(comparison), [value]) = (comparison, clause.values.as_slice()) else {
            return Err(wrong_operator(clause));
        };
        let at_ms = self.instant(value, &clause.field)?;
        if self.catalogue.kind == Kind::Cloud {
            return Ok(Test::Time(field, comparison, at_ms));
        }
        // Data Center's index knows whole seconds only, on both sides of a comparison.
        let (from_ms, to_ms) = (at_ms.div_euclid(1_000) * 1_000, at_ms.div_euclid(1_000) * 1_000 + 1_000);
        Ok(match comparison {
            Comparison::GreaterEqual => Test::Time(field, Comparison::GreaterEqual, from_ms),
            Comparison::Greater => Test::Time(field, Comparison::GreaterEqual, to_ms),
            Comparison::Less => Test::Time(field, Comparison::Less, from_ms),
            Comparison::LessEqual => Test::Time(field, Comparison::Less, to_ms),
            Comparison::Equal => Test::All(vec![
                Test::Time(field, Comparison::GreaterEqual, from_ms),
                Test::Time(field, Comparison::Less, to_ms),
            ]),
        })
    }

    fn instant(&self, value: &Value, field: &str) -> Result<i64, Error> {
        let found = match value {
            Value::Function(name) if name == "now" => Some(self.now_ms),
            Value::Function(name) => return Err(unknown_function(name)),
            // A number is epoch milliseconds, whatever its length, and only without quotes.
            Value::Word(word) if word.parse::<i64>().is_ok() => word.parse().ok(),
            Value::Word(text) | Value::Quoted(text) => self.relative(text).or_else(|| self.calendar(text)),
            Value::Empty => None,
        };
        found.ok_or_else(|| {
            Error(format!(
                "Date value '{}' for field '{field}' is invalid. Valid formats include: 'yyyy/MM/dd HH:mm', 'yyyy-MM-dd HH:mm', 'yyyy/MM/dd', 'yyyy-MM-dd', or a period format e.g. '-5d', '4w 2d'.",
                value.text()
            ))
        })
    }

    /// `-15m`, `4w 2d`: away from now.
    fn relative(&self, text: &str) -> Option<i64> {
        let (sign, periods) = text.strip_prefix('-').map_or((1, text), |rest| (-1, rest));
        let mut total_ms = 0_i64;
        for period in periods.split_whitespace() {
            let unit_ms = match period.chars().last()? {
                'm' => 60_000,
                'h' => 3_600_000,
                'd' => 86_400_000,
                'w' => 7 * 86_400_000,
                _ => return None,
            };
            total_ms = total_ms.checked_add(period[..period.len() - 1].parse::<i64>().ok()?.checked_mul(unit_ms)?)?;
        }
        self.now_ms.checked_add(sign * total_ms).filter(|_| !periods.is_empty())
    }

    /// A date in the caller's time zone, to the minute.
    fn calendar(&self, text: &str) -> Option<i64> {
        let text = text.replace('/', "-");
        let local = NaiveDateTime::parse_from_str(&text, "%Y-%m-%d %H:%M")
            .or_else(|_| NaiveDate::parse_from_str(&text, "%Y-%m-%d").map(|day| day.and_time(chrono::NaiveTime::MIN)))
            .ok()?;
        // A time that the clocks skip means the first one after the gap; one that comes twice means the earlier.
        let at = self.zone.from_local_datetime(&local).earliest();
        let at = at.or_else(|| self.zone.from_local_datetime(&(local + TimeDelta::hours(1))).earliest());
        at.map(|at: DateTime<Tz>| at.timestamp_millis())
    }
}

fn comparison(operator: Operator) -> Option<Comparison> {
    Some(match operator {
        Operator::Greater => Comparison::Greater,
        Operator::GreaterEqual => Comparison::GreaterEqual,
        Operator::Less => Comparison::Less,
        Operator::LessEqual => Comparison::LessEqual,
        _ => return None,
    })
}

fn unknown_function(name: &str) -> Error {
    Error(format!("Unable to find JQL function '{name}()'."))
}

fn wrong_operator(clause: &Clause) -> Error {
    Error(format!("The operator used is not supported by the '{}' field.", clause.field))
}

fn named(choices: &[Named], value: &Value, field: &str) -> Result<u8, Error> {
    let text = value.text();
    let at = choices.iter().position(|choice| choice.id == text || choice.name.eq_ignore_ascii_case(text));
    at.and_then(|at| u8::try_from(at).ok()).ok_or_else(|| missing(value, field))
}

fn status_category(clause: &Clause) -> Result<Test, Error> {
    let statuses = |value: &Value| {
        let text = value.text();
        let is = |(id, key, name): &(&str, &str, &str)| *id == text || *key == text || name.eq_ignore_ascii_case(text);
        let found: Vec<u8> = (0u8..).zip(&CATEGORIES).filter(|(_, category)| is(category)).map(|(at, _)| at).collect();
        if found.is_empty() { Err(missing(value, &clause.field)) } else { Ok(found) }
    };
    membership(clause, statuses, |found| Test::Status(found.concat()), None)
}

/// `=`, `!=`, IN, NOT IN, IS EMPTY over a set of values; `empty` gives the value that means "none" where there may be none.
fn membership<T>(
    clause: &Clause,
    resolve: impl Fn(&Value) -> Result<T, Error>,
    test: impl Fn(Vec<T>) -> Test,
    empty: Option<(T, Presence)>,
) -> Result<Test, Error> {
    let (mut empty, presence) = match empty {
        Some((value, presence)) => (Some(value), Some(presence)),
        None => (None, None),
    };
    let negated = matches!(clause.operator, Operator::NotEqual | Operator::NotIn | Operator::IsNot);
    let only_empty = matches!(clause.operator, Operator::Is | Operator::IsNot);
    if comparison(clause.operator).is_some() {
        return Err(wrong_operator(clause));
    }
    let mut resolved = Vec::with_capacity(clause.values.len());
    for value in &clause.values {
        match value {
            // What every issue has is never empty.
            Value::Empty => resolved.extend(empty.take()),
            _ if only_empty => return Err(wrong_operator(clause)),
            value => resolved.push(resolve(value)?),
        }
    }
    let test = test(resolved);
    Ok(match (negated, presence) {
        (false, _) => test,
        (true, None) => Test::Not(Box::new(test)),
        (true, Some(presence)) => Test::All(vec![Test::Present(presence), Test::Not(Box::new(test))]),
    })
}
