use crate::time::Timestamp;

/// The time of day. Injected everywhere, so that a simulation can move it.
pub trait Clock: Send + Sync + 'static {
    /// Now. It may go back when the machine's clock is set.
    fn now(&self) -> Timestamp;
}
