//! A real SMTP server that keeps what it is sent: aiosmtpd, where this machine has it.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tokio::time::Instant;

use super::stack::{LOG_FOLDER, PATIENCE, free_address, give_up_after};
use crate::cli::Error;

/// The server, and the folder with its mails.
pub(super) struct Mailbox {
    pub address: SocketAddr,
    folder: PathBuf,
    process: Child,
}

impl Drop for Mailbox {
    fn drop(&mut self) {
        // It holds nothing that is not in files already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Mailbox {
    /// Starts it; `None` where no Python has aiosmtpd.
    pub async fn open() -> Result<Option<Self>, Error> {
        let Some(python) = ["/usr/bin/python3", "python3"].into_iter().find(|python| has_aiosmtpd(python)) else {
            return Ok(None);
        };
        let folder = std::env::current_dir()?.join(LOG_FOLDER).join("mail");
        match std::fs::remove_dir_all(&folder) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error.into()),
            _ => std::fs::create_dir_all(&folder)?,
        }
        let address = free_address()?;
        let process = Command::new(python)
            .args(["-m", "aiosmtpd", "-n", "-l", &address.to_string(), "-c", "aiosmtpd.handlers.Mailbox"])
            .arg(folder.join("maildir"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        let mailbox = Self { address, folder, process };
        let deadline = Instant::now() + PATIENCE;
        while tokio::net::TcpStream::connect(address).await.is_err() {
            give_up_after(deadline, "the SMTP server did not come up")?;
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(Some(mailbox))
    }

    /// Waits for the mail whose subject begins like `subject` and keeps it as a file under `name`; answers its path.
    pub async fn keep(&self, name: &str, subject: &str) -> Result<PathBuf, Error> {
        // The rest of a header may be folded or encoded.
        let header = format!("Subject: {}", subject.split(' ').next().unwrap_or_default());
        let deadline = Instant::now() + PATIENCE;
        loop {
            for mail in self.mails()? {
                if String::from_utf8_lossy(&std::fs::read(&mail)?).contains(&header) {
                    let path = self.folder.join(format!("{name}.eml"));
                    std::fs::copy(&mail, &path)?;
                    return Ok(shown(&path));
                }
            }
            give_up_after(deadline, "no mail came")?;
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Keeps a page beside the mails.
    pub fn keep_page(&self, name: &str, html: &str) -> Result<PathBuf, Error> {
        let path = self.folder.join(format!("{name}.html"));
        std::fs::write(&path, html)?;
        Ok(shown(&path))
    }

    fn mails(&self) -> Result<Vec<PathBuf>, Error> {
        let Ok(entries) = std::fs::read_dir(self.folder.join("maildir/new")) else { return Ok(Vec::new()) };
        entries.map(|entry| Ok(entry?.path())).collect()
    }
}

/// The path as seen from here, where it can be.
fn shown(path: &Path) -> PathBuf {
    let here = std::env::current_dir().ok();
    here.and_then(|here| path.strip_prefix(here).ok().map(Path::to_path_buf)).unwrap_or_else(|| path.to_path_buf())
}

fn has_aiosmtpd(python: &str) -> bool {
    let mut command = Command::new(python);
    command.args(["-c", "import aiosmtpd"]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}
