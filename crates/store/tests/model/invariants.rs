//! What must be true of every store at every moment.

use super::*;

impl Both {
    /// What must be true of every store at every moment.
    pub(crate) async fn check(&mut self) {
        let mut all = Vec::new();
        for run in &self.runs {
            all.extend(self.memory.delivery(*run).await.unwrap());
        }
        all.sort_by_key(|delivery| delivery.id);
        all.dedup_by_key(|delivery| delivery.id);
        for number in 0..TRIGGERS {
            let ours = || {
                all.iter()
                    .filter(|delivery| delivery.trigger == trigger(number))
            };
            let mut within = true;
            for name in 0..2 {
                let key = Some(lane_key(name));
                let lane = ours().filter(|delivery| delivery.keys.ordering == key);
                check_lane(lane.filter(|delivery| self.is_in_lane(delivery)).collect());
                let room = ours().filter(|delivery| delivery.keys.concurrency == key);
                within &= self.check_room(number, room.collect());
            }
            let census = same!(self, store => store.census(scope(), trigger(number))).unwrap();
            check_census(&census, &ours().collect::<Vec<_>>());
            self.limits[number].1 &= !within;
        }
    }

    /// Whether it is alive, or blocks its lane: those that were born dead never do.
    pub(crate) fn is_in_lane(&self, delivery: &Delivery) -> bool {
        delivery.state != State::Dead || (delivery.blocks && !self.aside.contains(&delivery.id))
    }

    /// Seats are taken in order, and as many as there are, unless there were more before. Replies
    /// whether no more are taken than there are.
    pub(crate) fn check_room(&self, number: usize, room: Vec<&Delivery>) -> bool {
        let in_room = |delivery: &&&Delivery| {
            delivery.state != State::Dead && delivery.held != Some(Held::Order)
        };
        let waits = |delivery: &&&Delivery| delivery.held == Some(Held::Concurrency);
        let rank = |delivery: &&Delivery| (delivery.ready_at, delivery.id);
        let seated = room.iter().filter(in_room).filter(|one| !waits(one));
        let first_waiting = room.iter().filter(waits).map(rank).min();
        let last_queued = room
            .iter()
            .filter(in_room)
            .filter(|delivery| delivery.state == State::Queued && delivery.held.is_none())
            .map(rank)
            .max();
        let taken = seated.count() as u32;
        let (limit, lowered) = &self.limits[number];
        match limit {
            None => assert_eq!(first_waiting, None, "somebody waits without a limit"),
            Some(limit) => {
                assert!(taken <= *limit || *lowered, "{taken} of {limit} seats");
                if let Some(first) = first_waiting {
                    assert!(taken >= *limit, "somebody waits while a seat is free");
                    assert!(taken > 0 || *limit == 0, "nobody's end would fill a seat");
                    assert!(
                        last_queued.is_none_or(|last| last < first),
                        "seats go by time: {last_queued:?} {first:?}"
                    );
                }
            }
        }
        limit.is_none_or(|limit| taken <= limit)
    }
}

/// At most one has the turn; if it does not run it is the first; and if nobody has it, the lane
/// is empty or its first one is dead.
fn check_lane(lane: Vec<&Delivery>) {
    let waits = |delivery: &&&Delivery| delivery.held == Some(Held::Order);
    let turns: Vec<_> = lane
        .iter()
        .filter(|delivery| delivery.state != State::Dead && !waits(delivery))
        .collect();
    let (Some(first), [turn, others @ ..]) = (lane.first(), &turns[..]) else {
        let dead = lane.first().is_none_or(|first| first.state == State::Dead);
        assert!(dead, "a lane stands still: {lane:#?}");
        return;
    };
    assert!(others.is_empty(), "two have the turn: {turns:#?}");
    let in_order = turn.state == State::Running || turn.id == first.id;
    assert!(in_order, "{} has the turn before {}", turn.id, first.id);
}

fn check_census(census: &Census, ours: &[&Delivery]) {
    let count = |keep: &dyn Fn(&Delivery) -> bool| {
        ours.iter().filter(|delivery| keep(delivery)).count() as u64
    };
    let held = |why: Held| count(&move |delivery: &Delivery| delivery.held == Some(why.clone()));
    let versions = count(&|delivery| matches!(delivery.held, Some(Held::Version(_))));
    let ready = |delivery: &Delivery| delivery.state == State::Queued && delivery.held.is_none();
    let earliest = ours.iter().filter(|one| ready(one)).map(|one| one.ready_at);
    let expected = Census {
        queued: count(&ready),
        earliest: earliest.min(),
        running: count(&|delivery| delivery.state == State::Running),
        for_version: versions,
        for_order: held(Held::Order),
        for_concurrency: held(Held::Concurrency),
        paused: held(Held::Paused),
        by_breaker: held(Held::Breaker),
        dead: count(&|delivery| delivery.state == State::Dead),
        blocking: census.blocking.clone(),
    };
    assert_eq!(*census, expected);
}
