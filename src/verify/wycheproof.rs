//! Runs Wycheproof's vectors for JSON Web Signature and JSON Web Key through the token
//! parser, key import and verification.
//!
//! There are none for `EdDSA`; those for bare Ed25519 signatures run in `keys/`.

use serde_json::{Value, json};

use super::token::{CompactJws, UntrustedToken};
use crate::keys::KeySet;

/// The vectors with which this crate disagrees on purpose, by `tcId`.
const SIGNATURE_DISAGREEMENTS: [(u64, &str); 0] = [];
const KEY_DISAGREEMENTS: [(u64, &str); 1] = [(
    7,
    "a key whose private part can be computed from the public one (ROCA, a flaw of some smart \
     cards) is accepted: the tenant is responsible for its keys",
)];

/// The claims of a token; the vectors' own payloads are not claims.
const CLAIMS: &str = r#"{"iss":"example.conductor.one","aud":"hooks.example.com","c1typ":"wh",
    "htm":"POST","htu":"https://hooks.example.com/","jti":"1","iat":1,"nbf":1,"exp":1,
    "htb_s256":"47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="}"#;

fn is_accepted(key_set: &Value, token: &str) -> bool {
    let Ok(keys) = KeySet::from_json(key_set.to_string().as_bytes()) else {
        return false;
    };
    // Each part must be valid base64url; the payload is then replaced.
    if CompactJws::decode(token.as_bytes()).is_err() {
        return false;
    }
    let claims = encode(CLAIMS);
    let with_claims = match token.split('.').collect::<Vec<_>>()[..] {
        [header, _, signature] => format!("{header}.{claims}.{signature}"),
        _ => token.to_owned(),
    };
    let Ok(jws) = CompactJws::decode(with_claims.as_bytes()) else {
        return false;
    };
    let Ok(parsed) = UntrustedToken::parse(&jws) else {
        return false;
    };
    let (signing_input, _) = token.rsplit_once('.').expect("it has parts");
    let (kid, message) = (parsed.key_id.as_deref(), signing_input.as_bytes());
    keys.verify(kid, parsed.algorithm, message, parsed.signature)
        .is_ok()
}

fn encode(text: &str) -> String {
    use base64::Engine;
    base64::prelude::BASE64_URL_SAFE_NO_PAD.encode(text)
}

/// The vectors of a file with which this crate disagrees. The file has `vectors` of them.
fn disagreements(file: &str, vectors: u64, jwks: impl Fn(&Value) -> Value) -> Vec<u64> {
    let file: Value = serde_json::from_str(file).expect("JSON");
    let groups = file["testGroups"].as_array().expect("groups");
    let tests = groups.iter().flat_map(|group| {
        let tests = group["tests"].as_array().expect("tests");
        tests.iter().map(move |test| (group, test))
    });
    let (mut seen, mut accepted, mut disagreements) = (0, 0, Vec::new());
    for (group, test) in tests {
        seen += 1;
        let is_accepted = is_accepted(&jwks(group), test["jws"].as_str().expect("a token"));
        accepted += u64::from(is_accepted);
        if is_accepted != (test["result"] == "valid") {
            disagreements.push(test["tcId"].as_u64().expect("a number"));
        }
    }
    assert_eq!(
        (seen, file["numberOfTests"].as_u64()),
        (vectors, Some(vectors))
    );
    assert!(accepted > 0, "no vector is accepted");
    disagreements
}

#[test]
fn json_web_signature() {
    let file = include_str!("../../tests/data/wycheproof/json_web_signature.json");
    let found = disagreements(file, 67, |group| json!({ "keys": [group["public"]] }));
    assert_eq!(found, SIGNATURE_DISAGREEMENTS.map(|(id, _)| id));
}

#[test]
fn json_web_key() {
    let file = include_str!("../../tests/data/wycheproof/json_web_key.json");
    // One set is under `private`, since it holds a symmetric key.
    let jwks = |group: &Value| match &group["public"] {
        Value::Null => group["private"].clone(),
        public => public.clone(),
    };
    let found = disagreements(file, 12, jwks);
    assert_eq!(found, KEY_DISAGREEMENTS.map(|(id, _)| id));
}
