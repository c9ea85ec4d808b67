//! HTTP endpoints of the real binary, with curl as the client.

mod support;

use support::Project;

const MANIFEST: &str = r#"
name = "endpoints"

[function.books]
auth = "none"
timeout = "2s"

[function.books.routes]
"GET /books/{id}" = "get"
"PUT /books/{id}" = "put"
"GET /files/{*path}" = "file"
"GET /fails" = "fails"
"GET /throws-late" = "throwsLate"
"GET /hangs" = "hangs"
"GET /exits" = "exits"
"GET /nothing" = "nothing"
"POST /echo" = "echo"
"POST /count" = "count"
"GET /stream" = "stream"
"GET /sized" = "sized"
"GET /slow" = "slow"
"GET /flood" = "flood"
"GET /written" = "written"

[function.private]
code = "functions/private.js"
auth = "key"

[function.private.routes]
"GET /private" = "page"
"#;

const BOOKS: &str = r#"
exports.get = (req, res) => res.json({ id: req.params.id, q: req.query.q, agent: req.get('user-agent') });
exports.put = (req, res) => res.status(201).set('Location', req.path).json(req.body);
exports.file = (req, res) => res.send(req.params.path);
exports.fails = () => { throw new TypeError('no such thing'); };
exports.throwsLate = async () => { await null; throw new Error('late'); };
exports.hangs = () => new Promise(() => setInterval(() => {}, 1000));
exports.exits = () => process.exit(3);
exports.nothing = (req, res) => res.status(204).end();
exports.echo = async (req, res) => { res.type('application/octet-stream'); req.pipe(res); };
exports.sized = (req, res) => {
  res.writeHead(200, { 'content-length': '10' });
  res.write('01234'); setTimeout(() => res.end('56789'), 5);
};
let written = 0;
exports.flood = async (req, res) => {
  const piece = Buffer.alloc(65536);
  while (written < 400e6 && !res.destroyed) {
    written += piece.length;
    if (!res.write(piece)) await new Promise((go) => { res.once('drain', go); res.once('close', go); });
  }
  res.end();
};
exports.written = (req, res) => res.json(written);
exports.slow = async (req, res) => { await new Promise((r) => setTimeout(r, 1500)); res.send('late'); };
exports.count = async (req, res) => res.json((await req.buffer()).length);
exports.stream = async (req, res) => {
  for (let i = 0; i < 3; i++) { res.write(`line ${i}\n`); await new Promise((r) => setTimeout(r, 5)); }
  res.end();
};
"#;

fn project() -> Project {
    Project::of(&[
        ("wakeful.toml", MANIFEST),
        ("functions/books.js", BOOKS),
        (
            "functions/private.js",
            "exports.page = (req, res) => res.send('welcome');",
        ),
    ])
}

