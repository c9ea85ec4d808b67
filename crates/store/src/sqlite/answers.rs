//! Answers that are kept for requests with an idempotency key.
//!
//! # Format
//! `answers.hash` is CRC-32C of the number of the trigger (8 bytes, little-endian) and the key:
//! keys are random, and an index of small numbers stays in memory where one of texts does not.
//! `id` is the run that began it, so that the table itself grows at its end. An answer that has
//! been given has a `status`; its `headers` are, for each field, name and value as a length of 4
//! bytes (little-endian) and bytes, and `checksum` is CRC-32C of the status (2 bytes), headers and
//! body. Without a status it is being answered by `epoch`.

use bytes::Bytes;
use rusqlite::{OptionalExtension, Row, params};
use wakeful_core::{
    flow::OnUnknown,
    id::RunId,
    port::{Answer, AnswerKey, BeginAnswer, Begun, Epoch},
    time::Timestamp,
};

use super::{
    apply::Applier,
    fault::{Fault, malformed, tell_damage},
};

/// A row of the table.
struct Kept {
    id: i64,
    fingerprint: Vec<u8>,
    epoch: u32,
    run: RunId,
    until: Timestamp,
    answer: Option<Result<Answer, Fault>>,
}

fn hash(trigger: i64, key: &str) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(&trigger.to_le_bytes()), key.as_bytes())
}

fn kept(row: &Row<'_>) -> rusqlite::Result<Kept> {
    let status: Option<u16> = row.get(6)?;
    let answer = match status {
        None => None,
        Some(status) => {
            let (headers, body): (Vec<u8>, Vec<u8>) = (row.get(7)?, row.get(8)?);
            let right = row.get::<_, u32>(5)? == checksum(status, &headers, &body);
            let headers = right.then(|| decode(&headers)).flatten();
            Some(
                headers
                    .map(|headers| Answer {
                        status,
                        headers,
                        body: body.into(),
                    })
                    .ok_or_else(|| malformed("an answer")),
            )
        }
    };
    Ok(Kept {
        id: row.get(0)?,
        fingerprint: row.get(1)?,
        epoch: row.get(2)?,
        run: RunId::from_raw(row.get(3)?),
        until: Timestamp::from_millis(row.get(4)?),
        answer,
    })
}

fn checksum(status: u16, headers: &[u8], body: &[u8]) -> u32 {
    let sum = crc32c::crc32c(&status.to_le_bytes());
    crc32c::crc32c_append(crc32c::crc32c_append(sum, headers), body)
}

fn encode(headers: &[(String, Bytes)]) -> Vec<u8> {
    let mut out = Vec::new();
    for (name, value) in headers {
        for part in [name.as_bytes(), value] {
            // 4 GiB of headers cannot get here: SQLite refuses rows beyond 1 GB.
            out.extend((part.len() as u32).to_le_bytes());
            out.extend(part);
        }
    }
    out
}

fn decode(mut rest: &[u8]) -> Option<Vec<(String, Bytes)>> {
    let mut headers = Vec::new();
    while !rest.is_empty() {
        let name = String::from_utf8(part(&mut rest)?.to_vec()).ok()?;
        headers.push((name, Bytes::copy_from_slice(part(&mut rest)?)));
    }
    Some(headers)
}

fn part<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let (length, tail) = rest.split_first_chunk()?;
    let (part, tail) = tail.split_at_checked(u32::from_le_bytes(*length) as usize)?;
    *rest = tail;
    Some(part)
}

/// Begins an answer, or tells what stands.
pub(super) fn begin(applier: &mut Applier<'_>, begin: &BeginAnswer) -> Result<Begun, Fault> {
    let key = &begin.key;
    let conn = applier.conn;
    let trigger = applier
        .memory
        .names
        .triggers
        .intern(conn, &key.scope, &key.trigger)?;
    applier.delta.greatest = applier.delta.greatest.max(begin.run.raw());
    if let Some(kept) = find(applier, trigger, &key.key)? {
        if let Some(begun) = stands(&kept, begin, applier.epoch) {
            return Ok(begun);
        }
        forget(applier, kept.id)?;
    }
    conn.prepare_cached(
        "INSERT INTO answers (id, hash, trigger, key, fingerprint, epoch, run, until) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?1, ?7)",
    )?
    .execute(params![
        begin.run.raw(),
        hash(trigger, &key.key),
        trigger,
        key.key,
        &begin.fingerprint[..],
        applier.epoch.0,
        begin.until.as_millis()
    ])?;
    Ok(Begun::Fresh)
}

