//! The threads that read, each with a connection of its own.

use std::{
    collections::VecDeque,
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
    sync::Arc,
    thread::JoinHandle,
};

use parking_lot::{Condvar, Mutex};
use rusqlite::Connection;
use tokio::sync::{Semaphore, oneshot};
use wakeful_core::{limits, port::StoreError};

use super::{fault::Fault, names::Names, schema};

/// What one thread reads with.
#[derive(Debug)]
pub(super) struct Reader {
    pub(super) conn: Connection,
    pub(super) names: Names,
}

type Read = Box<dyn FnOnce(&mut Reader) + Send>;

#[derive(Default)]
struct Queue {
    waiting: VecDeque<Read>,
    closed: bool,
}

struct Shared {
    queue: Mutex<Queue>,
    filled: Condvar,
    room: Semaphore,
}

/// The pool of readers.
pub(super) struct Readers {
    shared: Arc<Shared>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

impl Readers {
    /// Starts the threads on `file`.
    pub(super) fn start(file: &Path) -> Result<Self, Fault> {
        let readers = Self {
            shared: Arc::new(Shared {
                queue: Mutex::default(),
                filled: Condvar::new(),
                room: Semaphore::new(limits::STORE_READ_QUEUE),
            }),
            threads: Mutex::default(),
        };
        for number in 0..limits::STORE_READERS {
            let conn = schema::open_reader(file)?;
            let shared = Arc::clone(&readers.shared);
            let thread = std::thread::Builder::new()
                .name(format!("store-read-{number}"))
                .spawn(move || work(&shared, conn))
                .map_err(|error| Fault::Other(format!("a thread to read with: {error}")))?;
            readers.threads.lock().push(thread);
        }
        Ok(readers)
    }

    /// Runs `read` on one of the threads.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        read: impl FnOnce(&mut Reader) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let _room = self
            .shared
            .room
            .acquire()
            .await
            .map_err(|_| StoreError::Closed)?;
        let (reply, answer) = oneshot::channel();
        {
            let mut queue = self.shared.queue.lock();
            if queue.closed {
                return Err(StoreError::Closed);
            }
            queue.waiting.push_back(Box::new(move |reader| {
                // Whoever asked may have gone meanwhile.
                if !reply.is_closed() {
                    let answer = catch_unwind(AssertUnwindSafe(|| read(&mut *reader)));
                    let _ = reply.send(answer.unwrap_or_else(|_| {
                        // The thread lives on; what it has learnt may be half learnt.
                        reader.names = Names::default();
                        Err(StoreError::Failed("a read panicked".to_owned()))
                    }));
                }
            }));
        }
        self.shared.filled.notify_one();
        answer.await.map_err(|_| StoreError::Closed)?
    }

    /// Lets the threads finish what waits, and joins them.
    pub(super) fn close(&self) {
        self.shared.queue.lock().closed = true;
        self.shared.filled.notify_all();
        for thread in self.threads.lock().drain(..) {
            if thread.join().is_err() {
                tracing::error!("a thread that read the store panicked");
            }
        }
    }
}

fn work(shared: &Shared, conn: Connection) {
    let mut reader = Reader {
        conn,
        names: Names::default(),
    };
    while let Some(read) = next(shared) {
        read(&mut reader);
    }
}

fn next(shared: &Shared) -> Option<Read> {
    let mut queue = shared.queue.lock();
    loop {
        if let Some(read) = queue.waiting.pop_front() {
            return Some(read);
        }
        if queue.closed {
            return None;
        }
        shared.filled.wait(&mut queue);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_read_that_panics_costs_no_thread() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join(schema::FILE);
        drop(schema::open_writer(&file).unwrap());
        let readers = Readers::start(&file).unwrap();
        for _ in 0..=limits::STORE_READERS {
            let read = readers.run(|_| -> Result<(), _> { panic!("as the test wants it") });
            let answer = read.await;
            assert!(matches!(answer, Err(StoreError::Failed(_))), "{answer:?}");
        }
        assert!(matches!(readers.run(|_| Ok(7)).await, Ok(7)));
        readers.close();
    }
}
