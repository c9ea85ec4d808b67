//! What an examination found, in words for people and for programs.

use std::{fmt, path::PathBuf};

use serde::Serialize;

/// Findings that a report lists; of further ones it counts only how many there were.
pub(super) const MOST_FINDINGS: usize = 1000;

/// How closely a folder is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Depth {
    /// Everything but the bytes of objects, which are held against the index by their size.
    Normal,
    /// Those too: each object against its ETag.
    Deep,
}

/// What is being done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    /// The folder, its mark and its format.
    Folder,
    /// The pages, tables and indexes of the database.
    Structure,
    /// Each event.
    Events,
    /// Deliveries, lanes and counters.
    Deliveries,
    /// The object index.
    Objects,
    /// The files of objects.
    Blobs,
    /// History, vault and the rest.
    Around,
    /// Mending.
    Repair,
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Folder => "looking at the folder",
            Self::Structure => "checking the structure of the database",
            Self::Events => "checking events",
            Self::Deliveries => "checking deliveries",
            Self::Objects => "checking the object index",
            Self::Blobs => "checking the files of objects",
            Self::Around => "checking history and vault",
            Self::Repair => "repairing",
        })
    }
}

/// How far a step is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Progress {
    /// Which step.
    pub step: Step,
    /// Rows or files of it that are done.
    pub done: u64,
    /// How many there are, when that is known.
    pub total: Option<u64>,
}

/// What is wrong, as a word that stays the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Code {
    /// Acknowledged commits are missing.
    CommitsLost,
    /// There is no high-water mark.
    MarkMissing,
    /// The high-water mark cannot be read.
    MarkDamaged,
    /// An older format, which the next start brings up to date.
    OlderFormat,
    /// Pages of the database are damaged.
    PageDamaged,
    /// An index does not fit its table.
    IndexDamaged,
    /// A table or index that this version does not make.
    ForeignTable,
    /// A table or index that this version makes is not there, or is another.
    TableMissing,
    /// Something could not be checked because of damage.
    Unchecked,
    /// An event's bytes are not those that were written.
    EventDamaged,
    /// A delivery is owed for an event that is not there.
    EventMissing,
    /// A delivery holds what no version of this program wrote.
    DeliveryDamaged,
    /// Ids were given out that are greater than the greatest one on record.
    GreatestTooSmall,
    /// A counter does not fit what is there.
    CounterWrong,
    /// A lane of a key does not fit its deliveries.
    LaneWrong,
    /// A pause cannot be understood.
    PauseDamaged,
    /// Rows that should have gone with their event.
    LeftOver,
    /// A claim of an epoch that has not begun.
    ClaimOfTheFuture,
    /// An entry of the object index holds what no version of this program wrote.
    ObjectDamaged,
    /// What a source remembered is not what was written.
    CheckpointDamaged,
    /// The file of an object is not there.
    BlobMissing,
    /// The file of an object has another size than its index says.
    BlobSize,
    /// The bytes of an object do not fit its ETag.
    BlobDamaged,
    /// A file of an object that nothing refers to.
    BlobOrphaned,
    /// How often files of objects are referred to is not what is on record.
    BlobCount,
    /// A part of an upload that is not there.
    PartOrphaned,
    /// The history cannot be read.
    HistoryDamaged,
    /// The vault cannot be read.
    VaultDamaged,
    /// The vault's key is missing or is none.
    VaultKey,
    /// The folder of versions is no folder.
    VersionsDamaged,
    /// Other users of the machine can read a file.
    OpenToOthers,
}

impl Code {
    /// The word that programs see.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::CommitsLost => "commits_lost",
            Self::MarkMissing => "mark_missing",
            Self::MarkDamaged => "mark_damaged",
            Self::OlderFormat => "older_format",
            Self::PageDamaged => "page_damaged",
            Self::IndexDamaged => "index_damaged",
            Self::ForeignTable => "foreign_table",
            Self::TableMissing => "table_missing",
            Self::Unchecked => "unchecked",
            Self::EventDamaged => "event_damaged",
            Self::EventMissing => "event_missing",
            Self::DeliveryDamaged => "delivery_damaged",
            Self::GreatestTooSmall => "greatest_too_small",
            Self::CounterWrong => "counter_wrong",
            Self::LaneWrong => "lane_wrong",
            Self::PauseDamaged => "pause_damaged",
            Self::LeftOver => "left_over",
            Self::ClaimOfTheFuture => "claim_of_the_future",
            Self::ObjectDamaged => "object_damaged",
            Self::CheckpointDamaged => "checkpoint_damaged",
            Self::BlobMissing => "blob_missing",
            Self::BlobSize => "blob_size",
            Self::BlobDamaged => "blob_damaged",
            Self::BlobOrphaned => "blob_orphaned",
            Self::BlobCount => "blob_count",
            Self::PartOrphaned => "part_orphaned",
            Self::HistoryDamaged => "history_damaged",
            Self::VaultDamaged => "vault_damaged",
            Self::VaultKey => "vault_key",
            Self::VersionsDamaged => "versions_damaged",
            Self::OpenToOthers => "open_to_others",
        }
    }
}

