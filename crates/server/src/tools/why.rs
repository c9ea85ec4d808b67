//! Why a function's queues move or not.

use wakeful_core::{
    flow::Destination,
    name::{FunctionName, TriggerId},
    port::Pause,
    project::{Function, Trigger},
    run::RunState,
};
use wakeful_store::RunsQuery;

use super::{
    ToolError, Tools, advice,
    pauses::is_held,
    waits::{for_pause, not_loading, of_holds},
};
use crate::{
    admin::model::{CensusInfo, FunctionInfo, QueueReport, RunBrief, TriggerQueue, Wait, WaitKind},
    control::{FunctionState, FunctionStatus},
    internal::{Outcome, invoke_trigger, sent_trigger},
    live::{handlers_of, in_words},
};

/// Runs of which the longest are looked for.
const MOST_RUNNING: usize = 1000;
/// Of those so many are named.
const NAMED: usize = 3;

impl Tools {
    /// Why a function's queues move or not.
    pub async fn why(&self, function: &FunctionName) -> Result<QueueReport, ToolError> {
        if let Err(unknown) = self.known(function) {
            return Err(self.with_owed(function, unknown).await?);
        }
        let status = self.status(function).await;
        let status = status.ok_or_else(|| ToolError::not_found("function", function))?;
        let described = self
            .control
            .project
            .borrow()
            .functions
            .get(function)
            .cloned();
        let described = described.ok_or_else(|| ToolError::not_found("function", function))?;
        let pauses = self.pauses_of(function).await?;
        let running = self.longest(&status).await?;
        let mut triggers = Vec::new();
        let mut queues = queues(&described);
        for id in self.owed_under(function).await? {
            if !queues.iter().any(|(known, _)| *known == id) {
                let wakes = self.wakes(&id);
                queues.push((id, wakes));
            }
        }
        for (id, wakes) in queues {
            let queue = self.queue(id, wakes, &status, &pauses).await?;
            // What stands in no manifest is of interest only while there is something of it.
            let ours = queue.trigger.as_str().contains("/$");
            if !ours || queue.census != CensusInfo::default() {
                triggers.push(queue);
            }
        }
        let info = FunctionInfo::from(status);
        let mut report = QueueReport {
            function: info.name,
            state: info.state,
            failure: info.failure,
            workers: info.workers,
            in_flight: info.in_flight,
            concurrency: described.concurrency,
            pauses: pauses.into_iter().map(Into::into).collect(),
            running,
            triggers,
            advice: advice::nothing(),
        };
        report.advice = advice::of(&report);
        Ok(report)
    }

    /// How many deliveries of a function are held, whatever for, and how many are dead.
    pub async fn held_and_dead(&self, function: &FunctionName) -> Result<(u64, u64), ToolError> {
        let described = self
            .control
            .project
            .borrow()
            .functions
            .get(function)
            .cloned();
        let (mut held, mut dead) = (0, 0);
        for (trigger, _) in described.iter().flat_map(queues) {
            let scope = self.control.scope.clone();
            let census = CensusInfo::from(self.control.store.census(scope, trigger).await?);
            held += census.waiting() - census.queued;
            dead += census.dead;
        }
        Ok((held, dead))
    }

    async fn queue(
        &self,
        trigger: TriggerId,
        wakes: String,
        status: &FunctionStatus,
        pauses: &[Pause],
    ) -> Result<TriggerQueue, ToolError> {
        let scope = self.control.scope.clone();
        let census = self.control.store.census(scope, trigger.clone()).await?;
        let census = CensusInfo::from(census);
        let waits = match (census.waiting(), self.without_trigger(&trigger)) {
            (0, _) => Vec::new(),
            (waiting, Some(mut gone)) => {
                gone.count = Some(waiting);
                vec![gone]
            }
            (_, None) => self.queue_waits(&trigger, &census, status, pauses),
        };
        Ok(TriggerQueue {
            trigger,
            wakes,
            census,
            waits,
        })
    }

    /// What stands in the way of a queue, the most fundamental first.
    fn queue_waits(
        &self,
        trigger: &TriggerId,
        census: &CensusInfo,
        status: &FunctionStatus,
        pauses: &[Pause],
    ) -> Vec<Wait> {
        let holds = self.operations.holds(trigger);
        let mut waits = Vec::new();
        waits.extend(version(census, status));
        let ours = |pause: &&Pause| pause.trigger.as_ref().is_none_or(|id| id == trigger);
        waits.extend(pauses.iter().filter(ours).map(for_pause).map(|mut wait| {
            wait.count = Some(if wait.key.is_some() {
                census.paused
            } else {
                census.waiting()
            });
            wait
        }));
        waits.extend(of_holds(&holds, |_| true));
        waits.extend(self.for_worker(trigger));
        waits.sort_by_key(|wait| order(wait.kind));
        if census.queued > 0 {
            waits.extend(self.for_place(status));
        }
        waits.extend(keys(census));
        let later = census.earliest.filter(|at| at.0 > self.now());
        if let (Some(at), true) = (later, census.queued > 0) {
            let mut wait = Wait::new(WaitKind::Time, "they wait for their time");
            wait.until = Some(at);
            wait.count = Some(census.queued);
            waits.push(wait);
        }
        waits
    }

