//! Log lines, as a page or as a stream that goes on.
//!
//! A follower reads the history by the numbers of the lines; what is broadcast only wakes it. So
//! no line is left out or shown twice, however fast they come and however slow the reader is.

use std::{convert::Infallible, time::Duration};

use axum::{
    Json,
    body::{Body, Bytes},
    extract::State,
    http::header,
    response::{IntoResponse, Response},
};
use futures::stream;
use serde::Deserialize;
use tokio::sync::{OwnedSemaphorePermit, broadcast};
use tokio_util::sync::CancellationToken;
use utoipa::IntoParams;
use wakeful_core::{
    id::RunId,
    limits,
    name::FunctionName,
    run::{LogLevel, LogLine},
};
use wakeful_store::{History, HistoryError, LogRow, LogsQuery};

use super::page;
use crate::admin::{
    Admin,
    error::ApiError,
    extract::Params,
    model::{ErrorBody, LogEntry, LogList, Time},
};

/// Lines that come within this are sent together.
const GATHER: Duration = Duration::from_millis(25);
/// Without a line for this long a follower looks all the same, and tells the reader that it lives.
const HEARTBEAT: Duration = Duration::from_secs(2);

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct LogParams {
    /// Only those of this function.
    #[param(value_type = Option<String>)]
    function: Option<FunctionName>,
    /// Only those of this run.
    #[param(value_type = Option<String>)]
    run: Option<RunId>,
    /// Only those that matter at least this much: `debug`, `info`, `warn`, `error`.
    #[param(value_type = Option<String>)]
    level: Option<LogLevel>,
    /// Only those that contain this text, as it is spelled.
    contains: Option<String>,
    /// Only those written at or after this time.
    since: Option<Time>,
    /// Only those after the line with this number, oldest first; otherwise the newest lines.
    after: Option<i64>,
    /// 1 to 1,000 (0 as well with `follow`); 100 if not given.
    limit: Option<usize>,
    /// `true` to go on with new lines as they come.
    #[serde(default)]
    #[param(required = false)]
    follow: bool,
}

/// Log lines
///
/// Oldest first; without `after` the newest ones. With `follow=true` the answer is one JSON
/// object a line (NDJSON): first what is there, then each new line, none left out and none twice.
/// An empty line is a sign of life; an object with `error` is the last one.
#[utoipa::path(
    get, operation_id = "get_logs", path = "/v1/logs", tag = "runs",
    params(LogParams),
    responses(
        (status = 200, description = "It worked", content((LogList = "application/json"), (LogEntry = "application/x-ndjson"))),
        (status = "default", description = "Refused", body = ErrorBody)
    )
)]
pub(super) async fn lines(
    State(admin): State<Admin>,
    Params(params): Params<LogParams>,
) -> Result<Response, ApiError> {
    let history = admin.control.history.clone();
    let follow = params.follow;
    let query = query(params)?;
    if !follow {
        history.flush().await?;
        let rows = history.logs(query).await?;
        let lines = rows.into_iter().map(LogEntry::from).collect();
        return Ok(Json(LogList { lines }).into_response());
    }
    let permit = admin.followers.clone().try_acquire_owned();
    let permit = permit.map_err(|_| ApiError::TooManyFollowers)?;
    // Subscribed before the history is read: whatever comes afterwards wakes the follower.
    let wake = admin.control.logs.subscribe();
    let (first, position) = beginning(&history, &query).await?;
    let follower = Follower {
        history,
        query: LogsQuery {
            after_seq: Some(position),
            limit: limits::MAX_ADMIN_PAGE,
            ..query
        },
        first: Some(ndjson(first)?),
        wake,
        stop: admin.stop.clone(),
        ended: false,
        _permit: permit,
    };
    let body = stream::unfold(follower, |mut follower| async move {
        let chunk = follower.next().await?;
        Some((Ok::<_, Infallible>(chunk), follower))
    });
    let headers = [
        (header::CONTENT_TYPE, "application/x-ndjson"),
        (header::CACHE_CONTROL, "no-store"),
    ];
    Ok((headers, Body::from_stream(body)).into_response())
}

