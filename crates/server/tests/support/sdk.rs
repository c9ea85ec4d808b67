//! The official SDKs of CloudEvents, brought by npm and pip into a folder below `target`.

use std::{
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::mpsc,
    time::Duration,
};

use serde_json::Value;

/// Longer than anything here takes on a busy machine; only a failing test waits this long.
const PATIENCE: Duration = Duration::from_secs(60);

/// The versions that are installed where there are none.
const NPM: &str = "cloudevents@10.0.0";
const PIP: &str = "cloudevents==2.2.0";

/// One of the SDKs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sdk {
    /// npm `cloudevents`.
    JavaScript,
    /// pip `cloudevents`.
    Python,
}

impl Sdk {
    /// A program of ours with the SDK at hand: `client` or `server` in `tests/cloudevents`.
    pub fn program(self, name: &str) -> Command {
        let programs = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cloudevents");
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("cloudevents");
        std::fs::create_dir_all(&folder).unwrap();
        match self {
            Self::JavaScript => {
                let modules = npm(&folder);
                let mut command = Command::new("node");
                command.arg(programs.join(format!("{name}.js")));
                command.env("NODE_PATH", modules);
                command
            }
            Self::Python => {
                let mut command = Command::new(python(&folder));
                command.arg(programs.join(format!("{name}.py")));
                command
            }
        }
    }
}

fn npm(folder: &Path) -> PathBuf {
    let folder = folder.join("npm");
    let modules = folder.join("node_modules");
    if !modules.join("cloudevents/package.json").exists() {
        std::fs::create_dir_all(&folder).unwrap();
        let mut install = Command::new("npm");
        install.args(["install", "--no-audit", "--no-fund", "--ignore-scripts"]);
        run(install.args(["--prefix"]).arg(&folder).arg(NPM));
    }
    modules
}

fn python(folder: &Path) -> PathBuf {
    let venv = folder.join("pip");
    let python = venv.join("bin/python");
    let mut check = Command::new(&python);
    check.args(["-c", "import cloudevents.core"]);
    check.stdout(Stdio::null()).stderr(Stdio::null());
    if !check.status().is_ok_and(|status| status.success()) {
        run(Command::new("python3").args(["-m", "venv"]).arg(&venv));
        run(Command::new(&python).args(["-m", "pip", "install", "--quiet", PIP]));
    }
    python
}

fn run(command: &mut Command) {
    let output = command
        .output()
        .unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(output.status.success(), "{command:?}: {output:?}");
}

/// A server that takes events in with an SDK.
pub struct Receiver {
    child: Child,
    lines: mpsc::Receiver<String>,
    port: String,
}

impl Receiver {
    /// Starts it, and waits until it listens.
    pub fn start(sdk: Sdk) -> Self {
        let mut child = sdk
            .program("server")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        let (sender, lines) = mpsc::channel();
        std::thread::spawn(move || {
            for line in output.lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        let port = lines.recv_timeout(PATIENCE).unwrap();
        Self { child, lines, port }
    }

    /// Its address.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}/in", self.port)
    }

    /// The next event that it took in: `{mode, event}`.
    pub fn next(&self) -> Value {
        let line = self.lines.recv_timeout(PATIENCE).unwrap();
        let value: Value = serde_json::from_str(&line).unwrap();
        assert!(value["error"].is_null(), "the SDK refused: {line}");
        value
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
