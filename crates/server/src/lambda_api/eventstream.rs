//! Messages of `application/vnd.amazon.eventstream`, as the event stream encoding of Smithy
//! defines them: a prelude with its checksum, header fields, the payload, and a checksum of all.

use bytes::Bytes;
use crc_fast::{CrcAlgorithm, checksum};

/// The content type of a stream of messages.
pub(super) const CONTENT_TYPE: &str = "application/vnd.amazon.eventstream";

/// The type of a header whose value is text.
const TEXT: u8 = 7;
/// Lengths and checksums: the prelude of 12 bytes and the checksum at the end.
const FRAMING: usize = 16;

/// A message that tells of an event. Header names and values are ours, and short.
pub(super) fn event(kind: &str, content_type: &str, payload: &[u8]) -> Bytes {
    let mut headers = Vec::with_capacity(128);
    for (name, value) in [
        (":message-type", "event"),
        (":event-type", kind),
        (":content-type", content_type),
    ] {
        headers.push(short(name.len()));
        headers.extend_from_slice(name.as_bytes());
        headers.push(TEXT);
        headers.extend_from_slice(&[0, short(value.len())]);
        headers.extend_from_slice(value.as_bytes());
    }
    let total = FRAMING + headers.len() + payload.len();
    let mut message = Vec::with_capacity(total);
    message.extend_from_slice(&length(total));
    message.extend_from_slice(&length(headers.len()));
    message.extend_from_slice(&crc32(&message));
    message.extend_from_slice(&headers);
    message.extend_from_slice(payload);
    message.extend_from_slice(&crc32(&message));
    message.into()
}

fn short(length: usize) -> u8 {
    u8::try_from(length).expect("names and values of ours have less than 256 bytes")
}

fn length(bytes: usize) -> [u8; 4] {
    u32::try_from(bytes)
        .expect("payloads are pieces of bodies, or results of at most 6 MiB")
        .to_be_bytes()
}

fn crc32(bytes: &[u8]) -> [u8; 4] {
    let sum = checksum(CrcAlgorithm::Crc32IsoHdlc, bytes);
    // The sum of this algorithm has 32 bits.
    (sum as u32).to_be_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_framed_and_summed() {
        let message = event("PayloadChunk", "application/octet-stream", b"hello");
        let number = |at: usize| u32::from_be_bytes(message[at..at + 4].try_into().unwrap());
        assert_eq!(number(0) as usize, message.len());
        assert_eq!(number(8).to_be_bytes(), crc32(&message[..8]));
        let end = message.len() - 4;
        assert_eq!(number(end).to_be_bytes(), crc32(&message[..end]));
        let headers = 12..12 + number(4) as usize;
        assert_eq!(&message[headers.end..end], b"hello");
        assert!(message[headers].starts_with(b"\x0d:message-type\x07\x00\x05event\x0b:event-type"));
        // The check value of CRC-32/ISO-HDLC.
        assert_eq!(crc32(b"123456789"), 0xCBF4_3926_u32.to_be_bytes());
    }
}
