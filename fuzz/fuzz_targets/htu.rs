//! Input: the claim `htu`, a line feed, the request's path, and, if another line
//! follows, the receiver's public URL.
//!
//! The token is accepted if and only if `htu`, without query and fragment, is
//! the public URL followed by the path, both in the normal form of RFC 3986 as
//! an independent library has it; and the path is in that form, or stands in `htu`
//! letter by letter without dot segments.
#![no_main]

use http::Uri;
use libfuzzer_sys::fuzz_target;
use tower_conductorone_fuzz::url::{canonical, canonical_path};
use tower_conductorone_fuzz::{HOST, builder, delivery, jwk, send_to};

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let mut lines = text.splitn(3, '\n');
    let (htu, path) = (
        lines.next().unwrap_or_default(),
        lines.next().unwrap_or_default(),
    );
    let public_url = lines
        .next()
        .map_or_else(|| format!("https://{HOST}"), str::to_owned);
    let Ok(uri) = path.parse::<Uri>() else {
        return;
    };
    let set = format!(r#"{{"keys":[{}]}}"#, jwk());
    let builder = builder(&set).expect("a good key").public_url(&*public_url);
    let Ok(receiver) = builder.build() else {
        return;
    };
    let origin = canonical(&public_url).expect("only a URL is a public URL");
    assert_eq!(origin.0, "https");
    assert!(!public_url.contains(['?', '#']));

    let expected = canonical_path(uri.path()).map(|path| {
        let prefix = origin.3.strip_suffix('/').unwrap_or(&origin.3);
        let (scheme, host, port, _) = origin.clone();
        (scheme, host, port, format!("{prefix}{path}"))
    });
    let path = uri.path();
    let signed = htu.split(['?', '#']).next().unwrap_or_default();
    let has_dots = path.split('/').any(|segment| {
        let segment = segment.to_ascii_lowercase().replace("%2e", ".");
        matches!(&*segment, "." | "..")
    });
    let spelled = canonical_path(path).as_deref() == Some(path) || signed.ends_with(path);
    let mut request = delivery()
        .claim("htu", htu.into())
        .claim("aud", origin.1.as_str().into())
        .request();
    *request.uri_mut() = uri.clone();
    let outcome = send_to(&receiver, request);
    let same = expected.is_some() && canonical(htu) == expected && spelled && !has_dots;
    assert_eq!(outcome.is_accepted(), same, "{}", outcome.code);
    assert!(same || outcome.status == 401, "{}", outcome.status);
});
