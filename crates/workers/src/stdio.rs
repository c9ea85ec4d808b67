//! Standard output and standard error of a worker: lines that belong to it as a whole.

use std::{
    collections::VecDeque,
    os::fd::OwnedFd,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use bytes::{Buf, BytesMut};
use parking_lot::Mutex;
use tokio::{io::AsyncReadExt, net::unix::pipe, sync::Notify};
use wakeful_core::{
    limits,
    run::{LogLevel, LogLine, LogStream},
};

use crate::worker::Worker;

/// What is read at once.
const READ: usize = 16 * 1024;
/// Lines of standard error that are kept for the account of a worker's end.
const KEPT_LINES: usize = 20;
/// Bytes of each of them.
const KEPT_BYTES: usize = 400;
const CUT: &str = " … (line cut)";

/// What a worker wrote to standard error last, and what of it concerns us.
#[derive(Default)]
pub(crate) struct LastWords {
    lines: Mutex<VecDeque<String>>,
    out_of_memory: AtomicBool,
    inspector: Mutex<Option<String>>,
    inspector_up: Notify,
}

impl LastWords {
    /// Whether V8 said that its heap is full.
    pub(crate) fn tell_of_full_heap(&self) -> bool {
        self.out_of_memory.load(Ordering::Relaxed)
    }

    /// The last lines, for people.
    pub(crate) fn text(&self) -> String {
        let lines = self.lines.lock();
        lines
            .iter()
            .map(String::as_str)
            .collect::<Vec<_>>()
            .join("\n")
    }

    /// Waits for the address at which V8's inspector listens.
    pub(crate) async fn inspector(&self) -> String {
        loop {
            let up = self.inspector_up.notified();
            if let Some(address) = self.inspector.lock().clone() {
                return address;
            }
            up.await;
        }
    }

    /// Notes a line; says whether it is the user's.
    fn note(&self, line: &str) -> bool {
        if let Some(address) = line.strip_prefix("Debugger listening on ") {
            *self.inspector.lock() = Some(address.trim().to_owned());
            self.inspector_up.notify_waiters();
            return false;
        }
        if self.inspector.lock().is_some()
            && (line.starts_with("For help, see: https://nodejs.org")
                || line.starts_with("Debugger attached")
                || line.starts_with("Debugger ending on "))
        {
            return false;
        }
        if line.contains("heap out of memory") {
            self.out_of_memory.store(true, Ordering::Relaxed);
        }
        let mut lines = self.lines.lock();
        if lines.len() == KEPT_LINES {
            lines.pop_front();
        }
        lines.push_back(line.chars().take(KEPT_BYTES).collect());
        true
    }
}

/// Reads one of the two pipes to its end.
pub(crate) async fn read(worker: Arc<Worker>, fd: OwnedFd, from: LogStream) {
    let Ok(mut pipe) = pipe::Receiver::from_owned_fd(fd) else {
        tracing::error!(worker = worker.pid, "the output of a worker cannot be read");
        return;
    };
    let mut lines = Lines::default();
    loop {
        // Only what has room is filled, and by itself the buffer makes very little.
        lines.buffer.reserve(READ);
        // An error of a pipe is its end.
        let Ok(1..) = pipe.read_buf(&mut lines.buffer).await else {
            break;
        };
        while let Some(line) = lines.next() {
            emit(&worker, from, line);
        }
    }
    if let Some(line) = lines.rest() {
        emit(&worker, from, line);
    }
}

fn emit(worker: &Worker, from: LogStream, text: String) {
    let level = match from {
        LogStream::Stderr => {
            if !worker.last_words.note(&text) {
                return;
            }
            LogLevel::Error
        }
        LogStream::Stdout | LogStream::Console => LogLevel::Info,
    };
    let Some(pool) = worker.pool() else {
        tracing::warn!(worker = worker.pid, "a blank worker says: {text}");
        return;
    };
    let line = LogLine {
        at: worker.shared.options.clock.now(),
        function: pool.spec.function.clone(),
        run: None,
        attempt: None,
        worker: worker.pid,
        level,
        stream: from,
        text,
        fields: None,
    };
    worker.shared.observer.log(&pool.spec.scope, line);
}

/// Cuts a stream of bytes into lines of bounded length.
#[derive(Default)]
struct Lines {
    buffer: BytesMut,
    /// The line was given out, cut; its rest is thrown away.
    skipping: bool,
}

impl Lines {
    fn next(&mut self) -> Option<String> {
        loop {
            let end = self.buffer.iter().position(|byte| *byte == b'\n');
            match end {
                Some(end) => {
                    let line = self.buffer.split_to(end);
                    self.buffer.advance(1);
                    if !std::mem::take(&mut self.skipping) {
                        return Some(cut_line(line.strip_suffix(b"\r").unwrap_or(&line)));
                    }
                }
                None if self.skipping => {
                    self.buffer.clear();
                    return None;
                }
                None if self.buffer.len() > limits::MAX_LOG_LINE => {
                    self.skipping = true;
                    return Some(cut_line(&self.buffer.split()));
                }
                None => return None,
            }
        }
    }

    /// What stands after the last line end.
    fn rest(mut self) -> Option<String> {
        let rest = self.buffer.split();
        (!rest.is_empty() && !self.skipping).then(|| cut_line(&rest))
    }
}

/// A line as text of bounded length.
pub(crate) fn cut_line(bytes: &[u8]) -> String {
    if bytes.len() <= limits::MAX_LOG_LINE {
        return String::from_utf8_lossy(bytes).into_owned();
    }
    let kept = &bytes[..limits::MAX_LOG_LINE - CUT.len()];
    // A character cut in two is left out.
    let whole = match std::str::from_utf8(kept) {
        Err(error) if error.error_len().is_none() => &kept[..error.valid_up_to()],
        _ => kept,
    };
    String::from_utf8_lossy(whole).into_owned() + CUT
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn lines_of(text: &[u8], piece: usize) -> Vec<String> {
        let mut lines = Lines::default();
        let mut seen = Vec::new();
        for piece in text.chunks(piece) {
            lines.buffer.extend_from_slice(piece);
            seen.extend(std::iter::from_fn(|| lines.next()));
        }
        seen.extend(lines.rest());
        seen
    }

    proptest! {
        #[test]
        fn lines_come_out_as_they_went_in(
            lines in proptest::collection::vec("[a-zä ]{0,20}", 0..20),
            piece in 1usize..50,
        ) {
            let text = lines.iter().map(|line| format!("{line}\n")).collect::<String>();
            prop_assert_eq!(lines_of(text.as_bytes(), piece), lines);
        }
    }

    #[test]
    fn an_endless_line_is_cut_and_the_next_one_is_whole() {
        let text = format!("{}\nnext\r\nlast", "ä".repeat(limits::MAX_LOG_LINE));
        let lines = lines_of(text.as_bytes(), 7000);
        assert_eq!(lines.len(), 3);
        assert!(lines[0].ends_with(CUT) && lines[0].len() <= limits::MAX_LOG_LINE);
        assert!(!lines[0].contains('\u{fffd}'));
        assert_eq!(lines[1..], ["next", "last"]);
    }

    #[test]
    fn words_that_concern_us_are_heard() {
        let words = LastWords::default();
        assert!(words.note("For help, see: https://nodejs.org/ is what the user wrote"));
        assert!(!words.note("Debugger listening on ws://127.0.0.1:1/x"));
        assert!(!words.note("For help, see: https://nodejs.org/en/docs/inspector"));
        assert!(!words.tell_of_full_heap());
        assert!(words.note("FATAL ERROR: Reached heap limit - JavaScript heap out of memory"));
        assert!(words.tell_of_full_heap() && words.text().contains("FATAL"));
    }
}
