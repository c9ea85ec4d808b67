//! Replaying events: what came in once comes in again, as new events that say which ones they
//! repeat, for those whose triggers want them now.
//!
//! Replays of replays would multiply with each round, so that only originals are replayed unless
//! it is asked for. What functions published is left out when nothing narrows a replay down: its
//! causes are replayed as well and bring it forth again.

use std::collections::BTreeMap;

use wakeful_core::{
    event::Event,
    filter::{EventView, Pattern},
    id::EventId,
    name::{FunctionName, TriggerId},
    port::{Arrival, Ended, EventsQuery, Submission, Target},
    routing::{Triggers, judge},
    time::Timestamp,
};

use super::{Pace, ToolError, Tools, dead::again, judge::listeners};
use crate::admin::model::{LeftOut, ReplayOrder, ReplayReport, ReplayedEvent, ReplayedFor};

/// Events that are read at once, at first.
const FIRST_PAGE: usize = 32;
/// And at most.
const MOST_PAGE: usize = 256;
/// A page is to have about so many bytes of payload.
const PAGE_BYTES: usize = 4 * 1024 * 1024;
/// Events that a report names.
const MOST_NAMED: usize = 100;

/// A replay with everything read and checked.
struct Replay {
    from: EventId,
    until: EventId,
    source: Option<Wanted>,
    kind: Option<Wanted>,
    filter: Option<Pattern>,
    only: Only,
    again: bool,
    limit: u64,
    pace: Option<Pace>,
    dry_run: bool,
    begin: Timestamp,
}

/// For whom events are replayed.
enum Only {
    Everybody,
    Function(FunctionName),
    Trigger(FunctionName, TriggerId),
}

/// A text, or what it begins with.
enum Wanted {
    Exactly(String),
    Beginning(String),
}

impl Wanted {
    fn of(text: String) -> Self {
        match text.strip_suffix('*') {
            Some(prefix) => Self::Beginning(prefix.to_owned()),
            None => Self::Exactly(text),
        }
    }

    fn matches(&self, text: &str) -> bool {
        match self {
            Self::Exactly(wanted) => wanted == text,
            Self::Beginning(prefix) => text.starts_with(prefix.as_str()),
        }
    }
}

/// What is to be done with an event.
enum Verdict {
    /// It is replayed, for these triggers.
    For(Vec<TriggerId>),
    /// It is not, and is counted there.
    Left(fn(&mut LeftOut) -> &mut u64),
}

impl Tools {
    /// Replays events, or says what would be replayed.
    pub async fn replay(&self, order: ReplayOrder) -> Result<ReplayReport, ToolError> {
        let replay = self.checked(order)?;
        let tools = self.clone();
        self.job(async move { tools.run_replay(replay).await })
            .await
    }

    fn checked(&self, order: ReplayOrder) -> Result<Replay, ToolError> {
        let now = self.now();
        let until = order.until.map_or(now, |time| time.0.min(now));
        if order.since.0 >= until {
            let text = "`since` must be before `until`, and before now";
            return Err(ToolError::Invalid(text.to_owned()));
        }
        let filter = order.filter.as_ref().map(Pattern::parse).transpose();
        let filter = filter.map_err(|mistakes| {
            let list: Vec<_> = mistakes.iter().map(|one| one.message.clone()).collect();
            ToolError::Invalid(format!("the filter is wrong: {}", list.join("; ")))
        })?;
        let pace = order.rate.as_deref().map(str::parse).transpose();
        Ok(Replay {
            from: EventId::first_at(order.since.0),
            until: EventId::first_at(until),
            source: order.source.map(Wanted::of),
            kind: order.kind.map(Wanted::of),
            filter,
            only: self.only(order.function, order.trigger)?,
            again: order.again,
            limit: order.limit.unwrap_or(u64::MAX),
            pace: pace
                .map_err(|error: super::InvalidPace| ToolError::Invalid(error.to_string()))?,
            dry_run: order.dry_run,
            begin: now,
        })
    }

    fn only(
        &self,
        function: Option<FunctionName>,
        trigger: Option<TriggerId>,
    ) -> Result<Only, ToolError> {
        let Some(trigger) = trigger else {
            return match function {
                None => Ok(Only::Everybody),
                Some(function) => self.known(&function).map(|()| Only::Function(function)),
            };
        };
        let owner = trigger
            .as_str()
            .split_once('/')
            .and_then(|(name, _)| name.parse().ok());
        let Some(function) = function.or(owner) else {
            let text = "name the trigger with its function: `function/trigger`";
            return Err(ToolError::Invalid(text.to_owned()));
        };
        self.known(&function)?;
        let trigger = self.trigger_of(&function, trigger.as_str())?;
        Ok(Only::Trigger(function, trigger))
    }

