//! Starting processes: the one corner with `unsafe`.
//!
//! All workers are started by one thread that lives as long as the pools do, because Linux
//! sends a child its parent-death signal when the *thread* that forked it ends.

use std::{
    env, io,
    os::{
        fd::{AsRawFd, OwnedFd, RawFd},
        unix::{
            net::UnixStream,
            process::{CommandExt, ExitStatusExt},
        },
    },
    path::PathBuf,
    process::{Child, Command, ExitStatus, Stdio},
    sync::mpsc,
    thread,
};

use rustix::process::{Pid, PidfdFlags, Signal};
use tokio::{
    io::{Interest, unix::AsyncFd},
    sync::oneshot,
};

use wakeful_core::limits;

use crate::frame;

/// The file descriptor on which a worker finds its socket.
const SOCKET_FD: RawFd = 3;
/// What a worker inherits of the server's environment. Nothing else: it holds secrets.
const INHERITED: [&str; 5] = ["PATH", "HOME", "LANG", "TZ", "TMPDIR"];

/// What to start.
#[derive(Debug, Clone)]
pub(crate) struct Program {
    pub(crate) node: PathBuf,
    pub(crate) bootstrap: PathBuf,
    /// V8 heap, MiB.
    pub(crate) heap_mib: u64,
    pub(crate) compile_cache: Option<PathBuf>,
}

/// A process that was started, and our ends of what connects us.
pub(crate) struct Spawned {
    pub(crate) process: Process,
    pub(crate) socket: UnixStream,
    pub(crate) stdout: OwnedFd,
    pub(crate) stderr: OwnedFd,
}

type Answer = io::Result<(Child, UnixStream)>;

/// The thread that starts processes; it ends when this is dropped, and its children with it.
pub(crate) struct Spawner {
    orders: mpsc::Sender<(Program, oneshot::Sender<Answer>)>,
}

impl Spawner {
    pub(crate) fn new() -> Self {
        let (orders, inbox) = mpsc::channel::<(Program, oneshot::Sender<Answer>)>();
        let thread = thread::Builder::new()
            .name("wakeful-spawn".into())
            .spawn(move || {
                for (program, answer) in inbox {
                    if let Err(Ok((mut child, _))) = answer.send(start(&program)) {
                        // Nobody waits for it any more. Both calls only fail if it is gone.
                        let _ = child.kill();
                        let _ = child.wait();
                    }
                }
            });
        // Without the thread the channel is closed, and each start says so.
        if let Err(error) = thread {
            tracing::error!("cannot start the thread that starts workers: {error}");
        }
        Self { orders }
    }

    /// Starts a process. Must be awaited within the runtime that shall watch it.
    pub(crate) async fn spawn(&self, program: Program) -> io::Result<Spawned> {
        let (answer, started) = oneshot::channel();
        let gone = || io::Error::other("the thread that starts workers has ended");
        self.orders.send((program, answer)).map_err(|_| gone())?;
        let (mut child, socket) = started.await.map_err(|_| gone())??;
        let pipes = child.stdout.take().zip(child.stderr.take());
        let process = Process::watch(child)?;
        let (stdout, stderr) = pipes.ok_or_else(|| io::Error::other("no pipes"))?;
        Ok(Spawned {
            process,
            socket,
            stdout: stdout.into(),
            stderr: stderr.into(),
        })
    }
}

fn start(program: &Program) -> Answer {
    let (ours, theirs) = UnixStream::pair()?;
    ours.set_nonblocking(true)?;
    let mut command = Command::new(&program.node);
    command
        .arg(format!("--max-old-space-size={}", program.heap_mib))
        .arg(format!(
            "--max-semi-space-size={}",
            semi_space_mib(program.heap_mib)
        ))
        .arg("--inspect-port=127.0.0.1:0")
        .arg(&program.bootstrap)
        .env_clear()
        .envs(
            INHERITED
                .iter()
                .filter_map(|name| Some((name, env::var_os(name)?))),
        )
        .envs(env::vars_os().filter(|(name, _)| name.as_encoded_bytes().starts_with(b"LC_")))
        .env("WAKEFUL_PROTOCOL", frame::PROTOCOL.to_string())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0);
    if let Some(folder) = &program.compile_cache {
        command.env("WAKEFUL_COMPILE_CACHE", folder);
    }
    if let Some(folder) = program.bootstrap.parent() {
        command.current_dir(folder);
    }
    prepare_child(&mut command, theirs.as_raw_fd());
    let child = command.spawn()?;
    Ok((child, ours))
}

fn semi_space_mib(heap_mib: u64) -> u64 {
    let most = limits::MAX_SEMI_SPACE / (1024 * 1024);
    (heap_mib / limits::SEMI_SPACE_SHARE).clamp(1, most)
}