#[test]
fn requests_reach_their_handlers() {
    let project = project();
    let server = project.dev();
    let check = |path: &str, arguments: &[&str], status: u16, part: &str| {
        let (found, body) = server.curl(path, arguments);
        assert_eq!(found, status, "{path}: {body}");
        assert!(body.contains(part), "{path}: `{part}` is not in {body}");
    };
    check(
        "/books/7?q=a%20b",
        &["-A", "tester"],
        200,
        r#"{"id":"7","q":"a b","agent":"tester"}"#,
    );
    check("/books/%C3%BC%20x", &[], 200, r#""id":"ü x""#);
    let json = [
        "-X",
        "PUT",
        "-H",
        "content-type: application/json",
        "-d",
        r#"{"title":"Ü"}"#,
    ];
    check("/books/7", &json, 201, r#"{"title":"Ü"}"#);
    check("/files/a/b/c.txt", &[], 200, "a/b/c.txt");
    check("/nothing", &[], 204, "");
    check("/stream", &[], 200, "line 0\nline 1\nline 2\n");
    check("/nowhere", &[], 404, "not_found");
    check(
        "/books/7",
        &["-X", "DELETE"],
        405,
        "GET, PUT, HEAD, OPTIONS",
    );
    check(
        "/books/7",
        &["--head"],
        200,
        "content-type: application/json",
    );
}

#[test]
fn failures_are_told_and_the_next_request_works() {
    let project = project();
    let server = project.dev();
    for (path, status, code) in [
        ("/fails", 500, "user_error"),
        ("/throws-late", 500, "user_error"),
        ("/hangs", 504, "timeout"),
        ("/exits", 502, "crash"),
    ] {
        let (found, body) = server.curl(path, &[]);
        assert_eq!(found, status, "{path}: {body}");
        let body: serde_json::Value = serde_json::from_str(&body).unwrap();
        assert_eq!(body["error"]["code"], code, "{path}: {body}");
        assert!(body["error"]["run"].as_str().unwrap().starts_with("run_"));
        assert_eq!(server.curl("/books/1", &[]).0, 200, "after {path}");
    }
    let failed = server.until("the failures are in the history", || {
        let failed = server.runs("books", "failed");
        (failed.len() == 4).then_some(failed)
    });
    let about: Vec<&str> = failed
        .iter()
        .map(|run| run["about"].as_str().unwrap())
        .collect();
    assert_eq!(
        about,
        ["GET /exits", "GET /hangs", "GET /throws-late", "GET /fails"]
    );
}

#[test]
fn bodies_are_streamed_within_their_bound() {
    let project = project();
    let server = project.dev();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("body");
    let bytes: Vec<u8> = (0..5 * 1024 * 1024u32).map(|i| (i % 251) as u8).collect();
    std::fs::write(&file, &bytes).unwrap();
    let out = folder.path().join("out");
    let data = format!("@{}", file.display());
    let sent = ["--data-binary", &data, "-o", out.to_str().unwrap()];
    assert_eq!(server.curl("/echo", &sent).0, 200);
    assert!(std::fs::read(&out).unwrap() == bytes);
    std::fs::write(&file, vec![0; 7 * 1024 * 1024]).unwrap();
    let (status, body) = server.curl("/echo", &["--data-binary", &data]);
    assert_eq!(status, 413, "{body}");
    let chunked = [
        "-H",
        "transfer-encoding: chunked",
        "-H",
        "expect:",
        "--data-binary",
        &data,
    ];
    let (status, body) = server.curl("/count", &chunked);
    assert_eq!(status, 413, "{body}");
}

#[test]
fn a_key_is_asked_for_where_the_manifest_says_so() {
    let project = project();
    let server = project.dev();
    let created = server.json(&["key", "create", "tester"]);
    let key = created["key"].as_str().unwrap();
    assert_eq!(server.curl("/private", &[]).0, 401);
    assert_eq!(
        server.curl("/private", &["-H", "x-api-key: wk_wrong"]).0,
        403
    );
    let bearer = format!("authorization: Bearer {key}");
    assert_eq!(
        server.curl("/private", &["-H", &bearer]),
        (200, "welcome".into())
    );
    let header = format!("x-api-key: {key}");
    assert_eq!(server.curl("/private", &["-H", &header]).0, 200);
}

#[test]
fn every_request_leaves_one_true_record() {
    let project = project();
    let server = project.dev();
    let sized = server.curl("/sized", &["-i"]);
    assert!(
        sized.1.contains("0123456789") && !sized.1.contains("x-hop"),
        "{sized:?}"
    );
    for path in ["/sized", "/stream"] {
        let (status, head) = server.curl(path, &["--head"]);
        assert_eq!(status, 200, "{path}: {head}");
    }
    server.until("they are recorded as what they were", || {
        (server.runs("books", "succeeded").len() == 3).then_some(())
    });
    assert!(server.runs("books", "failed").is_empty());
    let left = std::process::Command::new("curl")
        .args(["--silent", "--max-time", "0.3"])
        .arg(format!("http://{}/slow", server.address("http")))
        .output()
        .unwrap();
    assert_eq!(left.status.code(), Some(28), "curl gave up, as it was told");
    let run = server.until("its run is recorded", || {
        server.runs("books", "failed").pop()
    });
    assert_eq!(run["about"], "GET /slow");
    assert!(run.to_string().contains("the caller went away"), "{run:#}");
}

#[test]
fn clients_that_send_nothing_keep_no_place() {
    use std::io::Write;
    let manifest = MANIFEST.replace("timeout = \"2s\"", "timeout = \"2s\"\nconcurrency = 2");
    let project = project();
    project.write("wakeful.toml", &manifest);
    let server = project.dev();
    let silent: Vec<_> = (0..4)
        .map(|_| {
            let mut client = std::net::TcpStream::connect(server.address("http")).unwrap();
            client
                .write_all(b"POST /count HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\n\r\n")
                .unwrap();
            client
        })
        .collect();
    assert_eq!(server.curl("/books/1", &["--max-time", "5"]).0, 200);
    drop(silent);
}

#[test]
fn a_slow_reader_slows_the_writer() {
    use std::io::Write;
    let project = project();
    project.write(
        "wakeful.toml",
        &MANIFEST.replace("timeout = \"2s\"", "timeout = \"60s\"\nper_worker = 10"),
    );
    let server = project.dev();
    let mut client = std::net::TcpStream::connect(server.address("http")).unwrap();
    client
        .write_all(b"GET /flood HTTP/1.1\r\nhost: x\r\n\r\n")
        .unwrap();
    let mut seen = Vec::new();
    let written = server.until("the writer waits for its reader", || {
        let written: u64 = server.curl("/written", &[]).1.parse().unwrap();
        seen.push(written);
        (written > 0
            && seen
                .iter()
                .rev()
                .take(10)
                .filter(|n| **n == written)
                .count()
                == 10)
            .then_some(written)
    });
    assert!(
        written < 20_000_000,
        "{written} bytes were taken from a client that reads nothing"
    );
}

#[test]
fn what_is_no_http_is_answered_too() {
    use std::io::{Read, Write};
    let project = project();
    let server = project.dev();
    let long = format!("GET /{} HTTP/1.1\r\nhost: x\r\n\r\n", "a".repeat(70_000));
    let many: String = (0..150).map(|i| format!("x-{i}: 1\r\n")).collect();
    let many = format!("GET / HTTP/1.1\r\nhost: x\r\n{many}\r\n");
    for (request, status) in [
        ("GARBAGE\r\n\r\n", " 400 "),
        ("GET / HTTP/1.1\r\ncontent-length: abc\r\n\r\n", " 400 "),
        (long.as_str(), " 414 "),
        (many.as_str(), " 431 "),
    ] {
        let mut client = std::net::TcpStream::connect(server.address("http")).unwrap();
        client.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        let _ = client.read_to_string(&mut answer);
        assert!(
            answer.contains(status),
            "{}: {answer:?}",
            &request[..request.len().min(30)]
        );
    }
}
