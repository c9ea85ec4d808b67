//! Bodies of requests as they come in: bounded in size, in time, and all together in memory.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use http::HeaderMap;
use http_body_util::BodyExt;
use hyper::body::{Body as _, Incoming};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout,
};
use wakeful_core::limits;

use super::Refusal;

/// What the memory for bodies is counted in, bytes.
const GRAIN: usize = 16 * 1024;

/// The memory that bodies may take which are held whole: those of events, of asynchronous
/// requests, and of requests with an idempotency key. Cheap to clone.
#[derive(Clone)]
pub struct Memory(Arc<Semaphore>);

/// A body that was read whole, and its share of the memory.
pub struct Held {
    /// All of it.
    pub bytes: Bytes,
    _share: Option<OwnedSemaphorePermit>,
}

impl Memory {
    /// So many bytes.
    pub fn new(bytes: usize) -> Self {
        Self(Arc::new(Semaphore::new(bytes / GRAIN)))
    }

    /// Reads a body of at most `most` bytes; `too_large` says what its sender hears of a larger one.
    /// Its share grows with what has come, not with what was announced: announcing is free.
    pub async fn read(
        &self,
        headers: &HeaderMap,
        body: Incoming,
        most: u64,
        too_large: fn(u64) -> Refusal,
    ) -> Result<Held, Refusal> {
        if length(headers).is_some_and(|announced| announced > most) {
            linger(headers, body);
            return Err(too_large(most));
        }
        match timeout(limits::BODY_TOTAL, self.gather(body, most, too_large)).await {
            Ok(gathered) => gathered,
            Err(_) => Err(Refusal::BodyTimeout),
        }
    }

    async fn gather(
        &self,
        mut body: Incoming,
        most: u64,
        too_large: fn(u64) -> Refusal,
    ) -> Result<Held, Refusal> {
        let (mut share, mut read) = (None, BytesMut::new());
        while let Some(piece) = next_piece(&mut body).await {
            let piece = piece.map_err(Refusal::from)?;
            let size = read.len() + piece.len();
            let refusal = match size as u64 > most {
                true => Some(too_large(most)),
                false => (!self.grow(&mut share, size)).then_some(Refusal::Busy),
            };
            if let Some(refusal) = refusal {
                tokio::spawn(drain(body));
                return Err(refusal);
            }
            read.extend_from_slice(&piece);
        }
        Ok(Held {
            bytes: read.freeze(),
            _share: share,
        })
    }

    /// Sees to it that a share is enough for so many bytes.
    fn grow(&self, share: &mut Option<OwnedSemaphorePermit>, bytes: usize) -> bool {
        let have = share.as_ref().map_or(0, OwnedSemaphorePermit::num_permits);
        let need = bytes.div_ceil(GRAIN);
        let Ok(more) = u32::try_from(need.saturating_sub(have)) else {
            return false;
        };
        if more == 0 {
            return true;
        }
        let Ok(more) = Arc::clone(&self.0).try_acquire_many_owned(more) else {
            return false;
        };
        match share {
            Some(share) => share.merge(more),
            None => *share = Some(more),
        }
        true
    }
}

/// The `content-length` of a request.
pub(super) fn length(headers: &HeaderMap) -> Option<u64> {
    let value = headers.get(http::header::CONTENT_LENGTH)?;
    value.to_str().ok()?.parse().ok()
}

impl From<Broken> for Refusal {
    fn from(broken: Broken) -> Self {
        match broken {
            Broken::Idle => Self::BodyTimeout,
            Broken::Off(_) => Self::BrokenBody,
        }
    }
}

/// A small body, whole. Each piece of it must come within `limits::BODY_IDLE`.
pub(super) async fn whole(mut body: Incoming) -> Result<Bytes, Refusal> {
    let mut first: Option<Bytes> = None;
    let mut more = BytesMut::new();
    while let Some(piece) = next_piece(&mut body).await {
        let piece = piece.map_err(Refusal::from)?;
        match first.take() {
            None if more.is_empty() => first = Some(piece),
            None => more.extend_from_slice(&piece),
            Some(begin) => {
                more.extend_from_slice(&begin);
                more.extend_from_slice(&piece);
            }
        }
    }
    Ok(first.unwrap_or_else(|| more.freeze()))
}

/// Why a body did not go on.
pub(super) enum Broken {
    Idle,
    Off(hyper::Error),
}

/// The next piece of a body; `None` at its end. Trailers are passed over.
pub(super) async fn next_piece(body: &mut Incoming) -> Option<Result<Bytes, Broken>> {
    loop {
        return match timeout(limits::BODY_IDLE, body.frame()).await {
            Err(_) => Some(Err(Broken::Idle)),
            Ok(None) => None,
            Ok(Some(Err(error))) => Some(Err(Broken::Off(error))),
            Ok(Some(Ok(frame))) => match frame.into_data() {
                Ok(piece) => Some(Ok(piece)),
                Err(_) => continue,
            },
        };
    }
}

/// Reads on for a while what a client sends of a body that nobody wants: a client that is still
/// sending when the connection closes loses the answer (RFC 9112 §9.6). One that waits for
/// `100 Continue` has not begun.
pub fn linger(headers: &HeaderMap, body: Incoming) {
    if !body.is_end_stream() && !headers.contains_key(http::header::EXPECT) {
        tokio::spawn(drain(body));
    }
}

pub(super) async fn drain(mut body: Incoming) {
    let read = async {
        let mut left = limits::LINGER_BYTES;
        while let Some(Ok(frame)) = body.frame().await {
            let length = frame.data_ref().map_or(0, |piece| piece.len() as u64);
            left = left.saturating_sub(length);
            if left == 0 {
                return;
            }
        }
    };
    let _ = timeout(limits::LINGER, read).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_share_a_bounded_memory() {
        let memory = Memory::new(4 * GRAIN);
        let (mut first, mut second) = (None, None);
        assert!(memory.grow(&mut first, 0) && first.is_none());
        assert!(memory.grow(&mut first, GRAIN + 1));
        assert!(memory.grow(&mut first, 2 * GRAIN));
        assert!(memory.grow(&mut second, 2 * GRAIN));
        assert!(!memory.grow(&mut first, 2 * GRAIN + 1));
        assert!(!memory.grow(&mut second, usize::MAX));
        drop(second);
        assert!(memory.grow(&mut first, 4 * GRAIN));
        assert!(!memory.grow(&mut first, 4 * GRAIN + 1));
    }
}
