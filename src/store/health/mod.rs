//! What telemetry knows: the health of projects and sites, and how their schedules are held back.
//!
//! What must hold: whoever reads the ends of a project's runs holds its site's row, then its own; a schedule's base cadence
//! is read here and never written.

mod lift;
mod project;
mod runs;
mod schedule;
mod site;
mod view;

pub use lift::{Tried, lift};
pub use project::{Silent, Subject, load, mark_silent, save, silent, subject};
pub use runs::{ANALYSIS_STEP, Unread, enqueue_analysis, mark_read, unread};
pub use schedule::{Held, HoldKind, Paced, hold, hold_site, release, schedules_of_site};
pub use site::{Ailing, absorb_site, ailing, lock_site, project_names, save_site, save_unsteady};
pub use view::{HealthRow, ScheduleView, health_rows, schedule_view};
