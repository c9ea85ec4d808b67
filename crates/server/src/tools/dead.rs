//! Dead letters: counted, shown, queued again, dropped, edited.

use std::collections::BTreeMap;

use bytes::Bytes;
use wakeful_core::{
    event::{Event, Extension, Lineage},
    filter::EventView,
    id::{EventId, RunId},
    limits,
    name::FunctionName,
    port::{Arrival, DeadQuery, Delivery, Kind, StoreError, Target, Wishes},
    time::Timestamp,
};

use super::{
    Pace, ToolError, Tools, envelope, readable,
    select::{Pages, Which},
};
use crate::{
    admin::model::{
        Affected, AttemptInfo, DeadDetail, DeadGroup, DeadLetter, DeadSummary, DeliveryInfo,
        LogEntry, PayloadInfo, Replaced, Selection,
    },
    control::Redrive,
    recorder::about,
};

/// Dead letters that a summary counts; of more only the newest are looked at.
const MOST_COUNTED: u64 = 1_000_000;
/// A word why something was discarded may have so many bytes.
const MOST_WHY: usize = 1000;
/// The extension attribute by which a handler sees that an event repeats another one.
pub(super) const REPLAY_OF: &str = "replayof";

impl Tools {
    /// Counts dead letters by function and reason.
    pub async fn dead_summary(&self, query: DeadQuery) -> Result<DeadSummary, ToolError> {
        let mut pages = Pages::new(self.control.store.clone(), query);
        let mut groups: BTreeMap<(FunctionName, &'static str), DeadGroup> = BTreeMap::new();
        let mut total = 0;
        loop {
            let page = pages.next().await?;
            if page.is_empty() || total >= MOST_COUNTED {
                let mut groups: Vec<_> = groups.into_values().collect();
                groups.sort_by_key(|group| std::cmp::Reverse(group.count));
                return Ok(DeadSummary {
                    total,
                    complete: page.is_empty(),
                    groups,
                });
            }
            total += page.len() as u64;
            for dead in page.into_iter().filter_map(DeadLetter::of) {
                count(&mut groups, dead);
            }
        }
    }

    /// A dead letter with all that is known of it.
    pub async fn dead_detail(&self, run: RunId) -> Result<DeadDetail, ToolError> {
        let (delivery, dead) = self.dead_letter(run).await?;
        let control = &self.control;
        let event = readable(control.store.event(delivery.event).await)?;
        control.history.flush().await?;
        let recorded = self.recorded(run).await?;
        let in_history = recorded.is_some();
        let (attempts, logs) = recorded
            .map(|all| (all.attempts, all.logs))
            .unwrap_or_default();
        Ok(DeadDetail {
            about: event.as_ref().map(about).unwrap_or_default(),
            event: event.as_ref().map(envelope).transpose()?,
            lineage: event
                .as_ref()
                .map(|event| event.lineage.into())
                .unwrap_or_default(),
            payload: event.as_ref().map(payload),
            dead,
            delivery: DeliveryInfo::from(delivery),
            attempts: attempts.into_iter().map(AttemptInfo::from).collect(),
            logs: logs.into_iter().map(LogEntry::from).collect(),
            in_history,
        })
    }

    /// Queues dead letters again with fresh attempts and a fresh age; with a pace not all at once,
    /// the oldest first. What is no dead letter (any more) is left alone.
    pub async fn redrive(
        &self,
        selection: Selection,
        pace: Option<Pace>,
        dry_run: bool,
    ) -> Result<Affected, ToolError> {
        let which = Which::of(selection)?;
        let tools = self.clone();
        self.job(async move {
            match which {
                _ if dry_run => tools.would_affect(which, pace).await,
                Which::Runs(runs) => tools.redrive_these(runs, pace).await,
                Which::Found(query) => tools.redrive_found(query, pace).await,
            }
        })
        .await
    }

    /// Drops dead letters for good, with a word why. What is no dead letter (any more) is left
    /// alone.
    pub async fn discard(
        &self,
        selection: Selection,
        why: String,
        dry_run: bool,
    ) -> Result<Affected, ToolError> {
        if why.len() > MOST_WHY {
            return Err(ToolError::Invalid(format!(
                "the word why may have at most {MOST_WHY} bytes"
            )));
        }
        let which = Which::of(selection)?;
        let tools = self.clone();
        self.job(async move {
            let mut affected = Affected::none();
            match which {
                _ if dry_run => return tools.would_affect(which, None).await,
                Which::Runs(runs) => affected.note(tools.operations.discard(runs, why).await?),
                Which::Found(query) => {
                    let mut pages = Pages::new(tools.control.store.clone(), query);
                    loop {
                        tools.go_on()?;
                        let runs: Vec<_> = ids(&pages.next().await?).collect();
                        if runs.is_empty() {
                            break;
                        }
                        affected.note(tools.operations.discard(runs, why.clone()).await?);
                    }
                }
            }
            Ok(affected)
        })
        .await
    }

    /// Takes in a dead letter's event with another payload, as a new event for the same trigger,
    /// and drops the dead letter.
    pub async fn edit(&self, run: RunId, data: Bytes) -> Result<Replaced, ToolError> {
        let (delivery, _) = self.dead_letter(run).await?;
        let old = self.control.store.event(delivery.event).await?;
        let old = old.ok_or_else(|| ToolError::not_found("event", delivery.event))?;
        if old.is_json()
            && let Err(error) = serde_json::from_slice::<serde::de::IgnoredAny>(&data)
        {
            return Err(ToolError::Invalid(format!(
                "the event's content type is {}, and the new payload is no JSON: {error}",
                old.content_type
            )));
        }
        let target = Target::Trigger(delivery.function.clone(), delivery.trigger.clone());
        let mut arrival = again(&old, target, self.now());
        arrival.wishes.ordering_key = self.given_key(&delivery, &old);
        arrival.data = data;
        let receipt = self.operations.replace(run, arrival).await?;
        let receipt = receipt.ok_or_else(|| ToolError::not_found("dead letter", run))?;
        let event = receipt.events.first().copied();
        let event = event.ok_or(ToolError::Internal("taking the new event in"))?;
        Ok(Replaced {
            event,
            runs: receipt.runs,
            replaces: run,
        })
    }

    /// The payload of an event with its content type.
    pub async fn payload(&self, id: EventId) -> Result<(String, Bytes), ToolError> {
        let event = self.control.store.event(id).await?;
        let event = event.ok_or_else(|| ToolError::not_found("event", id))?;
        Ok((event.content_type, event.data))
    }

    /// The ordering key that the sender of the event gave; `None` when its trigger found it in the
    /// event, where an edited one may have another.
    fn given_key(&self, delivery: &Delivery, event: &Event) -> Option<String> {
        let key = delivery.keys.ordering.clone()?;
        let triggers = self.triggers();
        let ordering = triggers.get(&delivery.trigger)?.flow.ordering.as_ref()?;
        let found = ordering.key.key_of(&EventView::of(event));
        (found.unwrap_or_default() != key).then_some(key)
    }

    async fn dead_letter(&self, run: RunId) -> Result<(Delivery, DeadLetter), ToolError> {
        let delivery = self.control.store.delivery(run).await?;
        let dead = delivery.clone().and_then(DeadLetter::of);
        delivery
            .zip(dead)
            .ok_or_else(|| ToolError::not_found("dead letter", run))
    }

    async fn would_affect(&self, which: Which, pace: Option<Pace>) -> Result<Affected, ToolError> {
        let mut affected = Affected::none();
        match which {
            Which::Runs(runs) => {
                for run in runs {
                    match self.dead_letter(run).await {
                        Ok(_) => affected.note(vec![run]),
                        Err(ToolError::NotFound { .. }) => {}
                        Err(error) => return Err(error),
                    }
                }
            }
            Which::Found(query) => {
                let mut pages = Pages::new(self.control.store.clone(), query);
                loop {
                    let page = pages.next().await?;
                    if page.is_empty() {
                        break;
                    }
                    affected.note(ids(&page).collect());
                }
            }
        }
        affected.dry_run = true;
        if let Some(pace) = pace {
            affected.last_at = last_at(pace, self.now(), affected.count)?;
        }
        Ok(affected)
    }

    async fn redrive_these(
        &self,
        runs: Vec<RunId>,
        pace: Option<Pace>,
    ) -> Result<Affected, ToolError> {
        let (now, mut affected) = (self.now(), Affected::none());
        if let Some(pace) = pace {
            affected.last_at = last_at(pace, now, runs.len() as u64)?;
        }
        let at = |nth| pace.map_or(now, |pace| pace.at(now, nth));
        let redrive = |(nth, run)| Redrive { run, at: at(nth) };
        let redrives = (0..).zip(runs).map(redrive).collect();
        affected.note(self.operations.redrive(redrives).await?);
        Ok(affected)
    }

    async fn redrive_found(
        &self,
        mut query: DeadQuery,
        pace: Option<Pace>,
    ) -> Result<Affected, ToolError> {
        let (now, mut affected) = (self.now(), Affected::none());
        let mut left = 0;
        if let Some(pace) = pace {
            // Counted first: pages come newest first, and the oldest is to go first.
            let (count, newest) = self.count_dead(&query).await?;
            affected.last_at = last_at(pace, now, count)?;
            query.before = newest.map(|run| RunId::from_raw(run.raw().saturating_add(1)));
            left = count;
        }
        let mut pages = Pages::new(self.control.store.clone(), query);
        loop {
            self.go_on()?;
            let page = pages.next().await?;
            if page.is_empty() {
                return Ok(affected);
            }
            let redrives = ids(&page).map(|run| {
                left = left.saturating_sub(1);
                let at = pace.map_or(now, |pace| pace.at(now, left));
                Redrive { run, at }
            });
            let mut redrives: Vec<_> = redrives.collect();
            redrives.reverse();
            affected.note(self.operations.redrive(redrives).await?);
        }
    }

    async fn count_dead(&self, query: &DeadQuery) -> Result<(u64, Option<RunId>), StoreError> {
        let mut pages = Pages::new(self.control.store.clone(), query.clone());
        let (mut count, mut newest) = (0, None);
        loop {
            let page = pages.next().await?;
            if page.is_empty() {
                return Ok((count, newest));
            }
            newest = newest.or(page.first().map(|dead| dead.id));
            count += page.len() as u64;
        }
    }
}

/// When the last of `count` starts.
fn last_at(
    pace: Pace,
    begin: Timestamp,
    count: u64,
) -> Result<Option<crate::admin::model::Time>, ToolError> {
    pace.fits(count)?;
    Ok((count > 0).then(|| pace.at(begin, count - 1).into()))
}

impl Affected {
    fn none() -> Self {
        Self {
            count: 0,
            runs: Vec::new(),
            dry_run: false,
            last_at: None,
        }
    }

