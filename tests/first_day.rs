//! A newcomer's first day: the commands of the README and of the quick start, taken from the pages and played as they are
//! written, in a fresh home, in two terminals, on simulated sites.
//!
//! What must hold: every command of a page is played, or the part that is played is named here with the reason; no command fails. Only the names of
//! sites that do not exist are replaced.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use tempfile::TempDir;

use crate::support::{eventually, program};

/// What a page tells that is played in part only, what is played of it, and why.
const IN_PART: &[(&str, &str, &str)] =
    &[("make build install", "make --silent install", "the program is built before its tests are")];

/// What stays in a terminal of its own, and the word by which it says that it is there.
const STAYS: &[(&str, &str)] = &[("syncline up", "Syncline is up"), ("syncline simulate", "http://")];

/// From a built binary to the answer of the first SQL; it takes 6 to 7 seconds on two quiet cores with a debug build.
const FIRST_ISSUES_WITHIN_SECONDS: f64 = 60.0;

/// The commands of a page's shell blocks, a line each.
fn commands(page: &str) -> Vec<String> {
    let text = std::fs::read_to_string(root().join(page)).unwrap();
    let mut found = Vec::new();
    let (mut inside, mut pending) = (false, String::new());
    for line in text.lines() {
        let trimmed = line.trim();
        match (inside, trimmed) {
            (_, "```sh") => inside = true,
            (true, "```") => inside = false,
            (true, "") => {}
            (true, _) if trimmed.starts_with('#') => {}
            (true, _) => match trimmed.strip_suffix('\\') {
                Some(start) => pending.push_str(start),
                None => found.push(std::mem::take(&mut pending) + trimmed),
            },
            _ => {}
        }
    }
    assert!(!inside && pending.is_empty(), "{page}: a block without an end");
    found
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A home that nobody has used, and what stays in its terminals.
struct Home {
    folder: TempDir,
    stays: Vec<(String, Child)>,
}

impl Home {
    fn new() -> Self {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        // A server that root makes is another account's, which must get there.
        std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
        Self { folder, stays: Vec::new() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn shell(&self, script: &str) -> Command {
        let mut command = Command::new("bash");
        let bin = self.path(".local/bin");
        let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap());
        command.args(["-c", script]).current_dir(root()).env_clear().env("HOME", self.folder.path()).env("PATH", path);
        // Root's private server would be the machine's; and the program is built already.
        command.env("SYNCLINE__DATABASE__DATA_DIR", self.path("postgres")).env("BINARY", program());
        command
    }

    /// A terminal in which a command stays until the home is left.
    async fn stay(&mut self, line: &str, said: &str) -> String {
        let log = self.path(&format!("terminal-{}.log", self.stays.len()));
        let file = std::fs::File::create(&log).unwrap();
        let mut command = self.shell(&format!("exec {line}"));
        command.stdin(Stdio::null()).stdout(file.try_clone().unwrap()).stderr(file);
        self.stays.push((line.to_owned(), command.spawn().unwrap()));
        let heard = || std::fs::read_to_string(&log).unwrap();
        eventually(line, async || heard().contains(said)).await;
        heard()
    }

    /// The other terminal: the commands one after another in one shell, until one fails. Answers after how many
    /// seconds each was over.
    fn play(&self, lines: &[String], typed: &str) -> Vec<f64> {
        let mut script = String::from("set -euo pipefail\ndate +'@played %s.%N'\n");
        for line in lines {
            writeln!(script, "printf '$ %s\\n' {}\n{line} <<<{typed}\ndate +'@played %s.%N'", quoted(line)).unwrap();
        }
        let output = self.shell(&script).output().unwrap();
        let said = [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes)).concat();
        assert!(output.status.success(), "{}\n{said}", output.status);
        for word in ["error:", "panicked", "command not found"] {
            assert!(!said.contains(word), "{word}\n{said}");
        }
        let at = |line: &str| line.strip_prefix("@played ")?.parse::<f64>().ok();
        let mut times = said.lines().filter_map(at);
        let began = times.next().unwrap();
        times.map(|time| time - began).collect()
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        for (line, child) in self.stays.iter_mut().rev() {
            // What would be Ctrl-C: a worker ends, and the private server with its last user.
            Command::new("kill").args(["-INT", &child.id().to_string()]).status().ok();
            let ended = child.wait();
            if !std::thread::panicking() {
                assert!(ended.is_ok_and(|status| status.success()), "{line} ends well");
            }
        }
    }
}

fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

/// Whether a line is `command`, perhaps with arguments.
fn is(line: &str, command: &str) -> bool {
    line.strip_prefix(command).is_some_and(|rest| rest.is_empty() || rest.starts_with(' '))
}

/// Plays a page; answers how many commands it has, how many were run, and the seconds until the first SQL was answered.
async fn play(page: &str, home: &mut Home, replaced: &[(&str, String)]) -> (usize, usize, f64) {
    let all = commands(page);
    let began = Instant::now();
    let (mut run, mut terminal) = (0, Vec::new());
    let mut replaced: Vec<(String, String)> = IN_PART
        .iter()
        .map(|(from, to, _)| (*from, (*to).to_owned()))
        .chain(replaced.iter().cloned())
        .map(|(from, to)| (from.to_owned(), to))
        .collect();
    for line in &all {
        run += 1;
        match STAYS.iter().find(|(command, _)| is(line, command)) {
            Some((_, said)) => {
                // What is before it has to be over.
                home.play(&std::mem::take(&mut terminal), "of-nobody");
                let line =
                    if is(line, "syncline simulate") { format!("{line} --listen 127.0.0.1:0") } else { line.clone() };
                let heard = home.stay(&line, said).await;
                if let Some(address) = heard.lines().find(|line| line.starts_with("http://")) {
                    replaced.push(("http://127.0.0.1:8070".to_owned(), address.to_owned()));
                }
            }
            None => terminal.push(replaced.iter().fold(line.clone(), |line, (from, to)| line.replace(from, to))),
        }
    }
    let asked = terminal.iter().position(|line| is(line, "syncline psql")).expect("the page reads the replica");
    let before = began.elapsed().as_secs_f64();
    let times = home.play(&terminal, "simulator-token");
    assert_eq!(times.len(), terminal.len());
    (all.len(), run, before + times[asked])
}

/// A simulated site in a process of its own, and where it is.
async fn site(home: &mut Home, options: &str) -> String {
    let line = format!("{} simulate --listen 127.0.0.1:0 {options}", program().display());
    home.stay(&line, "http://").await.lines().next().unwrap().to_owned()
}

#[tokio::test]
async fn a_newcomer_follows_the_readme_from_its_top() {
    let mut home = Home::new();
    let cloud = site(&mut home, "--projects OPS=200,WEB=20").await;
    let plant = site(&mut home, "--kind data-center --context-path /jira --projects MILL=40").await;
    let replaced = [
        ("https://acme.atlassian.net", cloud),
        ("https://jira.acme.example/jira", plant),
        ("bot@acme.example", "sync@example.com".to_owned()),
    ];
    let page = std::fs::read_to_string(root().join("README.md")).unwrap();
    for (from, _) in &replaced {
        assert!(page.contains(from), "the page does not name {from} any more");
    }
    let (commands, run, seconds) = play("README.md", &mut home, &replaced).await;
    println!("docs_commands_run {run} of {commands} (README.md)\nfirst_issues_after_binary_seconds {seconds:.1}");
    assert_eq!(run, commands, "every command of the README is played");
    assert!(seconds < FIRST_ISSUES_WITHIN_SECONDS, "{seconds}");
}

#[tokio::test]
async fn a_newcomer_follows_the_quick_start() {
    let mut home = Home::new();
    let install = format!("make --silent install PREFIX={}", home.path(".local").display());
    home.play(&[install], "nothing");
    let began = Instant::now();
    let (commands, run, _) = play("docs/quick-start.md", &mut home, &[]).await;
    println!("docs_commands_run {run} of {commands} (docs/quick-start.md), {:.1} s", began.elapsed().as_secs_f64());
    assert_eq!(run, commands, "every command of the quick start is played");
}

#[test]
fn the_readme_has_at_most_600_words() {
    let words = std::fs::read_to_string(root().join("README.md")).unwrap().split_whitespace().count();
    assert!(words <= 600, "{words} words: what is more belongs to docs/");
}
