//! A private PostgreSQL cluster for those who have no server: made, started and stopped by this program.
//!
//! A process of its own, the *keeper*, runs the server; whoever comes first starts it. Commands and workers are its
//! *users*: each holds a shared lock while it works, which ends with its process. The keeper stops the server a few
//! seconds after the last user, by a *fast* shutdown. So any user may end, or be killed, without the others noticing.
//!
//! A keeper that is killed takes the server with it (a watchdog, a shell that waits on a pipe, stops it); the next user, or
//! one that is still there, starts another keeper on the same port. A server that dies under a living keeper is started
//! again on the same port.
//!
//! As root the server runs as `postgres`, else as `nobody`. Where that account cannot enter the folder (below a home of
//! mode 0700, say) the data live in `/var/lib/syncline`, and the folder holds a link to them.
//!
//! What must hold: one keeper per folder, by a file lock that ends with its process; the server runs while anybody uses
//! it; it listens on the loopback address only and asks for a generated password; an acknowledged commit survives the loss
//! of power (`fsync` and `synchronous_commit` are on); data appear in the folder whole or not at all.

mod account;
mod cluster;
mod error;
mod folder;
mod initialise;
mod keeper;
mod programs;
mod server;
mod upgrade;

pub use cluster::{Cluster, ClusterOptions};
pub use error::Error;
pub use keeper::{COMMAND as KEEPER_COMMAND, keep};
pub use programs::{MINIMUM_MAJOR, Programs, find_client};
pub use upgrade::{Plan, Stage, UpgradeOptions, Upgraded, kept_data, plan as plan_upgrade, remove_kept, upgrade};
