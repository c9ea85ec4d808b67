//! What a handler's result says about the events of its batch: the rules of AWS Lambda's
//! `ReportBatchItemFailures`.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::id::RunId;

/// What a result that cannot be read makes of its batch: all of it failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}; so all events of the batch count as failed")]
pub struct BatchMistake(String);

/// Which runs of a batch failed by what the handler returned (JSON; empty for `undefined`), in
/// the order of the batch; the others succeeded.
///
/// `batch` has each run with the CloudEvents id of its event. `batchItemFailures` lists what
/// failed, each by `itemIdentifier`: the event's id, or the run's. No result, no such list, null or
/// an empty list: all succeeded. A list that is none, an item without an identifier, or one that
/// is not in the batch: an error, since what the handler meant is not known. An identifier that
/// several events share names them all.
pub fn batch_failures(result: &[u8], batch: &[(RunId, &str)]) -> Result<Vec<RunId>, BatchMistake> {
    if result.iter().all(u8::is_ascii_whitespace) {
        return Ok(Vec::new());
    }
    let document: Value = serde_json::from_slice(result)
        .map_err(|error| BatchMistake(format!("the result is no JSON ({error})")))?;
    let items = match document.get("batchItemFailures") {
        None | Some(Value::Null) => return Ok(Vec::new()),
        Some(Value::Array(items)) => items,
        Some(other) => {
            let what = kind_of(other);
            let why = format!("batchItemFailures of the result is {what} instead of a list");
            return Err(BatchMistake(why));
        }
    };
    let mut failed = BTreeSet::new();
    for (n, item) in items.iter().enumerate() {
        let place = format!("batchItemFailures[{n}] of the result");
        let id = match item.get("itemIdentifier") {
            Some(Value::String(id)) if !id.is_empty() => id,
            _ => {
                let why = format!("{place} has no itemIdentifier, or an empty one");
                return Err(BatchMistake(why));
            }
        };
        let named = id.parse::<RunId>().ok();
        let same = |(run, event): &(RunId, &str)| event == id || Some(*run) == named;
        let known = batch.iter().enumerate().filter(|(_, one)| same(one));
        let known: Vec<usize> = known.map(|(at, _)| at).collect();
        if known.is_empty() {
            let shown: String = id.chars().take(100).collect();
            let why = format!("{place} names `{shown}`, which is not in the batch");
            return Err(BatchMistake(why));
        }
        failed.extend(known);
    }
    Ok(failed.into_iter().map(|at| batch[at].0).collect())
}

const fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `Ok` with the numbers of the runs that failed, or a part of the error.
    fn check(result: &str, expected: Result<&[i64], &str>) {
        let run = RunId::from_raw;
        let batch = [(run(1), "a"), (run(2), "b"), (run(3), "c"), (run(4), "c")];
        match (batch_failures(result.as_bytes(), &batch), expected) {
            (Ok(failed), Ok(expected)) => {
                let failed: Vec<i64> = failed.into_iter().map(RunId::raw).collect();
                assert_eq!(failed, expected, "{result}");
            }
            (Err(error), Err(part)) => {
                assert!(error.to_string().contains(part), "{result}: {error}");
            }
            (found, expected) => panic!("{result}: {found:?} instead of {expected:?}"),
        }
    }

    #[test]
    fn the_rules_of_partial_failures() {
        for all_well in [
            "",
            " ",
            "null",
            "{}",
            "\"done\"",
            "[1]",
            "7",
            r#"{"ok":true}"#,
            r#"{"batchItemFailures":null}"#,
            r#"{"batchItemFailures":[]}"#,
        ] {
            check(all_well, Ok(&[]));
        }
        let run = RunId::from_raw(1).to_string();
        let items = |ids: &[&str]| {
            let items = ids
                .iter()
                .map(|id| format!(r#"{{"itemIdentifier":{id:?}}}"#));
            let items: Vec<String> = items.collect();
            format!(r#"{{"batchItemFailures":[{}]}}"#, items.join(","))
        };
        check(&items(&["b"]), Ok(&[2]));
        check(&items(&["b", "a", "b"]), Ok(&[1, 2]));
        check(&items(&["c"]), Ok(&[3, 4]));
        check(&items(&[&run]), Ok(&[1]));
        check(&items(&["a", "x"]), Err("[1] of the result names `x`"));
        check(&items(&[""]), Err("no itemIdentifier"));
        check(r#"{"batchItemFailures":["a"]}"#, Err("no itemIdentifier"));
        check(
            r#"{"batchItemFailures":[{"id":"a"}]}"#,
            Err("no itemIdentifier"),
        );
        check(
            r#"{"batchItemFailures":[{"itemIdentifier":7}]}"#,
            Err("no itemIdentifier"),
        );
        check(
            r#"{"batchItemFailures":"a"}"#,
            Err("a text instead of a list"),
        );
        check("{", Err("no JSON"));
    }
}
