use std::time::Duration;

use http::StatusCode;

/// A fault in the answers to requests for a tenant's keys.
///
/// Set with [`JwksServer::set_fault`](super::JwksServer::set_fault) or
/// [`FakeFetch::set_fault`](super::FakeFetch::set_fault).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// The connection ends without an answer.
    Down,
    /// The right answer comes after this delay, on tokio's clock.
    Slow(Duration),
    /// The connection ends in the middle of the answer.
    Reset,
    /// The answer has this status, such as 429 or 503, and this `Retry-After`, in
    /// whole seconds, if any.
    Status(StatusCode, Option<Duration>),
    /// The answer is 200 with an HTML page, like the login page of a proxy.
    Html,
    /// The answer is complete, but its JSON stops in the middle.
    Truncated,
    /// The answer is the keys followed by 4 MiB of white space: valid, but longer
    /// than any client should read.
    Huge,
    /// The answer redirects to this URL.
    Redirect(String),
    /// The answer has all keys, none of which is valid: see
    /// [`FakeTenant::break_key`](super::FakeTenant::break_key).
    BadKeys,
}

/// The validator with which a tenant's server says that its keys have not changed
/// (RFC 9110 §8.8).
///
/// Set with [`JwksServer::set_validator`](super::JwksServer::set_validator) or
/// [`FakeFetch::set_validator`](super::FakeFetch::set_validator).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Validator {
    /// An `ETag`, compared with `If-None-Match`.
    ETag,
    /// `Last-Modified`, compared with `If-Modified-Since`. Each change of the keys
    /// moves it by one second, whatever the clock, so that fast changes differ.
    LastModified,
}
