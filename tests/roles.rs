//! Roles of least rights: what each may do, and what it may not, tried with real users on a real server.

use std::collections::BTreeSet;
use std::path::Path;

use secrecy::SecretString;
use sqlx::migrate::Migrator;
use sqlx::postgres::PgPool;
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};
use syncline::clock::Clock;
use syncline::simulator::Options;
use syncline::store::objects::{Calling, FUNCTIONS, RELATIONS, Reading};
use syncline::store::{self, PoolOptions, migrate};
use uuid::Uuid;

use crate::support::command::{command, words};
use crate::support::{Rig, TestDb, WorkerProcess, server_url, sweep};

/// Roles and users of one database; a server keeps them for all, so that they are dropped at the end.
struct Stage {
    /// Begins the names of all of them.
    prefix: String,
    url: String,
}

impl Stage {
    fn of(db: &TestDb) -> Self {
        let url = url::Url::parse(db.url()).unwrap();
        let nonce = Clock::system().new_id().simple().to_string();
        Self { prefix: format!("syncline_role_{}", &nonce[20..]), url: url.to_string() }
    }

    fn role(&self, part: &str) -> String {
        format!("{}_{part}", self.prefix)
    }

    /// `--owner NAME --worker NAME …`
    fn flags(&self) -> Vec<String> {
        ["owner", "worker", "enqueuer", "reader"]
            .into_iter()
            .flat_map(|part| [format!("--{part}"), self.role(part)])
            .collect()
    }

    /// Makes a user; answers its URL.
    async fn user(&self, name: &str, options: &str) -> String {
        let name = self.role(name);
        let mut admin = PgConnection::connect(&self.url).await.unwrap();
        let sql = format!("CREATE ROLE {name} LOGIN PASSWORD 'secret' {options}");
        admin.execute(AssertSqlSafe(sql)).await.unwrap();
        let mut url = url::Url::parse(&self.url).unwrap();
        url.set_username(&name).unwrap();
        url.set_password(Some("secret")).unwrap();
        url.to_string()
    }

    /// A user who is a member of the role of that part.
    async fn member(&self, part: &str) -> String {
        self.user(&format!("{part}_user"), &format!("IN ROLE {}", self.role(part))).await
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        let (prefix, url) = (self.prefix.clone(), self.url.clone());
        let dropper = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let Ok(mut here) = PgConnection::connect(&url).await else { return };
                let names = "SELECT rolname::text FROM pg_roles WHERE starts_with(rolname::text, $1)";
                let names: Vec<String> =
                    sqlx::query_scalar(names).bind(&prefix).fetch_all(&mut here).await.unwrap_or_default();
                for name in &names {
                    let sql = format!("REASSIGN OWNED BY {name} TO CURRENT_USER; DROP OWNED BY {name}");
                    sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut here).await.ok();
                }
                // What belongs to a whole database, once that is gone.
                let Ok(mut admin) = PgConnection::connect(&server_url()).await else { return };
                for name in &names {
                    sqlx::raw_sql(AssertSqlSafe(format!("DROP ROLE {name}"))).execute(&mut admin).await.ok();
                }
            });
        });
        dropper.join().ok();
    }
}

/// The program as the user of a URL.
fn program_as(db: &TestDb, url: &str, arguments: &[&str]) -> (Option<i32>, String) {
    let output = command(db, arguments).env("DATABASE_URL", url).output().unwrap();
    (output.status.code(), words(&output))
}

/// Makes the roles as whoever the test database belongs to.
fn create(db: &TestDb, stage: &Stage) -> String {
    create_as(db, stage, db.url())
}

fn create_as(db: &TestDb, stage: &Stage, url: &str) -> String {
    let flags = stage.flags();
    let arguments: Vec<&str> = ["role", "create"].into_iter().chain(flags.iter().map(String::as_str)).collect();
    let (code, said) = program_as(db, url, &arguments);
    assert_eq!(code, Some(0), "{said}");
    said
}

