//! Backups.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use wakeful_store::{
    backup::Summary,
    doctor::{Finding, Remedy},
};

use super::Time;

/// Where a backup goes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct BackupOrder {
    /// A folder on the server's machine, from its root, that is missing or empty.
    #[schema(value_type = String)]
    pub to: PathBuf,
    /// Whether the history of runs and logs goes along.
    #[serde(default = "yes")]
    pub history: bool,
}

fn yes() -> bool {
    true
}

/// A backup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct BackupInfo {
    /// Its folder, or the one that was made of it.
    #[schema(value_type = String)]
    pub folder: PathBuf,
    /// As of when it is.
    pub at: Time,
    /// The format of the store in it.
    pub format: u32,
    /// Files.
    pub files: u64,
    /// Bytes.
    pub bytes: u64,
    /// The bytes of so many objects and parts.
    pub objects: u64,
    /// Milliseconds that it took.
    pub took_ms: u64,
    /// What was damaged or missing already.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub damage: Vec<FindingInfo>,
}

impl BackupInfo {
    /// What was copied to, or made in, a folder.
    pub fn of(folder: &Path, summary: Summary) -> Self {
        Self {
            folder: folder.to_owned(),
            at: summary.at.into(),
            format: summary.format,
            files: summary.files,
            bytes: summary.bytes,
            objects: summary.objects,
            took_ms: u64::try_from(summary.took.as_millis()).unwrap_or(u64::MAX),
            damage: summary.damage.into_iter().map(FindingInfo::from).collect(),
        }
    }
}

/// Something that is wrong with a data folder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FindingInfo {
    /// For programs.
    pub code: String,
    /// Where.
    pub place: String,
    /// What.
    pub what: String,
    /// What follows from it.
    pub consequence: String,
    /// What can be done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remedy: Option<String>,
}

impl From<Finding> for FindingInfo {
    fn from(finding: Finding) -> Self {
        Self {
            code: finding.code.as_str().to_owned(),
            place: finding.place,
            what: finding.what,
            consequence: finding.consequence,
            remedy: match finding.remedy {
                Remedy::None => None,
                Remedy::Repair(text) | Remedy::Person(text) => Some(text),
            },
        }
    }
}
