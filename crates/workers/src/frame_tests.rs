//! The codec against an independent writer of the worker's frames, and its own frames against
//! an independent reader.

use http::{HeaderMap, header};
use proptest::prelude::*;

use super::*;

/// Writes a frame as the bootstrap does.
fn written(kind: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut bytes = ((payload.len() + 5) as u32).to_le_bytes().to_vec();
    bytes.push(kind);
    bytes.extend(stream.to_le_bytes());
    bytes.extend(payload);
    bytes
}

fn response(stream: u32, end: bool, status: u16, headers: &[u8], body: &[u8]) -> Vec<u8> {
    let mut payload = vec![u8::from(end)];
    payload.extend(status.to_le_bytes());
    payload.extend((headers.len() as u32).to_le_bytes());
    payload.extend(headers);
    payload.extend(body);
    written(0x83, stream, &payload)
}

fn call(stream: u32, attempt: u32, op: &str, params: &[u8], body: &[u8]) -> Vec<u8> {
    let mut payload = vec![0];
    payload.extend(attempt.to_le_bytes());
    payload.push(op.len() as u8);
    payload.extend(op.as_bytes());
    payload.extend((params.len() as u32).to_le_bytes());
    payload.extend(params);
    payload.extend(body);
    written(0x86, stream, &payload)
}

/// Feeds bytes in pieces of these sizes, as a socket would, and collects the frames.
fn read_in_pieces(bytes: &[u8], sizes: &[usize]) -> Result<Vec<FromWorker>, Malformed> {
    let mut buffer = BytesMut::new();
    let mut frames = Vec::new();
    let mut rest = bytes;
    for size in sizes.iter().copied().cycle() {
        let piece = size.clamp(1, rest.len().max(1)).min(rest.len());
        buffer.extend_from_slice(&rest[..piece]);
        rest = &rest[piece..];
        while let Some(frame) = next(&mut buffer)? {
            frames.push(frame);
        }
        if rest.is_empty() {
            break;
        }
    }
    assert!(buffer.is_empty(), "whole frames leave nothing behind");
    Ok(frames)
}

fn any_frame() -> impl Strategy<Value = (Vec<u8>, FromWorker)> {
    let bytes = || proptest::collection::vec(any::<u8>(), 0..300);
    prop_oneof![
        (any::<u32>(), any::<bool>(), any::<u16>(), bytes(), bytes()).prop_map(
            |(stream, end, status, headers, body)| {
                let rest = if end { Rest::Nothing } else { Rest::Follows };
                let raw = response(stream, end, status, &headers, &body);
                let (headers, body) = (headers.into(), body.into());
                (
                    raw,
                    FromWorker::Response {
                        stream,
                        rest,
                        status,
                        headers,
                        body,
                    },
                )
            }
        ),
        (any::<u32>(), any::<u32>(), "[a-z.]{0,40}", bytes(), bytes()).prop_map(
            |(stream, attempt, op, params, body)| {
                let raw = call(stream, attempt, &op, &params, &body);
                let (op, params, body) = (op.into(), params.into(), body.into());
                let rest = Rest::Follows;
                (
                    raw,
                    FromWorker::Call {
                        stream,
                        rest,
                        attempt,
                        op,
                        params,
                        body,
                    },
                )
            }
        ),
        (any::<u32>(), bytes()).prop_map(|(stream, bytes)| {
            let raw = written(0x03, stream, &bytes);
            (
                raw,
                FromWorker::Data {
                    stream,
                    bytes: bytes.into(),
                },
            )
        }),
        any::<u32>().prop_map(|stream| (written(0x04, stream, &[]), FromWorker::End { stream })),
        any::<u32>().prop_map(|n| (written(0x88, 0, &n.to_le_bytes()), FromWorker::Pong(n))),
        (any::<u32>(), any::<u32>()).prop_map(|(stream, bytes)| {
            let raw = written(0x05, stream, &bytes.to_le_bytes());
            (raw, FromWorker::Credit { stream, bytes })
        }),
    ]
}