async fn may(conn: &mut PgConnection, sql: &str) {
    let outcome = conn.execute(AssertSqlSafe(sql.to_owned())).await;
    assert!(outcome.is_ok(), "{sql}: {outcome:?}");
}

async fn may_not(conn: &mut PgConnection, sql: &str) {
    let outcome = conn.execute(AssertSqlSafe(sql.to_owned())).await;
    let code = outcome.as_ref().err().and_then(|error| Some(error.as_database_error()?.code()?.into_owned()));
    assert_eq!(code.as_deref(), Some("42501"), "{sql}: {outcome:?}"); // insufficient_privilege
}

async fn add_project(pool: &PgPool) {
    sqlx::raw_sql(
        "WITH s AS (INSERT INTO syncline.site (id, name, base_url, account_email, credential)
                    VALUES (syncline.new_id(), 'acme', 'http://x', 'x@example.com', 'env:X') RETURNING id)
         INSERT INTO syncline.project (id, site_id, key) SELECT syncline.new_id(), id, 'ACME' FROM s",
    )
    .execute(pool)
    .await
    .unwrap();
}

#[tokio::test]
async fn everything_in_the_schema_has_stated_rights() {
    let db = TestDb::new().await;
    let found: Vec<(String, Vec<String>)> = sqlx::query_as(
        "SELECT c.relname::text, ARRAY(SELECT a.attname::text FROM pg_attribute a
                                        WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped)
           FROM pg_class c WHERE c.relnamespace = 'syncline'::regnamespace AND c.relkind IN ('r', 'p', 'v', 'm', 'f')",
    )
    .fetch_all(db.pool())
    .await
    .unwrap();
    let there: BTreeSet<&str> = found.iter().map(|(name, _)| name.as_str()).collect();
    let stated: BTreeSet<&str> = RELATIONS.iter().map(|relation| relation.name).collect();
    assert_eq!(there, stated, "say in src/store/objects.rs who may do what, and how long a row is kept");
    assert!(RELATIONS.iter().all(|relation| !relation.kept.is_empty()));
    for relation in RELATIONS {
        let Reading::Columns { shown, hidden } = relation.reading else { continue };
        let (_, columns) = found.iter().find(|(name, _)| name == relation.name).unwrap();
        let there: BTreeSet<&str> = columns.iter().map(String::as_str).collect();
        let stated: BTreeSet<&str> = shown.iter().chain(hidden).copied().collect();
        assert_eq!(there, stated, "{}: say in src/store/objects.rs whether readers see it", relation.name);
        assert_eq!(shown.len() + hidden.len(), stated.len(), "{}: both shown and hidden", relation.name);
    }
    let functions: Vec<(String, bool, String, bool)> = sqlx::query_as(
        "SELECT p.proname::text, p.prosecdef, coalesce(p.proconfig, '{}')::text,
                has_function_privilege('public', p.oid, 'EXECUTE')
           FROM pg_proc p WHERE p.pronamespace = 'syncline'::regnamespace",
    )
    .fetch_all(db.pool())
    .await
    .unwrap();
    let there: BTreeSet<&str> = functions.iter().map(|(name, ..)| name.as_str()).collect();
    let stated: BTreeSet<&str> = FUNCTIONS.iter().map(|function| function.name).collect();
    assert_eq!(there, stated, "say in src/store/objects.rs who may execute it");
    for (name, with_owners_rights, config, by_everybody) in &functions {
        let calling = FUNCTIONS.iter().find(|function| function.name == name).unwrap().calling;
        let expected = matches!(calling, Calling::Enqueuers | Calling::WorkersAsOwner);
        assert_eq!(*with_owners_rights, expected, "{name}: SECURITY DEFINER");
        assert_eq!(*by_everybody, calling == Calling::Everybody, "{name}: what everybody may execute");
        let fixed = config.contains("search_path=pg_catalog, syncline, pg_temp");
        assert!(!with_owners_rights || fixed, "{name}: its search path must be fixed, and end with pg_temp: {config}");
    }
}

