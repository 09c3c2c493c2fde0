//! `DeliverOnceLayer`, and what it is made of: the ledger and the callbacks.

mod attempt_log;
mod callback;
mod callback_client;
mod callback_retries;
mod hygiene;
mod ledger;
mod ledger_record;
mod limits;
mod metrics;
mod once;
mod replicas;
mod simulated;
mod waiting;
