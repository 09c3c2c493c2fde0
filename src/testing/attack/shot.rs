//! An attack and its request.

use bytes::Bytes;
use http::header::AUTHORIZATION;
use http::{HeaderName, HeaderValue, Request, Uri};

use super::forge::Forge;
use super::report::Expectation;
use crate::testing::Delivery;

/// A row of the table of attacks.
pub(super) struct Attack {
    pub(super) name: &'static str,
    /// The request, in one sentence.
    pub(super) what: &'static str,
    /// The right answer.
    pub(super) expected: Expectation,
    pub(super) make: fn(&Forge) -> Shot,
}

/// A genuine request in a legal form.
pub(super) const fn accepted(
    name: &'static str,
    what: &'static str,
    make: fn(&Forge) -> Shot,
) -> Attack {
    Attack {
        name,
        what,
        expected: Expectation::Accepted,
        make,
    }
}

/// A request that must be refused.
pub(super) const fn refused(
    name: &'static str,
    what: &'static str,
    make: fn(&Forge) -> Shot,
) -> Attack {
    Attack {
        name,
        what,
        expected: Expectation::Refused,
        make,
    }
}

/// A genuine request that may be refused, but must do no harm.
pub(super) const fn survived(
    name: &'static str,
    what: &'static str,
    make: fn(&Forge) -> Shot,
) -> Attack {
    Attack {
        name,
        what,
        expected: Expectation::Either,
        make,
    }
}

/// How the body is sent on a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Framing {
    /// With its length.
    Length,
    /// In chunks, its length unknown.
    Chunked,
    /// With a length of one byte more than is sent.
    Stalled,
}

/// A request to send.
pub(super) struct Shot {
    /// A genuine request that is sent first and must be accepted.
    pub(super) before: Option<Request<Bytes>>,
    pub(super) request: Request<Bytes>,
    pub(super) framing: Framing,
    /// Whether hanging up counts as a refusal.
    pub(super) may_hang_up: bool,
}

impl From<Delivery> for Shot {
    fn from(delivery: Delivery) -> Self {
        let body = delivery.body_bytes();
        Self {
            before: None,
            request: delivery.request().map(|_| body),
            framing: Framing::Length,
            may_hang_up: false,
        }
    }
}

impl Shot {
    /// Sends another request first.
    pub(super) fn after(mut self, before: Self) -> Self {
        self.before = Some(before.request);
        self
    }

    /// Sends the same request twice.
    pub(super) fn twice(mut self) -> Self {
        self.before = Some(self.request.clone());
        self
    }

    pub(super) fn framed(mut self, framing: Framing) -> Self {
        self.framing = framing;
        self
    }

    pub(super) fn too_long(mut self) -> Self {
        self.may_hang_up = true;
        self
    }

    /// Adds a header beside those of the same name.
    pub(super) fn and_header(mut self, name: &'static str, value: &str) -> Self {
        let value = HeaderValue::from_str(value).expect("a header's value");
        let name = HeaderName::from_static(name);
        self.request.headers_mut().append(name, value);
        self
    }

    /// Changes `Authorization`.
    pub(super) fn authorization(mut self, change: impl FnOnce(&str) -> String) -> Self {
        let headers = self.request.headers_mut();
        let before = headers[AUTHORIZATION].to_str().expect("text");
        let after = HeaderValue::try_from(change(before)).expect("a header's value");
        headers.insert(AUTHORIZATION, after);
        self
    }

    /// Changes the path; the query stays.
    pub(super) fn path(mut self, change: impl FnOnce(&str) -> String) -> Self {
        let uri = self.request.uri();
        let path = change(uri.path());
        let changed = match uri.query() {
            Some(query) => format!("{path}?{query}"),
            None => path,
        };
        *self.request.uri_mut() = changed.parse::<Uri>().expect("a path");
        self
    }

    /// Replaces the query.
    pub(super) fn query(mut self, query: &str) -> Self {
        let changed = format!("{}?{query}", self.request.uri().path());
        *self.request.uri_mut() = changed.parse::<Uri>().expect("a query");
        self
    }
}
