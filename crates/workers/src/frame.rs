//! The frames of docs/worker-protocol.md, as bytes.
//!
//! Writing appends to a buffer that many attempts share; reading splits frames off the front of
//! a buffer without copying bodies. Nothing here knows what a frame means.

use std::time::Duration;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue};
use wakeful_core::{id::RunId, limits, run::LogLevel};

use crate::{call::CancelReason, invocation::Batched};

/// The number that server and bootstrap must agree on (`WAKEFUL_PROTOCOL`).
pub(crate) const PROTOCOL: u32 = 1;
/// Streams that a worker opens have this bit.
pub(crate) const WORKER_STREAM: u32 = 1 << 31;
/// What a frame may carry beside `limits::MAX_FRAME` bytes of body.
const HEAD_ROOM: usize = 64 * 1024;
/// Kind and stream.
const FIXED: usize = 5;

const FLAG_END: u8 = 1;
const FLAG_ERROR: u8 = 2;

mod kind {
    pub(super) const LOAD: u8 = 0x01;
    pub(super) const INVOKE: u8 = 0x02;
    pub(super) const DATA: u8 = 0x03;
    pub(super) const END: u8 = 0x04;
    pub(super) const CREDIT: u8 = 0x05;
    pub(super) const CANCEL: u8 = 0x06;
    pub(super) const REPLY: u8 = 0x07;
    pub(super) const PING: u8 = 0x08;
    pub(super) const RETIRE: u8 = 0x09;
    pub(super) const READY: u8 = 0x81;
    pub(super) const LOADED: u8 = 0x82;
    pub(super) const RESPONSE: u8 = 0x83;
    pub(super) const FAIL: u8 = 0x84;
    pub(super) const LOG: u8 = 0x85;
    pub(super) const CALL: u8 = 0x86;
    pub(super) const PONG: u8 = 0x88;
}

/// Whether the frame that opens a body also holds all of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rest {
    /// Nothing follows.
    Nothing,
    /// DATA follows, then END.
    Follows,
}

impl Rest {
    fn flag(self) -> u8 {
        match self {
            Self::Nothing => FLAG_END,
            Self::Follows => 0,
        }
    }

    fn of(flags: u8) -> Self {
        if flags & FLAG_END == 0 {
            Self::Follows
        } else {
            Self::Nothing
        }
    }
}

/// A frame from a worker.
#[derive(Debug, PartialEq)]
pub(crate) enum FromWorker {
    Ready,
    Loaded(Bytes),
    Response {
        stream: u32,
        rest: Rest,
        status: u16,
        headers: Bytes,
        body: Bytes,
    },
    Data {
        stream: u32,
        bytes: Bytes,
    },
    End {
        stream: u32,
    },
    Credit {
        stream: u32,
        bytes: u32,
    },
    Fail {
        stream: u32,
        json: Bytes,
    },
    Log {
        stream: u32,
        level: LogLevel,
        text: Bytes,
        fields: Bytes,
    },
    Call {
        stream: u32,
        rest: Rest,
        attempt: u32,
        op: Bytes,
        params: Bytes,
        body: Bytes,
    },
    Pong(u32),
}

/// Bytes that are no frame. The worker that sent them is ended.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Malformed {
    #[error("a frame of {0} bytes is longer than a frame may be")]
    TooLong(usize),
    #[error("a frame of kind 0x{0:02x} is unknown")]
    UnknownKind(u8),
    #[error("a frame of kind 0x{0:02x} is cut short")]
    Short(u8),
}

/// Splits the next frame off the front of `buffer`; `None` when it is not there whole yet.
pub(crate) fn next(buffer: &mut BytesMut) -> Result<Option<FromWorker>, Malformed> {
    let Some(head) = buffer.first_chunk::<4>() else {
        return Ok(None);
    };
    let length = u32::from_le_bytes(*head) as usize;
    if length > limits::MAX_FRAME + HEAD_ROOM {
        return Err(Malformed::TooLong(length));
    }
    if length < FIXED {
        return Err(Malformed::Short(buffer.get(4).copied().unwrap_or(0)));
    }
    if buffer.len() < 4 + length {
        return Ok(None);
    }
    buffer.advance(4);
    let mut frame = buffer.split_to(length).freeze();
    let kind = frame.get_u8();
    let stream = frame.get_u32_le();
    parse(kind, stream, Reader { kind, rest: frame }).map(Some)
}