#[tokio::test]
async fn no_column_that_can_hold_a_secret_is_shown_to_readers() {
    let db = TestDb::new().await;
    // What is named like one, and what a check lets hold a sealed value.
    let secrets: Vec<(String, String)> = sqlx::query_as(
        "SELECT c.relname::text, a.attname::text
           FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
          WHERE c.relnamespace = 'syncline'::regnamespace AND c.relkind IN ('r', 'p', 'v')
            AND (a.attname ~ '(credential|secret|password|_token$|^token$)'
                 OR EXISTS (SELECT FROM pg_constraint k WHERE k.conrelid = c.oid AND a.attnum = ANY (k.conkey)
                               AND k.contype = 'c' AND pg_get_constraintdef(k.oid) LIKE '%enc:v1:%'
                               AND a.attname <> 'auth'))",
    )
    .fetch_all(db.pool())
    .await
    .unwrap();
    assert!(secrets.len() >= 5, "{secrets:?}");
    for (table, column) in &secrets {
        let reading = RELATIONS.iter().find(|relation| relation.name == table).unwrap().reading;
        let is_hidden = match reading {
            Reading::All => false,
            Reading::Nothing => true,
            Reading::Columns { hidden, .. } => hidden.contains(&column.as_str()),
        };
        assert!(is_hidden, "{table}.{column} is shown to readers");
    }
}

#[tokio::test]
async fn an_enqueuer_asks_for_runs_and_can_do_nothing_else() {
    let db = TestDb::new().await;
    let stage = Stage::of(&db);
    add_project(db.pool()).await;
    create(&db, &stage);
    let mut user = PgConnection::connect(&stage.member("enqueuer").await).await.unwrap();
    // What the caller puts in the way is passed by.
    let trap = format!("CREATE SCHEMA trap AUTHORIZATION {}", stage.role("enqueuer_user"));
    sqlx::raw_sql(AssertSqlSafe(trap)).execute(db.pool()).await.unwrap();
    for trap in [
        "CREATE FUNCTION trap.length(text) RETURNS int LANGUAGE plpgsql AS $$ BEGIN RAISE 'shadowed'; END $$",
        "CREATE FUNCTION trap.differ(text, text) RETURNS bool LANGUAGE plpgsql AS $$ BEGIN RAISE 'shadowed'; END $$",
        "CREATE OPERATOR trap.= (LEFTARG = text, RIGHTARG = text, FUNCTION = trap.differ)",
        "CREATE TEMP TABLE sync_run (id uuid)",
        "SET search_path = trap, pg_temp, pg_catalog",
    ] {
        may(&mut user, trap).await;
    }
    assert!(user.execute("SELECT length('a')").await.is_err(), "the trap works");
    let run: Uuid = sqlx::query_scalar("SELECT syncline.enqueue_sync('ACME', requested_by => 'ana')")
        .fetch_one(&mut user)
        .await
        .unwrap();
    may(&mut user, "SELECT syncline.request_reconcile('acme/ACME', kind => 'full')").await;
    // The same again is served by the run that waits: it is no second entry.
    may(&mut user, "SELECT syncline.enqueue_sync('ACME', kind => 'full')").await;
    for sql in [
        "SELECT 1 FROM syncline.sync_run",
        "SELECT credential FROM syncline.site",
        "SELECT 1 FROM syncline.audit",
        "SELECT 1 FROM syncline.issue_flat",
        "SELECT payload FROM syncline.sync_step",
        "INSERT INTO syncline.sync_run (id) VALUES (syncline.new_id())",
        "INSERT INTO syncline.sync_step (id, queue, kind, key, state) VALUES (syncline.new_id(), 'jira', 'x', 'x', 'ready')",
        "UPDATE syncline.sync_run SET requested_by = 'somebody'",
        "DELETE FROM syncline.audit",
        "SELECT syncline.request_run(syncline.new_id(), 'full', 'manual', 'ana')",
        "SELECT syncline.activate_run(syncline.new_id())",
        "SELECT syncline.cancel_run(syncline.new_id())",
        "SELECT syncline.find_project('ACME')",
        "SELECT syncline.effective_settings(NULL, NULL)",
        "CREATE TABLE syncline.mine (id int)",
        "CREATE OR REPLACE FUNCTION syncline.find_project(project text) RETURNS uuid LANGUAGE sql AS $$ SELECT NULL::uuid $$",
        "ALTER FUNCTION syncline.enqueue_sync SECURITY INVOKER",
        "TRUNCATE syncline.sync_step",
    ] {
        may_not(&mut user, sql).await;
    }
    for (project, by) in [
        ("'ACME''; DROP TABLE syncline.issue; --'", "'ana'"),
        ("'ACME'", "repeat('a', 201)"),
        ("'ACME'", "E'a\\x1b[2J'"),
    ] {
        let sql = format!("SELECT syncline.enqueue_sync({project}, requested_by => {by})");
        let error = user.execute(AssertSqlSafe(sql.clone())).await.unwrap_err().into_database_error().unwrap();
        assert!(matches!(error.code().as_deref(), Some("P0002" | "22023")), "{sql}: {error}");
    }
    let (by, kind, reconcile): (String, String, bool) = sqlx::query_as(
        "SELECT r.requested_by, n.kind, n.reconcile FROM syncline.sync_run r, syncline.sync_run n
          WHERE r.id = $1 AND n.state = 'queued'",
    )
    .bind(run)
    .fetch_one(db.pool())
    .await
    .unwrap();
    assert_eq!((by.as_str(), kind.as_str(), reconcile), ("ana", "full", true));
    let user_name = stage.role("enqueuer_user");
    let acts: Vec<(String, String, String, String)> = sqlx::query_as(
        "SELECT actor, action, subject, details->>'requested_by' FROM syncline.audit WHERE action = 'sync.request' ORDER BY id",
    )
    .fetch_all(db.pool())
    .await
    .unwrap();
    let act = |by: &str| (user_name.clone(), "sync.request".to_owned(), "acme/ACME".to_owned(), by.to_owned());
    assert_eq!(acts, [act("ana"), act(&user_name)], "who the session is and who asked are both on record");
}

