//! The database: reachable, set up to keep what it acknowledges, of the right version, heard in time.

use std::time::Duration;

use super::super::{Context, Output, Usage};
use super::Report;
use crate::config::Config;
use crate::domain::failure::sanitise;
use crate::postgres::Programs;
use crate::store::clock::SKEW_LIMIT;
use crate::store::{self, doctor};

/// A notification takes milliseconds; without any, workers look once a second.
const NOTIFY_LIMIT: Duration = Duration::from_secs(3);
/// Vacuum removes nothing that is younger than the oldest transaction.
const OLD_TRANSACTION_SECONDS: f64 = 3_600.0;
/// Autovacuum freezes from 200 million transactions on; far past that, something holds it back.
const FREEZE_LATE: i64 = 1_000_000_000;
const FREEZE_FAILS: i64 = 1_800_000_000;

/// Connects; nothing when that fails or there is no database yet.
pub(super) async fn connect(config: &Config, output: Output, report: &mut Report) -> Option<Context> {
    if config.database.url.is_none() && !private_server(config, report) {
        return None;
    }
    match Context::connect(config.clone(), output, Usage::Command).await {
        Ok(context) => Some(context),
        Err(problem) => {
            let remedy = problem.help.unwrap_or_else(|| {
                "start the server, or correct DATABASE_URL (`syncline config show` shows its source)".into()
            });
            report.fail("connection", problem.message, remedy);
            None
        }
    }
}

/// Whether a private server can be started; one that was never made is left to the commands that need it.
fn private_server(config: &Config, report: &mut Report) -> bool {
    let folder = &config.database.private_folder();
    let wrote_data = std::fs::read_to_string(folder.join("data/PG_VERSION")).ok();
    match Programs::find(None, wrote_data.as_deref().map(str::trim), folder) {
        Ok(programs) => report.pass(
            "programs",
            format!("PostgreSQL {} in {} for the private server", programs.major, programs.folder.display()),
        ),
        Err(problem) => {
            let remedy = "install PostgreSQL (`make deps`), or set DATABASE_URL to your own server";
            report.fail("programs", problem.to_string(), remedy);
            return false;
        }
    }
    if !folder.join("connection.json").exists() {
        report.warn(
            "connection",
            format!("DATABASE_URL is not set, and there is no private database in {} yet", folder.display()),
            "run `syncline migrate` to create one, or set DATABASE_URL",
        );
        return false;
    }
    true
}

/// Settings, connections, clock, notifications, size.
pub(super) async fn check_server(context: &Context, report: &mut Report) {
    let asked = context.clock.own();
    let server = match doctor::server(&context.pool).await {
        Ok(server) => server,
        Err(problem) => return report.refused("connection", &problem),
    };
    let answered = context.clock.own();
    report.pass("connection", format!("PostgreSQL {}, {}", server.version, size(server.size_bytes)));
    check_settings(&server, report);
    check_encoding(&server, report);
    check_sessions(context, report).await;
    match store::is_pooled(&context.pool) {
        true => check_pooler(context, &server, report),
        false => check_connections(context, &server, report).await,
    }
    // The answer was made somewhere between the two readings of our clock.
    let skew = server.now - (asked + (answered - asked) / 2);
    let text = format!("the database's clock is {:+.1} s off this machine's", skew.as_seconds_f64());
    match skew.abs() > SKEW_LIMIT + (answered - asked) {
        true => report.warn("clock", text, "correct both clocks (NTP); Syncline uses the database's clock"),
        false => report.pass("clock", text),
    }
    check_notifications(context, report).await;
    check_bloat(context, &server, report).await;
}

fn check_settings(server: &doctor::Server, report: &mut Report) {
    if server.read_only {
        report.fail(
            "writes",
            "the database is read-only",
            "point DATABASE_URL at the primary, or reset default_transaction_read_only; work resumes by itself",
        );
    } else {
        report.pass("writes", "the database accepts writes");
    }
    let unsafe_settings: Vec<&str> = [("fsync", server.fsync), ("full_page_writes", server.full_page_writes)]
        .into_iter()
        .filter_map(|(name, on)| (!on).then_some(name))
        .collect();
    if !unsafe_settings.is_empty() {
        let names = unsafe_settings.join(" and ");
        let remedy = "ALTER SYSTEM SET … = on, then reload: a crash of the machine can destroy the whole database";
        report.fail("durability", format!("{names} off"), remedy);
    } else if server.synchronous_commit == "off" {
        report.warn(
            "durability",
            "synchronous_commit is off",
            "set it to on: otherwise a crash loses requests that were just acknowledged",
        );
    } else {
        report.pass("durability", format!("fsync on, synchronous_commit {}", server.synchronous_commit));
    }
}

/// The encoding of a database cannot be changed: one of another encoding has to be made anew.
fn check_encoding(server: &doctor::Server, report: &mut Report) {
    if server.encoding == "UTF8" {
        report.pass("encoding", "UTF8");
    } else {
        report.fail(
            "encoding",
            format!("the database's encoding is {}, UTF8 is needed", server.encoding),
            "create another database with `createdb -E UTF8 -T template0 NAME`, set DATABASE_URL to it, and run \
                `syncline migrate`",
        );
    }
}

