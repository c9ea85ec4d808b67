//! How long and how much, each with its reason.

use std::time::Duration;

/// `node --version` and the like: 25 to 70 ms when idle; this allows for a cold, busy disk.
pub(crate) const QUICK_COMMAND: Duration = Duration::from_secs(15);
/// A command that neither reads, writes nor prints for this long is taken for stuck. Longer than
/// npm's waits between its tries (below), so that npm's own error comes first.
pub(crate) const STALL: Duration = Duration::from_secs(60);
/// No fetch or install takes longer than this, whatever it moves: 53 MB at 30 KB/s.
pub(crate) const WHOLE_COMMAND: Duration = Duration::from_secs(30 * 60);
/// How long to wait for another process that installs into the same folder.
pub(crate) const OTHER_INSTALL: Duration = Duration::from_secs(30 * 60);
/// How often a running command is looked at, and a lock is tried again.
pub(crate) const LOOK_EVERY: Duration = Duration::from_millis(250);
/// How long a command's children may hold its output open after it ended.
pub(crate) const OUTPUT_AFTER_EXIT: Duration = Duration::from_secs(1);
/// Output of one command that is kept, bytes; of more, the first and the last half stay.
pub(crate) const OUTPUT: usize = 1024 * 1024;
/// Files in one package that we unpack: npm itself has 1,944.
pub(crate) const UNPACKED_FILES: usize = 20_000;
/// Bytes of one package that we unpack: Node has 127 MB.
pub(crate) const UNPACKED_BYTES: u64 = 512 * 1024 * 1024;
/// Work folders of fetches that were killed are removed when they are this old.
pub(crate) const STALE_WORK: Duration = Duration::from_secs(24 * 3600);
/// npm's tries after the first, and the waits before them, milliseconds: its defaults (10 s, then
/// 60 s) leave a person without a network waiting for over a minute.
pub(crate) const NPM_RETRIES: [&str; 3] = [
    "--fetch-retries=2",
    "--fetch-retry-mintimeout=1000",
    "--fetch-retry-maxtimeout=5000",
];
