//! Whether header and claims are those of a genuine token for
//! `https://hooks.example.com/webhooks` and [`BODY`](crate::BODY), judged
//! without the crate: RFC 7515, RFC 7519, RFC 9449 §4.3.

use base64::Engine;
use base64::prelude::{BASE64_STANDARD_NO_PAD, BASE64_URL_SAFE_NO_PAD};
use serde::de::DeserializeOwned;
use sha2::{Digest, Sha256};

use crate::{BODY, DOMAIN, HOST, KID, Members, NOW, url};

pub fn are_genuine(header: &Members, claims: &Members) -> bool {
    is_for_a_jwt(header) && are_of_our_delivery(claims).unwrap_or(false)
}

fn is_for_a_jwt(header: &Members) -> bool {
    let alg = get::<String>(header, "alg").is_some_and(|alg| alg == "EdDSA" || alg == "Ed25519");
    let kid =
        !header.contains_key("kid") || get::<String>(header, "kid").is_some_and(|kid| kid == KID);
    let typ = !header.contains_key("typ")
        || get::<String>(header, "typ")
            .is_some_and(|typ| ["jwt", "application/jwt"].contains(&&*typ.to_ascii_lowercase()));
    let odd = ["crit", "b64", "enc", "zip"];
    alg && kid && typ && odd.iter().all(|name| !header.contains_key(*name))
}

fn are_of_our_delivery(claims: &Members) -> Option<bool> {
    let text = |name| get::<String>(claims, name);
    let date = |name| get::<f64>(claims, name);
    let audience = text("aud").or_else(|| Some(get::<[String; 1]>(claims, "aud")?.concat()))?;
    let (iat, nbf, exp) = (date("iat")?, date("nbf")?, date("exp")?);
    let (now, leeway) = (NOW as f64, 30.0);
    let same = [
        text("iss")? == DOMAIN,
        audience.eq_ignore_ascii_case(HOST),
        text("c1typ")? == "wh",
        text("htm")? == "POST",
        (1..=256).contains(&text("jti")?.len()),
        exp - iat <= 600.0,
        now < exp + leeway,
        nbf <= now + leeway && iat <= now + leeway,
        decode_hash(&text("htb_s256")?)? == Sha256::digest(BODY)[..],
        url::canonical(&text("htu")?)? == url::canonical("https://hooks.example.com/webhooks")?,
    ];
    Some(same.into_iter().all(|same| same))
}

/// Either alphabet of base64, padded to a multiple of four or not at all.
fn decode_hash(text: &str) -> Option<Vec<u8>> {
    let bare = text.strip_suffix('=').unwrap_or(text);
    BASE64_STANDARD_NO_PAD
        .decode(bare)
        .or_else(|_| BASE64_URL_SAFE_NO_PAD.decode(bare))
        .ok()
}

fn get<T: DeserializeOwned>(members: &Members, name: &str) -> Option<T> {
    serde_json::from_str(members.get(name)?.get()).ok()
}
