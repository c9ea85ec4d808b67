//! Clients of Lambda, brought by pip and npm into a folder below `target`.

use std::{
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

use crate::{brought, support::Server};

/// Under what they are kept.
const WHOSE: &str = "lambda";
/// The versions that are installed where there are none.
const PIP: [&str; 2] = ["boto3==1.43.11", "awscli==1.46.2"];
const NPM: &str = "@aws-sdk/client-lambda@3.1162.0";

/// A program of the virtual environment: `python`, `aws`.
fn pip(program: &str) -> PathBuf {
    brought::pip(WHOSE, &PIP).join(program)
}

/// The folder `node_modules` that holds AWS SDK v3.
pub fn node_modules() -> PathBuf {
    brought::npm(WHOSE, NPM)
}

fn run(command: &mut Command) -> Output {
    let output = command
        .output()
        .unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(
        output.status.success(),
        "{command:?}\n{}\n{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    output
}

/// With nothing in its environment but where the server is, and the project's keys.
fn aimed(mut command: Command, server: &Server<'_>) -> Command {
    let inherited = std::env::vars_os().map(|(name, _)| name);
    for name in inherited.filter(|name| name.to_string_lossy().starts_with("AWS_")) {
        command.env_remove(name);
    }
    command
        .env(
            "AWS_ENDPOINT_URL",
            format!("http://{}", server.address("aws")),
        )
        .env("AWS_ACCESS_KEY_ID", server.address("aws_access_key"))
        .env("AWS_SECRET_ACCESS_KEY", server.address("aws_secret_key"))
        .env("AWS_REGION", "eu-central-1")
        .env("AWS_DEFAULT_REGION", "eu-central-1")
        .env("AWS_CONFIG_FILE", "/dev/null")
        .env("AWS_EC2_METADATA_DISABLED", "true")
        .stdin(Stdio::null());
    command
}

fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/lambda_api")
        .join(name)
}

/// Runs the cases of `boto3_client.py`.
pub fn boto3(server: &Server<'_>) {
    let mut command = Command::new(pip("python"));
    command.arg(script("boto3_client.py"));
    run(&mut aimed(command, server));
}

/// Runs the cases of `sdk_client.js`.
pub fn sdk(server: &Server<'_>) {
    let mut command = Command::new("node");
    command
        .arg(script("sdk_client.js"))
        .env("NODE_PATH", node_modules());
    run(&mut aimed(command, server));
}

/// Runs `aws lambda …`.
pub fn aws(server: &Server<'_>, arguments: &[&str]) -> Output {
    let mut command = Command::new(pip("aws"));
    command.arg("lambda").args(arguments);
    aimed(command, server).output().unwrap()
}
