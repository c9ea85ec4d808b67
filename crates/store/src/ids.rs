//! Which ids a transaction gives out, and how heavy it is.

use wakeful_core::port::{Answer, ObjectChange, Transaction};

/// The greatest id of any kind in `transaction`; 0 for none. Blobs, uploads and generations are
/// drawn from the same source as events and runs, so they count too.
pub(crate) fn greatest_in(transaction: &Transaction) -> i64 {
    let events = transaction.events.iter().map(|event| event.key.raw());
    let runs = transaction.deliveries.iter().map(|new| new.id.raw());
    let objects = transaction.objects.iter().map(greatest_of_change);
    events.chain(runs).chain(objects).max().unwrap_or(0).max(0)
}

fn greatest_of_change(change: &ObjectChange) -> i64 {
    match change {
        ObjectChange::Put { object, .. } => object
            .blobs
            .iter()
            .map(|part| part.blob.0)
            .fold(object.generation, i64::max),
        ObjectChange::Begin(upload) => upload
            .parts
            .iter()
            .map(|part| part.blob.blob.0)
            .fold(upload.id.0, i64::max),
        ObjectChange::Part(_, part) => part.blob.blob.0,
        ObjectChange::Delete { .. } | ObjectChange::Abort(_) => 0,
    }
}

/// About how many bytes of memory and log `transaction` takes.
pub(crate) fn weight_of(transaction: &Transaction) -> u64 {
    const ROW: usize = 128;
    let events: usize = transaction
        .events
        .iter()
        .map(|event| ROW + event.data.len())
        .sum();
    let checkpoints: usize = transaction
        .checkpoints
        .iter()
        .map(|checkpoint| ROW + checkpoint.value.len())
        .sum();
    let rest = transaction.deliveries.len()
        + transaction.pauses.len()
        + transaction.objects.len()
        + transaction.settlements.len()
        + transaction.interventions.len();
    (events + checkpoints + rest * 2 * ROW) as u64
}

/// About how many bytes of memory and log an answer takes.
pub(crate) fn weight_of_answer(answer: &Answer) -> u64 {
    let headers = answer.headers.iter();
    let headers: usize = headers.map(|(name, value)| name.len() + value.len()).sum();
    (headers + answer.body.len()) as u64
}
