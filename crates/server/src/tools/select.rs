//! Which dead letters are meant, and walking over them.

use std::sync::Arc;

use wakeful_core::{
    id::RunId,
    limits,
    port::{DeadQuery, Delivery, Store, StoreError},
};

use super::ToolError;
use crate::admin::model::Selection;

/// Which dead letters are meant.
pub(super) enum Which {
    /// These, oldest first, none twice.
    Runs(Vec<RunId>),
    /// All that the query finds.
    Found(DeadQuery),
}

impl Which {
    /// What a selection means; one that could mean anything by mistake is refused.
    pub(super) fn of(selection: Selection) -> Result<Self, ToolError> {
        let Selection {
            runs,
            all,
            function,
            trigger,
            reason,
            since,
            until,
        } = selection;
        let query = DeadQuery {
            function,
            trigger,
            reason,
            since: since.map(|time| time.0),
            until: until.map(|time| time.0),
            before: None,
            limit: limits::MAX_ADMIN_PAGE,
        };
        let narrowed = query.function.is_some()
            || query.trigger.is_some()
            || query.reason.is_some()
            || query.since.is_some()
            || query.until.is_some();
        match (runs, narrowed, all) {
            (Some(runs), false, None) => Self::runs(runs),
            (None, true, None | Some(true)) | (None, false, Some(true)) => Ok(Self::Found(query)),
            _ => Err(ToolError::Invalid(
                "expected `runs`, or `\"all\": true`, or one of `function`, `trigger`, `reason`, \
                 `since` and `until`"
                    .to_owned(),
            )),
        }
    }

    fn runs(mut runs: Vec<RunId>) -> Result<Self, ToolError> {
        if runs.len() > limits::MAX_ADMIN_PAGE {
            return Err(ToolError::Invalid(format!(
                "`runs` may have at most {} entries",
                limits::MAX_ADMIN_PAGE
            )));
        }
        runs.sort_unstable();
        runs.dedup();
        Ok(Self::Runs(runs))
    }
}

/// Dead letters page by page, newest first. Those that die meanwhile are newer than the first
/// page, so that this comes to an end.
pub(super) struct Pages {
    store: Arc<dyn Store>,
    query: DeadQuery,
    done: bool,
}

impl Pages {
    pub(super) fn new(store: Arc<dyn Store>, query: DeadQuery) -> Self {
        Self {
            store,
            query,
            done: false,
        }
    }

    /// The next page; empty at the end.
    pub(super) async fn next(&mut self) -> Result<Vec<Delivery>, StoreError> {
        if self.done {
            return Ok(Vec::new());
        }
        let page = self.store.dead(self.query.clone()).await?;
        match page.last() {
            Some(last) => self.query.before = Some(last.id),
            None => self.done = true,
        }
        Ok(page)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_meant_by_mistake() {
        let check = |json: &str, expected: Option<usize>| {
            let selection: Selection = serde_json::from_str(json).unwrap();
            let which = Which::of(selection).ok().map(|which| match which {
                Which::Runs(runs) => runs.len(),
                Which::Found(_) => 1000,
            });
            assert_eq!(which, expected, "{json}");
        };
        check("{}", None);
        check(r#"{"all": false}"#, None);
        check(r#"{"all": true}"#, Some(1000));
        check(r#"{"function": "f"}"#, Some(1000));
        check(r#"{"function": "f", "all": true}"#, Some(1000));
        check(r#"{"function": "f", "all": false}"#, None);
        check(
            r#"{"reason": "too_old", "since": "2026-11-20T12:00:00Z"}"#,
            Some(1000),
        );
        check(r#"{"runs": []}"#, Some(0));
        check(
            r#"{"runs": ["run_0000000000001", "run_0000000000001"]}"#,
            Some(1),
        );
        check(r#"{"runs": [], "function": "f"}"#, None);
        check(r#"{"runs": [], "all": true}"#, None);
    }
}
