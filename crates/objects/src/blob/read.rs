//! From blobs to a body: one stretch in memory at a time, files opened as they are needed.

use std::{
    collections::VecDeque,
    fs::File,
    io,
    ops::Range,
    os::unix::fs::FileExt,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::{Bytes, BytesMut};
use futures::Stream;
use tokio::task::JoinHandle;
use wakeful_core::{
    limits::OBJECT_CHUNK,
    port::{BlobId, BlobPart},
};

use super::{Pinned, disk};
use crate::error::ObjectError;

/// The bytes of an object, or of a range of it. Ends with an error when the disk fails or a file
/// is shorter than the index says. Keeps its blobs from being removed while it lives.
#[derive(Debug)]
pub struct BlobStream {
    key: String,
    pinned: Pinned,
    pieces: VecDeque<Piece>,
    state: Reading,
    remaining: u64,
}

/// A stretch of one blob.
#[derive(Debug)]
struct Piece {
    blob: BlobId,
    range: Range<u64>,
    file: Option<File>,
}

#[derive(Debug)]
enum Reading {
    /// Read and not yet handed on.
    Ready(Bytes),
    /// On its way from the disk.
    Running(JoinHandle<Result<(Piece, Bytes), ReadError>>),
    Idle,
}

#[derive(Debug)]
enum ReadError {
    Short,
    Missing,
    Disk(io::Error),
}

/// Why a stream could not be begun.
pub(crate) enum BeginError {
    /// The first blob is not there (any more).
    Missing,
    Failed(ObjectError),
}

impl BlobStream {
    /// Begins to read `range` of an object that consists of `parts`: the first stretch is read
    /// before this returns, so that what cannot be read is known before any header is sent.
    pub(crate) async fn begin(
        key: String,
        pinned: Pinned,
        parts: &[BlobPart],
        range: Range<u64>,
    ) -> Result<Self, BeginError> {
        let mut stream = Self {
            key,
            pinned,
            remaining: range.end - range.start,
            pieces: pieces(parts, range),
            state: Reading::Idle,
        };
        if let Some(task) = stream.start() {
            match task
                .await
                .unwrap_or_else(|_| Err(ReadError::Disk(io::ErrorKind::Interrupted.into())))
            {
                Ok((piece, bytes)) => {
                    stream.put_back(piece);
                    stream.state = Reading::Ready(bytes);
                }
                Err(ReadError::Missing) => return Err(BeginError::Missing),
                Err(error) => return Err(BeginError::Failed(stream.failed(error))),
            }
        }
        Ok(stream)
    }

    /// Bytes still to come.
    pub fn remaining(&self) -> u64 {
        self.remaining
    }

    fn start(&mut self) -> Option<JoinHandle<Result<(Piece, Bytes), ReadError>>> {
        let mut piece = self.pieces.pop_front()?;
        let path = self.pinned.folder().path(piece.blob);
        Some(tokio::task::spawn_blocking(move || {
            let file = match piece.file.take() {
                Some(file) => file,
                None => File::open(&path).map_err(ReadError::from)?,
            };
            let length = (piece.range.end - piece.range.start).min(OBJECT_CHUNK as u64);
            let mut bytes = BytesMut::zeroed(usize::try_from(length).unwrap_or(OBJECT_CHUNK));
            file.read_exact_at(&mut bytes, piece.range.start)
                .map_err(ReadError::from)?;
            piece.range.start += length;
            piece.file = Some(file);
            Ok((piece, bytes.freeze()))
        }))
    }

    fn put_back(&mut self, piece: Piece) {
        if !piece.range.is_empty() {
            self.pieces.push_front(piece);
        }
    }

    fn failed(&mut self, error: ReadError) -> ObjectError {
        self.pieces.clear();
        self.state = Reading::Idle;
        let damaged = |what: &str| ObjectError::Damaged {
            key: self.key.clone(),
            what: what.to_owned(),
        };
        match error {
            ReadError::Short => damaged("a file is shorter than the index says"),
            ReadError::Missing => damaged("a file is missing"),
            ReadError::Disk(cause) => disk("reading", &self.pinned.folder().0.root, cause),
        }
    }
}

impl Stream for BlobStream {
    type Item = Result<Bytes, ObjectError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        loop {
            match std::mem::replace(&mut this.state, Reading::Idle) {
                Reading::Ready(bytes) => {
                    this.remaining = this.remaining.saturating_sub(bytes.len() as u64);
                    return Poll::Ready(Some(Ok(bytes)));
                }
                Reading::Idle => match this.start() {
                    Some(task) => this.state = Reading::Running(task),
                    None => return Poll::Ready(None),
                },
                Reading::Running(mut task) => {
                    let Poll::Ready(done) = Pin::new(&mut task).poll(cx) else {
                        this.state = Reading::Running(task);
                        return Poll::Pending;
                    };
                    match done
                        .unwrap_or_else(|_| Err(ReadError::Disk(io::ErrorKind::Interrupted.into())))
                    {
                        Ok((piece, bytes)) => {
                            this.put_back(piece);
                            this.state = Reading::Ready(bytes);
                        }
                        Err(error) => return Poll::Ready(Some(Err(this.failed(error)))),
                    }
                }
            }
        }
    }
}

impl From<io::Error> for ReadError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::NotFound => Self::Missing,
            io::ErrorKind::UnexpectedEof => Self::Short,
            _ => Self::Disk(error),
        }
    }
}

/// The stretches of blobs that make up `range` of the whole.
fn pieces(parts: &[BlobPart], range: Range<u64>) -> VecDeque<Piece> {
    let mut before = 0;
    let mut pieces = VecDeque::new();
    for part in parts {
        let start = range.start.clamp(before, before + part.size) - before;
        let end = range.end.clamp(before, before + part.size) - before;
        if start < end {
            pieces.push_back(Piece {
                blob: part.blob,
                range: start..end,
                file: None,
            });
        }
        before += part.size;
    }
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_falls_on_the_blobs_it_touches() {
        let parts = [(1, 10), (2, 0), (3, 5)].map(|(id, size)| BlobPart {
            blob: BlobId(id),
            size,
        });
        let of = |range| -> Vec<_> {
            pieces(&parts, range)
                .into_iter()
                .map(|piece| (piece.blob.0, piece.range))
                .collect()
        };
        assert_eq!(of(0..15), [(1, 0..10), (3, 0..5)]);
        assert_eq!(of(9..11), [(1, 9..10), (3, 0..1)]);
        assert_eq!(of(10..12), [(3, 0..2)]);
        assert_eq!(of(3..4), [(1, 3..4)]);
        assert_eq!(of(0..0), []);
    }
}
