//! Who blocks an event loop: asks V8's inspector, whose thread runs although the loop is stuck.
//!
//! SIGUSR1 makes Node listen on a free port of 127.0.0.1 and say where on standard error. Over
//! its WebSocket the running code is paused, and the function that the bootstrap left for this
//! purpose says whose context it runs in. The process is ended afterwards in any case.

use std::io;

use rustix::process::Signal;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::{spawn::Process, worker::Worker};

const EXPRESSION: &str = "globalThis[Symbol.for('wakeful.current')]()";
/// No answer to what we ask is longer.
const MOST: usize = 16 * 1024 * 1024;

/// The stream of the attempt on whose behalf the worker computes; 0 for none.
pub(crate) async fn current_stream(worker: &Worker, process: &Process) -> io::Result<u32> {
    process.signal(Signal::USR1);
    let address = worker.last_words.inspector().await;
    let mut inspector = Inspector::open(&address).await?;
    inspector.send(1, "Debugger.enable", json!({})).await?;
    inspector.send(2, "Debugger.pause", json!({})).await?;
    let paused = inspector
        .wait(|message| message["method"] == "Debugger.paused")
        .await?;
    let frame = &paused["params"]["callFrames"][0]["callFrameId"];
    let ask = json!({
        "callFrameId": frame,
        "expression": EXPRESSION,
        "returnByValue": true,
        "silent": true,
    });
    inspector
        .send(3, "Debugger.evaluateOnCallFrame", ask)
        .await?;
    let answer = inspector.wait(|message| message["id"] == 3).await?;
    answer["result"]["result"]["value"]
        .as_u64()
        .and_then(|stream| u32::try_from(stream).ok())
        .ok_or_else(|| io::Error::other(format!("no stream in the inspector's answer {answer}")))
}

/// A WebSocket, as much of RFC 6455 as the inspector needs.
struct Inspector {
    socket: TcpStream,
}

impl Inspector {
    async fn open(address: &str) -> io::Result<Self> {
        let wrong = || io::Error::other(format!("`{address}` is no address of an inspector"));
        let rest = address.strip_prefix("ws://").ok_or_else(wrong)?;
        let (host, path) = rest.split_once('/').ok_or_else(wrong)?;
        let mut socket = TcpStream::connect(host).await?;
        // The key only guards against caches in between; there are none.
        let request = format!(
            "GET /{path} HTTP/1.1\r\nHost: {host}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: d2FrZWZ1bC13b3JrZXJzIQ==\r\n\r\n"
        );
        socket.write_all(request.as_bytes()).await?;
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(socket.read_u8().await?);
            if head.len() > 4096 {
                return Err(io::Error::other("the inspector's greeting has no end"));
            }
        }
        if !head.starts_with(b"HTTP/1.1 101") {
            return Err(io::Error::other("the inspector refuses to talk"));
        }
        Ok(Self { socket })
    }

    async fn send(&mut self, id: u32, method: &str, params: Value) -> io::Result<()> {
        let text = json!({ "id": id, "method": method, "params": params }).to_string();
        // Final text frame; masked, as a client must, with a mask that changes nothing.
        let mut frame = vec![0x81];
        match u16::try_from(text.len()) {
            Ok(length) if length < 126 => frame.push(0x80 | length as u8),
            Ok(length) => {
                frame.push(0x80 | 126);
                frame.extend(length.to_be_bytes());
            }
            Err(_) => return Err(io::Error::other("too long a question")),
        }
        frame.extend([0; 4]);
        frame.extend(text.as_bytes());
        self.socket.write_all(&frame).await
    }

    async fn wait(&mut self, wanted: impl Fn(&Value) -> bool) -> io::Result<Value> {
        loop {
            let message = self.receive().await?;
            if wanted(&message) {
                return Ok(message);
            }
        }
    }

    /// The next message; the inspector sends each as one unmasked frame or as several.
    async fn receive(&mut self) -> io::Result<Value> {
        let mut text = Vec::new();
        loop {
            let first = self.socket.read_u8().await?;
            let length = match self.socket.read_u8().await? & 0x7f {
                126 => usize::from(self.socket.read_u16().await?),
                127 => usize::try_from(self.socket.read_u64().await?).unwrap_or(usize::MAX),
                short => usize::from(short),
            };
            if length.saturating_add(text.len()) > MOST {
                return Err(io::Error::other("too long an answer of the inspector"));
            }
            let start = text.len();
            text.resize(start + length, 0);
            self.socket.read_exact(&mut text[start..]).await?;
            match first & 0x0f {
                0 | 1 if first & 0x80 != 0 => return Ok(serde_json::from_slice(&text)?),
                0 | 1 => {}
                8 => return Err(io::ErrorKind::UnexpectedEof.into()),
                // A ping or the like: it is not needed for a talk of a moment.
                _ => text.truncate(start),
            }
        }
    }
}
