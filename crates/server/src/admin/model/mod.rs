//! The bodies of the admin API, as server and command line share them.
//!
//! They are their own types, apart from those that the store and the history keep, so that what
//! clients rely on changes only on purpose.

mod care;
mod dead;
mod delivery;
mod flow;
mod function;
mod object;
mod reasons;
mod run;
mod server;
mod text;
mod vault;

pub use care::{BackupInfo, BackupOrder, FindingInfo};
pub use dead::{
    Affected, DeadDetail, DeadGroup, DeadLetter, DeadList, DeadSummary, PayloadInfo, Replaced,
    Selection,
};
pub use delivery::{DeadInfo, DeliveryInfo, EventDetail, HeldInfo, KeysInfo, LineageInfo};
pub use flow::{
    Accepted, LeftOut, PauseInfo, PauseList, PauseTarget, Repetition, ReplayOrder, ReplayReport,
    ReplayedEvent, ReplayedFor, TopicInfo, TopicList,
};
pub use function::{FunctionInfo, FunctionList, FunctionStateWord, InvokeReply};
pub use object::{BucketInfo, BucketList, ObjectEntry, ObjectList};
pub use reasons::{
    Advice, CensusInfo, Child, ConditionInfo, EventStory, Fate, Judged, QueueReport, Received,
    RunBrief, TriggerQueue, Trouble, Wait, WaitKind, conditions,
};
pub use run::{
    AttemptInfo, BatchInfo, FailureInfo, LogEntry, LogList, RunDetails, RunInfo, RunList,
};
pub use server::{
    AddressInfo, ErrorBody, ErrorInfo, Health, HistoryStats, Liveness, Stats, StoreFigures,
    WorkerEntry, WorkerList,
};
pub use text::{DEAD_REASONS, Time, dead_reason_word};
pub use vault::{KeyEntry, KeyList, NewKey, NewKeyReply, SecretEntry, SecretList, SecretValue};
