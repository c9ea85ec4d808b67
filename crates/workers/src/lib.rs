//! Worker pools of Wakeful: starting, feeding, supervising and ending the processes that run
//! user code.
//!
//! Start reading at [`Workers`] (the service) and [`Pool`] (one version of one function). The
//! other side of the wire is `runtime/node/`; what goes over it stands in
//! `docs/worker-protocol.md`. This crate knows neither sources nor deliveries: it is handed an
//! [`Invocation`], and says by a [`Failure`] how it went wrong and thereby who pays.

mod blame;
mod blank;
mod body;
mod call;
mod deadline;
mod frame;
mod host;
mod inspect;
mod invocation;
mod limit;
mod link;
mod memory;
mod observer;
mod options;
mod orders;
mod pool;
mod pulse;
mod receive;
mod roster;
mod runtime;
mod scale;
mod seating;
mod spawn;
mod start;
mod stdio;
mod stream;
mod supervise;
mod table;
mod watch;
mod worker;
mod workers;

pub use body::{Body, BodySender, BodyStream, ReaderGone};
pub use call::{Call, CancelReason, Response, WorkerRef};
pub use host::{Host, HostCall, HostError, HostErrorCode, HostFuture, HostReply};
pub use invocation::{Batched, HttpRequest, Invocation, What};
pub use observer::{Ended, Observer, WorkerEvent, WorkerInfo, WorkerState};
pub use options::{Limit, Options, VersionSpec};
pub use pool::{LoadedInfo, Pool, PoolStats, Reserve, ReserveError, Slot};
pub use runtime::{install_runtime, module_types};
pub use wakeful_core::delivery::{Failure, FailureKind};
pub use workers::Workers;
