//! Commands that end: run in a group of their own, with bounded time, stillness and output.

use std::{
    fmt, io,
    os::fd::OwnedFd,
    process::{ExitStatus, Stdio},
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::{
    io::AsyncReadExt,
    net::unix::pipe,
    process::{Child, Command},
    time::{Instant, MissedTickBehavior, interval, timeout_at},
};

use crate::limits;

/// How long a command may take.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    /// For how long it may move and print nothing.
    pub(crate) still: Duration,
    /// How long it may run.
    pub(crate) whole: Duration,
}

impl Bounds {
    /// For `--version` and the like.
    pub(crate) const QUICK: Self = Self {
        still: limits::QUICK_COMMAND,
        whole: limits::QUICK_COMMAND,
    };
    /// For what npm does over the network.
    pub(crate) const NETWORK: Self = Self {
        still: limits::STALL,
        whole: limits::WHOLE_COMMAND,
    };
}

/// A command that ended by itself.
#[derive(Debug)]
pub(crate) struct Finished {
    pub(crate) status: ExitStatus,
    /// Standard output and standard error as they came, one stream.
    pub(crate) output: String,
}

/// A command that did not.
#[derive(Debug)]
pub(crate) enum Unfinished {
    /// It could not be started or watched.
    Start(io::Error),
    /// It was killed, since it was still or took too long.
    Stopped { bound: Bound, output: String },
}

/// The bound at which a command was stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bound {
    /// It moved and printed nothing for this long.
    Still(Duration),
    /// It had not ended after this long.
    Whole(Duration),
}

impl fmt::Display for Bound {
    /// What it did, as the end of a sentence: "moved nothing for 60 s".
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Still(after) => write!(f, "moved nothing for {} s", after.as_secs()),
            Self::Whole(after) => write!(f, "did not end within {} s", after.as_secs()),
        }
    }
}

/// Runs a command to its end. Its whole process group is killed when it exceeds its bounds and
/// when the future is dropped.
pub(crate) async fn run(command: &mut Command, bounds: Bounds) -> Result<Finished, Unfinished> {
    let (mut child, mut reader) = start(command).map_err(Unfinished::Start)?;
    let group = Group::of(&child);
    let mut output = Output::default();
    let mut stillness = Stillness::new(bounds);
    let mut look = interval(limits::LOOK_EVERY);
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut open = true;
    let mut buffer = [0; 16 * 1024];
    let status = loop {
        tokio::select! {
            read = reader.read(&mut buffer), if open => match read {
                Ok(0) | Err(_) => open = false,
                Ok(count) => {
                    output.push(&buffer[..count]);
                    stillness.moved();
                }
            },
            status = child.wait() => break status.map_err(Unfinished::Start)?,
            _ = look.tick() => {
                if let Some(bound) = stillness.exceeded(|| group.bytes_moved()) {
                    group.kill();
                    let _ = child.wait().await;
                    return Err(Unfinished::Stopped { bound, output: output.into_text() });
                }
            }
        }
    };
    let until = Instant::now() + limits::OUTPUT_AFTER_EXIT;
    while open {
        match timeout_at(until, reader.read(&mut buffer)).await {
            Ok(Ok(count)) if count > 0 => output.push(&buffer[..count]),
            _ => open = false,
        }
    }
    Ok(Finished {
        status,
        output: output.into_text(),
    })
}

/// Starts a command with nothing to read and both outputs in one pipe.
fn start(command: &mut Command) -> io::Result<(Child, pipe::Receiver)> {
    let (reader, writer) = io::pipe()?;
    command
        .stdin(Stdio::null())
        .stdout(OwnedFd::from(writer.try_clone()?))
        .stderr(OwnedFd::from(writer))
        .process_group(0)
        .kill_on_drop(true);
    let child = command.spawn();
    // The command holds the writing ends; without them the pipe's end could not be seen.
    command.stdout(Stdio::null()).stderr(Stdio::null());
    Ok((child?, pipe::Receiver::from_owned_fd(reader.into())?))
}

/// The process group of a child that leads it; killed when it is dropped, so that nothing that
/// the child started goes on without us.
struct Group(Option<Pid>);

impl Group {
    fn of(child: &Child) -> Self {
        let id = child.id().and_then(|id| i32::try_from(id).ok());
        Self(id.and_then(Pid::from_raw))
    }

    fn kill(&self) {
        if let Some(group) = self.0 {
            // It fails only when nobody is left in the group, which is what is wanted.
            let _ = kill_process_group(group, Signal::KILL);
        }
    }

    /// Bytes that the group's processes have read and written so far: files, pipes and sockets.
    /// 0 where /proc does not tell.
    fn bytes_moved(&self) -> u64 {
        let (Some(group), Ok(processes)) = (self.0, std::fs::read_dir("/proc")) else {
            return 0;
        };
        processes
            .flatten()
            .map(|process| process.path())
            .filter(|folder| group_of(&folder.join("stat")) == Some(group.as_raw_nonzero().get()))
            .map(|folder| moved_by(&folder.join("io")))
            .sum()
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.kill();
    }
}

/// The process group in `/proc/PID/stat`: the third field after the name in parentheses.
fn group_of(stat: &std::path::Path) -> Option<i32> {
    let text = std::fs::read_to_string(stat).ok()?;
    let (_, rest) = text.rsplit_once(')')?;
    rest.split_ascii_whitespace().nth(2)?.parse().ok()
}

/// `rchar` plus `wchar` of `/proc/PID/io`.
fn moved_by(io: &std::path::Path) -> u64 {
    let text = std::fs::read_to_string(io).unwrap_or_default();
    text.lines()
        .filter_map(|line| {
            line.strip_prefix("rchar: ")
                .or_else(|| line.strip_prefix("wchar: "))
        })
        .filter_map(|count| count.parse::<u64>().ok())
        .sum()
}