    /// The runs that have been under way for longest.
    async fn longest(&self, status: &FunctionStatus) -> Result<Vec<RunBrief>, ToolError> {
        if status.in_flight == 0 {
            return Ok(Vec::new());
        }
        self.control.history.flush().await?;
        let query = RunsQuery {
            function: Some(status.name.clone()),
            state: Some(RunState::Running),
            limit: MOST_RUNNING,
            ..RunsQuery::default()
        };
        let mut runs = self.control.history.runs(query).await?;
        runs.sort_by_key(|run| run.id);
        let brief = |run: wakeful_core::run::Run| RunBrief {
            run: run.id,
            function: run.function,
            state: run.state,
            accepted_at: run.accepted_at.into(),
        };
        Ok(runs.into_iter().take(NAMED).map(brief).collect())
    }
}

/// The triggers of a function that have a queue, those that stand in no manifest among them:
/// invocations by name, and outcomes that are sent to an address.
fn queues(function: &Function) -> Vec<(TriggerId, String)> {
    let declared = function.triggers.iter();
    let declared = declared.filter(|trigger| is_held(trigger));
    let declared = declared.map(|trigger| (trigger.id.clone(), in_words(trigger)));
    let invoked = handlers_of(function).into_iter().map(|handler| {
        let id = invoke_trigger(&function.name, handler.as_ref());
        (id, "invocations by name".to_owned())
    });
    let sent = function.triggers.iter().flat_map(sent);
    declared.chain(invoked).chain(sent).collect()
}

/// The triggers under which outcomes of `trigger` are owed to an address.
fn sent(trigger: &Trigger) -> Vec<(TriggerId, String)> {
    let owed = |outcome: Outcome| match outcome.destination(&trigger.flow)? {
        Destination::Http { url, .. } => {
            let id = sent_trigger(&trigger.function, &trigger.id, outcome);
            Some((id, format!("outcomes that are sent to {url}")))
        }
        Destination::Topic(_) | Destination::Function(..) => None,
    };
    let outcomes = [Outcome::Success, Outcome::Failure];
    outcomes.into_iter().filter_map(owed).collect()
}

/// What keeps everything of a function from running comes first.
const fn order(kind: WaitKind) -> u8 {
    match kind {
        WaitKind::Version => 0,
        WaitKind::Pause => 1,
        WaitKind::Worker => 2,
        WaitKind::Breaker => 3,
        _ => 4,
    }
}

fn version(census: &CensusInfo, status: &FunctionStatus) -> Option<Wait> {
    let mut wait = match &status.state {
        FunctionState::Broken(failure) => not_loading(failure),
        FunctionState::Outdated(failure) if census.for_version > 0 => not_loading(failure),
        _ if census.for_version > 0 => Wait::new(
            WaitKind::Version,
            "the version that they were held for could not be loaded",
        ),
        _ => return None,
    };
    wait.count = Some(census.for_version).filter(|count| *count > 0);
    Some(wait)
}

/// What keys hold.
fn keys(census: &CensusInfo) -> Vec<Wait> {
    let mut waits = Vec::new();
    let mut add = |kind, count: u64, text: String| {
        let mut wait = Wait::new(kind, text);
        wait.count = Some(count);
        waits.push(wait);
    };
    if let Some(first) = census.blocking.first() {
        let others = match census.blocking.len() - 1 {
            0 => String::new(),
            others => format!(" and {others} more"),
        };
        let text = format!("the dead letter {first}{others} blocks an ordering key");
        add(WaitKind::Blocked, census.for_order, text);
    } else if census.for_order > 0 {
        let text = "earlier ones with the same ordering key have not ended";
        add(WaitKind::Order, census.for_order, text.to_owned());
    }
    if census.for_concurrency > 0 {
        let text = "as many with the same concurrency key as may run do";
        add(
            WaitKind::Concurrency,
            census.for_concurrency,
            text.to_owned(),
        );
    }
    if let Some(blocked) = waits.iter_mut().find(|wait| wait.kind == WaitKind::Blocked) {
        blocked.runs.clone_from(&census.blocking);
    }
    waits
}
