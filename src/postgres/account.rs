//! The operating-system account that PostgreSQL runs as: ours, or an unprivileged one when we are root.

use std::path::Path;

use tokio::process::Command;

use super::Error;

/// An account for the server's programs.
#[derive(Clone, Copy, Debug)]
pub struct Account(Option<(u32, u32)>);

impl Account {
    /// The account of this process, or `postgres`, else `nobody`, when that is root.
    ///
    /// # Errors
    /// [`Error::NoAccount`].
    pub async fn choose() -> Result<Self, Error> {
        if id(&["-u"]).await != Some(0) {
            return Ok(Self(None));
        }
        for name in ["postgres", "nobody"] {
            if let (Some(user), Some(group)) = (id(&["-u", name]).await, id(&["-g", name]).await) {
                return Ok(Self(Some((user, group))));
            }
        }
        Err(Error::NoAccount)
    }

    /// Makes `command` run as this account; the other groups of root are given up with it.
    pub fn apply(self, command: &mut Command) {
        if let Some((user, group)) = self.0 {
            command.uid(user).gid(group);
        }
    }

    /// Gives `path` to this account.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn own(self, path: &Path) -> Result<(), Error> {
        match self.0 {
            Some((user, group)) => {
                std::os::unix::fs::chown(path, Some(user), Some(group)).map_err(Error::io("change the owner of", path))
            }
            None => Ok(()),
        }
    }

    /// Whether this account can enter `folder`; below a home of mode 0700 another account cannot.
    pub async fn can_enter(self, folder: &Path) -> bool {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", "cd -- \"$1\" 2>/dev/null", "sh"]).arg(folder).current_dir("/");
        self.apply(&mut command);
        command.status().await.is_ok_and(|status| status.success())
    }
}

async fn id(arguments: &[&str]) -> Option<u32> {
    let output = Command::new("id").args(arguments).output().await.ok()?;
    String::from_utf8_lossy(&output.stdout).trim().parse().ok()
}