/// Notices that a command is stuck.
struct Stillness {
    bounds: Bounds,
    started: Instant,
    last_moved: Instant,
    bytes: u64,
}

impl Stillness {
    fn new(bounds: Bounds) -> Self {
        let now = Instant::now();
        Self {
            bounds,
            started: now,
            last_moved: now,
            bytes: 0,
        }
    }

    fn moved(&mut self) {
        self.last_moved = Instant::now();
    }

    /// The bound that it has reached, if it has.
    fn exceeded(&mut self, bytes: impl FnOnce() -> u64) -> Option<Bound> {
        if self.started.elapsed() >= self.bounds.whole {
            return Some(Bound::Whole(self.bounds.whole));
        }
        let bytes = bytes();
        if bytes != self.bytes {
            self.bytes = bytes;
            self.moved();
        }
        let still = self.last_moved.elapsed() >= self.bounds.still;
        still.then_some(Bound::Still(self.bounds.still))
    }
}

/// What a command printed: of too much, the first and the last half.
#[derive(Default)]
struct Output {
    first: Vec<u8>,
    last: Vec<u8>,
    cut: u64,
}

impl Output {
    const HALF: usize = limits::OUTPUT / 2;

    fn push(&mut self, bytes: &[u8]) {
        let fits = bytes.len().min(Self::HALF - self.first.len());
        self.first.extend_from_slice(&bytes[..fits]);
        self.last.extend_from_slice(&bytes[fits..]);
        // Cutting at twice the size keeps the cost of moving what stays low.
        if self.last.len() > 2 * Self::HALF {
            let over = self.last.len() - Self::HALF;
            self.last.drain(..over);
            self.cut += over as u64;
        }
    }

    fn into_text(self) -> String {
        let mut text = String::from_utf8_lossy(&self.first).into_owned();
        if self.cut > 0 {
            text.push_str(&format!("\n[{} bytes left out]\n", self.cut));
        }
        text.push_str(&String::from_utf8_lossy(&self.last));
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Command {
        let mut command = Command::new("/bin/sh");
        command.arg("-c").arg(script);
        command
    }

    fn bounds(still: u64, whole: u64) -> Bounds {
        Bounds {
            still: Duration::from_millis(still),
            whole: Duration::from_millis(whole),
        }
    }

    #[tokio::test]
    async fn both_outputs_come_in_order_with_the_status() {
        let script = "echo a; echo b >&2; echo c; exit 3";
        let done = run(&mut shell(script), Bounds::QUICK).await.unwrap();
        assert_eq!(done.output, "a\nb\nc\n");
        assert_eq!(done.status.code(), Some(3));
    }

    #[tokio::test]
    async fn what_is_still_is_killed_with_its_children() {
        let folder = tempfile::tempdir().unwrap();
        let pid_file = folder.path().join("pid");
        let script = format!(
            "sleep 1000 & echo $! > {}; echo before; wait",
            pid_file.display()
        );
        let stopped = run(&mut shell(&script), bounds(600, 60_000)).await;
        let Err(Unfinished::Stopped { output, bound }) = stopped else {
            panic!("{stopped:?}");
        };
        assert_eq!(output, "before\n");
        assert_eq!(bound, Bound::Still(Duration::from_millis(600)));
        let pid = std::fs::read_to_string(pid_file).unwrap();
        let until = Instant::now() + Duration::from_secs(10);
        while alive(pid.trim()) {
            assert!(Instant::now() < until, "process {pid} is still there");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Whether a process runs; one that ended and was not waited for yet does not.
    fn alive(pid: &str) -> bool {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        stat.rsplit_once(')')
            .is_some_and(|(_, rest)| !rest.trim_start().starts_with('Z'))
    }

    #[tokio::test]
    async fn what_prints_or_moves_bytes_is_not_still_but_has_an_end() {
        let quiet = "i=0; while [ $i -lt 12 ]; do head -c 1000 /dev/zero > /dev/null; sleep 0.1; i=$((i+1)); done";
        let done = run(&mut shell(quiet), bounds(900, 60_000)).await.unwrap();
        assert!(done.status.success());
        let endless = "while true; do echo x; sleep 0.05; done";
        let stopped = run(&mut shell(endless), bounds(5_000, 700)).await;
        assert!(
            matches!(
                stopped,
                Err(Unfinished::Stopped {
                    bound: Bound::Whole(_),
                    ..
                })
            ),
            "{stopped:?}"
        );
    }

    #[tokio::test]
    async fn of_much_output_the_ends_stay() {
        let script = "echo first; head -c 5000000 /dev/zero | tr '\\0' x; echo; echo last";
        let done = run(&mut shell(script), Bounds::QUICK).await.unwrap();
        assert!(done.output.starts_with("first\nxxx"));
        assert!(done.output.ends_with("xxx\nlast\n"));
        assert!(done.output.contains("bytes left out]"));
        assert!(done.output.len() < 2 * limits::OUTPUT);
    }

    #[tokio::test]
    async fn a_child_that_keeps_the_output_open_is_not_waited_for() {
        let started = Instant::now();
        let mut command = shell("sleep 1000 & echo ended");
        let done = run(&mut command, Bounds::QUICK).await.unwrap();
        assert_eq!(done.output, "ended\n");
        assert!(started.elapsed() < Duration::from_secs(10));
    }

    #[tokio::test]
    async fn a_program_that_is_not_there_says_so() {
        let failed = run(&mut Command::new("/no/such/program"), Bounds::QUICK).await;
        assert!(matches!(failed, Err(Unfinished::Start(_))), "{failed:?}");
    }
}