#[tokio::test]
async fn a_reader_sees_the_replica_but_no_credential_and_is_read_only() {
    let db = TestDb::new().await;
    let stage = Stage::of(&db);
    add_project(db.pool()).await;
    create(&db, &stage);
    let mut user = PgConnection::connect(&stage.member("reader").await).await.unwrap();
    for relation in RELATIONS {
        let name = relation.name;
        match relation.reading {
            Reading::All => may(&mut user, &format!("SELECT * FROM syncline.{name} LIMIT 1")).await,
            Reading::Nothing => may_not(&mut user, &format!("SELECT 1 FROM syncline.{name}")).await,
            Reading::Columns { shown, hidden } => {
                may(&mut user, &format!("SELECT {} FROM syncline.{name} LIMIT 1", shown.join(", "))).await;
                for column in hidden {
                    may_not(&mut user, &format!("SELECT {column} FROM syncline.{name}")).await;
                }
            }
        }
        if relation.kept != "computed when it is read" {
            may_not(&mut user, &format!("DELETE FROM syncline.{name}")).await;
        }
    }
    for sql in [
        "INSERT INTO syncline.member (name) VALUES ('Ana')",
        "UPDATE syncline.issue SET summary = ''",
        "SELECT syncline.enqueue_sync('ACME')",
        "CREATE VIEW syncline.mine AS SELECT 1",
        // A view of one's own reads with one's own rights.
        "CREATE TEMP VIEW mine AS SELECT credential FROM syncline.site; SELECT * FROM mine",
    ] {
        may_not(&mut user, sql).await;
    }
}

