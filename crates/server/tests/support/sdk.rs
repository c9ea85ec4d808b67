//! The official SDKs of CloudEvents, brought by npm and pip into a folder below `target`.

use std::{
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::mpsc,
    time::Duration,
};

use serde_json::Value;

use super::brought;

/// Longer than anything here takes on a busy machine; only a failing test waits this long.
const PATIENCE: Duration = Duration::from_secs(60);

/// Under what they are kept.
const WHOSE: &str = "cloudevents";
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
        match self {
            Self::JavaScript => {
                let modules = brought::npm(WHOSE, NPM);
                let mut command = Command::new("node");
                command.arg(programs.join(format!("{name}.js")));
                command.env("NODE_PATH", modules);
                command
            }
            Self::Python => {
                let mut command = Command::new(brought::pip(WHOSE, &[PIP]).join("python"));
                command.arg(programs.join(format!("{name}.py")));
                command
            }
        }
    }
}

/// A server that takes events in with an SDK.
pub struct Receiver {
    child: Child,
    lines: mpsc::Receiver<String>,
    address: String,
}

impl Receiver {
    /// Starts it, and waits until it listens.
    pub fn start(sdk: Sdk) -> Self {
        Self::spawn(sdk.program("server"), "http")
    }

    /// One that refuses the first few.
    pub fn refusing(first: u32) -> Self {
        let mut program = Sdk::JavaScript.program("server");
        program.env("REFUSE", first.to_string());
        Self::spawn(program, "http")
    }

    /// One that speaks TLS; its certificate, which nobody else trusts, is written to `folder`.
    pub fn secure(folder: &Path) -> (Self, PathBuf) {
        let (key, cert) = (folder.join("key.pem"), folder.join("cert.pem"));
        brought::run(
            Command::new("openssl")
                .args(["req", "-x509", "-newkey", "ec", "-nodes", "-days", "2"])
                .args([
                    "-pkeyopt",
                    "ec_paramgen_curve:prime256v1",
                    "-subj",
                    "/CN=test",
                ])
                .args(["-addext", "subjectAltName=IP:127.0.0.1"])
                .args(["-addext", "basicConstraints=critical,CA:FALSE"])
                .arg("-keyout")
                .arg(&key)
                .arg("-out")
                .arg(&cert),
        );
        let mut program = Sdk::JavaScript.program("server");
        program.env("KEY", &key).env("CERT", &cert);
        (Self::spawn(program, "https"), cert)
    }

    fn spawn(mut program: Command, scheme: &str) -> Self {
        let mut child = program
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
        Self {
            child,
            lines,
            address: format!("{scheme}://127.0.0.1:{port}/in"),
        }
    }

    /// Its address.
    pub fn url(&self) -> String {
        self.address.clone()
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
