//! The durable store of Wakeful: events, deliveries, checkpoints and the object index in one transaction.
