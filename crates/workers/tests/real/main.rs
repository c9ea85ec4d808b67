//! Pools with the real bootstrap and the real `node`: each row of the table "who pays", bodies
//! both ways, scaling, and how workers end.

mod batches;
mod ending;
mod hostile;
mod scaling;
mod streams;
mod support;
mod who_pays;
