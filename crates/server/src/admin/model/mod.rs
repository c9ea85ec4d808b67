//! The bodies of the admin API, as server and command line share them.
//!
//! They are their own types, apart from those that the store and the history keep, so that what
//! clients rely on changes only on purpose.

mod delivery;
mod function;
mod object;
mod run;
mod server;
mod text;
mod vault;

pub use delivery::{
    Affected, DeadDetail, DeadInfo, DeadLetter, DeadList, DeliveryInfo, EventDetail, Selection,
};
pub use function::{FunctionInfo, FunctionList, FunctionStateWord, InvokeAccepted, InvokeReply};
pub use object::{BucketInfo, BucketList, ObjectEntry, ObjectList};
pub use run::{AttemptInfo, FailureInfo, LogEntry, LogList, RunDetails, RunInfo, RunList};
pub use server::{
    AddressInfo, ErrorBody, ErrorInfo, Health, HistoryStats, Liveness, Stats, StoreFigures,
    WorkerEntry, WorkerList,
};
pub use text::Time;
pub use vault::{KeyEntry, KeyList, NewKey, NewKeyReply, SecretEntry, SecretList, SecretValue};