/// What a role or the database sets for every session, and programs do not expect.
async fn check_sessions(context: &Context, report: &mut Report) {
    let odd = match doctor::odd_settings(&context.database_url).await {
        Ok(odd) => odd,
        Err(problem) => return report.refused("sessions", &problem),
    };
    if odd.is_empty() {
        return report.pass("sessions", "the role and the database have no conflicting settings");
    }
    let texts: Vec<String> = odd.iter().map(|one| format!("{} is {}: {}", one.name, one.value, one.effect)).collect();
    let remedy = match store::is_pooled(&context.pool) {
        true => "nothing can be set through the pooler: ALTER ROLE … IN DATABASE … RESET these, or SET them as usual",
        false => {
            "Syncline's own sessions are set up otherwise, so its work goes on; for others that call its functions ALTER \
             ROLE or ALTER DATABASE … RESET these"
        }
    };
    report.warn("sessions", texts.join("; "), remedy);
}

/// Behind a pooler the number of connections is the pooler's business, and so are the settings of sessions.
fn check_pooler(context: &Context, server: &doctor::Server, report: &mut Report) {
    if context.config.database.direct_url.is_none() {
        report.warn(
            "pooler",
            "there is a connection pooler and no direct connection",
            "set database.direct_url to the server itself: `syncline migrate` and notifications need it",
        );
    } else if server.statement_timeout == "0" {
        report.warn(
            "pooler",
            "there is a connection pooler, and its sessions have no statement_timeout",
            "ALTER ROLE … SET statement_timeout = '60s', so that a statement that hangs releases its locks",
        );
    } else {
        report.pass("pooler", format!("there is a pooler; statements end after {}", server.statement_timeout));
    }
}

async fn check_connections(context: &Context, server: &doctor::Server, report: &mut Report) {
    // Before there is a schema there are no workers.
    let workers = store::queue_view::workers(&context.pool).await.map_or(0, |workers| workers.len());
    let workers = i64::try_from(workers).unwrap_or(0).max(1);
    // Each has its pool and a connection that listens.
    let wanted = workers * (i64::from(context.config.database.max_connections) + 1);
    let text = format!(
        "{} of {} connections are open; {workers} worker{} may need {wanted}",
        server.connections,
        server.connection_limit,
        if workers == 1 { "" } else { "s" },
    );
    if wanted > server.connection_limit {
        let remedy = "lower database.max_connections, raise the server's max_connections, or use a pooler";
        report.warn("connections", text, remedy);
    } else {
        report.pass("connections", text);
    }
}

async fn check_notifications(context: &Context, report: &mut Report) {
    let direct = context.config.database.direct_url.as_ref();
    if direct.is_none() && store::is_pooled(&context.pool) {
        // To try it would leave a session of the pooler listening, for somebody else to hear.
        return report.warn(
            "notifications",
            "none arrive through a pooler: workers look for steps once a second",
            "set database.direct_url to the server itself",
        );
    }
    match doctor::notify_round_trip(&context.pool, direct, &context.clock, NOTIFY_LIMIT).await {
        Ok(Some(took)) => report.pass(
            "notifications",
            format!(
                "received after {:.1} \
            ms",
                took.as_secs_f64() * 1_000.0
            ),
        ),
        Ok(None) => report.warn(
            "notifications",
            format!("none received within {} s", NOTIFY_LIMIT.as_secs()),
            "behind a pooler in transaction mode set database.direct_url; until then workers look once a second",
        ),
        Err(problem) => report.warn(
            "notifications",
            format!("cannot listen: {problem}"),
            "correct database.direct_url; until then workers look once a second",
        ),
    }
}

/// Whether dead rows are removed and old ones frozen in time.
fn check_vacuum(server: &doctor::Server, report: &mut Report) {
    if !server.autovacuum {
        report.warn(
            "vacuum",
            "autovacuum is off",
            "ALTER SYSTEM SET autovacuum = on, then reload: tables grow without it, and in the end writes stop",
        );
    }
    let millions = server.unfrozen_transactions / 1_000_000;
    match server.unfrozen_transactions {
        FREEZE_FAILS.. => report.fail(
            "freeze",
            format!(
                "the oldest row is {millions} million transactions old; at 2100 million the server refuses all \
                writes"
            ),
            "end old transactions and drop unused replication slots, then VACUUM (FREEZE) the database now",
        ),
        FREEZE_LATE.. => report.warn(
            "freeze",
            format!("the oldest row is {millions} million transactions old"),
            "find the cause that holds back autovacuum: old transactions, prepared transactions, unused replication \
                slots",
        ),
        _ => {}
    }
}

