//! Key expressions where they stand in the manifest.

use super::super::{document::Kind, reader::Item};
use crate::flow::KeyExpression;

const EXPECTED: &str =
    "a path into the event, such as \"data.order.id\", or several: [\"data.tenant\", \"subject\"]";

/// Reads a path, or an array of them. Every path that is wrong is reported.
pub(super) fn read(item: Item<'_>) -> Option<KeyExpression> {
    let items: Vec<Item<'_>> = match &item.node.kind {
        Kind::Array(_) => item.array(EXPECTED)?.collect(),
        _ => vec![item],
    };
    let mut paths = Vec::with_capacity(items.len());
    let mut sound = true;
    for item in items {
        let text = item.text(EXPECTED);
        let parsed = text.map(|text| (text, KeyExpression::parse(&[text])));
        match parsed {
            Some((text, Ok(_))) => paths.push(text),
            Some((_, Err(mistake))) => {
                item.refuse(mistake.message, mistake.help);
                sound = false;
            }
            None => sound = false,
        }
    }
    if !sound {
        return None;
    }
    KeyExpression::parse(&paths)
        .map_err(|mistake| item.refuse(mistake.message, mistake.help))
        .ok()
}

/// Reads a path to a number: one.
pub(super) fn read_single(item: Item<'_>) -> Option<KeyExpression> {
    let expected = "one path to a number in the event, such as \"data.urgency\"";
    if let Kind::Array(_) = item.node.kind {
        item.wrong_kind(expected);
        return None;
    }
    read(item)
}
