//! What a worker's supervisor is asked to do. Orders only ever get harsher.

use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::{Ended, blame::Verdict};

/// What to do with a worker.
#[derive(Debug, Clone, Default)]
pub(crate) enum Order {
    /// Watch over it.
    #[default]
    Serve,
    /// Let it finish what runs, then end it.
    Leave,
    /// It is about to end by itself; make sure of it.
    Expire,
    /// SIGTERM, and SIGKILL after the grace.
    Terminate,
    /// End it now, for this reason.
    Kill(Ended, Verdict),
}

impl Order {
    fn rank(&self) -> u8 {
        match self {
            Self::Serve => 0,
            Self::Leave => 1,
            Self::Expire => 2,
            Self::Terminate => 3,
            Self::Kill(..) => 4,
        }
    }
}

/// A place for the harshest order so far.
#[derive(Default)]
pub(crate) struct Orders {
    current: Mutex<Order>,
    changed: Notify,
}

impl Orders {
    /// Gives an order, unless a harsher one stands. Says whether it stands now.
    pub(crate) fn give(&self, order: Order) -> bool {
        let mut current = self.current.lock();
        if order.rank() <= current.rank() {
            return false;
        }
        *current = order;
        drop(current);
        self.changed.notify_one();
        true
    }

    /// Wakes the supervisor without a new order.
    pub(crate) fn wake(&self) {
        self.changed.notify_one();
    }

    pub(crate) async fn changed(&self) {
        self.changed.notified().await;
    }

    pub(crate) fn current(&self) -> Order {
        self.current.lock().clone()
    }

    /// Whether it ends because we want it to.
    pub(crate) fn wants_end(&self) -> bool {
        !matches!(*self.current.lock(), Order::Serve | Order::Expire)
    }

    /// Whether it ends, for whatever reason.
    pub(crate) fn is_leaving(&self) -> bool {
        self.current.lock().rank() > 0
    }
}
