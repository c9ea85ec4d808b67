//! The socket to a worker: one task that writes, one that reads.

use std::sync::Arc;

use bytes::BytesMut;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::unix::{OwnedReadHalf, OwnedWriteHalf},
};

use crate::{frame, receive::Violation, worker::Worker};

/// What is read at once at most.
const READ: usize = 64 * 1024;
/// A buffer that has grown beyond this is given back when it is empty.
const KEPT: usize = 1024 * 1024;

/// Writes what gathers on the desk, all of it at once, until the socket breaks.
pub(crate) async fn write(worker: Arc<Worker>, mut socket: OwnedWriteHalf) {
    let mut sending = BytesMut::with_capacity(READ);
    loop {
        let sleep = {
            let mut desk = worker.desk.lock();
            let empty = desk.out.is_empty();
            desk.writer_sleeps = empty;
            if !empty {
                std::mem::swap(&mut desk.out, &mut sending);
            }
            empty
        };
        if sleep {
            worker.writer.notified().await;
            // Others that are ready in this turn of the runtime add theirs first: one system
            // call for all of them.
            tokio::task::yield_now().await;
            continue;
        }
        // A worker whose socket is broken has ended or is about to; its supervisor sees to it.
        if socket.write_all(&sending).await.is_err() {
            return;
        }
        sending.clear();
        worker.drained.notify_waiters();
        if sending.capacity() > KEPT {
            sending = BytesMut::with_capacity(READ);
        }
    }
}

/// Reads and takes frames until the worker closes its side (`Ok`) or breaks the protocol.
pub(crate) async fn read(worker: &Arc<Worker>, mut socket: OwnedReadHalf) -> Result<(), Violation> {
    let mut buffer = BytesMut::with_capacity(READ);
    loop {
        // Bodies that were split off keep the memory they lie in: a new piece of memory is only
        // begun when the old one is used up, so that small frames share it.
        if buffer.capacity() - buffer.len() < READ / 4 {
            buffer.reserve(READ);
        }
        match socket.read_buf(&mut buffer).await {
            Ok(0) | Err(_) => return Ok(()),
            Ok(_) => {
                while let Some(frame) = frame::next(&mut buffer)? {
                    worker.receive(frame)?;
                }
            }
        }
    }
}