proptest! {
    #[test]
    fn frames_survive_any_cutting_of_the_stream(
        frames in proptest::collection::vec(any_frame(), 1..12),
        sizes in proptest::collection::vec(1usize..400, 1..10),
    ) {
        let raw: Vec<u8> = frames.iter().flat_map(|(raw, _)| raw.clone()).collect();
        let expected: Vec<FromWorker> = frames.into_iter().map(|(_, frame)| frame).collect();
        prop_assert_eq!(read_in_pieces(&raw, &sizes).unwrap(), expected);
    }

    #[test]
    fn any_bytes_are_frames_or_an_error_and_never_a_panic(
        bytes in proptest::collection::vec(any::<u8>(), 0..600),
    ) {
        let mut buffer = BytesMut::from(&bytes[..]);
        while let Ok(Some(_)) = next(&mut buffer) {}
    }

    #[test]
    fn header_blocks_survive(values in proptest::collection::vec("[ -~]{0,40}", 0..8)) {
        let mut map = HeaderMap::new();
        for (at, value) in values.iter().enumerate() {
            let name = HeaderName::from_bytes(format!("x-{}", at % 3).as_bytes()).unwrap();
            map.append(name, value.parse().unwrap());
        }
        let mut out = BytesMut::new();
        put_headers(&mut out, &map);
        out.advance(4);
        prop_assert_eq!(headers(&out.freeze()).unwrap(), map);
    }
}

#[test]
fn an_invocation_has_its_fields_where_the_document_says() {
    let mut map = HeaderMap::new();
    map.insert(header::HOST, "x".parse().unwrap());
    let head = InvokeHead {
        run: RunId::from_raw(0x0102),
        attempt: 3,
        handler: 4,
        timeout: Duration::from_millis(5),
    };
    let request = RequestHead {
        method: b"GET",
        target: b"/a?b",
        remote: b"::1",
        params: &[("id".into(), "7\0".into())],
        headers: &map,
    };
    let mut out = BytesMut::new();
    invoke_http(&mut out, 9, &head, &request, Rest::Nothing, b"body");
    let mut expected = vec![0x02, 9, 0, 0, 0, 1, 0, 4, 0, 2, 1, 0, 0, 0, 0, 0, 0];
    expected.extend([3, 0, 0, 0, 5, 0, 0, 0]);
    expected.extend(b"\x03GET\x04\0/a?b\x03::1\x05\0id\x007\0\x07\0\0\0host\0x\0body");
    assert_eq!(out[..4], (expected.len() as u32).to_le_bytes());
    assert_eq!(out[4..], expected);
}

#[test]
fn a_batch_has_its_events_one_after_the_other() {
    let head = InvokeHead {
        run: RunId::from_raw(7),
        attempt: 2,
        handler: 0,
        timeout: Duration::from_millis(1),
    };
    let event = |run, attempt, json: &'static str| Batched {
        run: RunId::from_raw(run),
        attempt,
        json: json.into(),
    };
    let events = [event(0x0102, 1, "{}"), event(3, 2, r#"{"a":1}"#)];
    let mut out = BytesMut::new();
    invoke_batch(&mut out, 1, &head, &events);
    let mut expected = vec![0x02, 1, 0, 0, 0, 1, 2, 0, 0, 7, 0, 0, 0, 0, 0, 0, 0];
    expected.extend([2, 0, 0, 0, 1, 0, 0, 0]);
    let fixed = expected.len();
    expected.extend(b"\x02\x01\0\0\0\0\0\0\x01\0\0\0\x02\0\0\0{}");
    expected.extend(b"\x03\0\0\0\0\0\0\0\x02\0\0\0\x07\0\0\0{\"a\":1}");
    assert_eq!(out[4..], expected);
    assert_eq!(expected.len() - fixed, Batched::size(&events));
}

#[test]
fn wrong_frames_are_refused() {
    let check = |bytes: &[u8], expected: Malformed| {
        assert_eq!(next(&mut BytesMut::from(bytes)), Err(expected));
    };
    check(
        &u32::MAX.to_le_bytes(),
        Malformed::TooLong(u32::MAX as usize),
    );
    check(&[4, 0, 0, 0, 0x88], Malformed::Short(0x88));
    check(&written(0x7f, 0, &[]), Malformed::UnknownKind(0x7f));
    check(
        &written(0x83, 1, &[0, 200, 0, 9, 0, 0, 0]),
        Malformed::Short(0x83),
    );
    check(&written(0x88, 0, &[1]), Malformed::Short(0x88));
    assert_eq!(headers(&Bytes::from_static(b"a\0b")), Err(BadHeader::Short));
    assert!(matches!(
        headers(&Bytes::from_static(b"a b\0c\0")),
        Err(BadHeader::NotAllowed(name)) if name == "a b"
    ));
    let many: String = (0..40_000).map(|n| format!("h{n}\0v\0")).collect();
    assert_eq!(headers(&Bytes::from(many)), Err(BadHeader::TooMany));
}
