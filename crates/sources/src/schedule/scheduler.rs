use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use futures::future::join_all;
use tokio::{
    sync::watch,
    time::{self, Instant},
};
use tokio_util::sync::CancellationToken;
use wakeful_core::{
    name::{Scope, TriggerId},
    port::{Clock, Sink, Store, SubmitError},
    project::ScheduleTrigger,
    schedule::Schedule,
    time::Timestamp,
};

use super::tick::{Remembered, checkpoint_key, submission};

/// The clock is looked at this often at least: timers do not notice when it is set, nor time
/// that the machine spent suspended.
const LOOK: Duration = Duration::from_secs(1);
/// The wait after the store or the sink failed.
const RETRY: Duration = Duration::from_millis(500);
/// A last tick further in the future than this comes from a clock that was wrong.
const WRONG_CLOCK: Duration = Duration::from_secs(24 * 3600);
/// Ticks that are submitted at once, so that their commits can be one disk write.
const AT_ONCE: usize = 64;

type Triggers = Vec<(TriggerId, ScheduleTrigger)>;

/// The source of ticks.
pub struct Scheduler {
    scope: Scope,
    store: Arc<dyn Store>,
    sink: Arc<dyn Sink>,
    clock: Arc<dyn Clock>,
    /// `None` until they were set for the first time.
    triggers: watch::Receiver<Option<Triggers>>,
    /// Whether they were: what comes later was not there while the server was down.
    begun: bool,
    missed: Arc<AtomicU64>,
    entries: BTreeMap<TriggerId, Entry>,
}

/// One trigger that ticks.
struct Entry {
    trigger: ScheduleTrigger,
    schedule: Schedule,
    last: Last,
    /// The first time that may tick.
    next: Option<Timestamp>,
    /// Not tried before this, after a failure. (No time of day: that may be set back.)
    not_before: Instant,
    /// Whether what was missed before the start was counted, or there was nothing to count.
    counted: bool,
}

/// What is known of a schedule's last tick.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Last {
    /// The checkpoint must be read; it may hold a tick that we do not know of.
    Unread,
    /// It never ticked.
    Never,
    /// It ticked for this time.
    At(Timestamp),
}

impl Last {
    fn time(self) -> Option<Timestamp> {
        match self {
            Self::At(at) => Some(at),
            Self::Unread | Self::Never => None,
        }
    }
}

impl Scheduler {
    /// A scheduler without triggers, that begins when it is run. The store is asked for
    /// checkpoints only.
    pub fn new(
        scope: Scope,
        store: Arc<dyn Store>,
        sink: Arc<dyn Sink>,
        clock: Arc<dyn Clock>,
    ) -> (Self, SchedulerHandle) {
        let (sender, triggers) = watch::channel(None);
        let missed = Arc::new(AtomicU64::new(0));
        let handle = SchedulerHandle {
            triggers: sender,
            missed: Arc::clone(&missed),
        };
        let scheduler = Self {
            scope,
            store,
            sink,
            clock,
            triggers,
            begun: false,
            missed,
            entries: BTreeMap::new(),
        };
        (scheduler, handle)
    }

    /// Ticks until `shutdown`. A tick that is being submitted then is waited for.
    pub async fn run(mut self, shutdown: CancellationToken) {
        let mut changed = true;
        let mut handle_lives = true;
        while !shutdown.is_cancelled() {
            if changed {
                let triggers = self.triggers.borrow_and_update().clone();
                if let Some(triggers) = triggers {
                    self.handle_triggers(triggers);
                }
            }
            self.read_checkpoints().await;
            if !self.tick_what_is_due().await {
                break;
            }
            let wait = self.wait();
            changed = tokio::select! {
                biased;
                () = shutdown.cancelled() => break,
                result = self.triggers.changed(), if handle_lives => {
                    handle_lives = result.is_ok();
                    handle_lives
                }
                () = time::sleep(wait) => false,
            };
        }
    }

    /// Takes over what the triggers are now.
    fn handle_triggers(&mut self, triggers: Triggers) {
        let now = self.clock.now();
        let counted = std::mem::replace(&mut self.begun, true);
        let mut before = std::mem::take(&mut self.entries);
        for (id, trigger) in triggers {
            let known = before.remove(&id);
            if let Some(entry) = known {
                if entry.trigger == trigger {
                    self.entries.insert(id, entry);
                    continue;
                }
                if let Some(entry) = Entry::new(&id, trigger, entry.last, now) {
                    let entry = Entry { counted, ..entry };
                    self.entries.insert(id, entry);
                }
            } else if let Some(entry) = Entry::new(&id, trigger, Last::Unread, now) {
                let entry = Entry { counted, ..entry };
                self.entries.insert(id, entry);
            }
        }
    }

    /// Finds out what ticked before, where that is not known.
    async fn read_checkpoints(&mut self) {
        let now = self.clock.now();
        let unread = self.entries.iter_mut();
        let unread = unread.filter(|(_, entry)| entry.last == Last::Unread && entry.is_allowed());
        for (id, entry) in unread {
            match self.store.checkpoint(checkpoint_key(&self.scope, id)).await {
                Ok(value) => {
                    let remembered =
                        value.and_then(|bytes| serde_json::from_slice::<Remembered>(&bytes).ok());
                    let missed = entry.handle_remembered(id, remembered, now);
                    self.missed.fetch_add(missed, Ordering::Relaxed);
                }
                Err(error) => {
                    tracing::warn!(trigger = %id, %error, "the last tick cannot be read; tried again");
                    entry.not_before = Instant::now() + RETRY;
                }
            }
        }
    }

