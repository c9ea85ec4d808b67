//! What happened, line by line, and how often each thing happened.

use std::{collections::BTreeMap, fmt};

/// The course of one simulation. Its text is kept only when somebody wants to read it; its
/// fingerprint always is.
#[derive(Debug)]
pub struct Trace {
    text: Option<String>,
    line: String,
    fingerprint: u64,
    lines: u64,
    counts: BTreeMap<&'static str, u64>,
}

impl Trace {
    pub(crate) fn new(keep: bool) -> Self {
        Self {
            text: keep.then(String::new),
            line: String::new(),
            fingerprint: 0xcbf2_9ce4_8422_2325,
            lines: 0,
            counts: BTreeMap::new(),
        }
    }

    /// One more line, at `at` milliseconds.
    pub(crate) fn write(&mut self, at: i64, what: fmt::Arguments<'_>) {
        use fmt::Write as _;
        self.line.clear();
        // Writing to a string does not fail.
        let _ = writeln!(self.line, "{at:>9} {what}");
        for byte in self.line.bytes() {
            self.fingerprint = (self.fingerprint ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
        self.lines += 1;
        if let Some(text) = &mut self.text {
            text.push_str(&self.line);
        }
    }

    /// One more of something.
    pub(crate) fn count(&mut self, what: &'static str) {
        *self.counts.entry(what).or_default() += 1;
    }

    /// The lines, if they were kept.
    pub fn text(&self) -> &str {
        self.text.as_deref().unwrap_or_default()
    }

    /// FNV-1a over all lines.
    pub const fn fingerprint(&self) -> u64 {
        self.fingerprint
    }

    /// How many lines there are.
    pub const fn lines(&self) -> u64 {
        self.lines
    }

    /// How often each thing happened.
    pub const fn counts(&self) -> &BTreeMap<&'static str, u64> {
        &self.counts
    }
}
