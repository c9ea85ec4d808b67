//! The S3 side as boto3 sees it: the endpoint in this process, the cases in
//! `boto3_conformance.py`.

mod support;

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::Arc,
};

use parking_lot::Mutex;
use tokio::net::TcpListener;
use wakeful_core::{name::BucketName, project::Level};
use wakeful_objects::{Credential, Credentials, Grant, S3, serve};

use support::{World, bucket, other};

/// The version that is installed where there is none.
const BOTO3: &str = "boto3==1.43.11";

/// A key for each kind of right.
#[derive(Default)]
struct Keys {
    reported: Mutex<Vec<String>>,
}

impl Credentials for Keys {
    fn lookup(&self, access_key: &str) -> Option<Credential> {
        let grant = match access_key {
            "admin" => Grant::All,
            "reader" => Grant::Buckets([(bucket(), Level::Read)].into()),
            "writer" => Grant::Buckets([(other(), Level::Write)].into()),
            "lenient" => Grant::Buckets([].into()),
            _ => return None,
        };
        Some(Credential {
            secret: format!("{access_key}-secret"),
            grant,
        })
    }

    fn undeclared(&self, access_key: &str, bucket: &BucketName, level: Level) -> bool {
        let lenient = access_key == "lenient";
        if lenient {
            self.reported
                .lock()
                .push(format!("{access_key} {bucket} {level:?}"));
        }
        lenient
    }
}

/// A Python that can import boto3: the one on PATH, or one of our own below `target`.
fn python() -> PathBuf {
    let can_import = |python: &Path| {
        let mut command = Command::new(python);
        command
            .args(["-c", "import boto3"])
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        command.status().is_ok_and(|status| status.success())
    };
    let on_path = PathBuf::from("python3");
    if can_import(&on_path) {
        return on_path;
    }
    let venv = Path::new(env!("CARGO_TARGET_TMPDIR")).join("boto3");
    let own = venv.join("bin/python");
    if !can_import(&own) {
        run(Command::new("python3").args(["-m", "venv"]).arg(&venv));
        run(Command::new(&own).args(["-m", "pip", "install", "--quiet", BOTO3]));
    }
    own
}

fn run(command: &mut Command) {
    let output = command
        .output()
        .unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let text = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}\n{text}\n{errors}");
    println!("{text}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[expect(
    clippy::disallowed_methods,
    reason = "the client and the server share the machine's clock"
)]
async fn boto3_finds_what_it_expects_of_s3() {
    let world = World::durable();
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap();
    world.clock.set(now.as_millis().try_into().unwrap());
    let keys = Arc::new(Keys::default());
    let s3 = S3::new(world.buckets.clone(), keys.clone());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let server = tokio::spawn(serve(listener, s3, async {
        let _ = stopped.await;
    }));

    let conformance = tokio::task::spawn_blocking(move || {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/boto3_conformance.py");
        let cases: Vec<String> = std::env::var("BOTO3_CASES")
            .map(|cases| cases.split_whitespace().map(str::to_owned).collect())
            .unwrap_or_default();
        run(Command::new(python())
            .arg(script)
            .args(cases)
            .env("S3_ENDPOINT", format!("http://{address}"))
            .env_remove("AWS_PROFILE")
            .env("AWS_CONFIG_FILE", "/dev/null")
            .env("AWS_EC2_METADATA_DISABLED", "true"));
    });
    conformance.await.unwrap();

    let events = world.events();
    let of = |key: &str| -> Vec<&'static str> {
        events
            .iter()
            .filter(|event| event.subject == key)
            .map(|event| event.verb)
            .collect()
    };
    assert_eq!(of("events/life"), ["created", "changed", "removed"]);
    assert!(of("events/never").is_empty());
    assert_eq!(of("rules"), ["created"]);
    assert_eq!(*keys.reported.lock(), ["lenient photos Write"]);

    stop.send(()).unwrap();
    server.await.unwrap();
    world.buckets.close().await;
    let visible = world.visible_blobs().await;
    assert_eq!(
        world.blob_count(),
        visible,
        "every blob on disk belongs to an object or a part"
    );
}
