//! `once.*`: effects that are gathered now, and applied when their delivery has succeeded.

mod memory;
mod stored;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use wakeful_core::{
    id::RunId,
    limits,
    name::{BucketName, DatabaseName, FunctionName},
    project::Level,
};
use wakeful_databases::{Owner, TxId};
use wakeful_workers::{HostCall, HostError, HostErrorCode, HostReply};

use std::sync::Arc;

use super::{
    HostCalls, Nothing,
    bucket::{PutParams, Stored},
    database, error_of, invalid, params,
    publish::refused,
    reply,
};
use crate::attempts::{Attempt, AttemptKey, Effect, GatheringId, Refused, Transaction};
pub(super) use memory::Cursors;

#[derive(Deserialize)]
struct BeginParams {
    name: String,
    run: Option<String>,
    database: Option<DatabaseName>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Begun {
    done: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tx: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    result: Option<Box<RawValue>>,
}

#[derive(Deserialize)]
struct OnceParams {
    once: u64,
}

#[derive(Deserialize)]
struct RemoveParams {
    bucket: BucketName,
    key: String,
}

#[derive(Deserialize)]
struct CommitParams {
    result: Option<Box<RawValue>>,
}

/// A gathering, and the attempt that it belongs to.
#[derive(Clone)]
struct Place {
    attempt: Arc<Attempt>,
    id: GatheringId,
    owner: Owner,
}

impl HostCalls {
    pub(super) async fn once(&self, call: HostCall) -> Result<HostReply, HostError> {
        let key = call.run.filter(|_| call.running).ok_or_else(|| {
            invalid("context.once() belongs to an attempt that runs: call it in a handler")
        })?;
        if call.op == "once.begin" {
            return self.once_begin(call, key).await;
        }
        let OnceParams { once } = params(&call)?;
        let place = Place {
            attempt: self.parts.attempts.calling(key),
            id: GatheringId(once),
            owner: super::owner(key),
        };
        match call.op.as_str() {
            "once.commit" => self.once_commit(call, place).await,
            "once.abort" => self.once_abort(&place).await,
            _ => self.once_effect(call, place).await,
        }
    }

    async fn once_begin(&self, call: HostCall, key: AttemptKey) -> Result<HostReply, HostError> {
        let BeginParams {
            name,
            run,
            database,
        } = params(&call)?;
        if !(1..=limits::MAX_ONCE_NAME).contains(&name.chars().count()) {
            let most = limits::MAX_ONCE_NAME;
            return Err(invalid(format!(
                "the name of a once() has 1 to {most} characters"
            )));
        }
        let run: Option<RunId> = match run.map(|run| run.parse()) {
            None => None,
            Some(Ok(run)) => Some(run),
            Some(Err(error)) => return Err(invalid(format!("`run`: {error}"))),
        };
        if let Some(database) = &database {
            self.may_use(&call.function, database, Level::Write)?;
        }
        let attempt = self.parts.attempts.calling(key);
        let delivery = attempt.delivery(run).map_err(not_gathered)?;
        let id = attempt.begin(&name, delivery).map_err(not_gathered)?;
        let place = Place {
            attempt,
            id,
            owner: super::owner(key),
        };
        let Some(database) = database else {
            return reply(&Begun {
                done: false,
                id: Some(id.0),
                tx: None,
                result: None,
            });
        };
        self.open.lock().insert(place.owner);
        let begun = self
            .begin_in(&call.function, &place, &database, (delivery, &name))
            .await;
        match begun {
            Ok(begun) => reply(&begun),
            Err(error) => {
                self.give_up(&place).await;
                Err(error)
            }
        }
    }

    /// Begins a transaction for it, unless an earlier attempt has committed one.
    async fn begin_in(
        &self,
        function: &FunctionName,
        place: &Place,
        database: &DatabaseName,
        (delivery, name): (Option<RunId>, &str),
    ) -> Result<Begun, HostError> {
        let databases = &self.parts.databases;
        let tx = databases.begin(database, place.owner).await;
        let tx = tx.map_err(database::host_error)?;
        let plain = Transaction {
            tx,
            key: None,
            forget: Vec::new(),
        };
        let Some(run) = delivery else {
            // No other attempt will ask.
            return self.attached(place, plain).await;
        };
        let recalled = self.recall(place, database, tx, run, name).await;
        let recalled = match recalled {
            Ok(recalled) => recalled,
            Err(error) => {
                self.roll_back(place, tx).await;
                return Err(error);
            }
        };
        let Some(memory) = recalled.memory else {
            let transaction = Transaction {
                key: Some(recalled.key),
                forget: recalled.forget,
                ..plain
            };
            return self.attached(place, transaction).await;
        };
        self.roll_back(place, tx).await;
        let (cause, _) = place.attempt.look(place.id).map_err(not_gathered)?;
        let effects = stored::read(&memory.effects)?;
        let effects = self.again(function, effects, cause)?;
        place.attempt.add(place.id, effects).map_err(not_gathered)?;
        place.attempt.committed(place.id);
        let result = memory.result.map(RawValue::from_string).transpose();
        Ok(Begun {
            done: true,
            id: None,
            tx: None,
            result: result.map_err(|error| error_of(HostErrorCode::Failed, error.to_string()))?,
        })
    }

