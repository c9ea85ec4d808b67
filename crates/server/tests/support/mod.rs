//! The real binary on free ports, with its state and a copy of a project in a temporary folder.
#![allow(dead_code, reason = "each test file uses its own part of this")]

use std::{
    fs,
    io::Read,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Output, Stdio},
    time::{Duration, Instant},
};

use serde_json::Value;

/// Longer than anything here takes on a busy machine; only a failing test waits this long.
const PATIENCE: Duration = Duration::from_secs(60);
/// A first start may fetch Node and install packages.
const START: Duration = Duration::from_secs(300);

/// The binary under test.
pub const WAKEFUL: &str = env!("CARGO_BIN_EXE_wakeful");

/// The repository's root.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../..")
        .canonicalize()
        .unwrap()
}

/// A project in a temporary folder.
pub struct Project {
    folder: tempfile::TempDir,
}

impl Project {
    /// With these files, by path.
    pub fn of(files: &[(&str, &str)]) -> Self {
        let project = Self {
            folder: tempfile::tempdir().unwrap(),
        };
        fs::create_dir(project.path()).unwrap();
        for (path, text) in files {
            project.write(path, text);
        }
        project
    }

    /// A copy of an example, without what running it there has left behind.
    pub fn example(name: &str) -> Self {
        let project = Self {
            folder: tempfile::tempdir().unwrap(),
        };
        copy(&root().join("examples").join(name), &project.path());
        project
    }

    /// Its folder.
    pub fn path(&self) -> PathBuf {
        self.folder.path().join("project")
    }

    /// Writes a file of it, whole.
    pub fn write(&self, path: &str, text: &str) {
        let path = self.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// Starts `wakeful dev` and waits until it is ready.
    pub fn dev(&self) -> Server<'_> {
        self.start("dev", &[])
    }

    /// Starts `wakeful serve` and waits until it is ready.
    pub fn serve(&self) -> Server<'_> {
        self.start("serve", &[])
    }

    /// Starts `wakeful dev` with a further environment variable and waits until it is ready.
    pub fn dev_with(&self, name: &str, value: &Path) -> Server<'_> {
        let mut server = self.launch_with("dev", &[], &[(name, value)]);
        server.wait_until_ready();
        server
    }

    /// Starts a server with further arguments and waits until it is ready.
    pub fn start(&self, command: &str, arguments: &[&str]) -> Server<'_> {
        let mut server = self.launch(command, arguments);
        server.wait_until_ready();
        server
    }

    /// Starts a server without waiting.
    pub fn launch(&self, command: &str, arguments: &[&str]) -> Server<'_> {
        self.launch_with(command, arguments, &[])
    }

    fn launch_with(
        &self,
        command: &str,
        arguments: &[&str],
        variables: &[(&str, &Path)],
    ) -> Server<'_> {
        let addresses = self.folder.path().join("addresses.json");
        let _ = fs::remove_file(&addresses);
        let output = fs::File::options()
            .create(true)
            .append(true)
            .open(self.folder.path().join("output"))
            .unwrap();
        let mut process = Command::new(WAKEFUL);
        process
            .arg(command)
            .arg(self.path())
            .arg("--addr-file")
            .arg(&addresses)
            .args(arguments)
            .envs(variables.iter().copied());
        for listener in ["--http", "--admin", "--aws"] {
            if !arguments.contains(&listener) {
                process.args([listener, "127.0.0.1:0"]);
            }
        }
        let child = process
            .stdin(Stdio::null())
            .stdout(output.try_clone().unwrap())
            .stderr(output)
            .spawn()
            .unwrap();
        Server {
            project: self,
            child,
            addresses: Value::Null,
        }
    }

    /// What its functions have written into the file `seen`, a JSON document a line.
    pub fn seen(&self) -> Vec<Value> {
        let text = fs::read_to_string(self.path().join("seen")).unwrap_or_default();
        let lines = text.lines();
        lines
            .filter_map(|line| serde_json::from_str(line).ok())
            .collect()
    }

    /// All that servers of this project have printed.
    pub fn output(&self) -> String {
        fs::read_to_string(self.folder.path().join("output")).unwrap_or_default()
    }
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name();
        if ["node_modules", ".wakeful", "data"]
            .iter()
            .any(|left| name == *left)
        {
            continue;
        }
        match entry.file_type().unwrap().is_dir() {
            true => copy(&entry.path(), &to.join(name)),
            false => drop(fs::copy(entry.path(), to.join(name)).unwrap()),
        }
    }
}

/// A running server; ended when dropped.
pub struct Server<'a> {
    project: &'a Project,
    child: Child,
    addresses: Value,
}

