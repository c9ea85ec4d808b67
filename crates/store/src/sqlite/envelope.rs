//! An event as the database keeps it: an envelope, the payload, and a checksum over both.
//!
//! # Format
//! `checksum` is CRC-32C over the event's key (8 bytes, little-endian), the envelope and the
//! payload. The envelope is: version (one byte); flags (one byte: 1 = has a subject, 2 = the
//! CloudEvents id is the text of the key and is left out); the time (milliseconds, 8 bytes);
//! then, each as a length of 4 bytes and UTF-8: origin, source, type, content type, and, as the
//! flags say, id and subject. All numbers are little-endian.
//!
//! Version 2 has two more flags, whose parts follow. 4 = extensions: their number (2 bytes), and
//! of each its name as above, a tag (one byte: 0 = boolean, 1 = integer, 2 = text) and its value
//! (one byte, 4 bytes, or as above). 8 = lineage: depth (2 bytes) and three ids (8 bytes each, -1
//! for none): the run, its event, and the event that this one repeats. What has neither is
//! written as version 1.

use bytes::Bytes;
use wakeful_core::{
    event::{Event, Extension, Extensions, Lineage},
    id::{EventId, RunId},
    time::Timestamp,
};

const VERSION_1: u8 = 1;
const VERSION_2: u8 = 2;
const HAS_SUBJECT: u8 = 1;
const ID_IS_KEY: u8 = 2;
const HAS_EXTENSIONS: u8 = 4;
const HAS_LINEAGE: u8 = 8;

const BOOLEAN: u8 = 0;
const INTEGER: u8 = 1;
const TEXT: u8 = 2;

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
    if !event.extensions.is_empty() {
        flags |= HAS_EXTENSIONS;
    }
    if event.lineage != Lineage::default() {
        flags |= HAS_LINEAGE;
    }
    let version = match flags & (HAS_EXTENSIONS | HAS_LINEAGE) {
        0 => VERSION_1,
        _ => VERSION_2,
    };
    out.extend([version, flags]);
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
    if flags & HAS_EXTENSIONS != 0 {
        put_extensions(&mut out, &event.extensions);
    }
    if flags & HAS_LINEAGE != 0 {
        put_lineage(&mut out, event.lineage);
    }
    out
}

fn put_extensions(out: &mut Vec<u8>, extensions: &Extensions) {
    // Their header fields bound them far below this many.
    let count = u16::try_from(extensions.len()).unwrap_or(u16::MAX);
    out.extend(count.to_le_bytes());
    for (name, value) in extensions.iter().take(usize::from(count)) {
        put(out, name);
        match value {
            Extension::Boolean(value) => out.extend([BOOLEAN, u8::from(*value)]),
            Extension::Integer(value) => {
                out.push(INTEGER);
                out.extend(value.to_le_bytes());
            }
            Extension::Text(value) => {
                out.push(TEXT);
                put(out, value);
            }
        }
    }
}

fn put_lineage(out: &mut Vec<u8>, lineage: Lineage) {
    out.extend(lineage.depth.to_le_bytes());
    let ids = [
        lineage.run.map(RunId::raw),
        lineage.parent.map(EventId::raw),
        lineage.replay_of.map(EventId::raw),
    ];
    for id in ids {
        out.extend(id.unwrap_or(-1).to_le_bytes());
    }
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
    let known = match version {
        VERSION_1 => HAS_SUBJECT | ID_IS_KEY,
        VERSION_2 => HAS_SUBJECT | ID_IS_KEY | HAS_EXTENSIONS | HAS_LINEAGE,
        _ => return None,
    };
    if flags & !known != 0 {
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
    let extensions = match flags & HAS_EXTENSIONS {
        0 => Extensions::new(),
        _ => get_extensions(&mut rest)?,
    };
    let lineage = match flags & HAS_LINEAGE {
        0 => Lineage::default(),
        _ => get_lineage(&mut rest)?,
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
        extensions,
        lineage,
    })
}

fn get_extensions(rest: &mut &[u8]) -> Option<Extensions> {
    let count = u16::from_le_bytes(take(rest)?);
    let mut extensions = Extensions::new();
    for _ in 0..count {
        let name = get(rest)?;
        let [tag] = take(rest)?;
        let value = match tag {
            BOOLEAN => match take(rest)? {
                [0] => Extension::Boolean(false),
                [1] => Extension::Boolean(true),
                _ => return None,
            },
            INTEGER => Extension::Integer(i32::from_le_bytes(take(rest)?)),
            TEXT => Extension::Text(get(rest)?),
            _ => return None,
        };
        extensions.insert(name, value);
    }
    Some(extensions)
}

