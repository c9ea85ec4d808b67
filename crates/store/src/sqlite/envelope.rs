//! An event as the database keeps it: an envelope, the payload, and a checksum over both.
//!
//! # Format
//! `checksum` is CRC-32C over the event's key (8 bytes, little-endian), the envelope and the
//! payload. The envelope is: version 1 (one byte); flags (one byte: 1 = has a subject, 2 = the
//! CloudEvents id is the text of the key and is left out); the time (milliseconds, 8 bytes);
//! then, each as a length of 4 bytes and UTF-8: origin, source, type, content type, and, as the
//! flags say, id and subject. All numbers are little-endian.

use bytes::Bytes;
use wakeful_core::{event::Event, id::EventId, time::Timestamp};

const VERSION: u8 = 1;
const HAS_SUBJECT: u8 = 1;
const ID_IS_KEY: u8 = 2;

/// The envelope of `event`.
pub(super) fn encode(event: &Event) -> Vec<u8> {
    let id_is_key = event.id == event.key.to_string();
    let mut out = Vec::with_capacity(160);
    let mut flags = 0;
    if event.subject.is_some() {
        flags |= HAS_SUBJECT;
    }
    if id_is_key {
        flags |= ID_IS_KEY;
    }
    out.extend([VERSION, flags]);
    out.extend(event.time.as_millis().to_le_bytes());
    put(&mut out, &event.origin.to_string());
    put(&mut out, &event.source);
    put(&mut out, &event.kind);
    put(&mut out, &event.content_type);
    if !id_is_key {
        put(&mut out, &event.id);
    }
    if let Some(subject) = &event.subject {
        put(&mut out, subject);
    }
    out
}

fn put(out: &mut Vec<u8>, text: &str) {
    // A text of 4 GiB cannot get here: SQLite refuses rows beyond 1 GB.
    out.extend((text.len() as u32).to_le_bytes());
    out.extend(text.as_bytes());
}

/// The checksum that is kept with an event.
pub(super) fn checksum(key: EventId, envelope: &[u8], data: &[u8]) -> u32 {
    let sum = crc32c::crc32c(&key.raw().to_le_bytes());
    crc32c::crc32c_append(crc32c::crc32c_append(sum, envelope), data)
}

/// The event of an envelope; `None` when it is not one.
pub(super) fn decode(key: EventId, envelope: &[u8], data: Bytes) -> Option<Event> {
    let mut rest = envelope;
    let [version, flags] = take(&mut rest)?;
    if version != VERSION {
        return None;
    }
    let time = Timestamp::from_millis(i64::from_le_bytes(take(&mut rest)?));
    let origin = get(&mut rest)?.parse().ok()?;
    let source = get(&mut rest)?;
    let kind = get(&mut rest)?;
    let content_type = get(&mut rest)?;
    let id = if flags & ID_IS_KEY == 0 {
        get(&mut rest)?
    } else {
        key.to_string()
    };
    let subject = if flags & HAS_SUBJECT == 0 {
        None
    } else {
        Some(get(&mut rest)?)
    };
    rest.is_empty().then_some(Event {
        key,
        origin,
        id,
        source,
        kind,
        subject,
        time,
        content_type,
        data,
        extensions: wakeful_core::event::Extensions::new(),
        lineage: wakeful_core::event::Lineage::default(),
    })
}

fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (head, tail) = rest.split_first_chunk()?;
    *rest = tail;
    Some(*head)
}

fn get(rest: &mut &[u8]) -> Option<String> {
    let len = u32::from_le_bytes(take(rest)?) as usize;
    let (head, tail) = rest.split_at_checked(len)?;
    *rest = tail;
    String::from_utf8(head.to_vec()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn event() -> impl Strategy<Value = Event> {
        let origins = proptest::sample::select(vec!["bucket:abc", "table:d:t:u", "http:f/x"]);
        (
            (
                0..i64::MAX,
                origins,
                proptest::option::of(".{0,20}"),
                ".{0,9}",
                ".{0,9}",
            ),
            (
                proptest::option::of(".{0,9}"),
                any::<i64>(),
                ".{0,9}",
                any::<Vec<u8>>(),
            ),
        )
            .prop_map(
                |((key, origin, id, source, kind), (subject, time, content_type, data))| {
                    let key = EventId::from_raw(key);
                    Event {
                        key,
                        origin: origin.parse().unwrap(),
                        id: id.unwrap_or_else(|| key.to_string()),
                        source,
                        kind,
                        subject,
                        time: Timestamp::from_millis(time),
                        content_type,
                        data: data.into(),
                        extensions: wakeful_core::event::Extensions::new(),
                        lineage: wakeful_core::event::Lineage::default(),
                    }
                },
            )
    }

    proptest! {
        #[test]
        fn events_survive(event in event()) {
            let envelope = encode(&event);
            prop_assert_eq!(decode(event.key, &envelope, event.data.clone()), Some(event.clone()));
            for len in 0..envelope.len() {
                prop_assert_eq!(decode(event.key, &envelope[..len], Bytes::new()), None);
            }
        }
    }

    #[test]
    fn format_1_is_read_for_ever() {
        let key = EventId::from_raw(7);
        let mut stored = vec![1, 3, 232, 3, 0, 0, 0, 0, 0, 0];
        for text in ["bucket:abc", "/s", "t.created", "text/plain", "sub"] {
            stored.extend((text.len() as u32).to_le_bytes());
            stored.extend(text.as_bytes());
        }
        let event = decode(key, &stored, Bytes::from_static(b"x")).unwrap();
        assert_eq!(event.subject.as_deref(), Some("sub"));
        assert_eq!((event.id, event.time.as_millis()), (key.to_string(), 1000));
        assert_eq!(checksum(key, &stored, b"x"), 0xad81_a2ad);
    }
}
