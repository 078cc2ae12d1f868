//! An upgrade under load and its rollback: programs of two versions on one database.
//!
//! The newer program is this one with a migration or two more; its migrations are applied while workers of this one run.

use std::path::Path;
use std::process::{Command, Output};

use sqlx::migrate::Migrator;
use syncline::clock::Clock;
use syncline::simulator::Options;
use syncline::store::{self, Error, migrate};

use crate::support::{Rig, TestDb, WorkerProcess, program};

/// This program's migrations and `later` ones, as (oldest program, statement).
async fn newer_program(later: &[(i64, &str)]) -> Migrator {
    let folder = tempfile::tempdir().unwrap();
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("migrations");
    for entry in std::fs::read_dir(own).unwrap() {
        let entry = entry.unwrap();
        std::fs::copy(entry.path(), folder.path().join(entry.file_name())).unwrap();
    }
    let mut version = migrate::expected_version();
    for (oldest, statement) in later {
        version += 1;
        let text = format!("-- A later release.\n-- oldest-program: {oldest}\n{statement};\n");
        std::fs::write(folder.path().join(format!("{version:04}_later.sql")), text).unwrap();
    }
    Migrator::new(folder.path()).await.unwrap()
}

fn syncline(db: &TestDb, arguments: &[&str]) -> (Option<i32>, String) {
    let mut command = Command::new(program());
    command.args(arguments).env_clear().env("DATABASE_URL", db.url()).current_dir("/");
    let Output { status, stdout, stderr } = command.output().unwrap();
    (status.code(), [stdout, stderr].map(|text| String::from_utf8_lossy(&text).into_owned()).concat())
}

#[tokio::test(flavor = "multi_thread")]
async fn old_workers_survive_a_migration_and_a_rollback() {
    let rig = Rig::new(Options { issues: 600, ..Options::new(Clock::system()) }).await;
    let mut old = WorkerProcess::start(rig.db.url(), &[]).await;
    rig.jira.control().set_latency(std::time::Duration::from_millis(20), std::time::Duration::ZERO);
    let under_way = rig.enqueue("ACME", "full").await;

    let ours = migrate::expected_version();
    let newer = newer_program(&[(ours, "ALTER TABLE syncline.issue ADD COLUMN colour text")]).await;
    let report = migrate::migrate_with(rig.db.pool(), &newer).await.unwrap();
    assert_eq!((report.version, report.applied.len()), (ours + 1, 1));

    assert_eq!(rig.ended(under_way).await, "succeeded", "what was under way goes on");
    assert_eq!(rig.sync("BETA", "full").await, "succeeded", "so does what comes");
    assert_eq!(rig.count("SELECT sum(failures + rescues)::int8 FROM syncline.sync_step").await, 0);

    // A pod of the old version that is moved to another node in the middle of the upgrade, or one of a rollback.
    old.kill();
    let back = WorkerProcess::start(rig.db.url(), &[]).await;
    assert!(back.log().contains("schema_newer"), "it says so: {}", back.log());
    assert_eq!(rig.sync("GAMMA", "full").await, "succeeded");
    for (arguments, words) in [
        (&["migrate"][..], "nothing to do: schema is at version"),
        (&["migrate", "--check"], "declared fit for it"),
        (&["queue", "stats"], "jira"),
        (&["doctor"], "newer than this program's"),
    ] {
        let (code, said) = syncline(&rig.db, arguments);
        // The server of the tests forgoes durability, of which the doctor complains.
        assert!(code == Some(0) || arguments == ["doctor"] && code == Some(3), "{arguments:?}: {said}");
        assert!(said.contains(words), "{arguments:?}: {said}");
    }
    let version: i64 = sqlx::query_scalar("SELECT max(version) FROM syncline.schema_migration")
        .fetch_one(rig.db.pool())
        .await
        .unwrap();
    assert_eq!(version, ours + 1, "an older program leaves the newer schema alone");
    // The newer program comes again.
    assert!(migrate::migrate_with(rig.db.pool(), &newer).await.unwrap().applied.is_empty());
}

#[tokio::test]
async fn a_schema_that_took_something_away_turns_older_programs_away() {
    let db = TestDb::new().await;
    let ours = migrate::expected_version();
    let newer = newer_program(&[
        (ours, "ALTER TABLE syncline.issue ADD COLUMN colour text"),
        (ours + 1, "ALTER TABLE syncline.issue DROP COLUMN description CASCADE"),
    ])
    .await;
    migrate::migrate_with(db.pool(), &newer).await.unwrap();
    for error in [store::check_version(db.pool()).await.unwrap_err(), store::migrate(db.pool()).await.unwrap_err()] {
        assert!(matches!(error, Error::SchemaTooNew { found, .. } if found == ours + 2), "{error:?}");
    }
    let (code, said) = syncline(&db, &["worker"]);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("nothing declares that it may work on it"), "{said}");
}

#[tokio::test]
async fn a_newer_schema_hides_no_difference_of_known_migrations() {
    let db = TestDb::new().await;
    let newer = newer_program(&[(1, "ALTER TABLE syncline.issue ADD COLUMN colour text")]).await;
    migrate::migrate_with(db.pool(), &newer).await.unwrap();
    sqlx::query("UPDATE syncline.schema_migration SET checksum = '\\x00' WHERE version = 1")
        .execute(db.pool())
        .await
        .unwrap();
    let error = store::check_version(db.pool()).await.unwrap_err();
    assert!(matches!(error, Error::SchemaDiffers { version: 1 }), "{error:?}");
}