/// Has the child, between fork and exec, bind its life to ours and close what it must not have.
#[expect(
    unsafe_code,
    reason = "what must happen between fork and exec has no safe interface"
)]
fn prepare_child(command: &mut Command, socket: RawFd) {
    let parent = rustix::process::getpid().as_raw_nonzero().get();
    let prepare = move || {
        // SAFETY: between fork and exec only async-signal-safe functions may be called. These
        // are plain system calls on numbers and on a struct on this stack; nothing allocates,
        // locks, or touches memory that another thread of the parent may have been changing.
        // `socket` is open in the child: the parent keeps its `UnixStream` until after spawn.
        unsafe {
            check(libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL))?;
            // The parent may have died before the line above took effect; then nobody would
            // ever send the signal, and our parent is someone else now.
            if libc::getppid() != parent {
                return Err(io::Error::from_raw_os_error(libc::ESRCH));
            }
            let no_core = libc::rlimit {
                rlim_cur: 0,
                rlim_max: 0,
            };
            check(libc::setrlimit(libc::RLIMIT_CORE, &no_core))?;
            if socket == SOCKET_FD {
                check(libc::fcntl(socket, libc::F_SETFD, 0))?;
            } else {
                check(libc::dup2(socket, SOCKET_FD))?;
            }
            // Marked close-on-exec rather than closed: the standard library still needs its own
            // pipe to report a failing exec. Kernels before 5.11 lack the flag; there we rely
            // on every descriptor having been opened close-on-exec, as Rust does.
            libc::syscall(
                libc::SYS_close_range,
                SOCKET_FD + 1,
                u32::MAX,
                libc::CLOSE_RANGE_CLOEXEC,
            );
        }
        Ok(())
    };
    // SAFETY: the closure keeps to what is allowed between fork and exec; see inside.
    unsafe {
        command.pre_exec(prepare);
    }
}

#[expect(
    unsafe_code,
    reason = "only the owner of a descriptor can promise what is asked for"
)]
fn readiness(fd: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    // SAFETY: an `OwnedFd` is open, stays the same descriptor for as long as it lives, and is
    // owned by the `AsyncFd` from here on.
    let registered = unsafe { AsyncFd::register_with_interest(fd, Interest::READABLE) };
    registered.map_err(io::Error::from)
}

fn check(result: libc::c_int) -> io::Result<()> {
    if result == -1 {
        Err(io::Error::last_os_error())
    } else {
        Ok(())
    }
}

/// A child process that is watched through a descriptor, so that its id cannot be mistaken for
/// another process's. Dropping it ends its whole group.
pub(crate) struct Process {
    child: Child,
    pid: Pid,
    watch: AsyncFd<OwnedFd>,
    reaped: bool,
}

impl Process {
    fn watch(mut child: Child) -> io::Result<Self> {
        let watched = i32::try_from(child.id())
            .ok()
            .and_then(Pid::from_raw)
            .ok_or_else(|| io::Error::other("a process without an id"))
            .and_then(|pid| {
                let fd = rustix::process::pidfd_open(pid, PidfdFlags::NONBLOCK)?;
                Ok((pid, readiness(fd)?))
            });
        match watched {
            Ok((pid, watch)) => Ok(Self {
                child,
                pid,
                watch,
                reaped: false,
            }),
            Err(error) => {
                // It cannot be supervised, so it must not live; both only fail if it is gone.
                let _ = child.kill();
                let _ = child.wait();
                Err(error)
            }
        }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.pid.as_raw_nonzero().get().unsigned_abs()
    }

    /// Sends a signal to the process.
    pub(crate) fn signal(&self, signal: Signal) {
        if !self.reaped {
            // Fails only if it has ended, which is what we want.
            let _ = rustix::process::pidfd_send_signal(&self.watch, signal);
        }
    }

    /// Sends a signal to the process and all that it started and that stayed in its group.
    pub(crate) fn signal_group(&self, signal: Signal) {
        if !self.reaped {
            // The id is not given to another process before this one is reaped.
            let _ = rustix::process::kill_process_group(self.pid, signal);
        }
    }

    /// Waits until the process has ended. Cancel-safe.
    pub(crate) async fn ended(&self) {
        // An error of the watch is taken for an end: `reap` then makes sure of it.
        let _ = self.watch.readable().await;
    }

    /// Ends what is left of its group and takes the exit status.
    pub(crate) fn reap(&mut self) -> ExitStatus {
        self.signal_group(Signal::KILL);
        let status = self.child.wait();
        self.reaped = true;
        status.unwrap_or_else(|_| ExitStatus::from_raw(libc::SIGKILL))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if !self.reaped {
            self.reap();
        }
    }
}