// The program is waited for on one thread while the simulated Jira answers on another.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_does_all_work_and_cannot_change_the_schema() {
    let rig = Rig::new(Options { issues: 40, ..Options::new(Clock::system()) }).await;
    let stage = Stage::of(&rig.db);
    create(&rig.db, &stage);
    let url = stage.member("worker").await;
    let worker = WorkerProcess::start(&url, &[]).await;
    for arguments in [
        &["sync", "start", "ACME", "--full", "--reconcile", "--wait"][..],
        &["verify", "ACME"],
        &["config", "set", "page_size=50"],
        &["project", "pause", "sim/BETA"],
        &["run", "list"],
        &["queue", "stats"],
        &["health"],
        &["site", "list"],
        &["role", "show"],
    ] {
        let (code, said) = program_as(&rig.db, &url, arguments);
        assert!(code == Some(0) || arguments == ["health"] && code == Some(3), "{arguments:?}: {code:?} {said}");
        assert!(!said.contains("permission denied"), "{arguments:?}: {said}");
    }
    sweep(&pool_of(&url).await).await;
    assert!(!worker.log().contains("permission denied"), "{}", worker.log());
    let mut user = PgConnection::connect(&url).await.unwrap();
    for sql in [
        "CREATE TABLE syncline.mine (id int)",
        "ALTER TABLE syncline.issue ADD COLUMN colour text",
        "DROP TABLE syncline.issue",
        "DROP VIEW syncline.issue_flat",
        "TRUNCATE syncline.issue",
        "CREATE INDEX mine ON syncline.issue (summary)",
        "CREATE TRIGGER mine BEFORE INSERT ON syncline.issue EXECUTE FUNCTION syncline.forget_partial_cursors()",
        "ALTER FUNCTION syncline.enqueue_sync SECURITY INVOKER",
        "UPDATE syncline.audit SET actor = 'somebody'",
        "DELETE FROM syncline.schema_migration",
        "UPDATE syncline.role_name SET name = 'somebody'",
    ] {
        may_not(&mut user, sql).await;
    }
    // Granting what one may not grant is a warning, not an error.
    may(&mut user, "GRANT SELECT ON syncline.site TO PUBLIC").await;
    let granted: bool =
        sqlx::query_scalar("SELECT has_column_privilege('public', 'syncline.site', 'credential', 'SELECT')")
            .fetch_one(rig.db.pool())
            .await
            .unwrap();
    assert!(!granted);
    let (code, said) = program_as(&rig.db, &url, &["migrate"]);
    assert!(code == Some(1) && said.contains("may not change the schema, which belongs to"), "{code:?} {said}");
    let (code, said) = program_as(&rig.db, &url, &["role", "grant"]);
    assert!(code == Some(1) && said.contains("may not change the schema, which belongs to"), "{code:?} {said}");
}

async fn pool_of(url: &str) -> PgPool {
    let options = PoolOptions { max_connections: 2, ..PoolOptions::default() };
    store::connect(&SecretString::from(url.to_owned()), &options).await.unwrap()
}

/// This program's migrations below `end`, and `later` ones.
async fn program(end: i64, later: &[&str]) -> Migrator {
    let folder = tempfile::tempdir().unwrap();
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("migrations");
    for entry in std::fs::read_dir(own).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        if name.split('_').next().and_then(|number| number.parse::<i64>().ok()).is_some_and(|number| number < end) {
            std::fs::copy(entry.path(), folder.path().join(name)).unwrap();
        }
    }
    for (statement, number) in later.iter().zip(end..) {
        let text = format!("-- oldest-program: {end}\n{statement};\n");
        std::fs::write(folder.path().join(format!("{number:04}_later.sql")), text).unwrap();
    }
    Migrator::new(folder.path()).await.unwrap()
}

