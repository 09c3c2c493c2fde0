//! What has to be checked of a delivery besides what a JWT library checks, for the
//! alternatives: written as a user would, with care for speed.

use std::borrow::Cow;
use std::error::Error;
use std::hint::black_box;
use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use http::{Method, StatusCode, Uri};
use http_body::Body;
use http_body_util::{BodyExt, Limited};
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::Value;
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};

/// The tenant's domain, which is the tokens' `iss`.
pub const DOMAIN: &str = "example.conductor.one";

/// Where the receiver is: what a token's `htu` begins with.
pub const PUBLIC_URL: &str = "https://hooks.example.com";

/// The receiver's host, which is the tokens' `aud`.
pub const AUDIENCE: &str = "hooks.example.com";

/// The leeway for the times of a token, in seconds.
pub const LEEWAY: u64 = 30;

const MAX_BODY: usize = 2 * 1024 * 1024;
const MAX_LIFETIME: u64 = 600;

/// The claims of ConductorOne's tokens. The libraries check `iss`, `aud`, `exp` and
/// `nbf` themselves; but jwt-authorizer passes a token that lacks one, so that here
/// all have to be there.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Claims {
    c1typ: String,
    htm: String,
    htu: String,
    htb_s256: String,
    iat: u64,
    exp: u64,
    #[expect(dead_code, reason = "has to be there")]
    jti: String,
    #[expect(dead_code, reason = "has to be there")]
    iss: IgnoredAny,
    #[expect(dead_code, reason = "has to be there")]
    aud: IgnoredAny,
    #[expect(dead_code, reason = "has to be there")]
    nbf: IgnoredAny,
}

/// The body of a delivery.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Envelope<'a, P> {
    #[serde(borrow)]
    version: Cow<'a, str>,
    #[serde(borrow)]
    #[expect(dead_code, reason = "for the handler")]
    webhook_id: Cow<'a, str>,
    #[serde(borrow)]
    #[expect(dead_code, reason = "for the handler")]
    event: Cow<'a, str>,
    #[serde(borrow)]
    #[expect(dead_code, reason = "for the handler")]
    callback_url: Option<Cow<'a, str>>,
    #[expect(dead_code, reason = "for the handler")]
    payload: P,
}

/// What a receiver makes of the payload.
pub(crate) trait Form: Clone + Send + Sync + 'static {
    type Payload<'a>: Deserialize<'a>;
}

/// It is left as it is.
#[derive(Clone)]
pub(crate) struct Raw;

impl Form for Raw {
    type Payload<'a> = &'a RawValue;
}

/// It is parsed to a `serde_json::Value`.
#[derive(Clone)]
pub(crate) struct Parsed;

impl Form for Parsed {
    type Payload<'a> = Value;
}

/// Does the rest of the job: the status to answer with.
pub(crate) async fn finish<F: Form, B>(
    claims: &Claims,
    method: &Method,
    uri: &Uri,
    body: B,
) -> StatusCode
where
    B: Body,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let now = now.map_or(0, |now| now.as_secs());
    if claims.c1typ != "wh"
        || claims.htm != method.as_str()
        || claims.htu.strip_prefix(PUBLIC_URL) != Some(uri.path())
        || claims.iat > now + LEEWAY
        || claims.exp.saturating_sub(claims.iat) > MAX_LIFETIME
    {
        return StatusCode::UNAUTHORIZED;
    }
    let Ok(body) = Limited::new(body, MAX_BODY).collect().await else {
        return StatusCode::BAD_REQUEST;
    };
    let body = body.to_bytes();
    let mut hash = [0; 32];
    if !matches!(
        BASE64_STANDARD.decode_slice(&claims.htb_s256, &mut hash),
        Ok(32)
    ) || Sha256::digest(&body)[..] != hash
    {
        return StatusCode::UNAUTHORIZED;
    }
    let envelope = serde_json::from_slice::<Envelope<'_, F::Payload<'_>>>(&body);
    match black_box(&envelope) {
        Ok(envelope) if envelope.version == "v1" => StatusCode::OK,
        _ => StatusCode::BAD_REQUEST,
    }
}
