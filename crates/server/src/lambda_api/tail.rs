//! The end of the log of one invocation, as Lambda's `Tail` has it.

use base64::prelude::{BASE64_STANDARD, Engine};
use wakeful_core::{
    run::{LogLevel, LogLine},
    time::Timestamp,
};
use wakeful_store::{History, LogsQuery};
use wakeful_workers::Workers;

use super::{answer::request_id, invoke::Outcome};

/// What is handed out, bytes: Lambda's limit.
const MAX_TAIL: usize = 4 * 1024;
/// Lines that may be part of it.
const MAX_LINES: usize = 512;
const MIB: u64 = 1024 * 1024;

/// Where the log of an invocation is found.
pub(super) struct Tail<'a> {
    pub(super) history: &'a History,
    pub(super) workers: &'a Workers,
    pub(super) now: Timestamp,
}

impl Tail<'_> {
    /// The last 4 KiB, as base64.
    pub(super) async fn of(&self, outcome: &Outcome) -> String {
        let id = request_id(outcome.run.raw());
        let mut text = format!("START RequestId: {id} Version: {}\n", outcome.version.id);
        for line in self.lines(outcome).await {
            text.push_str(&shown(&line, &id));
        }
        if let Some(error) = outcome.error() {
            let now = self.now;
            text.push_str(&format!("{now}\t{id}\tERROR\tInvoke Error \t{error}\n"));
        }
        text.push_str(&format!("END RequestId: {id}\n"));
        text.push_str(&self.report(outcome, &id));
        BASE64_STANDARD.encode(end_of(&text))
    }

    /// Without a history there are no lines; that is no reason for the invocation to fail.
    async fn lines(&self, outcome: &Outcome) -> Vec<LogLine> {
        let _ = self.history.flush().await;
        let query = LogsQuery {
            run: Some(outcome.run),
            limit: MAX_LINES,
            ..LogsQuery::default()
        };
        let rows = self.history.logs(query).await.unwrap_or_default();
        rows.into_iter().map(|row| row.line).collect()
    }

    fn report(&self, outcome: &Outcome, id: &str) -> String {
        let took = outcome.took.as_secs_f64() * 1000.0;
        let memory = outcome.version.function.memory / MIB;
        let mut report = format!(
            "REPORT RequestId: {id}\tDuration: {took:.2} ms\tBilled Duration: {} ms\tMemory Size: \
             {memory} MB",
            took.ceil()
        );
        let workers = outcome
            .worker
            .map(|worker| (worker, self.workers.snapshot()));
        let used = workers.and_then(|(worker, all)| {
            let found = all.into_iter().find(|one| one.pid == worker.pid)?;
            (found.rss > 0).then_some(found.rss / MIB)
        });
        if let Some(used) = used {
            report.push_str(&format!("\tMax Memory Used: {used} MB"));
        }
        report + "\t\n"
    }
}

/// A line as Lambda's Node runtime writes it.
fn shown(line: &LogLine, id: &str) -> String {
    let level = match line.level {
        LogLevel::Debug => "DEBUG",
        LogLevel::Info => "INFO",
        LogLevel::Warn => "WARN",
        LogLevel::Error => "ERROR",
    };
    let (at, text) = (line.at, &line.text);
    match &line.fields {
        Some(fields) => format!("{at}\t{id}\t{level}\t{text} {fields}\n"),
        None => format!("{at}\t{id}\t{level}\t{text}\n"),
    }
}

/// The last `MAX_TAIL` bytes, from a whole character on.
fn end_of(text: &str) -> &str {
    let mut from = text.len().saturating_sub(MAX_TAIL);
    while !text.is_char_boundary(from) {
        from += 1;
    }
    &text[from..]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_begins_with_a_whole_character() {
        assert_eq!(end_of("short"), "short");
        let long = "ä".repeat(MAX_TAIL) + "z";
        let end = end_of(&long);
        assert!(end.len() <= MAX_TAIL && end.len() > MAX_TAIL - 2);
        assert!(end.starts_with('ä') && end.ends_with('z'));
    }
}