impl Server<'_> {
    fn wait_until_ready(&mut self) {
        let file = self.project.folder.path().join("addresses.json");
        let began = Instant::now();
        loop {
            if let Ok(text) = fs::read_to_string(&file) {
                self.addresses = serde_json::from_str(&text).unwrap();
                return;
            }
            let ended = self.child.try_wait().unwrap();
            assert!(
                ended.is_none(),
                "it ended ({ended:?}): {}",
                self.project.output()
            );
            assert!(
                began.elapsed() < START,
                "it is not ready: {}",
                self.project.output()
            );
            pause();
        }
    }

    /// One of `http`, `admin`, `aws`, `admin_key`, `aws_access_key`, `aws_secret_key`.
    pub fn address(&self, what: &str) -> &str {
        self.addresses[what].as_str().unwrap()
    }

    /// Waits until the server has ended by itself.
    pub fn wait(&mut self) -> ExitStatus {
        self.child.wait().unwrap()
    }

    /// The server's process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Runs another command of the binary against this server.
    pub fn cli(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    /// Starts another command of the binary against this server.
    pub fn spawn(&self, arguments: &[&str]) -> Child {
        let mut command = self.command(arguments);
        command.stdout(Stdio::null()).stderr(Stdio::null());
        command.spawn().unwrap()
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(WAKEFUL);
        command
            .args(arguments)
            .current_dir(self.project.path())
            .env("WAKEFUL_ADMIN", format!("http://{}", self.address("admin")))
            .env("WAKEFUL_KEY", self.address("admin_key"))
            .stdin(Stdio::null());
        command
    }

    /// The same, as JSON; fails when the command does.
    pub fn json(&self, arguments: &[&str]) -> Value {
        let mut arguments = arguments.to_vec();
        arguments.push("--json");
        let output = self.cli(&arguments);
        assert!(output.status.success(), "{arguments:?}: {output:?}");
        serde_json::from_slice(&output.stdout)
            .unwrap_or_else(|_| panic!("{arguments:?}: {output:?}"))
    }

    /// Runs curl against the functions' listener: the status and the body.
    pub fn curl(&self, path: &str, arguments: &[&str]) -> (u16, String) {
        let output = Command::new("curl")
            .args([
                "--silent",
                "--show-error",
                "--max-time",
                "60",
                "--write-out",
                "\n%{http_code}",
            ])
            .args(arguments)
            .arg(format!("http://{}{path}", self.address("http")))
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let (body, status) = text.rsplit_once('\n').unwrap_or(("", "0"));
        assert!(status != "000" && !status.is_empty(), "{path}: {output:?}");
        (status.parse().unwrap_or(0), body.to_owned())
    }

    /// The same, with the header fields of the answer.
    pub fn ask(&self, path: &str, arguments: &[&str]) -> Answer {
        let output = self.asking(path, arguments).output().unwrap();
        Answer::of(&output)
    }

    /// Starts curl against the functions' listener; `Answer::of` reads what it prints.
    pub fn asking(&self, path: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new("curl");
        command
            .args(["--silent", "--show-error", "--include", "--max-time", "60"])
            .args(arguments)
            .arg(format!("http://{}{path}", self.address("http")));
        command
    }

    /// The runs of a function in a state, newest first.
    pub fn runs(&self, function: &str, state: &str) -> Vec<Value> {
        let listed = self.json(&[
            "runs",
            "--function",
            function,
            "--state",
            state,
            "--limit",
            "1000",
        ]);
        let runs = if listed.is_array() {
            listed
        } else {
            listed["runs"].clone()
        };
        runs.as_array().cloned().unwrap_or_default()
    }

    /// Waits until something holds.
    pub fn until<T>(&self, what: &str, mut holds: impl FnMut() -> Option<T>) -> T {
        let began = Instant::now();
        loop {
            if let Some(value) = holds() {
                return value;
            }
            assert!(
                began.elapsed() < PATIENCE,
                "not in time: {what}\n{}",
                self.project.output()
            );
            pause();
        }
    }

    /// Sends a signal to the server and waits until it is gone.
    pub fn end(mut self, signal: &str) -> ExitStatus {
        self.signal(signal);
        let began = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(
                began.elapsed() < PATIENCE,
                "it does not end: {}",
                self.project.output()
            );
            pause();
        }
    }

    /// Sends a signal to the server.
    pub fn signal(&self, signal: &str) {
        let status = Command::new("kill")
            .args([signal, &self.pid().to_string()])
            .status()
            .unwrap();
        assert!(status.success());
    }

    /// Its worker processes.
    pub fn children(&self) -> Vec<u32> {
        children_of(self.pid())
    }
}

impl Drop for Server<'_> {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What curl was answered.
#[derive(Debug)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// Header fields, with names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: String,
}

impl Answer {
    /// From what `curl --include` printed.
    pub fn of(output: &Output) -> Self {
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let mut rest = text.as_str();
        loop {
            let Some((head, body)) = rest.split_once("\r\n\r\n") else {
                panic!("no answer: {output:?}");
            };
            let mut lines = head.split("\r\n");
            let status = lines.next().and_then(|line| line.split(' ').nth(1));
            let status: u16 = status.and_then(|status| status.parse().ok()).unwrap();
            if status < 200 {
                rest = body;
                continue;
            }
            let field = |line: &str| {
                let (name, value) = line.split_once(':').unwrap();
                (name.to_lowercase(), value.trim().to_owned())
            };
            return Self {
                status,
                headers: lines.map(field).collect(),
                body: body.to_owned(),
            };
        }
    }

    /// A header field; empty when it is not there.
    pub fn header(&self, name: &str) -> &str {
        let mut fields = self.headers.iter();
        let found = fields.find(|(found, _)| found == name);
        found.map_or("", |(_, value)| value)
    }

    /// The body as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|_| panic!("no JSON: {self:?}"))
    }

    /// The `code` of an error of ours.
    pub fn code(&self) -> String {
        self.json()["error"]["code"]
            .as_str()
            .unwrap_or_default()
            .to_owned()
    }
}

/// The processes whose parent is `pid`.
pub fn children_of(pid: u32) -> Vec<u32> {
    let processes = fs::read_dir("/proc").unwrap().flatten();
    let ids = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    ids.filter(|id| {
        let mut status = String::new();
        let file = fs::File::open(format!("/proc/{id}/status"));
        let read = file.and_then(|mut file| file.read_to_string(&mut status));
        read.is_ok() && status.lines().any(|line| line == format!("PPid:\t{pid}"))
    })
    .collect()
}

/// Whether a process is there (and not only waiting to be reaped).
pub fn is_alive(pid: u32) -> bool {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    !status.is_empty() && !status.contains("State:\tZ")
}

/// A short breath between two looks at a condition.
fn pause() {
    std::thread::sleep(Duration::from_millis(10));
}
