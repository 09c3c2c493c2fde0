//! Tokens that the tenant has signed for another URL.

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
        "htu has the receiver's host with another behind it",
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
        "htu has http for https, or the other way round",
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
        "the receiver's host is the user's name in htu",
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
        "htu has user and password before the receiver's host",
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
        "htu's host ends with a backslash for those who see it so",
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
        "the same, percent-encoded",
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