#[tokio::test]
async fn objects_migrated_by_a_member_belong_to_the_owner_role() {
    let db = TestDb::new().await;
    let stage = Stage::of(&db);
    create(&db, &stage);
    let url = stage.member("owner").await;
    let newer = program(
        migrate::expected_version() + 1,
        &["DROP TABLE syncline.verification; CREATE TABLE syncline.verification (project_id uuid PRIMARY KEY);
           CREATE FUNCTION syncline.later() RETURNS int LANGUAGE sql AS 'SELECT 1'"],
    )
    .await;
    migrate::migrate_with(&pool_of(&url).await, &newer).await.unwrap();
    let (owner, public, worker, reader): (String, bool, bool, bool) = sqlx::query_as(
        "SELECT pg_get_userbyid(relowner)::text, has_function_privilege('public', 'syncline.later()', 'EXECUTE'),
                has_table_privilege($1::name, c.oid, 'INSERT'), has_table_privilege($2::name, c.oid, 'SELECT')
           FROM pg_class c WHERE c.oid = 'syncline.verification'::regclass",
    )
    .bind(stage.role("worker"))
    .bind(stage.role("reader"))
    .fetch_one(db.pool())
    .await
    .unwrap();
    assert_eq!(owner, stage.role("owner"));
    assert!(!public && worker && reader, "everybody {public}, worker {worker}, reader {reader}");
}

#[tokio::test]
async fn repeating_changes_nothing_and_differences_are_repaired() {
    let db = TestDb::new().await;
    let stage = Stage::of(&db);
    let (code, said) = program_as(&db, db.url(), &["role", "grant"]);
    assert!(code == Some(1) && said.contains("role create"), "{said}");
    assert!(create(&db, &stage).contains("statements were executed"));
    assert!(create(&db, &stage).contains("nothing to do"));
    let (reader, worker) = (stage.role("reader"), stage.role("worker"));
    let drift = format!(
        "GRANT INSERT ON syncline.sync_run TO {reader}; GRANT SELECT (credential) ON syncline.site TO {reader};
         REVOKE DELETE ON syncline.issue FROM {worker}; GRANT EXECUTE ON FUNCTION syncline.cancel_run TO PUBLIC"
    );
    sqlx::raw_sql(AssertSqlSafe(drift)).execute(db.pool()).await.unwrap();
    let (_, shown) = program_as(&db, db.url(), &["role", "show", "-o", "json"]);
    for words in [
        format!("REVOKE INSERT ON TABLE syncline.sync_run FROM \\\"{reader}\\\""),
        format!("REVOKE SELECT (\\\"credential\\\") ON TABLE syncline.site FROM \\\"{reader}\\\""),
        format!("GRANT DELETE ON TABLE syncline.issue TO \\\"{worker}\\\""),
    ] {
        assert!(shown.contains(&words), "{shown} lacks {words}");
    }
    let (code, said) = program_as(&db, db.url(), &["role", "grant"]);
    assert!(code == Some(0) && said.starts_with("4 statements"), "{said}");
    let (_, shown) = program_as(&db, db.url(), &["role", "grant", "--sql"]);
    assert!(shown.contains("nothing to do"), "{shown}");
    // Another name takes over; the old role keeps nothing.
    let other = stage.role("other");
    let (code, said) = program_as(&db, db.url(), &["role", "create", "--reader", &other]);
    assert_eq!(code, Some(0), "{said}");
    let (old, new): (bool, bool) = sqlx::query_as(
        "SELECT has_table_privilege($1::name, 'syncline.issue', 'SELECT'), has_table_privilege($2::name, 'syncline.issue', 'SELECT')",
    )
    .bind(&reader)
    .bind(&other)
    .fetch_one(db.pool())
    .await
    .unwrap();
    assert_eq!((old, new), (false, true));
    for (flag, name, words) in [
        ("--reader", worker.as_str(), "like that of another part"),
        ("--owner", "pg_mine", "pg_"),
        ("--worker", "", "empty"),
    ] {
        let (code, said) = program_as(&db, db.url(), &["role", "create", flag, name]);
        assert!(code == Some(2) && said.contains(words), "{said}");
    }
}

#[tokio::test]
async fn who_may_not_make_roles_gets_statements_for_somebody_who_may() {
    let db = TestDb::unmigrated().await;
    let stage = Stage::of(&db);
    let url = stage.user("everything", "").await;
    let name = url::Url::parse(&url).unwrap().username().to_owned();
    let sql =
        format!("GRANT CREATE ON DATABASE {} TO {name}", url::Url::parse(db.url()).unwrap().path().trim_matches('/'));
    sqlx::raw_sql(AssertSqlSafe(sql)).execute(db.pool()).await.unwrap();
    store::migrate(&pool_of(&url).await).await.unwrap();
    let flags = stage.flags();
    let arguments: Vec<&str> = ["role", "create"].into_iter().chain(flags.iter().map(String::as_str)).collect();
    let (code, said) = program_as(&db, &url, &arguments);
    assert!(code == Some(1) && said.contains("permission denied") && said.contains("role create --sql"), "{said}");
    let output = command(&db, &[&arguments[..], &["--sql"]].concat()).env("DATABASE_URL", &url).output().unwrap();
    let statements = String::from_utf8(output.stdout).unwrap();
    sqlx::raw_sql(AssertSqlSafe(statements)).execute(db.pool()).await.unwrap();
    let (_, said) = program_as(&db, &url, &[&arguments[..], &["--sql"]].concat());
    assert!(said.contains("nothing to do"), "{said}");
    // Whoever did everything goes on doing it.
    add_project(&pool_of(&url).await).await;
    assert_eq!(program_as(&db, &url, &["migrate"]).0, Some(0));
    let (code, said) = program_as(&db, &url, &["sync", "start", "ACME"]);
    assert_eq!(code, Some(0), "{said}");
}

#[tokio::test]
async fn a_user_with_the_right_to_make_roles_makes_them_and_goes_on() {
    let db = TestDb::unmigrated().await;
    let stage = Stage::of(&db);
    let url = stage.user("everything", "CREATEROLE").await;
    let name = url::Url::parse(&url).unwrap().username().to_owned();
    let database = url::Url::parse(db.url()).unwrap().path().trim_matches('/').to_owned();
    let sql = format!("ALTER DATABASE {database} OWNER TO {name}");
    sqlx::raw_sql(AssertSqlSafe(sql)).execute(db.pool()).await.unwrap();
    store::migrate(&pool_of(&url).await).await.unwrap();
    create_as(&db, &stage, &url);
    assert!(create_as(&db, &stage, &url).contains("nothing to do"));
    let newer = program(migrate::expected_version() + 1, &["CREATE TABLE syncline.later (id int)"]).await;
    migrate::migrate_with(&pool_of(&url).await, &newer).await.unwrap();
    let owner: String = sqlx::query_scalar(
        "SELECT pg_get_userbyid(relowner)::text FROM pg_class WHERE oid = 'syncline.later'::regclass",
    )
    .fetch_one(db.pool())
    .await
    .unwrap();
    assert_eq!(owner, stage.role("owner"));
    let back = format!("ALTER DATABASE {database} OWNER TO CURRENT_USER");
    sqlx::raw_sql(AssertSqlSafe(back)).execute(db.pool()).await.unwrap();
}

#[tokio::test]
async fn users_who_could_request_runs_still_can_after_an_upgrade() {
    let db = TestDb::unmigrated().await;
    let stage = Stage::of(&db);
    migrate::migrate_with(db.pool(), &program(27, &[]).await).await.unwrap();
    let (trusted, stranger) = (stage.user("trusted", "").await, stage.user("stranger", "").await);
    let grants = format!(
        "GRANT USAGE ON SCHEMA syncline TO {0}, {1}; GRANT SELECT ON ALL TABLES IN SCHEMA syncline TO {1};
         GRANT SELECT, INSERT, UPDATE ON ALL TABLES IN SCHEMA syncline TO {0}",
        stage.role("trusted"),
        stage.role("stranger")
    );
    sqlx::raw_sql(AssertSqlSafe(grants)).execute(db.pool()).await.unwrap();
    add_project(db.pool()).await;
    store::migrate(db.pool()).await.unwrap();
    let mut user = PgConnection::connect(&trusted).await.unwrap();
    may(&mut user, "SELECT syncline.enqueue_sync('ACME')").await;
    may(&mut user, "SELECT syncline.find_project('ACME')").await;
    let mut user = PgConnection::connect(&stranger).await.unwrap();
    may_not(&mut user, "SELECT syncline.enqueue_sync('ACME')").await;
}