fn parse(kind: u8, stream: u32, mut frame: Reader) -> Result<FromWorker, Malformed> {
    Ok(match kind {
        kind::READY => FromWorker::Ready,
        kind::LOADED => FromWorker::Loaded(frame.rest),
        kind::RESPONSE => {
            let flags = frame.u8()?;
            let status = frame.u16()?;
            let length = frame.u32()? as usize;
            FromWorker::Response {
                stream,
                rest: Rest::of(flags),
                status,
                headers: frame.bytes(length)?,
                body: frame.rest,
            }
        }
        kind::DATA => FromWorker::Data {
            stream,
            bytes: frame.rest,
        },
        kind::END => FromWorker::End { stream },
        kind::CREDIT => FromWorker::Credit {
            stream,
            bytes: frame.u32()?,
        },
        kind::FAIL => FromWorker::Fail {
            stream,
            json: frame.rest,
        },
        kind::LOG => {
            let level = LogLevel::from_stored(frame.u8()?).unwrap_or(LogLevel::Error);
            let length = frame.u32()? as usize;
            FromWorker::Log {
                stream,
                level,
                text: frame.bytes(length)?,
                fields: frame.rest,
            }
        }
        kind::CALL => {
            let flags = frame.u8()?;
            let attempt = frame.u32()?;
            let op_length = usize::from(frame.u8()?);
            let op = frame.bytes(op_length)?;
            let params_length = frame.u32()? as usize;
            FromWorker::Call {
                stream,
                rest: Rest::of(flags),
                attempt,
                op,
                params: frame.bytes(params_length)?,
                body: frame.rest,
            }
        }
        kind::PONG => FromWorker::Pong(frame.u32()?),
        unknown => return Err(Malformed::UnknownKind(unknown)),
    })
}

struct Reader {
    kind: u8,
    rest: Bytes,
}

impl Reader {
    fn short(&self) -> Malformed {
        Malformed::Short(self.kind)
    }

    fn u8(&mut self) -> Result<u8, Malformed> {
        self.rest.try_get_u8().map_err(|_| self.short())
    }

    fn u16(&mut self) -> Result<u16, Malformed> {
        self.rest.try_get_u16_le().map_err(|_| self.short())
    }

    fn u32(&mut self) -> Result<u32, Malformed> {
        self.rest.try_get_u32_le().map_err(|_| self.short())
    }

    fn bytes(&mut self, length: usize) -> Result<Bytes, Malformed> {
        if self.rest.len() < length {
            return Err(self.short());
        }
        Ok(self.rest.split_to(length))
    }
}

/// Why a header block cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BadHeader {
    #[error("the header `{0}` has a name or value that HTTP does not allow")]
    NotAllowed(String),
    #[error("the block of headers is cut short")]
    Short,
    #[error("there are more headers than we can hold")]
    TooMany,
}

/// Reads a header block: name NUL value NUL …
pub(crate) fn headers(block: &Bytes) -> Result<HeaderMap, BadHeader> {
    let mut map = HeaderMap::new();
    let mut at = 0;
    while at < block.len() {
        let name_end = at + position_of_nul(&block[at..])?;
        let value_end = name_end + 1 + position_of_nul(&block[name_end + 1..])?;
        let name = HeaderName::from_bytes(&block[at..name_end]);
        let value = HeaderValue::from_maybe_shared(block.slice(name_end + 1..value_end));
        let (Ok(name), Ok(value)) = (name, value) else {
            let shown = String::from_utf8_lossy(&block[at..name_end]).into_owned();
            return Err(BadHeader::NotAllowed(shown));
        };
        map.try_append(name, value)
            .map_err(|_| BadHeader::TooMany)?;
        at = value_end + 1;
    }
    Ok(map)
}

fn position_of_nul(bytes: &[u8]) -> Result<usize, BadHeader> {
    bytes
        .iter()
        .position(|byte| *byte == 0)
        .ok_or(BadHeader::Short)
}

/// Appends a frame: `fill` writes what follows the stream.
fn frame(out: &mut BytesMut, kind: u8, stream: u32, fill: impl FnOnce(&mut BytesMut)) {
    let start = out.len();
    out.put_u32_le(0);
    out.put_u8(kind);
    out.put_u32_le(stream);
    fill(out);
    let length = (out.len() - start - 4) as u32;
    out[start..start + 4].copy_from_slice(&length.to_le_bytes());
}

pub(crate) fn load(out: &mut BytesMut, json: &[u8]) {
    frame(out, kind::LOAD, 0, |out| out.put_slice(json));
}

pub(crate) fn data(out: &mut BytesMut, stream: u32, bytes: &[u8]) {
    frame(out, kind::DATA, stream, |out| out.put_slice(bytes));
}

pub(crate) fn end(out: &mut BytesMut, stream: u32) {
    frame(out, kind::END, stream, |_| ());
}

pub(crate) fn credit(out: &mut BytesMut, stream: u32, bytes: u32) {
    frame(out, kind::CREDIT, stream, |out| out.put_u32_le(bytes));
}

pub(crate) fn cancel(out: &mut BytesMut, stream: u32, reason: CancelReason) {
    frame(out, kind::CANCEL, stream, |out| out.put_u8(reason as u8));
}

pub(crate) fn ping(out: &mut BytesMut, number: u32) {
    frame(out, kind::PING, 0, |out| out.put_u32_le(number));
}

