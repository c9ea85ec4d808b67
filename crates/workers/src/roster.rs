//! What one pool keeps account of: its workers, and those who wait for a place on one.
//!
//! Plain state behind the pool's lock, with the rules by which places are given out.

use std::{collections::VecDeque, sync::Arc, time::Instant};

use tokio::sync::oneshot;
use wakeful_core::{limits, project::Style};

use crate::{Failure, LoadedInfo, Reserve, ReserveError, Slot, scale::Demand, worker::Worker};

/// Attempts that share a worker where the manifest does not say.
pub(crate) fn places_by_style(style: Style) -> u32 {
    match style {
        Style::Lambda => limits::PER_WORKER_ALONE,
        Style::Web | Style::Native | Style::Spica | Style::Cloudevents => limits::PER_WORKER_SHARED,
    }
}

#[derive(Default)]
pub(crate) struct Roster {
    pub(crate) retired: bool,
    pub(crate) info: Option<LoadedInfo>,
    pub(crate) broken: Option<Failure>,
    pub(crate) per_worker: Option<u32>,
    /// Workers that have loaded the code, those included that leave.
    pub(crate) members: Vec<Member>,
    pub(crate) shared: VecDeque<Waiter>,
    pub(crate) alone: VecDeque<Waiter>,
    pub(crate) next_waiter: u64,
    pub(crate) loaders: Vec<oneshot::Sender<Result<LoadedInfo, ReserveError>>>,
    /// Starts that wait for their turn or for room; they may still be called off.
    pub(crate) queued_starts: usize,
    /// Starts under way.
    pub(crate) starting: usize,
    /// There is no room for another process at present.
    pub(crate) crowded: bool,
    pub(crate) failed_starts: u32,
    /// No start before this.
    pub(crate) start_after: Option<Instant>,
}

pub(crate) struct Member {
    pub(crate) worker: Arc<Worker>,
    pub(crate) seated: u32,
    /// Takes nothing more: it leaves, or makes room for one who wants to be alone.
    pub(crate) aside: bool,
    pub(crate) alone: bool,
    pub(crate) idle_since: Instant,
}

pub(crate) struct Waiter {
    pub(crate) id: u64,
    pub(crate) sender: oneshot::Sender<Result<Slot, ReserveError>>,
}

impl Roster {
    pub(crate) fn queue(&mut self, how: Reserve) -> &mut VecDeque<Waiter> {
        match how {
            Reserve::Shared => &mut self.shared,
            Reserve::Alone => &mut self.alone,
        }
    }

    pub(crate) fn refusal(&self) -> Result<(), ReserveError> {
        match &self.broken {
            _ if self.retired => Err(ReserveError::Retired),
            Some(failure) => Err(ReserveError::Load(failure.clone())),
            None => Ok(()),
        }
    }

    pub(crate) fn serving(&self) -> usize {
        self.members.iter().filter(|member| !member.aside).count()
    }

    /// The worker on which an attempt starts best: the one with the fewest, the oldest of
    /// those, so that the others fall idle. One whose loop is late is left alone while another
    /// can take it, or could be started.
    pub(crate) fn pick(&self, how: Reserve, lag_cap: usize) -> Option<usize> {
        let places = match how {
            Reserve::Shared => self.per_worker.unwrap_or(1),
            Reserve::Alone => 1,
        };
        let open = |member: &&Member| {
            let company = how == Reserve::Alone || !member.alone;
            !member.aside && company && member.seated < places
        };
        let best = |late: bool| {
            let fitting = self.members.iter().enumerate().filter(|(_, m)| open(m));
            fitting
                .filter(|(_, member)| member.worker.is_late() == late)
                .min_by_key(|(_, member)| member.seated)
                .map(|(at, _)| at)
        };
        let others_can_come = !self.crowded && self.failed_starts == 0 && self.serving() < lag_cap;
        best(false).or_else(|| best(true).filter(|_| !others_can_come))
    }

    /// Where no further worker fits, the one with the least to do is kept free for someone who
    /// must be alone: busy neighbours would keep him out for ever.
    pub(crate) fn clear_one(&mut self) {
        let open = self.members.iter_mut().filter(|member| !member.aside);
        if let Some(member) = open.min_by_key(|member| (!member.alone, member.seated)) {
            member.alone = true;
        }
    }

    pub(crate) fn find(&mut self, worker: &Worker) -> Option<&mut Member> {
        self.members
            .iter_mut()
            .find(|member| std::ptr::eq(&*member.worker, worker))
    }

    pub(crate) fn demand(&self, permits: usize) -> Demand {
        Demand {
            shared: self.shared.len(),
            alone: self.alone.len(),
            permits,
            per_worker: self.per_worker,
            serving: self.serving(),
            load_wanted: self.info.is_none() && self.loaders.iter().any(|l| !l.is_closed()),
        }
    }

    /// A queued start begins or is called off.
    pub(crate) fn unqueue_start(&mut self) {
        self.queued_starts -= 1;
        self.crowded = false;
    }

    pub(crate) fn take_all_waiting(&mut self) -> Vec<Waiter> {
        let shared = std::mem::take(&mut self.shared);
        shared
            .into_iter()
            .chain(std::mem::take(&mut self.alone))
            .collect()
    }
}
