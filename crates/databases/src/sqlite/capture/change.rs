//! From the recorded rows of a change to its event.

use rusqlite::types::ValueRef;
use wakeful_core::{
    event::{Origin, RowVerb},
    limits,
    name::DatabaseName,
    port::Arrival,
    time::Timestamp,
};

use super::layout::{CHUNK, Image, Layout, Slot};
use crate::value::{Value, write_text, write_value};

/// The longest subject, characters; a longer key is cut there. `data.key` has it whole.
const MAX_SUBJECT: usize = 1024;
/// When an event is too large, values whose JSON is longer than this are left out, then those
/// longer than the next, and so on.
const SHRINK: [usize; 6] = [1 << 20, 1 << 18, 1 << 16, 1 << 14, 1 << 10, 1 << 6];

/// One value of an image, as JSON.
#[derive(Debug, Clone)]
pub(super) struct Piece {
    json: Vec<u8>,
    /// Its length: bytes, or characters of text that was too long to be recorded.
    length: u64,
}

impl Piece {
    pub(super) fn encoded(value: ValueRef<'_>) -> Self {
        let (value, length) = match value {
            ValueRef::Null => (Value::Null, 0),
            ValueRef::Integer(number) => (Value::Integer(number), 8),
            ValueRef::Real(number) => (Value::Real(number), 8),
            ValueRef::Text(bytes) => (Value::Text(bytes), bytes.len() as u64),
            ValueRef::Blob(bytes) => (Value::Blob(bytes), bytes.len() as u64),
        };
        let mut json = Vec::new();
        write_value(&mut json, value);
        Self { json, length }
    }

    pub(super) fn omitted(length: u64) -> Self {
        let mut json = Vec::new();
        write_value(&mut json, Value::Omitted(length));
        Self { json, length }
    }

    /// As a part of a subject: texts and numbers as they are, bytes in base64.
    fn text(&self) -> String {
        match serde_json::from_slice(&self.json) {
            Ok(serde_json::Value::String(text)) => text,
            Ok(serde_json::Value::Object(tagged)) => {
                let inner = tagged.values().next();
                inner
                    .map(|value| {
                        value
                            .as_str()
                            .map_or_else(|| value.to_string(), str::to_owned)
                    })
                    .unwrap_or_default()
            }
            _ => String::from_utf8_lossy(&self.json).into_owned(),
        }
    }
}

/// A change being put together.
#[derive(Debug)]
pub(super) struct Change {
    verb: RowVerb,
    at: i64,
    row: Vec<Piece>,
    before: Vec<Piece>,
    after: Vec<Piece>,
}

impl Change {
    pub(super) fn new(verb: RowVerb, at: i64) -> Self {
        Self {
            verb,
            at,
            row: Vec::with_capacity(CHUNK),
            before: Vec::new(),
            after: Vec::new(),
        }
    }

    /// One value of the row of the outbox that is being read.
    pub(super) fn add(&mut self, piece: Piece) {
        self.row.push(piece);
    }

    /// That row ends; it belongs to `image`. What it holds beyond the image is padding.
    pub(super) fn end_of_row(&mut self, layout: &Layout, image: Image) {
        let values = match image {
            Image::Before => &mut self.before,
            Image::After => &mut self.after,
        };
        self.row
            .truncate(layout.count(image).saturating_sub(values.len()));
        values.append(&mut self.row);
    }

    fn image(&mut self, image: Image) -> &mut Vec<Piece> {
        match image {
            Image::Before => &mut self.before,
            Image::After => &mut self.after,
        }
    }
}

/// The event of a change; `None` when rows of it are missing.
pub(super) fn arrival(
    database: &DatabaseName,
    layout: &Layout,
    mut change: Change,
) -> Option<Arrival> {
    for image in [Image::Before, Image::After] {
        let expected = match Image::of(change.verb).contains(&image) {
            true => layout.count(image),
            false => 0,
        };
        if change.image(image).len() != expected {
            return None;
        }
    }
    let table = layout.table.parse().ok()?;
    let mut data = write_data(database, layout, &change);
    for limit in SHRINK {
        if data.len() as u64 <= limits::MAX_BODY {
            break;
        }
        for piece in change.before.iter_mut().chain(&mut change.after) {
            if piece.json.len() > limit {
                *piece = Piece::omitted(piece.length);
            }
        }
        data = write_data(database, layout, &change);
    }
    let subject = subject(layout, &change);
    let origin = Origin::Table(database.clone(), table);
    let time = Timestamp::from_millis(change.at);
    Some(Arrival {
        subject: Some(subject),
        ..Arrival::new(origin, change.verb.as_str(), time, data.into())
    })
}

/// The image that tells the row's key: the newest.
fn newest(change: &Change) -> (Image, &[Piece]) {
    match change.verb {
        RowVerb::Delete => (Image::Before, &change.before),
        RowVerb::Insert | RowVerb::Update => (Image::After, &change.after),
    }
}

/// The name and value of each column of the key, in the key's order.
fn key<'a>(layout: &'a Layout, change: &'a Change) -> Vec<(&'a str, &'a Piece)> {
    let (image, pieces) = newest(change);
    let slots = layout.slots(image);
    let find = |wanted: Slot| {
        let at = slots.iter().position(|slot| *slot == wanted)?;
        pieces.get(at)
    };
    if layout.key.is_empty() {
        return find(Slot::Rowid)
            .map(|piece| ("rowid", piece))
            .into_iter()
            .collect();
    }
    let columns = layout.key.iter().filter_map(|at| {
        let name = layout.columns.get(*at)?.name.as_str();
        Some((name, find(Slot::Column(*at))?))
    });
    columns.collect()
}

fn subject(layout: &Layout, change: &Change) -> String {
    let values: Vec<_> = key(layout, change)
        .iter()
        .map(|(_, piece)| piece.text())
        .collect();
    let whole = format!("{}/{}", layout.table, values.join(","));
    match whole.char_indices().nth(MAX_SUBJECT) {
        Some((end, _)) => whole[..end].to_owned(),
        None => whole,
    }
}

fn write_data(database: &DatabaseName, layout: &Layout, change: &Change) -> Vec<u8> {
    let mut out = Vec::with_capacity(256);
    out.extend_from_slice(b"{\"database\":");
    write_text(&mut out, database.as_str());
    out.extend_from_slice(b",\"table\":");
    write_text(&mut out, &layout.table);
    out.extend_from_slice(b",\"operation\":");
    write_text(&mut out, change.verb.as_str());
    out.extend_from_slice(b",\"key\":");
    write_object(&mut out, key(layout, change).into_iter());
    for (name, image, pieces) in [
        ("before", Image::Before, &change.before),
        ("after", Image::After, &change.after),
    ] {
        out.push(b',');
        write_text(&mut out, name);
        out.push(b':');
        if !Image::of(change.verb).contains(&image) {
            out.extend_from_slice(b"null");
            continue;
        }
        let slots = layout.slots(image);
        let columns = slots
            .iter()
            .zip(pieces)
            .filter_map(|(slot, piece)| match slot {
                Slot::Column(at) => Some((layout.columns[*at].name.as_str(), piece)),
                Slot::Rowid => None,
            });
        write_object(&mut out, columns);
    }
    out.push(b'}');
    out
}

fn write_object<'a>(out: &mut Vec<u8>, members: impl Iterator<Item = (&'a str, &'a Piece)>) {
    out.push(b'{');
    for (at, (name, piece)) in members.enumerate() {
        if at > 0 {
            out.push(b',');
        }
        write_text(out, name);
        out.push(b':');
        out.extend_from_slice(&piece.json);
    }
    out.push(b'}');
}
