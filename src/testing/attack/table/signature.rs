//! Tokens signed with wrong keys, and changed signatures.

use serde_json::json;

use super::super::shot::{Attack, refused};
use super::ec;

pub(super) const ATTACKS: &[Attack] = &[
    refused(
        "signature_stripped",
        "the token's last part is empty",
        |forge| {
            forge
                .parts(|header, claims, _| format!("{header}.{claims}."))
                .into()
        },
    ),
    refused("signature_missing", "the token has two parts", |forge| {
        forge
            .parts(|header, claims, _| format!("{header}.{claims}"))
            .into()
    }),
    refused(
        "signature_first_bit_flipped",
        "the signature's first bit is flipped",
        |forge| {
            forge
                .signature(|mut signature| {
                    signature[0] ^= 0x80;
                    signature
                })
                .into()
        },
    ),
    refused(
        "signature_last_bit_flipped",
        "the signature's last bit is flipped",
        |forge| {
            forge
                .signature(|mut signature| {
                    let last = signature.len() - 1;
                    signature[last] ^= 1;
                    signature
                })
                .into()
        },
    ),
    refused(
        "signature_cut_short",
        "the signature is one byte too short",
        |forge| {
            forge
                .signature(|mut signature| {
                    signature.pop();
                    signature
                })
                .into()
        },
    ),
    refused(
        "signature_with_more_behind",
        "the signature is one byte too long",
        |forge| {
            forge
                .signature(|mut signature| {
                    signature.push(0);
                    signature
                })
                .into()
        },
    ),
    refused(
        "signature_of_zeros",
        "the signature is all zeros: r = s = 0 (CVE-2022-21449, \"psychic\")",
        |forge| forge.signature(|signature| vec![0; signature.len()]).into(),
    ),
    refused(
        "signature_of_the_order",
        "r and s are the curve's order, which is zero modulo the order",
        |forge| forge.signature(|_| ec::ORDER.repeat(2)).into(),
    ),
    refused(
        "signature_in_der",
        "the signature is in ASN.1, as in TLS, not as in RFC 7518 §3.4",
        |forge| forge.signature(|signature| ec::der(&signature)).into(),
    ),
    refused(
        "signature_of_another_token",
        "the signature is that of another genuine token",
        |forge| {
            let other = forge.genuine().token_string();
            let other = other.rsplit('.').next().unwrap_or_default();
            forge
                .parts(|header, claims, _| format!("{header}.{claims}.{other}"))
                .into()
        },
    ),
    refused(
        "header_changed",
        "the token's header was changed after signing",
        |forge| {
            forge
                .header_swapped(|header| drop(header.insert("x".into(), json!(1))))
                .into()
        },
    ),
    refused(
        "claims_changed",
        "the token's claims were changed after signing",
        |forge| {
            let delivery = forge.genuine();
            let changed = delivery.clone().claim("jti", json!("another"));
            let (token, changed) = (delivery.token_string(), changed.token_string());
            let (claims, _) = changed.rsplit_once('.').unwrap_or_default();
            let (_, signature) = token.rsplit_once('.').unwrap_or_default();
            delivery.token(format!("{claims}.{signature}")).into()
        },
    ),
    refused(
        "key_of_a_forger",
        "signed with a forger's key, under its own kid",
        |forge| forge.by(&forge.forger).into(),
    ),
    refused(
        "key_of_a_forger_under_good_kid",
        "signed with a forger's key, under the kid of the tenant's",
        |forge| forge.forged().into(),
    ),
    refused(
        "key_of_a_forger_without_kid",
        "signed with a forger's key, without a kid",
        |forge| forge.forged().without_header_param("kid").into(),
    ),
    refused(
        "key_withdrawn",
        "signed with a key that the tenant has withdrawn",
        |forge| forge.withdrawn().into(),
    ),
    refused(
        "key_withdrawn_under_good_kid",
        "signed with a withdrawn key, under the kid of a published one",
        |forge| {
            let kid = forge.tenant.signing_key();
            forge.withdrawn().header_param("kid", json!(kid)).into()
        },
    ),
    refused(
        "tenant_unknown",
        "an unknown tenant's token, signed by that tenant",
        |forge| forge.by(&forge.stranger).into(),
    ),
    refused(
        "tenant_claimed_by_a_stranger",
        "an unknown tenant's token with the tenant's domain as iss",
        |forge| {
            let domain = forge.tenant.domain();
            forge.by(&forge.stranger).claim("iss", json!(domain)).into()
        },
    ),
];
