//! Signed tokens for another URL.

use super::super::shot::{Attack, refused};

pub(super) const ATTACKS: &[Attack] = &[
    refused("htu_of_another_path", "htu has another path", |forge| {
        forge
            .htu(|scheme, authority, _| format!("{scheme}://{authority}/another"))
            .into()
    }),
    refused(
        "htu_of_a_longer_path",
        "htu has a path below the receiver's",
        |forge| {
            forge
                .htu(|scheme, authority, path| format!("{scheme}://{authority}{path}/below"))
                .into()
        },
    ),
    refused("htu_of_another_host", "htu has another host", |forge| {
        forge
            .htu(|scheme, _, path| format!("{scheme}://other.example.com{path}"))
            .into()
    }),
    refused(
        "htu_with_suffix_on_host",
        "htu's host is the receiver's followed by another domain",
        |forge| {
            forge
                .htu(|scheme, authority, path| {
                    format!("{scheme}://{authority}.attacker.example{path}")
                })
                .into()
        },
    ),
    refused(
        "htu_of_the_other_scheme",
        "htu has http instead of https, or the reverse",
        |forge| {
            forge
                .htu(|scheme, authority, path| {
                    let other = if scheme == "https" { "http" } else { "https" };
                    format!("{other}://{authority}{path}")
                })
                .into()
        },
    ),
    refused("htu_of_another_port", "htu has another port", |forge| {
        forge
            .htu(|scheme, authority, path| {
                let host = authority
                    .rsplit_once(':')
                    .map_or(authority, |(host, _)| host);
                format!("{scheme}://{host}:8444{path}")
            })
            .into()
    }),
    refused(
        "htu_with_user",
        "htu has the receiver's host as its user name",
        |forge| {
            forge
                .htu(|scheme, authority, path| {
                    format!("{scheme}://{authority}@attacker.example{path}")
                })
                .into()
        },
    ),
    refused(
        "htu_with_password",
        "htu has a user name and a password",
        |forge| {
            forge
                .htu(|scheme, authority, path| {
                    format!("{scheme}://user:password@{authority}{path}")
                })
                .into()
        },
    ),
    refused(
        "htu_in_the_query",
        "the receiver's URL is in the query of htu",
        |forge| {
            forge
                .htu(|scheme, authority, path| {
                    format!("{scheme}://attacker.example/?{scheme}://{authority}{path}")
                })
                .into()
        },
    ),
    refused(
        "htu_in_the_fragment",
        "the receiver's URL is in the fragment of htu",
        |forge| {
            forge
                .htu(|scheme, authority, path| {
                    format!("{scheme}://attacker.example/#@{authority}{path}")
                })
                .into()
        },
    ),
    refused(
        "htu_with_backslash",
        "htu has a backslash, at which some parsers end the host",
        |forge| {
            forge
                .htu(|scheme, authority, path| {
                    format!("{scheme}://attacker.example\\@{authority}{path}")
                })
                .into()
        },
    ),
    refused(
        "htu_with_dot_segments",
        "htu's dot segments lead from the receiver's path to another",
        |forge| {
            forge
                .htu(|scheme, authority, path| format!("{scheme}://{authority}{path}/../another"))
                .into()
        },
    ),
    refused(
        "htu_with_encoded_dot_segments",
        "htu's percent-encoded dot segments lead from the receiver's path to another",
        |forge| {
            forge
                .htu(|scheme, authority, path| {
                    format!("{scheme}://{authority}{path}/%2e%2e/another")
                })
                .into()
        },
    ),
    refused("htu_without_host", "htu is the path alone", |forge| {
        forge.htu(|_, _, path| path.to_owned()).into()
    }),
    refused("htu_empty", "htu is empty", |forge| {
        forge.htu(|_, _, _| String::new()).into()
    }),
    refused("htu_with_line_break", "htu has a line break", |forge| {
        forge
            .htu(|scheme, authority, path| format!("{scheme}://{authority}{path}\r\nx: y"))
            .into()
    }),
    refused(
        "htu_with_broken_encoding",
        "htu has a percent sign without digits",
        |forge| {
            forge
                .htu(|scheme, authority, path| format!("{scheme}://{authority}{path}%"))
                .into()
        },
    ),
];
