//! Parses a JWT in JWS compact form (RFC 7515 §7.1, RFC 7519) strictly.

use std::borrow::Cow;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::de::MapAccess;

use super::unverified_claims::{ClaimError, UnverifiedClaims};
use crate::excerpt::for_log;
use crate::json::{JsonError, MaybeText, Members, parse_members, read_once};
use crate::keys::{Algorithm, MAX_KID_BYTES};

/// A JWS in compact form, decoded.
pub(super) struct CompactJws<'t> {
    /// The signed text: header and payload as received.
    signing_input: &'t [u8],
    /// The decoded parts, one after the other: one buffer, shorter than the token.
    decoded: Vec<u8>,
    end_of_header: usize,
    end_of_payload: usize,
}

/// A well-formed token. Nothing in it is verified.
pub(super) struct UntrustedToken<'t> {
    pub(super) algorithm: Algorithm,
    pub(super) key_id: Option<Cow<'t, str>>,
    pub(super) signing_input: &'t [u8],
    pub(super) signature: &'t [u8],
    pub(super) claims: UnverifiedClaims<'t>,
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum TokenError {
    #[error("the Authorization header's token is not three parts separated by dots")]
    Parts,
    #[error(
        "the {part} in the Authorization header's token is not strict base64url without padding"
    )]
    Base64 { part: &'static str },
    #[error("the token's header cannot be parsed")]
    Header(#[from] JsonError),
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

impl<'t> CompactJws<'t> {
    /// Decodes a token whose length the caller has limited.
    pub(super) fn decode(token: &'t [u8]) -> Result<Self, TokenError> {
        // Find the parts before decoding any.
        let (header, rest) = split_at_dot(token).ok_or(TokenError::Parts)?;
        let (payload, signature) = split_at_dot(rest).ok_or(TokenError::Parts)?;
        if split_at_dot(signature).is_some() {
            return Err(TokenError::Parts);
        }
        let (signing_input, _) = token.split_at(header.len() + 1 + payload.len());

        let mut decoded = Vec::with_capacity(token.len());
        let mut decode = |part, text| match URL_SAFE_NO_PAD.decode_vec(text, &mut decoded) {
            Ok(()) => Ok(decoded.len()),
            Err(_) => Err(TokenError::Base64 { part }),
        };
        let end_of_header = decode("header", header)?;
        let end_of_payload = decode("payload", payload)?;
        decode("signature", signature)?;
        Ok(Self {
            signing_input,
            decoded,
            end_of_header,
            end_of_payload,
        })
    }
}

fn split_at_dot(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let dot = memchr::memchr(b'.', text)?;
    let (before, from_dot) = text.split_at(dot);
    Some((before, from_dot.get(1..)?))
}

impl<'t> UntrustedToken<'t> {
    pub(super) fn parse(jws: &'t CompactJws<'t>) -> Result<Self, TokenError> {
        let (signed, signature) = jws.decoded.split_at(jws.end_of_payload);
        let (header, payload) = signed.split_at(jws.end_of_header);
        let (algorithm, key_id) = read_header(header)?;
        Ok(Self {
            algorithm,
            key_id,
            signing_input: jws.signing_input,
            signature,
            claims: UnverifiedClaims::parse(payload)?,
        })
    }
}

/// The parameters of the JOSE header (RFC 7515 §4) that are read. Keys that the token
/// itself names or contains (`jwk`, `jku`, `x5u`, `x5c`) never are.
#[derive(Default)]
struct Header<'t> {
    alg: Option<MaybeText<'t>>,
    kid: Option<MaybeText<'t>>,
    typ: Option<MaybeText<'t>>,
    /// The name of a parameter that must be understood, and is not.
    unsupported: Option<&'static str>,
}

impl<'t> Members<'t> for Header<'t> {
    fn read<A: MapAccess<'t>>(&mut self, name: &str, map: &mut A) -> Result<bool, A::Error> {
        match name {
            "alg" => return read_once(&mut self.alg, map),
            "kid" => return read_once(&mut self.kid, map),
            "typ" => return read_once(&mut self.typ, map),
            "crit" => self.unsupported = Some("crit"),
            "b64" => self.unsupported = Some("b64"),
            "enc" => self.unsupported = Some("enc"),
            "zip" => self.unsupported = Some("zip"),
            _ => {}
        }
        Ok(false)
    }
}

fn read_header(json: &[u8]) -> Result<(Algorithm, Option<Cow<'_, str>>), TokenError> {
    let header: Header<'_> = parse_members(json)?;
    if let Some(name) = header.unsupported {
        return Err(TokenError::Unsupported { name });
    }
    if let Some(typ) = text("typ", header.typ)? {
        // RFC 7515 §4.1.9: case-insensitive, "application/" is optional.
        let is = |name| typ.eq_ignore_ascii_case(name);
        if !is("JWT") && !is("application/JWT") {
            return Err(TokenError::Type { typ: for_log(&typ) });
        }
    }
    let alg = text("alg", header.alg)?.ok_or(TokenError::Parameter { name: "alg" })?;
    let algorithm = Algorithm::from_header_name(&alg)
        .ok_or_else(|| TokenError::Algorithm { alg: for_log(&alg) })?;
    let key_id = text("kid", header.kid)?;
    if key_id.as_ref().is_some_and(|kid| kid.len() > MAX_KID_BYTES) {
        return Err(TokenError::Parameter { name: "kid" });
    }
    Ok((algorithm, key_id))
}

fn text<'t>(
    name: &'static str,
    value: Option<MaybeText<'t>>,
) -> Result<Option<Cow<'t, str>>, TokenError> {
    match value {
        None => Ok(None),
        Some(MaybeText::Text(text)) => Ok(Some(text)),
        Some(_) => Err(TokenError::Parameter { name }),
    }
}
