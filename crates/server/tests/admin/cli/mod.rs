//! The binary, against a server of this process.

mod calls;
mod inputs;
mod keep;
mod runs;
mod tools;

use std::{
    io::Write,
    path::Path,
    process::{Command, Output, Stdio},
};

use serde_json::Value;
use wakeful_server::addresses::{ADDRESSES_FILE, AddressFile};

use crate::rig::Rig;

/// The binary in a folder, with nothing of this process's surroundings that it looks at.
pub fn wakeful(here: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_wakeful"));
    command.current_dir(here).args(args).env("TZ", "UTC");
    for variable in [
        "WAKEFUL_ADMIN",
        "WAKEFUL_KEY",
        "WAKEFUL_DATA",
        "WAKEFUL_MASTER_KEY",
    ] {
        command.env_remove(variable);
    }
    command.stdin(Stdio::null());
    command
}

/// A server and a project folder that knows it.
pub struct Scene {
    pub rig: Rig,
    project: tempfile::TempDir,
}

impl Scene {
    pub async fn new() -> Self {
        let rig = Rig::new();
        let address = rig.listen().await;
        let project = tempfile::tempdir().unwrap();
        let data = project.path().join(".wakeful");
        std::fs::create_dir(&data).unwrap();
        let file = AddressFile {
            http: address,
            admin: address,
            aws: address,
            admin_key: rig.key.clone(),
            aws_access_key: "a".into(),
            aws_secret_key: "s".into(),
            pid: std::process::id(),
        };
        file.write(&data.join(ADDRESSES_FILE)).unwrap();
        Self { rig, project }
    }

    pub fn here(&self) -> &Path {
        self.project.path()
    }

    /// Runs a command that gets `input`; what it printed.
    pub async fn run_with(&self, args: &[&str], input: &'static [u8]) -> Output {
        let mut command = wakeful(self.here(), args);
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let run = move || {
            let mut child = command.spawn().unwrap();
            // It may end without reading.
            let _ = child.stdin.take().unwrap().write_all(input);
            child.wait_with_output().unwrap()
        };
        tokio::task::spawn_blocking(run).await.unwrap()
    }

    /// What a command that succeeds prints.
    pub async fn run(&self, args: &[&str]) -> String {
        let output = self.run_with(args, b"").await;
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{args:?}: {errors}");
        String::from_utf8(output.stdout).unwrap()
    }

    pub async fn json(&self, args: &[&str]) -> Value {
        let text = self.run(&[args, &["--json"]].concat()).await;
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{args:?}: {error}: {text}"))
    }

    /// The exit code of a command, and what it says on standard error.
    pub async fn fail(&self, args: &[&str]) -> (i32, String) {
        let output = self.run_with(args, b"").await;
        let errors = String::from_utf8(output.stderr).unwrap();
        (output.status.code().unwrap(), errors)
    }
}
