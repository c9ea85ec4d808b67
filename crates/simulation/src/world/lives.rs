//! The lives of the server: it starts, is killed, and in the end is left in peace.

use super::*;

impl World {
    pub(super) fn start(&mut self) {
        if self.server.is_some() {
            return;
        }
        self.life += 1;
        if self.life > 1 {
            self.disk.restart(&mut self.model);
            self.trace.count("restart");
        }
        self.ids = IdSource::after(self.disk.store.greatest_id());
        let began = self.wall();
        let gates = self.scenario.specs.iter();
        let gates = gates.map(|spec| Gate::new(Arc::clone(&spec.flow), began));
        let pools = self.scenario.specs.iter().map(Pool::new).collect();
        self.server = Some(Server {
            gates: gates.collect(),
            feeders: BTreeMap::new(),
            pools,
            attempts: BTreeMap::new(),
        });
        let (life, epoch) = (self.life, self.disk.epoch().0);
        self.line(format_args!("start {life}, epoch {epoch}"));
        self.audit();
        for trigger in 0..self.scenario.specs.len() {
            self.regate(trigger);
        }
        for trigger in 0..self.scenario.specs.len() {
            self.feed(trigger);
        }
    }

    /// Before anything is fed: pauses, limits, what was held.
    pub(super) fn regate(&mut self, trigger: usize) {
        let stored = now(self.disk.store.pauses()).unwrap_or_default();
        let concerned = self.spec(trigger).trigger.clone();
        let (whole, keys): (Vec<_>, Vec<_>) = stored
            .into_iter()
            .filter(|pause| pause.trigger.as_ref() == Some(&concerned))
            .partition(|pause| pause.key.is_none());
        if self.mutation != Some(Mutation::PauseIsIgnored)
            && let Some(gate) = self.gate(trigger)
        {
            gate.set_pauses(whole.into_iter().next(), keys);
        }
        let mut changes: Vec<Intervention> = vec![self.limit(trigger), self.release(trigger)];
        let turns = self.gate(trigger).map(|gate| gate.begin());
        let turns = turns.filter(|_| self.mutation != Some(Mutation::BeginsWithoutUnparking));
        for turn in turns.into_iter().flatten() {
            if let Turn::Unpark(unpark) = turn {
                changes.push(self.unpark(trigger, unpark));
            }
        }
        let transaction = Transaction {
            interventions: changes,
            ..Transaction::default()
        };
        self.insist(transaction, trigger, 100);
    }

    pub(super) fn crash(&mut self, why: &str) {
        let Some(server) = self.server.take() else {
            return;
        };
        self.trace.count("crash");
        self.line(format_args!("the server dies: {why}"));
        let epoch = self.disk.epoch();
        for attempt in server.attempts.into_values() {
            if self.dice.chance(300) {
                let haunt = attempt.as_succeeded(epoch);
                let after = 200 + self.dice.below(8000);
                let after = i64::try_from(after).unwrap_or(200);
                self.later(after, Happening::Haunt(Box::new(haunt)));
            }
        }
        let after = *self.dice.pick(&[1, 50, 3000]);
        self.later(after, Happening::Start);
    }

    pub(super) fn become_calm(&mut self) {
        self.calm = true;
        self.disk.calm();
        self.line(format_args!("calm"));
        let failed = self.disk.failed;
        self.broken_code.fill(false);
        // Also those of which nobody knows that they hold, because the server died then.
        for pause in now(self.disk.store.pauses()).unwrap_or_default() {
            let specs = &self.scenario.specs;
            let at = specs
                .iter()
                .position(|spec| Some(&spec.trigger) == pause.trigger.as_ref());
            if let Some(trigger) = at {
                self.later(1, Happening::Resume(trigger, pause.key));
            }
        }
        self.later(5000, Happening::Tend);
        if failed {
            self.crash("the disk failed");
        } else {
            for trigger in 0..self.scenario.specs.len() {
                self.deploy(trigger);
            }
        }
        self.later(1, Happening::Again);
    }

    // The disk.
}