    async fn run_replay(&self, replay: Replay) -> Result<ReplayReport, ToolError> {
        let triggers = self.triggers();
        let mut tally = Tally::new(&replay);
        let (mut from, mut page) = (replay.from, FIRST_PAGE);
        while from < replay.until && tally.report.replayed < replay.limit {
            if let Err(stopped) = self.go_on() {
                return tally.stopped(&triggers, stopped);
            }
            let query = EventsQuery {
                from,
                before: replay.until,
                limit: page,
            };
            let events = self.control.store.events(query).await?;
            let Some(last) = events.last() else { break };
            from = next(last);
            page = next_page(page, &events);
            let mut batch = Vec::new();
            for event in &events {
                let repeats = self.repeats(&replay, &triggers, event).await?;
                tally.look(&replay, &triggers, (event, repeats), &mut batch);
            }
            if let Err(error) = self.submit_replays(&replay, batch, &mut tally).await {
                return tally.stopped(&triggers, error);
            }
        }
        tally.done(&replay, &triggers)
    }

    /// Whether all triggers that an event would be replayed for left it out as a repetition when it
    /// came: replaying it would do twice what was meant once.
    async fn repeats(
        &self,
        replay: &Replay,
        triggers: &Triggers,
        event: &Result<Event, EventId>,
    ) -> Result<bool, ToolError> {
        let Ok(event) = event else { return Ok(false) };
        let Verdict::For(wanted) = replay.verdict(triggers, event) else {
            return Ok(false);
        };
        if replay.again {
            return Ok(false);
        }
        let endings = self.control.store.endings(event.key).await?;
        let left_out = |trigger: &TriggerId| {
            let mut endings = endings.iter();
            endings.any(|one| one.trigger == *trigger && matches!(one.how, Ended::Duplicate(_)))
        };
        Ok(wanted.iter().all(left_out))
    }

    async fn submit_replays(
        &self,
        replay: &Replay,
        batch: Vec<(EventId, Arrival)>,
        tally: &mut Tally,
    ) -> Result<(), ToolError> {
        if batch.is_empty() {
            return Ok(());
        }
        if let Some(pace) = replay.pace {
            pace.fits(tally.taken)?;
        }
        let (old, arrivals): (Vec<_>, Vec<_>) = batch.into_iter().unzip();
        let mut new = Vec::new();
        if !replay.dry_run {
            let submission = Submission {
                arrivals,
                ..Submission::default()
            };
            new = self.operations.submit(submission).await?.events;
        }
        tally.submitted(&old, &new);
        Ok(())
    }
}

/// The id after that of a page's last event.
fn next(last: &Result<Event, EventId>) -> EventId {
    let id = match last {
        Ok(event) => event.key,
        Err(id) => *id,
    };
    EventId::from_raw(id.raw().saturating_add(1))
}

/// How many events to read next, so that a page keeps to about `PAGE_BYTES`.
fn next_page(page: usize, events: &[Result<Event, EventId>]) -> usize {
    let bytes: usize = events.iter().flatten().map(|event| event.data.len()).sum();
    let each = (bytes / events.len().max(1)).max(1);
    (PAGE_BYTES / each).clamp(1, (page * 2).min(MOST_PAGE))
}

/// What was looked at and replayed so far.
struct Tally {
    report: ReplayReport,
    counts: BTreeMap<TriggerId, u64>,
    /// Replayed, or about to be.
    taken: u64,
}

impl Tally {
    fn new(replay: &Replay) -> Self {
        Self {
            report: ReplayReport {
                dry_run: replay.dry_run,
                ..ReplayReport::default()
            },
            counts: BTreeMap::new(),
            taken: 0,
        }
    }

    /// Looks at one event; what is to be replayed goes into the batch.
    fn look(
        &mut self,
        replay: &Replay,
        triggers: &Triggers,
        (event, repeats): (&Result<Event, EventId>, bool),
        batch: &mut Vec<(EventId, Arrival)>,
    ) {
        if self.taken >= replay.limit {
            return;
        }
        self.report.looked_at += 1;
        let event = match event {
            Ok(event) => event,
            Err(id) => {
                self.report.left_out.damaged += 1;
                if self.report.damaged.len() < MOST_NAMED {
                    self.report.damaged.push(*id);
                }
                return;
            }
        };
        match replay.verdict(triggers, event) {
            Verdict::Left(counter) => *counter(&mut self.report.left_out) += 1,
            Verdict::For(_) if repeats => self.report.left_out.repetitions += 1,
            Verdict::For(wanted) => {
                let mut arrival = again(event, replay.target(), replay.begin);
                if let Some(pace) = replay.pace {
                    arrival.wishes.not_before = Some(pace.at(replay.begin, self.taken));
                }
                self.taken += 1;
                batch.push((event.key, arrival));
                for trigger in wanted {
                    *self.counts.entry(trigger).or_default() += 1;
                }
            }
        }
    }

    /// These were replayed; `new` is empty in a dry run.
    fn submitted(&mut self, old: &[EventId], new: &[EventId]) {
        self.report.replayed += old.len() as u64;
        let room = MOST_NAMED - self.report.events.len();
        let named = old.iter().enumerate().take(room);
        let named = named.map(|(place, of)| ReplayedEvent {
            of: *of,
            event: new.get(place).copied(),
        });
        self.report.events.extend(named);
    }

