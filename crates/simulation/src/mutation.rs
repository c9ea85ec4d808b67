//! Rules that are broken on purpose, to show that the simulation can fail.
//!
//! Each one perturbs what passes between the driver and the rules or the store: the code under
//! test carries nothing of it.

macro_rules! mutations {
    ($($(#[$doc:meta])* $name:ident => $about:literal,)*) => {
        /// One rule that is broken.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Mutation {
            $($(#[$doc])* $name,)*
        }

        impl Mutation {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// What is wrong, in a few words.
            pub const fn about(self) -> &'static str {
                match self {
                    $(Self::$name => $about,)*
                }
            }
        }
    };
}

mutations! {
    /// Charges what the table lets off.
    ChargesHeld => "an attempt that does not count is charged",
    /// Neighbours of a crash pay for it.
    ChargesInnocents => "the neighbours of a crash are taken for its cause",
    /// The next of an ordering key never gets its turn.
    ForgetsToPromote => "the next of an ordering key is never made ready",
    /// One more than allowed.
    LimitPlusOne => "one more runs at once per concurrency key than the limit",
    /// Settlements of an earlier life count.
    SettlesStaleEpoch => "a settlement of an earlier life is applied",
    /// One attempt more.
    IgnoresMaxAttempts => "a delivery is tried once more than max_attempts",
    /// Retries do not count against the rate.
    RateIgnoresRetries => "retries are started without asking the rate",
    /// Partial failures are lost.
    BatchLosesFailures => "what a batch names in batchItemFailures is settled as succeeded",
    /// The wrong one is dropped.
    DebounceKeepsFirst => "debounce keeps the first event and drops the last",
    /// Open for ever.
    BreakerNeverProbes => "an open breaker never tries one",
    /// Open means nothing.
    BreakerLetsAllThrough => "an open breaker holds nothing",
    /// What was seen before a crash is unknown after it.
    DedupForgetsAtRestart => "dedup keys are forgotten at a restart",
    /// The dead step aside although they should not.
    BlockDoesNotBlock => "a dead letter that should block its key steps aside",
    /// A pause that holds nothing.
    PauseIsIgnored => "what is paused is started",
    /// The source is told before the disk was.
    AcknowledgesTooEarly => "an event is acknowledged before its commit",
    /// A settlement is tried once only.
    GivesUpSettling => "a settlement that the store refused is not tried again",
    /// A person was to decide.
    IgnoresOnUnknown => "what has on_unknown = hold is run again",
    /// What was not claimed is started.
    StartsUnclaimed => "what the store did not claim is started all the same",
    /// What came too late stays away.
    ForgetsLateParks => "what was parked after its pause or breaker had ended is forgotten",
    /// A breaker of an earlier life holds for ever.
    BeginsWithoutUnparking => "what breakers parked before a restart stays parked",
    /// No company is waited for, nor a limit kept.
    BatchTooLarge => "two batches are joined into one",
}
