//! Where outcomes of deliveries go.

mod outcome;

pub use outcome::{Told, outcome_event};

/// Sends an event to an address.
///
/// # Errors
/// When it did not arrive.
pub async fn send(
    _url: &str,
    _structured: bool,
    _event: &wakeful_core::event::Event,
    _timeout: std::time::Duration,
) -> Result<(), wakeful_core::delivery::Failure> {
    let kind = wakeful_core::delivery::FailureKind::NotStarted;
    Err(wakeful_core::delivery::Failure::ours(
        kind,
        "sending is not there yet",
    ))
}
