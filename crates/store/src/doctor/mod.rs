//! The doctor of a data folder: what is damaged, what follows from it, and what can be done.
//!
//! It works on a folder that no server uses. [`examine`] only reads; [`repair`] does what loses
//! nothing, for those findings that say so; [`salvage`] copies what can be read of a damaged
//! folder into a new one and names what was lost. All of it streams: memory does not grow with
//! what is there, and findings beyond a thousand are only counted.
//!
//! What it does not know: the meaning of events, and what a project's manifest says.

pub(crate) mod around;
mod blobs;
mod deliveries;
mod events;
mod exam;
mod lanes;
pub(crate) mod objects;
mod repair;
mod report;
mod salvage;
mod scan;
mod structure;

use std::path::Path;

use wakeful_core::{port::OpenError, time::Timestamp};

use crate::sqlite::anatomy::{self, Lock};
use exam::Exam;
pub use repair::repair;
pub use report::{
    Checked, Code, Depth, DoctorError, Done, Finding, Progress, Remedy, Repaired, Report, Salvaged,
    Step, Verdict,
};
pub use salvage::salvage;

/// Where progress is told.
pub type Watch<'a> = &'a mut dyn FnMut(Progress);

/// Looks at everything in `folder`, and changes nothing but SQLite's own `-shm` file. Blocks.
pub fn examine(
    folder: &Path,
    depth: Depth,
    now: Timestamp,
    watch: Watch<'_>,
) -> Result<Report, DoctorError> {
    let _lock = hold(folder)?;
    look(folder, depth, now, watch)
}

/// Holds a folder that has a store or had one.
fn hold(folder: &Path) -> Result<Lock, DoctorError> {
    let is_ours = [anatomy::FILE, "high-water"];
    if !is_ours.iter().any(|name| folder.join(name).is_file()) {
        return Err(DoctorError::NotAFolder {
            folder: folder.display().to_string(),
        });
    }
    anatomy::lock(folder).map_err(|error| match error {
        OpenError::InUse { folder, holder } => DoctorError::InUse { folder, holder },
        other => DoctorError::failed("holding the folder", other),
    })
}

/// Examines a folder that is held, or that nothing changes.
pub(crate) fn look(
    folder: &Path,
    depth: Depth,
    now: Timestamp,
    watch: Watch<'_>,
) -> Result<Report, DoctorError> {
    let mut report = Report::new(folder.to_owned(), depth);
    let conn = around::mark_and_format(folder, &mut report)?;
    if let Some(conn) = conn {
        let mut exam = Exam::new(&conn, folder, now, &mut report, watch);
        exam.all();
    }
    around::companions(folder, &mut report);
    Ok(report)
}