fn query(params: LogParams) -> Result<LogsQuery, ApiError> {
    let limit = match params.limit {
        Some(0) if params.follow => 0,
        limit => page(limit)?,
    };
    Ok(LogsQuery {
        function: params.function,
        run: params.run,
        level: params.level,
        contains: params.contains,
        since: params.since.map(|Time(at)| at),
        after_seq: params.after,
        limit,
    })
}

/// What to show first, and the number after which the following begins.
async fn beginning(
    history: &History,
    query: &LogsQuery,
) -> Result<(Vec<LogRow>, i64), HistoryError> {
    if let Some(after) = query.after_seq {
        return Ok((Vec::new(), after));
    }
    history.flush().await?;
    let newest = LogsQuery {
        limit: 1,
        ..LogsQuery::default()
    };
    let newest = history.logs(newest).await?;
    let position = newest.last().map_or(0, |row| row.seq);
    if query.limit == 0 {
        return Ok((Vec::new(), position));
    }
    let mut first = history.logs(query.clone()).await?;
    // Newer lines are the follower's: among these here some of them might be cut off.
    first.retain(|row| row.seq <= position);
    Ok((first, position))
}

/// One client that follows the logs.
struct Follower {
    history: History,
    query: LogsQuery,
    first: Option<Bytes>,
    wake: broadcast::Receiver<LogLine>,
    stop: CancellationToken,
    ended: bool,
    _permit: OwnedSemaphorePermit,
}

impl Follower {
    /// The next stretch of lines, or a sign of life; `None` at the end.
    async fn next(&mut self) -> Option<Bytes> {
        if self.ended {
            return None;
        }
        if let Some(first) = self.first.take() {
            // Also when it is empty: the headers go out with it.
            return Some(if first.is_empty() {
                Bytes::from_static(b"\n")
            } else {
                first
            });
        }
        match self.read().await {
            Ok(Some(lines)) => return Some(lines),
            Ok(None) => {}
            Err(error) => return Some(self.end_with(&error)),
        }
        if !self.wait().await {
            return None;
        }
        match self.read().await {
            Ok(Some(lines)) => Some(lines),
            Ok(None) => Some(Bytes::from_static(b"\n")),
            Err(error) => Some(self.end_with(&error)),
        }
    }

    async fn read(&mut self) -> Result<Option<Bytes>, ApiError> {
        self.history.flush().await?;
        let rows = self.history.logs(self.query.clone()).await?;
        let Some(last) = rows.last() else {
            return Ok(None);
        };
        self.query.after_seq = Some(last.seq);
        ndjson(rows).map(Some)
    }

    /// Waits for a reason to look; `false` when there will be none.
    async fn wait(&mut self) -> bool {
        tokio::select! {
            biased;
            () = self.stop.cancelled() => return false,
            woken = self.wake.recv() => {
                if matches!(woken, Err(broadcast::error::RecvError::Closed)) {
                    return false;
                }
            }
            () = tokio::time::sleep(HEARTBEAT) => return true,
        }
        tokio::time::sleep(GATHER).await;
        // What came meanwhile is read in one go.
        self.wake = self.wake.resubscribe();
        true
    }

    fn end_with(&mut self, error: &ApiError) -> Bytes {
        self.ended = true;
        let mut line = serde_json::to_vec(&error.body()).unwrap_or_default();
        line.push(b'\n');
        line.into()
    }
}

fn ndjson(rows: Vec<LogRow>) -> Result<Bytes, ApiError> {
    let mut text = Vec::new();
    for row in rows {
        serde_json::to_writer(&mut text, &LogEntry::from(row))
            .map_err(|_| ApiError::Internal("writing a log line as JSON"))?;
        text.push(b'\n');
    }
    Ok(text.into())
}
