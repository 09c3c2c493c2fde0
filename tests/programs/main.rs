//! The examples as their users run them, and the README against what it says.

mod readme;
mod receiver;
mod receiver_once;
mod receiver_replicas;
