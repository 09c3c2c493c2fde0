//! Genuine tokens on requests for another path.

use super::super::shot::{Attack, Shot, refused, survived};

pub(super) const ATTACKS: &[Attack] = &[
    refused(
        "path_below",
        "the request is for a path below the token's",
        |forge| Shot::from(forge.genuine()).path(|path| format!("{path}/below")),
    ),
    refused(
        "path_of_a_sibling",
        "dot segments lead to a sibling of the token's path",
        |forge| Shot::from(forge.genuine()).path(|path| format!("{path}/../another")),
    ),
    refused(
        "path_of_an_encoded_sibling",
        "percent-encoded dot segments lead to a sibling of the token's path",
        |forge| Shot::from(forge.genuine()).path(|path| format!("{path}/%2e%2E/another")),
    ),
    refused(
        "path_in_other_case",
        "the path has capital letters instead of small ones",
        |forge| {
            Shot::from(forge.genuine()).path(|path| {
                let capitals = path.to_ascii_uppercase();
                if capitals == path {
                    format!("{path}X")
                } else {
                    capitals
                }
            })
        },
    ),
    refused(
        "path_with_slash_behind",
        "the path has another slash at its end",
        |forge| Shot::from(forge.genuine()).path(|path| format!("{path}/")),
    ),
    refused(
        "path_with_two_slashes",
        "the path begins with two slashes",
        |forge| Shot::from(forge.genuine()).path(|path| format!("/{path}")),
    ),
    refused(
        "path_with_encoded_slash",
        "the path goes on with a percent-encoded slash",
        |forge| Shot::from(forge.genuine()).path(|path| format!("{path}%2Fanother")),
    ),
    refused(
        "path_with_parameter",
        "the path goes on with a semicolon",
        |forge| Shot::from(forge.genuine()).path(|path| format!("{path};admin=true")),
    ),
    refused(
        "path_with_nul",
        "the path goes on with a percent-encoded NUL",
        |forge| Shot::from(forge.genuine()).path(|path| format!("{path}%00")),
    ),
    refused(
        "path_encoded_twice",
        "the path goes on with a percent sign, percent-encoded",
        |forge| Shot::from(forge.genuine()).path(|path| format!("{path}%252e")),
    ),
    refused(
        "path_with_broken_encoding",
        "the path goes on with a percent sign without digits",
        |forge| Shot::from(forge.genuine()).path(|path| format!("{path}%zz")),
    ),
    refused(
        "path_with_encoded_query",
        "the path goes on with a percent-encoded question mark",
        |forge| Shot::from(forge.genuine()).path(|path| format!("{path}%3Fa=b")),
    ),
    survived(
        "path_with_harmless_dots",
        "dot segments in the path cancel out",
        |forge| Shot::from(forge.genuine()).path(|path| format!("/x/..{path}")),
    ),
    survived("path_long", "the path has 4,000 characters more", |forge| {
        Shot::from(forge.genuine()).path(|path| format!("{}{path}", "/.".repeat(2000)))
    }),
    survived("query_long", "the query has 8,000 characters", |forge| {
        Shot::from(forge.genuine()).query(&"q=%00&".repeat(1333))
    }),
];