    fn note(&mut self, runs: Vec<RunId>) {
        self.count += runs.len() as u64;
        let room = limits::MAX_ADMIN_PAGE - self.runs.len();
        self.runs.extend(runs.into_iter().take(room));
    }
}

fn ids(page: &[Delivery]) -> impl Iterator<Item = RunId> {
    page.iter().map(|delivery| delivery.id)
}

fn count(groups: &mut BTreeMap<(FunctionName, &'static str), DeadGroup>, dead: DeadLetter) {
    let word = crate::admin::model::dead_reason_word(dead.reason);
    let group = groups
        .entry((dead.function.clone(), word))
        .or_insert_with(|| DeadGroup {
            function: dead.function,
            reason: dead.reason,
            count: 0,
            oldest: dead.died_at,
            newest: dead.died_at,
            failure: dead.failure.clone(),
        });
    group.count += 1;
    group.oldest = group.oldest.min(dead.died_at);
    if dead.died_at > group.newest {
        group.newest = dead.died_at;
        group.failure = dead.failure;
    }
}

/// How large a payload is, and what it is.
pub(super) fn payload(event: &Event) -> PayloadInfo {
    PayloadInfo {
        size: event.data.len() as u64,
        content_type: event.content_type.clone(),
    }
}

/// An event once more: a new one that says which one it repeats, and stands where that one stood
/// in its chain. It has no deduplication id, or it would be taken for the old one.
pub(super) fn again(old: &Event, target: Target, now: Timestamp) -> Arrival {
    let mut extensions = old.extensions.clone();
    extensions.insert(REPLAY_OF.to_owned(), Extension::Text(old.key.to_string()));
    let lineage = Lineage {
        depth: old.lineage.depth,
        replay_of: Some(old.key),
        ..Lineage::default()
    };
    Arrival {
        kind: Kind::Given(old.kind.clone()),
        subject: old.subject.clone(),
        content_type: old.content_type.clone(),
        source: Some(old.source.clone()),
        extensions,
        lineage,
        wishes: Wishes {
            target,
            ..Wishes::default()
        },
        time: old.time,
        ..Arrival::new(old.origin.clone(), "again", now, old.data.clone())
    }
}