async fn check_bloat(context: &Context, server: &doctor::Server, report: &mut Report) {
    check_vacuum(server, report);
    if let Some(age) = server.oldest_transaction_seconds.filter(|age| *age > OLD_TRANSACTION_SECONDS) {
        report.warn(
            "vacuum",
            format!(
                "a transaction has been open for {:.1} h, and vacuum cannot remove rows that died since. It is {}",
                age / 3_600.0,
                sanitise(server.oldest_transaction.as_deref().unwrap_or("gone by now"))
            ),
            "end it: SELECT pg_terminate_backend(PID)",
        );
    }
    match doctor::bloated_tables(&context.pool).await {
        Ok(tables) if tables.is_empty() => report.pass("bloat", "no table holds more dead rows than live rows"),
        Ok(tables) => {
            let texts: Vec<String> = tables
                .iter()
                .map(|table| format!("{}: {} dead, {} live", table.name, table.dead, table.live))
                .collect();
            let remedy = "check that autovacuum runs, and VACUUM these tables";
            report.warn("bloat", super::some_of(texts.iter().map(String::as_str)), remedy);
        }
        Err(problem) => report.refused("bloat", &problem),
    }
}

/// Whether the tables are those that this program knows.
pub(super) async fn check_schema(context: &Context, report: &mut Report) -> bool {
    match store::check_version(&context.pool).await {
        Ok(found) if found > store::migrate::expected_version() => {
            report.warn(
                "schema",
                format!("version {found}, newer than this program's {}", store::migrate::expected_version()),
                "finish the upgrade; after a rollback this is expected",
            );
            true
        }
        Ok(found) => {
            report.pass("schema", format!("version {found}, as this program needs"));
            true
        }
        Err(problem) if problem.lost_prepared_statement() => {
            report.refused("schema", &problem);
            false
        }
        Err(problem) => {
            let remedy = match &problem {
                store::Error::SchemaTooOld { .. } => "run `syncline migrate`",
                store::Error::SchemaTooNew { .. } => "upgrade this program",
                _ => "workers refuse to start until this is repaired",
            };
            report.fail("schema", problem.to_string(), remedy);
            false
        }
    }
}

fn size(bytes: i64) -> String {
    let mebibytes = bytes / (1 << 20);
    if mebibytes < 10_240 { format!("{mebibytes} MiB") } else { format!("{} GiB", mebibytes / 1_024) }
}

#[cfg(test)]
mod tests {
    use super::super::Status;
    use super::*;

    fn server() -> doctor::Server {
        doctor::Server {
            version: "15.8".into(),
            fsync: true,
            full_page_writes: true,
            synchronous_commit: "on".into(),
            statement_timeout: "1min".into(),
            encoding: "UTF8".into(),
            autovacuum: true,
            unfrozen_transactions: 150_000_000,
            connection_limit: 97,
            connections: 3,
            read_only: false,
            now: chrono::DateTime::UNIX_EPOCH,
            size_bytes: 1 << 30,
            oldest_transaction_seconds: None,
            oldest_transaction: None,
        }
    }

    fn found(check: fn(&doctor::Server, &mut Report), server: &doctor::Server) -> Vec<(&'static str, Status)> {
        let mut report = Report::default();
        check(server, &mut report);
        assert!(report.0.iter().all(|finding| (finding.status == Status::Pass) == finding.remedy.is_none()));
        report.0.iter().map(|finding| (finding.check, finding.status)).collect()
    }

    #[test]
    fn rows_that_grow_too_old_are_told_of_before_writes_stop() {
        assert_eq!(found(check_vacuum, &server()), []);
        for (age, expected) in [(1_200_000_000, Status::Warn), (1_900_000_000, Status::Fail)] {
            let old = doctor::Server { unfrozen_transactions: age, ..server() };
            assert_eq!(found(check_vacuum, &old), [("freeze", expected)]);
        }
        assert_eq!(found(check_vacuum, &doctor::Server { autovacuum: false, ..server() }), [("vacuum", Status::Warn)]);
    }

    #[test]
    fn an_encoding_that_cannot_hold_every_text_fails() {
        assert_eq!(found(check_encoding, &server()), [("encoding", Status::Pass)]);
        for encoding in ["LATIN1", "SQL_ASCII", "EUC_JP"] {
            let other = doctor::Server { encoding: encoding.into(), ..server() };
            assert_eq!(found(check_encoding, &other), [("encoding", Status::Fail)]);
        }
    }

    #[test]
    fn settings_that_lose_data_fail_and_lesser_ones_warn() {
        let of = |server| found(check_settings, &server);
        assert_eq!(of(server()), [("writes", Status::Pass), ("durability", Status::Pass)]);
        for unsafe_server in
            [doctor::Server { fsync: false, ..server() }, doctor::Server { full_page_writes: false, ..server() }]
        {
            assert_eq!(of(unsafe_server)[1], ("durability", Status::Fail));
        }
        assert_eq!(
            of(doctor::Server { synchronous_commit: "off".into(), ..server() })[1],
            ("durability", Status::Warn)
        );
        assert_eq!(of(doctor::Server { read_only: true, ..server() })[0], ("writes", Status::Fail));
    }
}