    async fn attached(&self, place: &Place, transaction: Transaction) -> Result<Begun, HostError> {
        let tx = transaction.tx;
        if let Err(refused) = place.attempt.attach(place.id, transaction) {
            self.roll_back(place, tx).await;
            return Err(not_gathered(refused));
        }
        Ok(Begun {
            done: false,
            id: Some(place.id.0),
            tx: Some(tx.0),
            result: None,
        })
    }

    /// One effect more, checked as if it were done now.
    async fn once_effect(&self, mut call: HostCall, place: Place) -> Result<HostReply, HostError> {
        let (cause, in_database) = place.attempt.look(place.id).map_err(not_gathered)?;
        let with_cause = |arrivals: Vec<_>| {
            let events = arrivals
                .into_iter()
                .map(|mut arrival: wakeful_core::port::Arrival| {
                    arrival.lineage = cause;
                    Effect::Event(Box::new(arrival))
                });
            events.collect::<Vec<Effect>>()
        };
        let add = |effects| place.attempt.add(place.id, effects).map_err(not_gathered);
        let buckets = self.parts.buckets.caused_by(cause);
        match call.op.as_str() {
            "once.publish" => add(with_cause(self.published(&mut call).await?))?,
            "once.invoke" => add(with_cause(vec![self.invoked(&mut call).await?]))?,
            "once.remove" => {
                let RemoveParams { bucket, key } = params(&call)?;
                self.may(&call.function, &bucket, Level::Write)?;
                let staged = buckets.stage_removal(&bucket, &key);
                add(vec![Effect::Object(
                    staged.map_err(super::bucket::host_error)?,
                )])?;
            }
            _ if in_database => {
                return Err(invalid(
                    "a once() with a database keeps no bytes of objects: put the object before \
                     it, under a key that stays the same",
                ));
            }
            _ => {
                let given: PutParams = params(&call)?;
                self.may(&call.function, &given.bucket, Level::Write)?;
                let (bucket, key, headers, body) = given.into_parts(call.body);
                let staged = buckets.stage(&bucket, &key, headers, body).await;
                let staged = staged.map_err(super::bucket::host_error)?;
                let stored = Stored::of(&staged);
                add(vec![Effect::Object(staged)])?;
                return reply(&stored);
            }
        }
        reply(&Nothing {})
    }

    async fn once_abort(&self, place: &Place) -> Result<HostReply, HostError> {
        place.attempt.look(place.id).map_err(not_gathered)?;
        self.give_up(place).await;
        reply(&Nothing {})
    }

    async fn once_commit(&self, call: HostCall, place: Place) -> Result<HostReply, HostError> {
        let CommitParams { result } = params(&call)?;
        let result = result.map(|result| result.get().to_owned());
        if result
            .as_ref()
            .is_some_and(|text| text.len() > limits::MAX_ONCE_RESULT)
        {
            return Err(error_of(
                HostErrorCode::TooLarge,
                format!(
                    "the result of a once() has more than {} bytes: return a key to it",
                    limits::MAX_ONCE_RESULT
                ),
            ));
        }
        let (transaction, effects) = place
            .attempt
            .commit(place.id, |gathered| {
                let remembered = gathered.transaction.as_ref().and_then(|it| it.key.as_ref());
                let effects = remembered.map(|_| stored::write(gathered.effects));
                (gathered.transaction, effects.unwrap_or_default())
            })
            .map_err(not_gathered)?;
        let this = self.clone();
        // To its end, also when the worker is gone: whoever settles waits to hear of it.
        let task = async move {
            if let Some(transaction) = transaction {
                let done = this.commit_in(&place, transaction, effects, result).await;
                if let Err(error) = done {
                    place.attempt.abort(place.id);
                    return Err(error);
                }
            }
            if place.attempt.serves() {
                place.attempt.committed(place.id);
                return Ok(());
            }
            let effects = place.attempt.take_one(place.id);
            this.parts.dispatcher.apply(effects).await.map_err(refused)
        };
        let done = self.parts.runtime.spawn(task).await;
        done.unwrap_or_else(|error| Err(error_of(HostErrorCode::Failed, error.to_string())))?;
        reply(&Nothing {})
    }

    /// A gathering that comes to nothing.
    async fn give_up(&self, place: &Place) {
        if let Some(transaction) = place.attempt.abort(place.id) {
            self.roll_back(place, transaction.tx).await;
        }
    }

    async fn roll_back(&self, place: &Place, tx: TxId) {
        // It may be over already; there is nothing to undo then either.
        let _ = self.parts.databases.rollback(tx, place.owner).await;
    }
}

/// Why an attempt does not gather something.
fn not_gathered(refused: Refused) -> HostError {
    let code = match &refused {
        Refused::Twice(_) => HostErrorCode::Conflict,
        Refused::TooMuch => HostErrorCode::TooLarge,
        Refused::Over | Refused::NotOpen | Refused::NoRun | Refused::OtherRun(_) => {
            HostErrorCode::Invalid
        }
    };
    error_of(code, refused.to_string())
}