/// What can be done about a finding.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "by", content = "how")]
pub enum Remedy {
    /// Nothing needs to be done.
    None,
    /// A repair loses nothing; this is what it does.
    Repair(String),
    /// A person has to decide; this is what they can do.
    Person(String),
}

/// One thing that is not as it should be, or that is worth knowing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// Which kind.
    pub code: Code,
    /// Where: a file, a table, an id.
    pub place: String,
    /// What is wrong.
    pub what: String,
    /// What follows from it.
    pub consequence: String,
    /// What can be done about it.
    pub remedy: Remedy,
}

/// How much was looked at.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Checked {
    /// Events.
    pub events: u64,
    /// Deliveries.
    pub deliveries: u64,
    /// Objects of the index.
    pub objects: u64,
    /// Files of objects.
    pub blobs: u64,
    /// Bytes of payloads, and with [`Depth::Deep`] of objects.
    pub bytes: u64,
}

/// What an examination found.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// The folder.
    pub folder: PathBuf,
    /// How closely it was looked at.
    pub depth: Depth,
    /// The format of the store; 0 when there is none yet.
    pub format: u32,
    /// How much was looked at.
    pub checked: Checked,
    /// What was found, at most a thousand.
    pub findings: Vec<Finding>,
    /// Findings beyond those.
    pub more: u64,
    /// The worst of all of them.
    #[serde(rename = "verdict")]
    worst: Verdict,
}

/// How a folder stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Nothing is wrong.
    Clean,
    /// What is wrong can be repaired, and nothing is lost.
    Repairable,
    /// Something is damaged, and a person has to decide.
    Damaged,
}

impl Report {
    pub(super) fn new(folder: PathBuf, depth: Depth) -> Self {
        Self {
            folder,
            depth,
            format: 0,
            checked: Checked::default(),
            findings: Vec::new(),
            more: 0,
            worst: Verdict::Clean,
        }
    }

    pub(super) fn add(&mut self, finding: Finding) {
        self.worst = self.worst.max(match finding.remedy {
            Remedy::None => Verdict::Clean,
            Remedy::Repair(_) => Verdict::Repairable,
            Remedy::Person(_) => Verdict::Damaged,
        });
        if self.findings.len() < MOST_FINDINGS {
            self.findings.push(finding);
        } else {
            self.more += 1;
        }
    }

    /// The worst of what was found.
    pub fn verdict(&self) -> Verdict {
        self.worst
    }

    /// Whether something of this kind was found.
    pub(super) fn has(&self, code: Code) -> bool {
        self.findings.iter().any(|finding| finding.code == code)
    }
}

/// What a repair did.
#[derive(Debug, Clone, Serialize)]
pub struct Repaired {
    /// What was done.
    pub done: Vec<Done>,
    /// What an examination afterwards found.
    pub left: Report,
}

impl Repaired {
    /// How the folder stands now.
    pub fn verdict(&self) -> Verdict {
        self.left.verdict()
    }
}

/// One thing that a repair did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Done {
    /// Because of which kind of finding.
    pub code: Code,
    /// What.
    pub what: String,
}

/// What could be saved of a damaged folder.
#[derive(Debug, Clone, Serialize)]
pub struct Salvaged {
    /// What is in the new folder.
    pub kept: Checked,
    /// What is not, at most a thousand.
    pub lost: Vec<Finding>,
    /// Losses beyond those.
    pub more: u64,
}

/// Why a folder was not examined, repaired or salvaged.
#[derive(Debug, thiserror::Error)]
pub enum DoctorError {
    /// A server holds it.
    #[error("{folder} is in use{holder}: stop that server first")]
    InUse {
        /// The folder.
        folder: String,
        /// ` by another server (process 123)` as far as it is known.
        holder: String,
    },
    /// There is no store in it.
    #[error("{folder} is no data folder: it holds no `store.db`")]
    NotAFolder {
        /// The folder.
        folder: String,
    },
    /// A newer version wrote it.
    #[error(
        "{folder} was written by a newer version of Wakeful (format {found}, this one knows up \
         to {supported}): use that version"
    )]
    Newer {
        /// The folder.
        folder: String,
        /// The format it has.
        found: u32,
        /// The newest format this version knows.
        supported: u32,
    },
    /// Something is where something new should go.
    #[error("{folder} is not empty: choose a folder that is empty or does not exist")]
    Occupied {
        /// The folder.
        folder: String,
    },
    /// Anything else.
    #[error("{doing}: {cause}")]
    Failed {
        /// What was being done, to what.
        doing: String,
        /// Why it failed.
        cause: String,
    },
}

impl DoctorError {
    pub(super) fn failed(doing: impl Into<String>, cause: impl fmt::Display) -> Self {
        Self::Failed {
            doing: doing.into(),
            cause: cause.to_string(),
        }
    }
}
