//! What the answer of a batch means for each of its deliveries.

use std::{collections::HashMap, sync::Arc};

use bytes::Bytes;
use serde::Deserialize;
use wakeful_core::{
    delivery::{Failure, FailureKind, RetryAdvice},
    event::Event,
    flow::batch_failures,
    id::RunId,
    port::Delivery,
};
use wakeful_workers::Batched;

/// One event as its worker gets it.
pub(super) fn batched((delivery, event): &(Delivery, Arc<Event>)) -> Batched {
    Batched {
        run: delivery.id,
        attempt: delivery.starts,
        json: Bytes::from(event.to_json()),
    }
}

/// The outcome of each delivery, in order: those that the result names failed, with the error it
/// gives for them; a result that cannot be understood fails all of them.
pub(super) fn outcomes(
    result: &Bytes,
    deliveries: &[(Delivery, Arc<Event>)],
) -> Vec<Result<Bytes, Failure>> {
    let batch: Vec<(RunId, &str)> = (deliveries.iter())
        .map(|(delivery, event)| (delivery.id, event.id.as_str()))
        .collect();
    let failed = match batch_failures(result, &batch) {
        Ok(failed) => failed,
        Err(mistake) => {
            let failure = Failure::ours(FailureKind::UserError, mistake.to_string());
            return vec![Err(failure); deliveries.len()];
        }
    };
    let errors = if failed.is_empty() {
        HashMap::new()
    } else {
        errors_of(result)
    };
    let outcome = |(run, event): &(RunId, &str)| {
        if !failed.contains(run) {
            return Ok(result.clone());
        }
        let given = errors.get(*event).or_else(|| errors.get(&run.to_string()));
        Err(given.cloned().unwrap_or_else(|| {
            let said = "the handler named it among its batchItemFailures";
            Failure::ours(FailureKind::UserError, said)
        }))
    };
    batch.iter().map(outcome).collect()
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Document {
    batch_item_failures: Vec<Item>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Item {
    item_identifier: String,
    error: Option<ItemError>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ItemError {
    #[serde(default)]
    name: String,
    #[serde(default)]
    message: String,
    stack: Option<String>,
    retry: Option<Retry>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Retry {
    #[serde(default)]
    never: bool,
    after_ms: Option<u64>,
}

/// The errors that the result gives, by identifier; none when it gives none.
fn errors_of(result: &[u8]) -> HashMap<String, Failure> {
    let document: Option<Document> = serde_json::from_slice(result).ok();
    let items = document
        .into_iter()
        .flat_map(|document| document.batch_item_failures);
    let with_error = items.filter_map(|item| Some((item.item_identifier, item.error?.into())));
    with_error.collect()
}

impl From<ItemError> for Failure {
    fn from(error: ItemError) -> Self {
        let advice = error.retry.and_then(|retry| match retry.never {
            true => Some(RetryAdvice::Never),
            false => retry.after_ms.map(RetryAdvice::AfterMs),
        });
        Self {
            kind: FailureKind::UserError,
            name: error.name,
            message: error.message,
            stack: error.stack,
            advice,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_come_with_their_advice() {
        let result = br#"{"batchItemFailures": [
            {"itemIdentifier": "a"},
            {"itemIdentifier": "b", "error": {"name": "TypeError", "message": "m", "retry": {"never": true}}},
            {"itemIdentifier": "c", "error": {"message": "m", "retry": {"afterMs": 7}}},
            {"itemIdentifier": "d", "error": {"message": "m", "retry": null}}]}"#;
        let errors = errors_of(result);
        assert_eq!(errors.get("a"), None);
        assert_eq!(errors["b"].name, "TypeError");
        let advice = ["b", "c", "d"].map(|id| errors[id].advice);
        let expected = [
            Some(RetryAdvice::Never),
            Some(RetryAdvice::AfterMs(7)),
            None,
        ];
        assert_eq!(advice, expected);
        assert!(errors_of(b"{}").is_empty());
    }
}
