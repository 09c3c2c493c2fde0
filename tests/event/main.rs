//! The typed events, and what they are answered with.

mod model;
mod payloads;
mod proto_json;
mod replies;
mod router;