    /// Submits the ticks that are due; false when the server stops.
    async fn tick_what_is_due(&mut self) -> bool {
        let now = self.clock.now();
        let mut due = Vec::new();
        for (id, entry) in &mut self.entries {
            entry.forget_a_wrong_clock(id, now);
            if let Some((at, skipped)) = entry.due(now) {
                if skipped > 0 {
                    self.missed.fetch_add(skipped, Ordering::Relaxed);
                    tracing::warn!(trigger = %id, skipped, tick = %at,
                        "several ticks were due at once; only the latest is delivered");
                }
                due.push((id.clone(), at));
            }
        }
        for some in due.chunks(AT_ONCE) {
            let submitted = some.iter().filter_map(|(id, at)| {
                let entry = self.entries.get(id)?;
                let last = entry.last.time();
                let tick = submission(&self.scope, id, &entry.trigger, *at, last);
                Some(self.sink.submit(tick))
            });
            let results = join_all(submitted).await;
            for ((id, at), result) in some.iter().zip(results) {
                let Some(entry) = self.entries.get_mut(id) else {
                    continue;
                };
                match result {
                    Ok(_) => entry.handle_ticked(*at),
                    Err(SubmitError::Stopping) => return false,
                    Err(error) => {
                        tracing::warn!(trigger = %id, tick = %at, %error,
                            "a tick could not be stored; tried again");
                        // It may have been written all the same: the checkpoint tells.
                        entry.last = Last::Unread;
                        entry.not_before = Instant::now() + RETRY;
                    }
                }
            }
        }
        true
    }

    /// How long until something may be due.
    fn wait(&self) -> Duration {
        let now = self.clock.now();
        let next = self.entries.values().filter_map(|entry| {
            let next = match entry.last {
                Last::Unread => Duration::ZERO,
                _ => entry.next?.since(now),
            };
            Some(next.max(entry.not_before.saturating_duration_since(Instant::now())))
        });
        next.min().unwrap_or(LOOK).min(LOOK)
    }
}

impl Entry {
    /// Ticks from `now` on. `None`, and logged, when the schedule makes no sense; the manifest
    /// should have refused it.
    fn new(id: &TriggerId, trigger: ScheduleTrigger, last: Last, now: Timestamp) -> Option<Self> {
        match Schedule::of(&trigger) {
            Ok(schedule) => {
                let from = last.time().map_or(now, |last| last.max(now));
                Some(Self {
                    next: schedule.next_after(from),
                    trigger,
                    schedule,
                    last,
                    not_before: Instant::now(),
                    counted: false,
                })
            }
            Err(why) => {
                tracing::error!(trigger = %id, "the schedule cannot tick: {why}");
                None
            }
        }
    }

    /// Whether it need not wait after a failure.
    fn is_allowed(&self) -> bool {
        self.not_before <= Instant::now()
    }

    /// The checkpoint was read; how many ticks were missed since.
    fn handle_remembered(
        &mut self,
        id: &TriggerId,
        remembered: Option<Remembered>,
        now: Timestamp,
    ) -> u64 {
        let Some(Remembered { last }) = remembered else {
            self.last = Last::Never;
            self.counted = true;
            return 0;
        };
        self.last = Last::At(last);
        if self.forget_a_wrong_clock(id, now) {
            return 0;
        }
        // A tick that failed to be stored keeps its place; otherwise it is now that counts.
        let from = self.next.filter(|next| *next <= now && *next > last);
        if from.is_none() {
            self.next = self.schedule.next_after(last.max(now));
        }
        if std::mem::replace(&mut self.counted, true) {
            return 0;
        }
        let until = from.map_or(now, |from| from.minus(Duration::from_millis(1)));
        let Some(elapsed) = self.schedule.elapsed(last, until) else {
            return 0;
        };
        tracing::warn!(trigger = %id, missed = elapsed.count, %last,
            "ticks were missed while the server was down; they are skipped");
        elapsed.count
    }

    /// Whether the last tick was so far in the future that the clock must have been wrong then.
    fn forget_a_wrong_clock(&mut self, id: &TriggerId, now: Timestamp) -> bool {
        let Some(last) = self
            .last
            .time()
            .filter(|last| *last > now.plus(WRONG_CLOCK))
        else {
            return false;
        };
        tracing::error!(trigger = %id, %last,
            "the last tick lies in the future: the clock must have been wrong; forgotten");
        self.last = Last::Never;
        self.next = self.schedule.next_after(now);
        self.counted = true;
        true
    }

    /// The time that ticks now, and how many earlier ones it stands for.
    fn due(&self, now: Timestamp) -> Option<(Timestamp, u64)> {
        if self.last == Last::Unread || !self.is_allowed() {
            return None;
        }
        let next = self.next.filter(|next| *next <= now)?;
        let before = next.minus(Duration::from_millis(1));
        let elapsed = self.schedule.elapsed(before, now)?;
        Some((elapsed.latest, elapsed.count - 1))
    }

    fn handle_ticked(&mut self, at: Timestamp) {
        self.last = Last::At(at);
        self.next = self.schedule.next_after(at);
    }
}

/// Sets what a scheduler ticks for.
#[derive(Debug)]
pub struct SchedulerHandle {
    triggers: watch::Sender<Option<Triggers>>,
    missed: Arc<AtomicU64>,
}

impl SchedulerHandle {
    /// These are the triggers from now on; those that stay go on undisturbed.
    pub fn set(&self, triggers: Vec<(TriggerId, ScheduleTrigger)>) {
        self.triggers.send_replace(Some(triggers));
    }

    /// Ticks that were skipped since the start.
    pub fn missed(&self) -> u64 {
        self.missed.load(Ordering::Relaxed)
    }
}
