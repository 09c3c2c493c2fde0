//! The way of a request through `VerifyWebhookLayer`, from its token to the handler.

mod acceptance;
mod attempt_log;
mod axum_extractor;
mod body;
mod claims;
mod config;
mod differential;
mod envelope;
mod faults;
mod flood;
mod interop;
mod log_hygiene;
mod middleware;
mod public_url;
mod random_requests;
mod rejection_hooks;
mod rejections;
mod replay;
mod servers;
mod tenants;
mod token_header;
mod uncertainties;
mod verify_method;
mod wrong_set_ups;
