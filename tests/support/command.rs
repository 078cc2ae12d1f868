//! The program as somebody at a terminal uses it.

use std::process::{Command, Output, Stdio};

use super::{TestDb, program};

/// 32 bytes of nothing in base64.
pub const KEY: &str = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";

/// The program on a database, without anything of this process' environment.
pub fn command(db: &TestDb, arguments: &[&str]) -> Command {
    let mut command = Command::new(program());
    command.args(arguments).env_clear().env("USER", "ana").env("SYNCLINE__SECRETS__KEY", KEY).env("TOKEN", "of-nobody");
    command.env("DATABASE_URL", db.url()).current_dir("/").stdin(Stdio::null());
    command
}

/// Runs it to its end.
pub fn ask(db: &TestDb, arguments: &[&str]) -> Output {
    command(db, arguments).output().unwrap()
}

/// Its words, data first.
pub fn words(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// It succeeds; its words, data first.
pub fn succeeds(db: &TestDb, arguments: &[&str]) -> String {
    let output = ask(db, arguments);
    assert!(output.status.success(), "{arguments:?}: {}", words(&output));
    words(&output)
}

/// It succeeds; its data.
pub fn json(db: &TestDb, arguments: &[&str]) -> serde_json::Value {
    let output = ask(db, &[arguments, &["-o", "json"]].concat());
    assert!(output.status.success(), "{arguments:?}: {}", words(&output));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// It is refused with this exit code and these words.
pub fn refuses(db: &TestDb, arguments: &[&str], code: i32, expected: &[&str]) {
    let output = ask(db, arguments);
    let text = words(&output);
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {text}");
    for word in expected {
        assert!(text.contains(word), "{arguments:?}: {text} lacks {word:?}");
    }
    assert!(!text.contains("panicked"), "{text}");
}

/// What the command and the environment did, as `action subject`, oldest first.
pub async fn acts(db: &TestDb) -> Vec<String> {
    sqlx::query_scalar("SELECT action || ' ' || subject FROM syncline.audit WHERE actor = 'ana' ORDER BY id")
        .fetch_all(db.pool())
        .await
        .unwrap()
}
