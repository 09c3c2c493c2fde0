//! Token headers with forbidden parameters, and malformed ones.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::json;

use super::super::shot::{Attack, refused};

pub(super) const ATTACKS: &[Attack] = &[
    refused(
        "jwk_injected",
        "the header has the forger's key (jwk)",
        |forge| {
            let jwk = forge.forgers_jwk();
            let forged = forge.by(&forge.forger).without_header_param("kid");
            forged.header_param("jwk", jwk).into()
        },
    ),
    refused(
        "jwk_injected_under_good_kid",
        "the header has the forger's key (jwk), under the kid of the tenant's",
        |forge| {
            let mut jwk = forge.forgers_jwk();
            jwk["kid"] = forge.tenant.signing_key().into();
            forge.forged().header_param("jwk", jwk).into()
        },
    ),
    refused(
        "jku_injected",
        "the header has the URL of the forger's keys (jku)",
        |forge| {
            let url = json!("https://attacker.invalid/auth/v1/jwks");
            forge.by(&forge.forger).header_param("jku", url).into()
        },
    ),
    refused(
        "x5u_injected",
        "the header has the URL of the forger's certificate (x5u)",
        |forge| {
            let url = json!("https://attacker.invalid/certificate.pem");
            forge.by(&forge.forger).header_param("x5u", url).into()
        },
    ),
    refused(
        "x5c_injected",
        "the header has the forger's key in place of a certificate (x5c)",
        |forge| {
            let der = forge.forger.public_der(&forge.forger.signing_key());
            let chain = json!([BASE64_STANDARD.encode(der)]);
            forge.by(&forge.forger).header_param("x5c", chain).into()
        },
    ),
    refused(
        "kid_of_a_path",
        "kid is the path of a file whose content a forger may know",
        |forge| {
            let kid = json!("../../../../../../dev/null");
            forge.by(&forge.forger).header_param("kid", kid).into()
        },
    ),
    refused("kid_of_a_url", "kid is the forger's URL", |forge| {
        let kid = json!("https://attacker.invalid/auth/v1/jwks");
        forge.by(&forge.forger).header_param("kid", kid).into()
    }),
    refused("kid_of_a_query", "kid is an SQL injection", |forge| {
        let kid = json!("x' UNION SELECT 'secret' -- ");
        forge.by(&forge.forger).header_param("kid", kid).into()
    }),
    refused(
        "kid_with_control_characters",
        "kid has control characters, to forge lines of a log",
        |forge| {
            let kid = json!("x\r\n\0\u{1b}[2J\u{202e}");
            forge.by(&forge.forger).header_param("kid", kid).into()
        },
    ),
    refused("kid_huge", "kid has 4,000 characters", |forge| {
        let kid = json!("k".repeat(4000));
        forge.by(&forge.forger).header_param("kid", kid).into()
    }),
    refused("kid_empty", "kid is empty", |forge| {
        forge
            .by(&forge.forger)
            .header_param("kid", json!(""))
            .into()
    }),
    refused(
        "kid_number",
        "kid is a number, in a validly signed token",
        |forge| forge.genuine().header_param("kid", json!(0)).into(),
    ),
    refused(
        "kid_array",
        "kid is an array, in a validly signed token",
        |forge| {
            let kid = json!([forge.tenant.signing_key()]);
            forge.genuine().header_param("kid", kid).into()
        },
    ),
    refused(
        "crit_unknown",
        "crit names an unknown extension (RFC 7515 §4.1.11)",
        |forge| {
            let delivery = forge.genuine().header_param("crit", json!(["unknown"]));
            delivery.header_param("unknown", json!(true)).into()
        },
    ),
    refused(
        "crit_empty",
        "crit is empty, which RFC 7515 §4.1.11 forbids",
        |forge| forge.genuine().header_param("crit", json!([])).into(),
    ),
    refused(
        "b64_false",
        "b64 says that the payload is not encoded (RFC 7797)",
        |forge| {
            let delivery = forge.genuine().header_param("crit", json!(["b64"]));
            delivery.header_param("b64", json!(false)).into()
        },
    ),
    refused(
        "zip_deflate",
        "zip says that the payload is compressed",
        |forge| forge.genuine().header_param("zip", json!("DEF")).into(),
    ),
    refused(
        "enc_of_a_jwe",
        "enc says that the token is encrypted",
        |forge| forge.genuine().header_param("enc", json!("A256GCM")).into(),
    ),
    refused(
        "typ_access_token",
        "typ names another kind of token: at+jwt (RFC 9068)",
        |forge| forge.genuine().header_param("typ", json!("at+jwt")).into(),
    ),
    refused(
        "typ_dpop",
        "typ names another kind of token: dpop+jwt (RFC 9449)",
        |forge| {
            forge
                .genuine()
                .header_param("typ", json!("dpop+jwt"))
                .into()
        },
    ),
    refused("typ_number", "typ is a number", |forge| {
        forge.genuine().header_param("typ", json!(1)).into()
    }),
    refused(
        "header_with_alg_twice",
        "the header has alg twice, first none (RFC 7515 §4)",
        |forge| {
            let delivery = forge.texts(|header, _| {
                header.insert_str(1, r#""alg":"none","#);
            });
            delivery.into()
        },
    ),
    refused(
        "header_with_alg_twice_escaped",
        "the header has alg twice, once written with escapes",
        |forge| {
            let delivery = forge.texts(|header, _| {
                header.insert_str(1, r#""\u0061lg":"none","#);
            });
            delivery.into()
        },
    ),
    refused("header_of_an_array", "the header is an array", |forge| {
        forge
            .texts(|header, _| *header = format!("[{header}]"))
            .into()
    }),
    refused(
        "header_with_more_behind",
        "a second object follows the header",
        |forge| forge.texts(|header, _| *header += "{}").into(),
    ),
    refused("header_empty", "the header is empty", |forge| {
        forge.texts(|header, _| header.clear()).into()
    }),
    refused(
        "header_deeply_nested",
        "the header has 2,000 nested arrays",
        |forge| {
            let deep = format!("\"deep\":{}{},", "[".repeat(2000), "]".repeat(2000));
            forge
                .by(&forge.forger)
                .token(
                    forge
                        .forger
                        .sign(format!("{{{deep}\"alg\":\"ES256\"}}"), "{}"),
                )
                .into()
        },
    ),
];
