use std::time::Duration;

use http::StatusCode;

/// What goes wrong when a tenant's keys are asked for; set with
/// [`JwksServer::set_fault`](super::JwksServer::set_fault) and
/// [`FakeFetch::set_fault`](super::FakeFetch::set_fault).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// Nobody is there: the connection ends without an answer.
    Down,
    /// The answer is right, but comes that late, on tokio's clock.
    Slow(Duration),
    /// The connection ends in the middle of the answer.
    Reset,
    /// Another status, such as 429 or 503, and when to come again, if it says
    /// so (`Retry-After`, in whole seconds).
    Status(StatusCode, Option<Duration>),
    /// 200 and a page of HTML, as from a proxy that wants a login.
    Html,
    /// The answer is complete as such, but its JSON stops in the middle.
    Truncated,
    /// The keys, followed by 4 MiB of white space: valid, but too long for
    /// anybody to read.
    Huge,
    /// A redirection to this URL.
    Redirect(String),
    /// As many keys as ever, none of which can be used: see
    /// [`FakeTenant::break_key`](super::FakeTenant::break_key).
    BadKeys,
}

/// How a tenant's server says that its keys have not changed (RFC 9110 §8.8);
/// set with [`JwksServer::set_validator`](super::JwksServer::set_validator)
/// and [`FakeFetch::set_validator`](super::FakeFetch::set_validator).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Validator {
    /// With an `ETag`, which `If-None-Match` is compared with.
    ETag,
    /// With `Last-Modified`, which `If-Modified-Since` is compared with. It is
    /// a date of its own, one second later for each change of the keys, so
    /// that none is missed however fast they follow each other.
    LastModified,
}