pub(crate) fn retire(out: &mut BytesMut) {
    frame(out, kind::RETIRE, 0, |_| ());
}

pub(crate) fn reply(out: &mut BytesMut, stream: u32, rest: Rest, head: &[u8], body: &[u8]) {
    reply_frame(out, stream, rest.flag(), head, body);
}

pub(crate) fn reply_error(out: &mut BytesMut, stream: u32, head: &[u8]) {
    reply_frame(out, stream, FLAG_END | FLAG_ERROR, head, &[]);
}

fn reply_frame(out: &mut BytesMut, stream: u32, flags: u8, head: &[u8], body: &[u8]) {
    frame(out, kind::REPLY, stream, |out| {
        out.put_u8(flags);
        out.put_u32_le(head.len() as u32);
        out.put_slice(head);
        out.put_slice(body);
    });
}

/// What INVOKE says about the attempt itself.
#[derive(Debug, Clone, Copy)]
pub(crate) struct InvokeHead {
    pub(crate) run: RunId,
    pub(crate) attempt: u32,
    pub(crate) handler: u16,
    pub(crate) timeout: Duration,
}

impl InvokeHead {
    fn put(&self, out: &mut BytesMut, rest: Rest, what: u8) {
        let timeout = u32::try_from(self.timeout.as_millis()).unwrap_or(u32::MAX);
        out.put_u8(rest.flag());
        out.put_u8(what);
        out.put_u16_le(self.handler);
        out.put_i64_le(self.run.raw());
        out.put_u32_le(self.attempt);
        out.put_u32_le(timeout);
    }
}

/// What INVOKE says about a request, without its body.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RequestHead<'a> {
    pub(crate) method: &'a [u8],
    pub(crate) target: &'a [u8],
    pub(crate) remote: &'a [u8],
    pub(crate) params: &'a [(String, String)],
    pub(crate) headers: &'a HeaderMap,
}

pub(crate) fn invoke_http(
    out: &mut BytesMut,
    stream: u32,
    head: &InvokeHead,
    request: &RequestHead<'_>,
    rest: Rest,
    body: &[u8],
) {
    frame(out, kind::INVOKE, stream, |out| {
        head.put(out, rest, 0);
        put_short(out, request.method);
        let target = &request.target[..request.target.len().min(u16::MAX.into())];
        out.put_u16_le(target.len() as u16);
        out.put_slice(target);
        put_short(out, request.remote);
        put_params(out, request.params);
        put_headers(out, request.headers);
        out.put_slice(body);
    });
}

pub(crate) fn invoke_event(out: &mut BytesMut, stream: u32, head: &InvokeHead, json: &[u8]) {
    frame(out, kind::INVOKE, stream, |out| {
        head.put(out, Rest::Nothing, 1);
        out.put_slice(json);
    });
}

pub(crate) fn invoke_batch(out: &mut BytesMut, stream: u32, head: &InvokeHead, events: &[Batched]) {
    frame(out, kind::INVOKE, stream, |out| {
        head.put(out, Rest::Nothing, 2);
        out.reserve(Batched::size(events));
        for event in events {
            out.put_i64_le(event.run.raw());
            out.put_u32_le(event.attempt);
            out.put_u32_le(event.json.len() as u32);
            out.put_slice(&event.json);
        }
    });
}

fn put_short(out: &mut BytesMut, bytes: &[u8]) {
    let bytes = &bytes[..bytes.len().min(u8::MAX.into())];
    out.put_u8(bytes.len() as u8);
    out.put_slice(bytes);
}

/// A parameter that does not fit any more is left out; the path it came from is shorter.
fn put_params(out: &mut BytesMut, params: &[(String, String)]) {
    let place = out.len();
    out.put_u16_le(0);
    for (name, value) in params {
        let block = out.len() - place - 2;
        if block + name.len() + value.len() + 2 > usize::from(u16::MAX) {
            break;
        }
        put_pair(out, name.as_bytes(), value.as_bytes());
    }
    let length = (out.len() - place - 2) as u16;
    out[place..place + 2].copy_from_slice(&length.to_le_bytes());
}

fn put_headers(out: &mut BytesMut, headers: &HeaderMap) {
    let place = out.len();
    out.put_u32_le(0);
    for (name, value) in headers {
        put_pair(out, name.as_str().as_bytes(), value.as_bytes());
    }
    let length = (out.len() - place - 4) as u32;
    out[place..place + 4].copy_from_slice(&length.to_le_bytes());
}

/// A NUL in a value would shift every pair behind it; percent-decoding can produce one.
fn put_pair(out: &mut BytesMut, name: &[u8], value: &[u8]) {
    out.put_slice(name);
    out.put_u8(0);
    if value.contains(&0) {
        out.extend(value.iter().filter(|byte| **byte != 0));
    } else {
        out.put_slice(value);
    }
    out.put_u8(0);
}

#[cfg(test)]
#[path = "frame_tests.rs"]
mod tests;
