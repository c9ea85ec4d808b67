//! The socket to a worker: one task that writes, one that reads. What comes alone is written
//! without the detour over the task.

use std::{io, sync::Arc};

use bytes::{Buf, BytesMut};
use tokio::{
    io::AsyncReadExt,
    net::unix::{OwnedReadHalf, OwnedWriteHalf},
};

use crate::{
    frame,
    receive::Violation,
    worker::{Desk, Worker},
};

/// What is read at once at most.
const READ: usize = 64 * 1024;
/// A buffer that has grown beyond this is given back when it is empty.
const KEPT: usize = 1024 * 1024;

/// So many attempts in a row must have come alone until the next one is written at once.
const LONE: u8 = 2;

impl Desk {
    /// Writes what waits without the writer, as far as the socket takes it. Only while the
    /// writer sleeps, and attempts come one by one: the writer's one system call for all that
    /// come together is cheaper.
    pub(crate) fn write_if_alone(&mut self) {
        if !self.writer_sleeps || self.lone_starts < LONE || self.out.is_empty() {
            return;
        }
        let Some(socket) = &self.socket else { return };
        // A broken socket is the writer's to find.
        match socket.try_write(&self.out) {
            Ok(count) if count == self.out.len() => self.out.clear(),
            Ok(count) => self.out.advance(count),
            Err(_) => {}
        }
    }
}

/// Writes what gathers on the desk, all of it at once, until the socket breaks.
pub(crate) async fn write(worker: Arc<Worker>, socket: OwnedWriteHalf) {
    let socket = Arc::new(socket);
    worker.desk.lock().socket = Some(Arc::clone(&socket));
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
        if write_all(&socket, &sending).await.is_err() {
            return;
        }
        sending.clear();
        worker.drained.notify_waiters();
        if sending.capacity() > KEPT {
            sending = BytesMut::with_capacity(READ);
        }
    }
}

async fn write_all(socket: &OwnedWriteHalf, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match socket.try_write(bytes) {
            Ok(count) => bytes = &bytes[count..],
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => socket.writable().await?,
            Err(error) => return Err(error),
        }
    }
    Ok(())
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