/// What a kept row means for a request; `None`: it is as though it were not there.
fn stands(kept: &Kept, begin: &BeginAnswer, epoch: Epoch) -> Option<Begun> {
    let running = kept.answer.is_none() && kept.epoch == epoch.0;
    if kept.until <= begin.now && !running {
        return None;
    }
    if kept.fingerprint != begin.fingerprint {
        return Some(Begun::Mismatch(kept.run));
    }
    match &kept.answer {
        Some(Ok(answer)) => Some(Begun::Answered(kept.run, answer.clone())),
        // It was answered, but with what is not known any more: as unknown as one that was cut off,
        // except that it certainly ran.
        Some(Err(fault)) => {
            tell_damage("an answer", kept.id, fault);
            Some(Begun::Unknown(kept.run))
        }
        None if running => Some(Begun::Running(kept.run)),
        None => match begin.again {
            OnUnknown::Retry => None,
            OnUnknown::Hold => Some(Begun::Unknown(kept.run)),
        },
    }
}

fn find(applier: &Applier<'_>, trigger: i64, key: &str) -> Result<Option<Kept>, Fault> {
    let found = applier
        .conn
        .prepare_cached(
            "SELECT id, fingerprint, epoch, run, until, checksum, status, headers, body \
             FROM answers INDEXED BY answers_hash WHERE hash = ?1 AND trigger = ?2 AND key = ?3",
        )?
        .query_row(params![hash(trigger, key), trigger, key], kept)
        .optional()?;
    Ok(found)
}

fn forget(applier: &Applier<'_>, id: i64) -> Result<(), Fault> {
    applier
        .conn
        .prepare_cached("DELETE FROM answers WHERE id = ?1")?
        .execute([id])?;
    Ok(())
}

/// Keeps an answer that this epoch began, or forgets that it did.
pub(super) fn finish(
    applier: &mut Applier<'_>,
    key: &AnswerKey,
    answer: Option<&Answer>,
) -> Result<(), Fault> {
    let conn = applier.conn;
    let triggers = &mut applier.memory.names.triggers;
    let Some(trigger) = triggers.find(conn, &key.scope, &key.trigger)? else {
        return Ok(());
    };
    let Some(kept) = find(applier, trigger, &key.key)? else {
        return Ok(());
    };
    if kept.answer.is_some() || kept.epoch != applier.epoch.0 {
        return Ok(());
    }
    let Some(answer) = answer else {
        return forget(applier, kept.id);
    };
    let headers = encode(&answer.headers);
    conn.prepare_cached(
        "UPDATE answers SET status = ?2, headers = ?3, body = ?4, checksum = ?5 WHERE id = ?1",
    )?
    .execute(params![
        kept.id,
        answer.status,
        headers,
        &answer.body[..],
        checksum(answer.status, &headers, &answer.body)
    ])?;
    Ok(())
}

/// Drops answers whose time has passed, up to about `bytes` and `most` of them; whether there
/// may be more. What this epoch is still answering stays.
pub(super) fn sweep(
    applier: &Applier<'_>,
    now: Timestamp,
    (most, bytes): (usize, i64),
) -> Result<bool, Fault> {
    let mut statement = applier.conn.prepare_cached(
        "SELECT id, coalesce(length(body), 0) FROM answers INDEXED BY answers_until \
         WHERE until <= ?1 AND (status IS NOT NULL OR epoch <> ?2) ORDER BY until LIMIT ?3",
    )?;
    let mut rows = statement.query(params![now.as_millis(), applier.epoch.0, most as i64])?;
    let (mut gone, mut size) = (Vec::new(), 0);
    while size < bytes
        && let Some(row) = rows.next()?
    {
        gone.push(row.get::<_, i64>(0)?);
        size += row.get::<_, i64>(1)?;
    }
    drop(rows);
    for id in &gone {
        forget(applier, *id)?;
    }
    Ok(gone.len() == most || size >= bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn headers_survive(headers in proptest::collection::vec((".{0,9}", any::<Vec<u8>>()), 0..5)) {
            let headers: Vec<(String, Bytes)> = headers
                .into_iter()
                .map(|(name, value)| (name, value.into()))
                .collect();
            let stored = encode(&headers);
            prop_assert_eq!(decode(&stored), Some(headers.clone()));
            if !stored.is_empty() {
                prop_assert_ne!(decode(&stored[..stored.len() - 1]), Some(headers));
            }
        }
    }
}