fn get_lineage(rest: &mut &[u8]) -> Option<Lineage> {
    let depth = u16::from_le_bytes(take(rest)?);
    let mut id = || Some(i64::from_le_bytes(take(rest)?)).map(|id| (id != -1).then_some(id));
    Some(Lineage {
        depth,
        run: id()?.map(RunId::from_raw),
        parent: id()?.map(EventId::from_raw),
        replay_of: id()?.map(EventId::from_raw),
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

    fn extension() -> impl Strategy<Value = Extension> {
        prop_oneof![
            any::<bool>().prop_map(Extension::Boolean),
            any::<i32>().prop_map(Extension::Integer),
            ".{0,9}".prop_map(Extension::Text),
        ]
    }

    fn lineage() -> impl Strategy<Value = Lineage> {
        let id = || proptest::option::of(0..i64::MAX);
        (id(), id(), id(), any::<u16>()).prop_map(|(run, parent, replay_of, depth)| Lineage {
            run: run.map(RunId::from_raw),
            parent: parent.map(EventId::from_raw),
            replay_of: replay_of.map(EventId::from_raw),
            depth,
        })
    }

    fn event() -> impl Strategy<Value = Event> {
        let origins = proptest::sample::select(vec!["bucket:abc", "table:d:t:u", "http:f/x"]);
        let names = (
            0..i64::MAX,
            origins,
            proptest::option::of(".{0,20}"),
            ".{0,9}",
            ".{0,9}",
        );
        let rest = (
            proptest::option::of(".{0,9}"),
            any::<i64>(),
            ".{0,9}",
            any::<Vec<u8>>(),
        );
        let extensions = proptest::collection::btree_map("[a-z0-9]{1,5}", extension(), 0..3);
        let cause = prop_oneof![Just(Lineage::default()), lineage()];
        (names, rest, extensions, cause).prop_map(|(names, rest, extensions, lineage)| {
            let (key, origin, id, source, kind) = names;
            let (subject, time, content_type, data) = rest;
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
                extensions,
                lineage,
            }
        })
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

        #[test]
        fn what_is_no_envelope_is_refused(bytes in any::<Vec<u8>>(), version in 1..=2u8) {
            let mut envelope = vec![version];
            envelope.extend(bytes);
            // It must not panic, and what it reads must be all there is.
            if let Some(event) = decode(EventId::from_raw(1), &envelope, Bytes::new()) {
                prop_assert!(encode(&event).len() <= envelope.len());
            }
        }
    }

    #[test]
    fn format_2_is_read_for_ever() {
        let mut stored = vec![2, 14, 232, 3, 0, 0, 0, 0, 0, 0];
        let text = |stored: &mut Vec<u8>, text: &str| {
            stored.extend((text.len() as u32).to_le_bytes());
            stored.extend(text.as_bytes());
        };
        for part in ["bucket:abc", "/s", "t.created", "text/plain"] {
            text(&mut stored, part);
        }
        stored.extend([3, 0]);
        text(&mut stored, "a");
        stored.extend([0, 1]);
        text(&mut stored, "b");
        stored.extend([1, 254, 255, 255, 255]);
        text(&mut stored, "c");
        stored.push(2);
        text(&mut stored, "x");
        stored.extend([3, 0]);
        for id in [5i64, -1, 6] {
            stored.extend(id.to_le_bytes());
        }
        let event = decode(EventId::from_raw(7), &stored, Bytes::new()).unwrap();
        let expected = [
            ("a".to_owned(), Extension::Boolean(true)),
            ("b".to_owned(), Extension::Integer(-2)),
            ("c".to_owned(), Extension::Text("x".to_owned())),
        ];
        assert_eq!(event.extensions, Extensions::from(expected));
        let lineage = Lineage {
            run: Some(RunId::from_raw(5)),
            parent: None,
            depth: 3,
            replay_of: Some(EventId::from_raw(6)),
        };
        assert_eq!(event.lineage, lineage);
        assert_eq!(encode(&event), stored);
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
