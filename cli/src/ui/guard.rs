//! Refuses what another site's page sends with the user's browser.

use std::net::SocketAddr;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::header::{self, HeaderName, HeaderValue};
use http::{HeaderMap, Method, StatusCode};

/// Scripts, styles and data come from here alone, and no text becomes markup.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; \
    img-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; \
    frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'";

/// On every answer.
const HEADERS: [(HeaderName, &str); 6] = [
    (header::CONTENT_SECURITY_POLICY, POLICY),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::REFERRER_POLICY, "no-referrer"),
    (header::CACHE_CONTROL, "no-store"),
    (
        HeaderName::from_static("cross-origin-opener-policy"),
        "same-origin",
    ),
    (
        HeaderName::from_static("cross-origin-resource-policy"),
        "same-origin",
    ),
];

pub(super) async fn guard(
    State(address): State<SocketAddr>,
    request: Request,
    next: Next,
) -> Response {
    let mut response = match check(&request, address) {
        Ok(()) => next.run(request).await,
        Err((status, why)) => (status, why).into_response(),
    };
    for (name, value) in HEADERS {
        response
            .headers_mut()
            .insert(name, HeaderValue::from_static(value));
    }
    response
}

fn check(request: &Request, address: SocketAddr) -> Result<(), (StatusCode, &'static str)> {
    let headers = request.headers();
    let host = one(headers, &header::HOST)
        .filter(|host| is_own(host, address))
        .ok_or((
            StatusCode::MISDIRECTED_REQUEST,
            "open the page at the address that c1 prints: the Host header is another one",
        ))?;
    let foreign = (
        StatusCode::FORBIDDEN,
        "the request comes from another site's page",
    );
    if headers.contains_key(header::ORIGIN) {
        let origin =
            one(headers, &header::ORIGIN).and_then(|origin| origin.strip_prefix("http://"));
        if !origin.is_some_and(|origin| origin.eq_ignore_ascii_case(host)) {
            return Err(foreign);
        }
    }
    let is_read = [Method::GET, Method::HEAD].contains(request.method());
    let site = HeaderName::from_static("sec-fetch-site");
    let is_allowed = match headers.get(&site).map(HeaderValue::as_bytes) {
        None | Some(b"same-origin") => true,
        // Typed by the user.
        Some(b"none") => is_read,
        // A link to the page.
        Some(_) => is_read && request.uri().path() == "/",
    };
    if !is_allowed {
        return Err(foreign);
    }
    // No form can send it, and no script of another site without being asked for first.
    let media = one(headers, &header::CONTENT_TYPE).and_then(|value| value.split(';').next());
    if !is_read && media.is_none_or(|media| media.trim() != "application/json") {
        return Err((StatusCode::UNSUPPORTED_MEDIA_TYPE, "send application/json"));
    }
    Ok(())
}

/// The header's value, if it is there once.
fn one<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    let mut values = headers.get_all(name).iter();
    let value = values.next()?.to_str().ok()?;
    values.next().is_none().then_some(value)
}

/// Another name that resolves to this address is an attack (DNS rebinding).
fn is_own(host: &str, address: SocketAddr) -> bool {
    let port = address.port();
    let named = format!("localhost:{port}");
    let is = |own: &str| {
        host.eq_ignore_ascii_case(own) || (port == 80 && own.strip_suffix(":80") == Some(host))
    };
    is(&address.to_string()) || is(&named)
}
