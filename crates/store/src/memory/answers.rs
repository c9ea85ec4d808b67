//! Answers that are kept for requests with an idempotency key.

use std::collections::HashMap;

use wakeful_core::{
    flow::OnUnknown,
    id::RunId,
    port::{Answer, AnswerKey, BeginAnswer, Begun, Epoch},
    time::Timestamp,
};

#[derive(Debug, Clone)]
struct Kept {
    fingerprint: [u8; 32],
    epoch: Epoch,
    run: RunId,
    until: Timestamp,
    answer: Option<Answer>,
}

/// All that are kept.
#[derive(Debug, Clone, Default)]
pub(super) struct Answers {
    kept: HashMap<AnswerKey, Kept>,
}

impl Answers {
    pub(super) fn begin(&mut self, begin: BeginAnswer, epoch: Epoch) -> Begun {
        let kept = self.kept.get(&begin.key).filter(|kept| {
            let running = kept.answer.is_none() && kept.epoch == epoch;
            running || kept.until > begin.now
        });
        if let Some(kept) = kept {
            if kept.fingerprint != begin.fingerprint {
                return Begun::Mismatch(kept.run);
            }
            match &kept.answer {
                Some(answer) => return Begun::Answered(kept.run, answer.clone()),
                None if kept.epoch == epoch => return Begun::Running(kept.run),
                None if begin.again == OnUnknown::Hold => return Begun::Unknown(kept.run),
                None => {}
            }
        }
        let fresh = Kept {
            fingerprint: begin.fingerprint,
            epoch,
            run: begin.run,
            until: begin.until,
            answer: None,
        };
        self.kept.insert(begin.key, fresh);
        Begun::Fresh
    }

    pub(super) fn finish(&mut self, key: &AnswerKey, answer: Option<Answer>, epoch: Epoch) {
        let Some(kept) = self.kept.get_mut(key) else {
            return;
        };
        if kept.answer.is_some() || kept.epoch != epoch {
            return;
        }
        match answer {
            Some(answer) => kept.answer = Some(answer),
            None => {
                self.kept.remove(key);
            }
        }
    }

    /// Forgets those whose time has passed, but for what is still being answered.
    pub(super) fn sweep(&mut self, now: Timestamp, epoch: Epoch) {
        self.kept
            .retain(|_, kept| kept.until > now || (kept.answer.is_none() && kept.epoch == epoch));
    }
}
