//! How many attempts a second go through one worker: `throughput [SECONDS] [AT_ONCE]`.
//! Build it with `--release` for figures that mean something.

use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use wakeful_core::{
    id::RunId,
    name::{FunctionName, Scope},
    port::Clock,
    project::Style,
    run::LogLine,
    time::Timestamp,
};
use wakeful_workers::{
    Body, Host, HostCall, HostError, HostErrorCode, HostFuture, HttpRequest, Invocation, Limit,
    Observer, Options, Pool, Reserve, VersionSpec, What, WorkerEvent, Workers, install_runtime,
};

struct Nothing;

#[expect(clippy::disallowed_methods, reason = "a clock of its own")]
impl Clock for Nothing {
    fn now(&self) -> Timestamp {
        let since = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        Timestamp::from_millis(since.as_millis() as i64)
    }
}

impl Host for Nothing {
    fn call(&self, _call: HostCall) -> HostFuture {
        let error = HostError {
            code: HostErrorCode::Denied,
            message: "there is no host".into(),
        };
        Box::pin(async move { Err(error) })
    }

    fn ended(&self, _: &Scope, _: &FunctionName, _: RunId, _: u32) {}
}

impl Observer for Nothing {
    fn log(&self, _: &Scope, line: LogLine) {
        println!("{}", line.text);
    }

    fn worker(&self, _: WorkerEvent) {}
}

fn request(n: i64) -> Invocation {
    Invocation {
        run: RunId::from_raw(n),
        attempt: 1,
        handler: 0,
        timeout: None,
        what: What::Http(HttpRequest {
            method: http::Method::GET,
            target: http::uri::PathAndQuery::from_static("/hello"),
            remote: "127.0.0.1".into(),
            params: Vec::new(),
            headers: http::HeaderMap::from_iter([(
                http::header::HOST,
                http::HeaderValue::from_static("localhost:8080"),
            )]),
            body: Body::empty(),
        }),
    }
}

async fn caller(pool: Pool, until: Instant) -> u64 {
    let mut done = 0;
    while Instant::now() < until {
        let place = match pool.try_reserve() {
            Some(place) => place,
            None => pool.reserve(Reserve::Shared).await.expect("a place"),
        };
        let mut call = place.start(request(done as i64 + 1));
        let response = call.response().await.expect("an answer");
        assert_eq!(response.status, 200);
        done += 1;
    }
    done
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> std::io::Result<()> {
    let number = |at| std::env::args().nth(at).and_then(|text| text.parse().ok());
    let seconds: u64 = number(1).unwrap_or(3);
    let at_once: u64 = number(2).unwrap_or(32);
    let folder = tempfile::tempdir()?;
    let entry = folder.path().join("index.js");
    std::fs::write(
        &entry,
        "exports.hello = (req, res) => { res.json({ message: 'hello' }); };",
    )?;
    let options = Options::new(install_runtime(folder.path())?, Arc::new(Nothing));
    let workers = Workers::new(options, Arc::new(Nothing), Arc::new(Nothing));
    let name = |text: &str| text.parse().expect("a plain name");
    let pool = workers.pool(VersionSpec {
        scope: Scope {
            project: "bench".parse().expect("a plain name"),
            environment: "dev".parse().expect("a plain name"),
        },
        function: name("hello"),
        version: "v1".into(),
        node: std::env::var_os("NODE").map_or_else(|| "node".into(), PathBuf::from),
        entry,
        root: folder.path().into(),
        shown_root: folder.path().into(),
        style: Some(Style::Native),
        handlers: vec![Some("hello".parse().expect("an identifier"))],
        env: BTreeMap::new(),
        timeout: Duration::from_secs(10),
        memory: 256 << 20,
        body_limit: 6 << 20,
        limit: Limit::new(1000),
        per_worker: None,
        scale_down_after: Duration::from_secs(60),
        max_waiting: 1000,
    });
    let asked = Instant::now();
    pool.load().await.expect("the code loads");
    println!("loaded in {:?}", asked.elapsed());
    let started = Instant::now();
    let until = started + Duration::from_secs(seconds);
    let callers: Vec<_> = (0..at_once)
        .map(|_| tokio::spawn(caller(pool.clone(), until)))
        .collect();
    let mut done = 0;
    for caller in callers {
        done += caller.await?;
    }
    let rate = done as f64 / started.elapsed().as_secs_f64();
    println!(
        "{rate:.0} attempts/s, {at_once} at once, {} workers",
        pool.stats().serving
    );
    workers.shutdown(Duration::from_secs(1)).await;
    Ok(())
}
