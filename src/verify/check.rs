//! The checks, with the names and numbers that an explanation shows.

use std::fmt;

/// A check that a request must pass.
///
/// `Display` shows its [number](Self::number) and name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Check {
    /// The method is POST.
    Method,
    /// The content type is `application/json`.
    MediaType,
    /// The body has no content coding.
    ContentCoding,
    /// `Content-Length`, if there, is within the limit.
    DeclaredLength,
    /// There is exactly one bearer token, within the size limit.
    BearerToken,
    /// The token is a well-formed JWT with a supported algorithm and every required
    /// claim.
    TokenForm,
    /// `iss` is a configured tenant.
    Tenant,
    /// The signature verifies with one of the tenant's keys.
    Signature,
    /// `c1typ` is `wh`.
    TokenType,
    /// `aud` is the public URL's host.
    Audience,
    /// `exp`, `nbf` and `iat` are valid at the time of receipt.
    Times,
    /// `htm` is the request's method.
    BoundMethod,
    /// `htu` is the request's URL.
    BoundUrl,
    /// The body is not empty, complete, and within the limit.
    BodySize,
    /// `htb_s256` is the body's SHA-256.
    BodyHash,
    /// `Content-Digest`, if present, is the body's SHA-256.
    ContentDigest,
    /// The body is an envelope of version `v1` that no header contradicts.
    Envelope,
    /// The token has not been used before.
    FirstUse,
}

impl Check {
    /// The number in the list of [what is checked](crate#what-is-checked), such as
    /// `5b`: the letter numbers the checks within one item of that list.
    #[must_use]
    pub fn number(self) -> &'static str {
        self.number_and_name().0
    }

    fn number_and_name(self) -> (&'static str, &'static str) {
        match self {
            Self::Method => ("1a", "the method"),
            Self::MediaType => ("1b", "the content type"),
            Self::ContentCoding => ("1c", "the content coding"),
            Self::DeclaredLength => ("1d", "the declared length (Content-Length)"),
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
