//! Rules that go by a key: `ordering_key`, `concurrency_key`, `dedup`.

use super::{
    super::{
        duration,
        reader::{Item, Words},
        sections::flow::{CONCURRENCY, DEDUP, ORDERING},
    },
    key,
};
use crate::{
    flow::{DedupRule, KeyConcurrency, OnExhausted, Ordering},
    limits,
};

const ON_EXHAUSTED: Words<'static, OnExhausted> = Words {
    known: &[
        ("step_aside", OnExhausted::StepAside),
        ("block", OnExhausted::Block),
    ],
    meanings: &[
        ("skip", "step_aside"),
        ("continue", "step_aside"),
        ("next", "step_aside"),
        ("wait", "block"),
        ("stop", "block"),
        ("hold", "block"),
    ],
    later: &[],
};

/// `"data.id"`, `["a", "b"]` or `{ key = …, on_exhausted = … }`.
pub(super) fn ordering(item: Item<'_>) -> Option<Ordering> {
    if !item.is_table() {
        return Some(Ordering {
            key: key::read(item)?,
            on_exhausted: OnExhausted::default(),
        });
    }
    let fields = item.fields(&ORDERING, item.title())?;
    let key = (fields.required("key", "key = \"data.id\"")).and_then(key::read);
    let on_exhausted = match fields.get("on_exhausted") {
        None => Some(OnExhausted::default()),
        Some(item) => item.word(&ON_EXHAUSTED),
    };
    Some(Ordering {
        key: key?,
        on_exhausted: on_exhausted?,
    })
}

/// `{ key = …, limit = … }`.
pub(super) fn concurrency(item: Item<'_>) -> Option<KeyConcurrency> {
    if !item.is_table() {
        item.wrong_kind("a key and a limit: { key = \"data.tenant\", limit = 2 }");
        return None;
    }
    let fields = item.fields(&CONCURRENCY, item.title())?;
    let key = (fields.required("key", "key = \"data.tenant\"")).and_then(key::read);
    let limit = (fields.required("limit", "limit = 2"))
        .and_then(|item| item.count(1..=limits::MOST_CONCURRENCY));
    Some(KeyConcurrency {
        key: key?,
        limit: limit?,
    })
}

/// `"data.order_id"`, `["a", "b"]` or `{ key = …, window = … }`.
pub(super) fn dedup(item: Item<'_>) -> Option<DedupRule> {
    if !item.is_table() {
        return Some(DedupRule {
            key: key::read(item)?,
            window: limits::DEDUP_WINDOW,
        });
    }
    let fields = item.fields(&DEDUP, item.title())?;
    let key = (fields.required("key", "key = \"data.order_id\"")).and_then(key::read);
    let window = match fields.get("window") {
        None => Some(limits::DEDUP_WINDOW),
        Some(item) => duration::read(item, limits::MIN_DEDUP_WINDOW..=limits::MAX_DEDUP_WINDOW),
    };
    Some(DedupRule {
        key: key?,
        window: window?,
    })
}
