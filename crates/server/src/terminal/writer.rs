//! Writing to a terminal that may be slow, or stopped with Ctrl-S: nobody waits for it.

use std::{
    io::{self, Write},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    thread,
    time::Duration,
};

/// Texts that may wait for the terminal; further ones are dropped, and their number is told.
const WAITING: usize = 10_000;
/// How long the end of the program waits for what is still to be written.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// Hands texts to a thread that writes them to standard output. Cheap to clone.
#[derive(Clone)]
pub(super) struct Writer {
    texts: SyncSender<Item>,
    dropped: Arc<AtomicU64>,
}

enum Item {
    Text(String),
    /// Everything before this was written: the other side is told.
    Flush(SyncSender<()>),
}

impl Writer {
    pub(super) fn new() -> Self {
        let (texts, waiting) = sync_channel(WAITING);
        let dropped = Arc::new(AtomicU64::new(0));
        let lost = Arc::clone(&dropped);
        // Without a thread the texts are dropped; serving goes on.
        let _ = thread::Builder::new()
            .name("wakeful-terminal".into())
            .spawn(move || write_all(&waiting, &lost));
        Self { texts, dropped }
    }

    pub(super) fn write(&self, text: String) {
        if self.texts.try_send(Item::Text(text)).is_err() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Waits, for a while, until all that was handed in is written.
    pub(super) fn flush(&self) {
        let (done, written) = sync_channel(1);
        if self.texts.try_send(Item::Flush(done)).is_ok() {
            let _ = written.recv_timeout(LAST_WORDS);
        }
    }
}

fn write_all(waiting: &Receiver<Item>, dropped: &AtomicU64) {
    let mut out = io::stdout();
    while let Ok(item) = waiting.recv() {
        match item {
            // That nobody reads is no reason to stop serving.
            Item::Text(text) => drop(writeln!(out, "{text}").and_then(|()| out.flush())),
            Item::Flush(done) => drop(done.try_send(())),
        }
        let lost = dropped.swap(0, Ordering::Relaxed);
        if lost > 0 {
            let _ = writeln!(out, "… {lost} lines more than the terminal took");
        }
    }
}
