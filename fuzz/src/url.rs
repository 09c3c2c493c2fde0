//! RFC 3986's normal form, as `fluent-uri` has it.

use fluent_uri::Uri;

/// Scheme, host, port and path.
pub type Canonical = (String, String, u16, String);

/// Characters that a path cannot hold. Senders differ in whether they encode
/// them, so they count as encoded: the one thing in which the crate's comparison
/// is laxer than RFC 3986.
const ENCODED: [(&str, &str); 11] = [
    ("\"", "%22"),
    ("<", "%3C"),
    (">", "%3E"),
    ("[", "%5B"),
    ("\\", "%5C"),
    ("]", "%5D"),
    ("^", "%5E"),
    ("`", "%60"),
    ("{", "%7B"),
    ("|", "%7C"),
    ("}", "%7D"),
];

/// The normal form of an http(s) URL without its query and fragment; `None` for
/// everything else.
pub fn canonical(url: &str) -> Option<Canonical> {
    let url = url.split(['?', '#']).next()?;
    let (scheme, rest) = url.split_once("://")?;
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let path = canonical_path(path)?;
    let uri = Uri::parse(format!("{scheme}://{authority}"))
        .ok()?
        .normalize();
    let authority = uri.authority()?;
    if authority.has_userinfo() || authority.host().is_empty() {
        return None;
    }
    let own_port = match uri.scheme().as_str() {
        "https" => 443,
        "http" => 80,
        _ => return None,
    };
    let port = match authority.port().map(|port| port.as_str()) {
        None | Some("") => own_port,
        Some(digits) => digits.parse().ok()?,
    };
    Some((
        uri.scheme().as_str().to_owned(),
        // A decoded capital letter stays one in fluent-uri.
        authority.host().to_ascii_lowercase(),
        port,
        path,
    ))
}

/// The normal form of a path.
pub fn canonical_path(path: &str) -> Option<String> {
    if !path.is_empty() && !path.starts_with('/') {
        return None;
    }
    let path = ENCODED
        .iter()
        .fold(path.to_owned(), |path, (raw, encoded)| {
            path.replace(raw, encoded)
        });
    let uri = Uri::parse(format!("https://host{path}")).ok()?.normalize();
    if uri.query().is_some() || uri.fragment().is_some() {
        return None;
    }
    let path = uri.path().as_str();
    Some(if path.is_empty() { "/" } else { path }.to_owned())
}