    fn done(mut self, replay: &Replay, triggers: &Triggers) -> Result<ReplayReport, ToolError> {
        if let Some(pace) = replay.pace
            && self.report.replayed > 0
        {
            let last = pace.at(replay.begin, self.report.replayed - 1);
            self.report.last_at = Some(last.into());
        }
        self.count(triggers);
        Ok(self.report)
    }

    /// What was replayed until then is told, if there is any.
    fn stopped(mut self, triggers: &Triggers, error: ToolError) -> Result<ReplayReport, ToolError> {
        if self.report.replayed == 0 {
            return Err(error);
        }
        self.report.stopped = Some(error.to_string());
        self.count(triggers);
        Ok(self.report)
    }

    fn count(&mut self, triggers: &Triggers) {
        let counts = std::mem::take(&mut self.counts);
        let mut list: Vec<_> = counts
            .into_iter()
            .filter_map(|(id, count)| {
                let function = triggers.get(&id)?.function.clone();
                Some(ReplayedFor {
                    trigger: id,
                    function,
                    count,
                })
            })
            .collect();
        list.sort_by_key(|one| std::cmp::Reverse(one.count));
        self.report.triggers = list;
    }
}

impl Replay {
    fn verdict(&self, triggers: &Triggers, event: &Event) -> Verdict {
        if !self.again && event.lineage.replay_of.is_some() {
            return Verdict::Left(|left| &mut left.replays);
        }
        let origin = || event.origin.to_string();
        let from_there = self
            .source
            .as_ref()
            .is_none_or(|wanted| wanted.matches(&event.source) || wanted.matches(&origin()));
        let of_type = self
            .kind
            .as_ref()
            .is_none_or(|wanted| wanted.matches(&event.kind));
        if !from_there || !of_type {
            return Verdict::Left(|left| &mut left.other);
        }
        let view = EventView::of(event);
        if self
            .filter
            .as_ref()
            .is_some_and(|filter| !filter.matches(&view))
        {
            return Verdict::Left(|left| &mut left.other);
        }
        if !self.is_narrowed() && event.lineage.run.is_some() {
            return Verdict::Left(|left| &mut left.caused);
        }
        let wanted = listeners(triggers, event)
            .filter(|trigger| match &self.only {
                Only::Everybody => true,
                Only::Function(name) => trigger.function == *name,
                Only::Trigger(_, id) => trigger.id == *id,
            })
            .filter(|trigger| judge(trigger, event, &view).is_wanted());
        let wanted: Vec<_> = wanted.map(|trigger| trigger.id.clone()).collect();
        match wanted.is_empty() {
            true => Verdict::Left(|left| &mut left.unwanted),
            false => Verdict::For(wanted),
        }
    }

    /// Whether anything but time says which events are meant.
    fn is_narrowed(&self) -> bool {
        self.source.is_some()
            || self.kind.is_some()
            || self.filter.is_some()
            || !matches!(self.only, Only::Everybody)
    }

    fn target(&self) -> Target {
        match &self.only {
            Only::Everybody => Target::Triggers,
            Only::Function(name) => Target::Function(name.clone()),
            Only::Trigger(name, id) => Target::Trigger(name.clone(), id.clone()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_at_the_end_stands_for_anything() {
        for (wanted, text, expected) in [
            ("bucket:photos", "bucket:photos", true),
            ("bucket:photos", "bucket:photos2", false),
            ("bucket:*", "bucket:photos", true),
            ("topic:orders.*", "topic:orders.paid", true),
            ("topic:orders.*", "topic:order", false),
            ("*", "anything", true),
        ] {
            let found = Wanted::of(wanted.to_owned()).matches(text);
            assert_eq!(found, expected, "{wanted} {text}");
        }
    }

    #[test]
    fn pages_grow_with_small_events_and_shrink_with_large_ones() {
        let page = |now: usize, sizes: &[usize]| {
            let event = |size: &usize| {
                Ok(Event {
                    key: EventId::from_raw(1),
                    origin: "topic:t".parse().unwrap(),
                    id: String::new(),
                    source: String::new(),
                    kind: String::new(),
                    subject: None,
                    time: Timestamp::from_millis(0),
                    content_type: String::new(),
                    data: vec![b' '; *size].into(),
                    extensions: Default::default(),
                    lineage: Default::default(),
                })
            };
            next_page(now, &sizes.iter().map(event).collect::<Vec<_>>())
        };
        assert_eq!(page(32, &[10, 10]), 64);
        assert_eq!(page(MOST_PAGE, &[10]), MOST_PAGE);
        assert_eq!(page(64, &[1024 * 1024; 4]), 4);
        assert_eq!(page(1, &[6 * 1024 * 1024]), 1);
        assert_eq!(page(4, &[0, 0]), 8);
    }
}
