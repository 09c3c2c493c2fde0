//! The checks, as an explanation names and numbers them.

use std::fmt;

/// One of the checks that a request has to pass.
///
/// Its `Display` is its [number](Self::number) and its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Check {
    /// The method is POST.
    Method,
    /// The content type is `application/json`.
    MediaType,
    /// The body has no content coding.
    ContentCoding,
    /// There is one bearer token, of limited size.
    BearerToken,
    /// It is a well-formed JWT with a supported algorithm and every claim that a
    /// webhook's token has.
    TokenForm,
    /// `iss` is a configured tenant.
    Tenant,
    /// One of the tenant's keys made the signature.
    Signature,
    /// `c1typ` is a webhook's.
    TokenType,
    /// `aud` is the public URL's host.
    Audience,
    /// `exp`, `nbf` and `iat` fit the time of receipt.
    Times,
    /// `htm` is the request's method.
    BoundMethod,
    /// `htu` is the URL that was called.
    BoundUrl,
    /// The body is there, whole, and within the limit.
    BodySize,
    /// `htb_s256` is the body's SHA-256.
    BodyHash,
    /// `Content-Digest`, if there, is the body's.
    ContentDigest,
    /// The body is an envelope of version `v1` that no header contradicts.
    Envelope,
    /// The token was not used before.
    FirstUse,
}

impl Check {
    /// Its number in the list of [what is checked](crate#what-is-checked), such as
    /// `5b`: the letter counts the checks of one point of that list.
    #[must_use]
    pub fn number(self) -> &'static str {
        self.number_and_name().0
    }

    fn number_and_name(self) -> (&'static str, &'static str) {
        match self {
            Self::Method => ("1a", "the method"),
            Self::MediaType => ("1b", "the content type"),
            Self::ContentCoding => ("1c", "the content coding"),
            Self::BearerToken => ("2a", "one bearer token"),
            Self::TokenForm => ("2b", "the token's form"),
            Self::Tenant => ("3", "the tenant (iss)"),
            Self::Signature => ("4", "the signature"),
            Self::TokenType => ("5a", "the token's type (c1typ)"),
            Self::Audience => ("5b", "the audience (aud)"),
            Self::Times => ("5c", "the time (iat, nbf, exp)"),
            Self::BoundMethod => ("5d", "the method in the token (htm)"),
            Self::BoundUrl => ("5e", "the URL in the token (htu)"),
            Self::BodySize => ("6a", "the body's size"),
            Self::BodyHash => ("6b", "the body's hash in the token (htb_s256)"),
            Self::ContentDigest => ("6c", "the body's hash in Content-Digest"),
            Self::Envelope => ("7", "the envelope"),
            Self::FirstUse => ("8", "the token's first use (jti)"),
        }
    }
}

impl fmt::Display for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (number, name) = self.number_and_name();
        write!(f, "{number:<2} {name}")
    }
}
