//! What all requests have in common.

use std::sync::Arc;

use wakeful_core::{
    id::IdSource,
    port::{Clock, Sink, Store},
};

use super::{Detail, body::Memory, once::Turns};
use crate::{live::LiveCell, recorder::Recorder, vault::Vault};

/// What a gateway works with.
pub struct GatewayParts {
    /// What is live.
    pub live: LiveCell,
    /// Where runs are written down.
    pub recorder: Recorder,
    /// Who may call.
    pub vault: Arc<Vault>,
    /// Where ids come from.
    pub ids: Arc<IdSource>,
    /// The clock.
    pub clock: Arc<dyn Clock>,
    /// Where events and asynchronous requests go.
    pub sink: Arc<dyn Sink>,
    /// Where answers are kept for those who ask again.
    pub store: Arc<dyn Store>,
    /// How much of a failure callers are told.
    pub detail: Detail,
}

pub(super) struct Shared {
    pub(super) live: LiveCell,
    pub(super) recorder: Recorder,
    pub(super) vault: Arc<Vault>,
    pub(super) ids: Arc<IdSource>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) sink: Arc<dyn Sink>,
    pub(super) store: Arc<dyn Store>,
    pub(super) detail: Detail,
    /// Bodies that are held whole.
    pub(super) memory: Memory,
    /// Requests with an idempotency key that are being answered.
    pub(super) turns: Turns,
}

impl Shared {
    pub(super) fn new(parts: GatewayParts) -> Self {
        Self {
            live: parts.live,
            recorder: parts.recorder,
            vault: parts.vault,
            ids: parts.ids,
            clock: parts.clock,
            sink: parts.sink,
            store: parts.store,
            detail: parts.detail,
            memory: Memory::new(wakeful_core::limits::INTAKE_BYTES),
            turns: Turns::default(),
        }
    }
}
