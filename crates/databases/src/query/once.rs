//! What a transaction leaves in the user's database about itself, so that it is not done twice.

/// Where an earlier transaction with the same key is looked for, and what else may be forgotten.
#[derive(Debug, Clone)]
pub struct Recall {
    /// The key of this transaction.
    pub key: String,
    /// What the keys of all that belongs to the same owner begin with.
    pub prefix: String,
    /// Of those, only keys after this one are named.
    pub after: String,
    /// At most this many are named.
    pub limit: u32,
}

/// What was found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Recalled {
    /// What an earlier transaction with the key left.
    pub memory: Option<Memory>,
    /// Other keys, in their order: for whoever knows which of them are of no use any more.
    pub others: Vec<String>,
}

/// What a transaction leaves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Memory {
    /// What is to follow from it; only whoever wrote it understands it.
    pub effects: String,
    /// What it came to.
    pub result: Option<String>,
}

/// What a transaction that is about to be committed leaves, and what it removes.
#[derive(Debug, Clone)]
pub struct Remember {
    /// Its key.
    pub key: String,
    /// When, milliseconds since 1970.
    pub at: i64,
    /// What it leaves.
    pub memory: Memory,
    /// Keys of no use any more.
    pub forget: Vec<String>,
}
