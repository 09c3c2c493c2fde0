//! Parses a JWT in JWS compact form (RFC 7515 §7.1, RFC 7519) strictly.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::unverified_claims::{ClaimError, UnverifiedClaims};
use crate::excerpt::for_log;
use crate::json::{JsonError, UniqueMembers};
use crate::keys::{Algorithm, MAX_KID_BYTES};

/// A well-formed token. Nothing in it is verified.
pub(super) struct UntrustedToken<'t> {
    pub(super) algorithm: Algorithm,
    pub(super) key_id: Option<String>,
    /// The signed text: header and payload as received.
    pub(super) signing_input: &'t str,
    pub(super) signature: Vec<u8>,
    pub(super) claims: UnverifiedClaims,
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum TokenError {
    #[error("the token is not three parts separated by dots")]
    Parts,
    #[error("the token's {part} is not strict base64url without padding")]
    Base64 { part: &'static str },
    #[error("the token's {part} cannot be parsed")]
    Json {
        part: &'static str,
        source: JsonError,
    },
    #[error("the token's header parameter {name:?} is missing or has a wrong type or length")]
    Parameter { name: &'static str },
    #[error("the token's header has {name:?}, which is not supported")]
    Unsupported { name: &'static str },
    #[error("the token's alg is {alg:?}, expected RS256, ES256 or EdDSA")]
    Algorithm { alg: String },
    #[error("the token's typ is {typ:?}, expected JWT or none")]
    Type { typ: String },
    #[error(transparent)]
    Claim(#[from] ClaimError),
}

impl<'t> UntrustedToken<'t> {
    /// Parses a token whose length the caller has limited.
    pub(super) fn parse(token: &'t str) -> Result<Self, TokenError> {
        // Count the parts before decoding any.
        if token.bytes().filter(|byte| *byte == b'.').count() != 2 {
            return Err(TokenError::Parts);
        }
        let (signing_input, signature) = token.rsplit_once('.').ok_or(TokenError::Parts)?;
        let (header, payload) = signing_input.split_once('.').ok_or(TokenError::Parts)?;

        let header = decode("header", header)?;
        let (algorithm, key_id) = read_header(&header)?;
        let payload = decode("payload", payload)?;
        let claims = UniqueMembers::parse(&payload).map_err(|source| TokenError::Json {
            part: "payload",
            source,
        })?;
        Ok(Self {
            algorithm,
            key_id,
            signing_input,
            signature: decode("signature", signature)?,
            claims: UnverifiedClaims::read(&claims)?,
        })
    }
}

fn decode(part: &'static str, text: &str) -> Result<Vec<u8>, TokenError> {
    URL_SAFE_NO_PAD
        .decode(text)
        .map_err(|_| TokenError::Base64 { part })
}

/// Reads `alg` and `kid` from the JOSE header (RFC 7515 §4). Keys that the token
/// itself names or contains (`jwk`, `jku`, `x5u`, `x5c`) are never read.
fn read_header(json: &[u8]) -> Result<(Algorithm, Option<String>), TokenError> {
    let header = UniqueMembers::parse(json).map_err(|source| TokenError::Json {
        part: "header",
        source,
    })?;
    for name in ["crit", "b64", "enc", "zip"] {
        if header.has(name) {
            return Err(TokenError::Unsupported { name });
        }
    }
    if let Some(typ) = text(&header, "typ")? {
        // RFC 7515 §4.1.9: case-insensitive, "application/" is optional.
        let lower = typ.to_ascii_lowercase();
        if lower.strip_prefix("application/").unwrap_or(&lower) != "jwt" {
            return Err(TokenError::Type { typ: for_log(&typ) });
        }
    }
    let alg = text(&header, "alg")?.ok_or(TokenError::Parameter { name: "alg" })?;
    let algorithm = Algorithm::from_header_name(&alg)
        .ok_or_else(|| TokenError::Algorithm { alg: for_log(&alg) })?;
    let key_id = text(&header, "kid")?;
    if key_id.as_ref().is_some_and(|kid| kid.len() > MAX_KID_BYTES) {
        return Err(TokenError::Parameter { name: "kid" });
    }
    Ok((algorithm, key_id))
}

fn text(header: &UniqueMembers<'_>, name: &'static str) -> Result<Option<String>, TokenError> {
    header
        .get(name)
        .transpose()
        .map_err(|_| TokenError::Parameter { name })
}
