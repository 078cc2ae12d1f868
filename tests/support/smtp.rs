//! A real mail server (`aiosmtpd`) as a process of its own; see `smtp_server.py` for what it does to whom.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};

use serde_json::Value;

use super::eventually;

/// How the server encrypts, and whom it lets in.
#[derive(Clone, Copy, Debug, Default)]
pub struct SmtpOptions {
    /// `none`, `starttls` or `tls`; nothing is `none`.
    pub tls: Option<&'static str>,
    /// A user's name and password.
    pub login: Option<(&'static str, &'static str)>,
    /// Takes connections and says nothing.
    pub mute: bool,
}

/// A mail server; it is killed when dropped.
pub struct SmtpServer {
    child: Child,
    folder: tempfile::TempDir,
    events: Arc<Mutex<Vec<Value>>>,
    /// Where it listens, on 127.0.0.1.
    pub port: u16,
}

impl SmtpServer {
    pub fn start(options: SmtpOptions) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/support/smtp_server.py");
        let mut command = Command::new(python());
        command.arg(script).arg("--folder").arg(folder.path());
        if let Some(tls) = options.tls {
            let (certificate, key) = certificate(folder.path());
            command.args(["--tls", tls]).arg("--certificate").arg(certificate).arg("--key").arg(key);
        }
        if let Some((user, password)) = options.login {
            command.args(["--user", user, "--password", password]);
        }
        if options.mute {
            command.arg("--mute");
        }
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::inherit()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let first = lines.next().expect("the mail server says where it listens").unwrap();
        let first: Value = serde_json::from_str(&first).unwrap();
        assert_eq!(first["event"], "listening");
        let port = u16::try_from(first["port"].as_u64().unwrap()).unwrap();
        let events = Arc::new(Mutex::new(Vec::new()));
        let told = Arc::clone(&events);
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                told.lock().unwrap().push(serde_json::from_str(&line).unwrap());
            }
        });
        Self { child, folder, events, port }
    }

    /// The file that holds the server's certificate; trust it to talk to the server.
    pub fn certificate(&self) -> PathBuf {
        self.folder.path().join("certificate.pem")
    }

    /// Waits until it has told that it took so many mails; what it told before that is known by then, too.
    pub async fn received(&self, count: usize) -> Vec<Value> {
        eventually("mails that were taken", async || self.events("received").len() >= count).await;
        self.events("received")
    }

    /// What it has told so far of one kind.
    pub fn events(&self, kind: &str) -> Vec<Value> {
        self.events.lock().unwrap().iter().filter(|event| event["event"] == kind).cloned().collect()
    }

    /// The mails it has taken, in their order.
    pub fn mails(&self) -> Vec<String> {
        let files = std::fs::read_dir(self.folder.path()).unwrap().map(|entry| entry.unwrap().path());
        let mut files: Vec<_> = files.filter(|path| path.extension().is_some_and(|e| e == "eml")).collect();
        files.sort();
        files.iter().map(|path| std::fs::read_to_string(path).unwrap()).collect()
    }
}

impl Drop for SmtpServer {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// An interpreter that has the server's library: the system's own, where packages are installed, comes first.
fn python() -> &'static str {
    let has_library = |python: &&str| {
        let asked = Command::new(python).args(["-c", "import aiosmtpd"]).stderr(Stdio::null()).status();
        asked.is_ok_and(|status| status.success())
    };
    ["/usr/bin/python3", "python3"]
        .into_iter()
        .find(has_library)
        .expect("no Python with aiosmtpd: run .ci/deps, or apt-get install python3-aiosmtpd, or pip install aiosmtpd")
}

/// A certificate for localhost and its key, made for this test.
pub fn certificate(folder: &Path) -> (PathBuf, PathBuf) {
    let (certificate, key) = (folder.join("certificate.pem"), folder.join("key.pem"));
    let made = Command::new("openssl")
        .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"])
        .args(["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"])
        .args(["-addext", "basicConstraints=critical,CA:FALSE"])
        .arg("-keyout")
        .arg(&key)
        .arg("-out")
        .arg(&certificate)
        .stderr(Stdio::null())
        .status();
    assert!(made.is_ok_and(|status| status.success()), "openssl makes no certificate: apt-get install openssl");
    (certificate, key)
}
