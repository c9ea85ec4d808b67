//! Worker pools of Wakeful: starting, feeding, supervising and ending the processes that run
//! user code.
//!
//! Start reading at [`Workers`] (the service) and [`Pool`] (one version of one function). The
//! other side of the wire is `runtime/node/`; what goes over it stands in
//! `docs/worker-protocol.md`. This crate knows neither sources nor deliveries: it is handed an
//! [`Invocation`], and says by a [`Failure`] how it went wrong and thereby who pays.

mod body;
mod call;
mod host;
mod invocation;
mod limit;
mod observer;
mod options;
mod pool;
mod runtime;
mod workers;

pub use body::{Body, BodySender, BodyStream, ReaderGone};
pub use call::{Call, CancelReason, Response, WorkerRef};
pub use host::{Host, HostCall, HostError, HostErrorCode, HostFuture, HostReply};
pub use invocation::{HttpRequest, Invocation, What};
pub use observer::{Ended, Observer, WorkerEvent, WorkerInfo, WorkerState};
pub use options::{Limit, Options, VersionSpec};
pub use pool::{LoadedInfo, Pool, PoolStats, Reserve, ReserveError, Slot};
pub use runtime::install_runtime;
pub use wakeful_core::delivery::{Failure, FailureKind};
pub use workers::Workers;
