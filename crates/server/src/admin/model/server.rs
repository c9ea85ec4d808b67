//! The server itself: workers, figures, health, errors.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use wakeful_core::{
    name::{EnvironmentName, FunctionName, ProjectName},
    port::StoreStats,
};
use wakeful_workers::{WorkerInfo, WorkerState};

use super::Time;
use crate::addresses::Addresses;

/// A worker process.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct WorkerEntry {
    /// Its process id.
    pub pid: u32,
    /// The function it serves; none for a blank worker.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub function: Option<FunctionName>,
    /// The version of that function.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// `starting`, `blank`, `loading`, `serving` or `leaving`.
    pub state: String,
    /// Attempts on it now.
    pub in_flight: usize,
    /// Resident memory, bytes; 0 when it cannot be read.
    pub rss: u64,
    /// When the process was started.
    pub started_at: Time,
}

impl From<WorkerInfo> for WorkerEntry {
    fn from(worker: WorkerInfo) -> Self {
        Self {
            pid: worker.pid,
            function: worker.function,
            version: worker.version,
            state: state_word(worker.state).to_owned(),
            in_flight: worker.in_flight,
            rss: worker.rss,
            started_at: worker.started_at.into(),
        }
    }
}

fn state_word(state: WorkerState) -> &'static str {
    match state {
        WorkerState::Starting => "starting",
        WorkerState::Blank => "blank",
        WorkerState::Loading => "loading",
        WorkerState::Serving => "serving",
        WorkerState::Leaving => "leaving",
    }
}

/// The worker processes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct WorkerList {
    /// All of them.
    pub workers: Vec<WorkerEntry>,
}

/// Figures about the store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct StoreFigures {
    /// Events kept.
    pub events: u64,
    /// Deliveries queued, ready or not.
    pub queued: u64,
    /// Deliveries whose attempt runs.
    pub running: u64,
    /// Dead letters.
    pub dead: u64,
    /// Transactions committed since the start.
    pub commits: u64,
    /// Disk writes they took.
    pub syncs: u64,
    /// Settlements refused as stale since the start.
    pub stale: u64,
    /// Deliveries left out as repetitions since the start.
    pub duplicates: u64,
    /// Bytes of the store's files.
    pub bytes: u64,
}

impl From<StoreStats> for StoreFigures {
    fn from(stats: StoreStats) -> Self {
        Self {
            events: stats.events,
            queued: stats.queued,
            running: stats.running,
            dead: stats.dead,
            commits: stats.commits,
            syncs: stats.syncs,
            stale: stats.stale,
            duplicates: stats.duplicates,
            bytes: stats.bytes,
        }
    }
}

/// Figures about the history.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct HistoryStats {
    /// Records that were dropped since the start because too many came at once.
    pub dropped: u64,
    /// Quick, successful requests that were only counted since the start: above a thousand in
    /// a second they are not recorded one by one.
    pub unrecorded: u64,
}

/// Figures about the server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Stats {
    /// The store.
    pub store: StoreFigures,
    /// The history.
    pub history: HistoryStats,
    /// Worker processes.
    pub workers: usize,
}

/// Where the listeners are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AddressInfo {
    /// Functions.
    pub http: String,
    /// Admin API.
    pub admin: String,
    /// AWS-compatible endpoint.
    pub aws: String,
}

impl From<Addresses> for AddressInfo {
    fn from(addresses: Addresses) -> Self {
        Self {
            http: addresses.http.to_string(),
            admin: addresses.admin.to_string(),
            aws: addresses.aws.to_string(),
        }
    }
}

/// That the server answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Liveness {
    /// `ok`.
    pub status: String,
}

/// Who the server is and how it does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Health {
    /// `ok`, or `degraded` when a function is broken.
    pub status: String,
    /// The version of Wakeful.
    pub version: String,
    /// The project.
    #[schema(value_type = String)]
    pub project: ProjectName,
    /// The environment.
    #[schema(value_type = String)]
    pub environment: EnvironmentName,
    /// The server's process.
    pub pid: u32,
    /// Grows with each start over the same data.
    pub epoch: u32,
    /// Functions whose newest code cannot be loaded.
    #[schema(value_type = Vec<String>)]
    pub broken: Vec<FunctionName>,
    /// Where the listeners are.
    pub addresses: AddressInfo,
}

/// The body of every refusal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ErrorBody {
    /// What went wrong.
    pub error: ErrorInfo,
}

/// What went wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ErrorInfo {
    /// For programs: stays as it is.
    #[schema(example = "not_found")]
    pub code: String,
    /// For people.
    pub message: String,
    /// What to do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub help: Option<String>,
}
