//! Likely causes and remedies for a refused request.

use std::fmt::Write;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::header::AUTHORIZATION;
use http::request::Parts;
use jiff::Timestamp;

use super::rewritten;
use crate::excerpt::for_log;
use crate::rejection::RejectionKind as Kind;
use crate::verify::{Check, UnverifiedClaims, Verifier, header_agrees};

/// The facts on which remedies are based.
pub(super) struct Context<'a> {
    pub(super) verifier: &'a Verifier,
    pub(super) parts: &'a Parts,
    pub(super) body: &'a Bytes,
    pub(super) claims: Option<&'a UnverifiedClaims<'static>>,
    /// When the request was received.
    pub(super) now: SystemTime,
}

impl Context<'_> {
    /// The request in a line.
    pub(super) fn request(&self) -> String {
        format!(
            "{} {:?}, {} bytes of body, received {}",
            for_log(self.parts.method.as_str()), // a token: no escapes are needed
            for_log(self.path()),
            self.body.len(),
            moment(self.now),
        )
    }

    /// The token in a line.
    pub(super) fn token(&self) -> Option<String> {
        let claims = self.claims?;
        Some(format!(
            "token {:?} from {:?} for {:?}, issued {}, valid until {}",
            for_log(claims.token_id()),
            for_log(claims.issuer()),
            for_log(claims.target()),
            moment(claims.times().issued_at()),
            moment(claims.times().expires_at()),
        ))
    }

    pub(super) fn without_public_url(&self) -> Option<String> {
        let target = for_log(self.claims?.target());
        let mut why = format!("no public URL is configured; the token is for {target:?}");
        if let Some(url) = self.fitting_public_url() {
            // Writing to a string does not fail.
            let _ = write!(why, ", which fits the public URL {url}");
        }
        Some(why)
    }

    pub(super) fn without_tenants(&self) -> Option<String> {
        let issuer = for_log(self.claims?.issuer());
        Some(format!(
            "no tenant is configured; the token's iss is {issuer:?}"
        ))
    }

    pub(super) fn remedies(&self, check: Check, kind: Kind) -> Vec<String> {
        match (check, self.claims) {
            (Check::BearerToken | Check::TokenForm, _) => self.bearer(kind),
            (Check::Tenant, Some(claims)) => vec![self.tenant(claims)],
            (Check::Signature, Some(claims)) => self.signature(kind, claims),
            (Check::Audience | Check::BoundUrl, Some(claims)) => vec![self.url(claims)],
            (Check::Times, Some(claims)) => vec![self.times(kind, claims)],
            (Check::DeclaredLength | Check::BodySize, _) => size(kind),
            (Check::BodyHash, Some(claims)) => self.hash(claims),
            (Check::ContentDigest, Some(claims)) => self.digest_header(claims),
            (Check::FirstUse, _) => vec![
                "ConductorOne retries with a new token, at the latest when this one has expired; a request that comes twice was captured and sent again"
                    .into(),
            ],
            (Check::MediaType | Check::ContentCoding, _) => vec![
                "ConductorOne sends application/json without a content coding: an intermediary has changed it"
                    .into(),
            ],
            _ => Vec::new(),
        }
    }

    fn bearer(&self, kind: Kind) -> Vec<String> {
        match kind {
            Kind::MissingToken if !self.parts.headers.contains_key(AUTHORIZATION) => vec![
                "a proxy, or the tool that captured the request, may have removed the header"
                    .into(),
            ],
            Kind::MissingToken | Kind::MalformedToken => vec![
                "did the tool that captured the request mask the token, or break its line?".into(),
            ],
            _ => Vec::new(),
        }
    }

    fn tenant(&self, claims: &UnverifiedClaims<'_>) -> String {
        let mut known: Vec<_> = self.verifier.tenants.keys().map(|name| &**name).collect();
        known.sort_unstable();
        format!(
            "configured: {}; if {:?} is your tenant, add it",
            known.join(", "),
            for_log(claims.issuer())
        )
    }

    fn signature(&self, kind: Kind, claims: &UnverifiedClaims<'_>) -> Vec<String> {
        let mut remedies = vec![match kind {
            Kind::UnknownKey => "the keys are another tenant's, or older or newer than the token: fetch them again",
            Kind::AlgorithmMismatch => "the alg is not that of the key: the token is forged",
            _ => "the token was changed after signing, or signed with another key of the same kid: it is forged, or another tenant's",
        }.to_owned()];
        if let Some(keys) = self
            .verifier
            .tenants
            .get(claims.issuer())
            .and_then(|source| source.current())
        {
            remedies.push(format!("the tenant's known keys: {keys}"));
        }
        remedies
    }

    fn url(&self, claims: &UnverifiedClaims<'_>) -> String {
        let (target, path) = (for_log(claims.target()), for_log(self.path()));
        let configured = &self.verifier.claims.public_url;
        match self.fitting_public_url() {
            Some(url) => format!(
                "the token is for {target:?}, this receiver is configured for {configured} and was called at {path:?}: if {target:?} is the webhook's URL in ConductorOne, set the public URL to {url}"
            ),
            None => format!(
                "the token is for {target:?}, this receiver is configured for {configured} and was called at {path:?}: no public URL makes them match; either an intermediary has changed the path, or the token is for another request"
            ),
        }
    }

    fn fitting_public_url(&self) -> Option<String> {
        self.claims?.fitting_public_url(self.path())
    }

    fn times(&self, kind: Kind, claims: &UnverifiedClaims<'_>) -> String {
        let issued = claims.times().issued_at();
        match (kind, self.now.duration_since(issued)) {
            (Kind::TokenLifetimeTooLong, _) => {
                "ConductorOne's tokens are valid for two minutes: this is not one of them".into()
            }
            (Kind::TokenExpired, Ok(age)) => format!(
                "it was received {} after it was issued: the receiver's clock is ahead, or the request was delayed or sent again; if it was captured before {}, set that time",
                seconds(age),
                moment(self.now),
            ),
            (_, Err(ahead)) => format!(
                "it was received {} before it was issued: the receiver's clock is behind",
                seconds(ahead.duration())
            ),
            _ => "the times in the token contradict each other: it is not ConductorOne's".into(),
        }
    }

    fn hash(&self, claims: &UnverifiedClaims<'_>) -> Vec<String> {
        let digest = claims.body_digest();
        let mut remedies = vec![match rewritten::find(self.body, digest, self.verifier.body.max_bytes) {
            Some(how) => format!(
                "{how}, the body has the token's hash: an intermediary, or the tool that captured the request, has rewritten it; the receiver needs the bytes as they were sent"
            ),
            None => "no change of line ends or white space gives it the token's hash: its content was changed, or it belongs to another token".into(),
        }];
        let has_digest = self.parts.headers.contains_key("content-digest");
        if has_digest && header_agrees(&self.parts.headers, digest) {
            remedies.push(
                "Content-Digest agrees with the token: the body was changed after it was sent"
                    .into(),
            );
        }
        remedies
    }

    fn digest_header(&self, claims: &UnverifiedClaims<'_>) -> Vec<String> {
        if header_agrees(&self.parts.headers, claims.body_digest()) {
            return vec!["it agrees with the token: the body was changed after it was sent".into()];
        }
        vec!["it agrees with neither the token nor the body: an intermediary has set it".into()]
    }

    fn path(&self) -> &str {
        self.parts.uri.path()
    }
}

fn size(kind: Kind) -> Vec<String> {
    match kind {
        Kind::IncompleteBody => vec![
            "the capture is cut short, or the body was consumed or changed before it reached the receiver"
                .into(),
        ],
        Kind::BodyTooLarge => vec!["if this request is genuine, set max_body_bytes higher".into()],
        _ => Vec::new(),
    }
}

fn moment(time: SystemTime) -> String {
    match Timestamp::try_from(time) {
        Ok(time) => format!("{time:.0}"),
        Err(_) => "at a time out of range".into(),
    }
}

fn seconds(duration: Duration) -> String {
    format!("{} s", duration.as_secs())
}
