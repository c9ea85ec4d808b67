//! Change capture, for every engine: what is watched, what is reported, and the service that runs.

mod report;
mod service;
mod watched;

pub use report::{Observer, Report, Trouble};
pub use service::{Capture, CaptureHandle, CaptureOptions, withdraw};
pub use watched::{Kinds, Watched, watched};
