//! Checks where callback URLs lead.

use std::collections::HashMap;

use http::Uri;
use url::Url;

use super::{Callback, CallbackError};
use crate::config_error::ConfigError;
use crate::domain::check_domain;
use crate::url::{RedactedUrl, is_loopback};

/// The configured origins. A tenant without any has its own domain.
#[derive(Debug, Default)]
pub(super) struct Origins(HashMap<String, Vec<Url>>);

impl Origins {
    pub(super) fn add(
        &mut self,
        tenant: RedactedUrl,
        origin: &RedactedUrl,
        http_on_loopback: bool,
    ) -> Result<(), ConfigError> {
        check_domain("the tenant of a callback origin", &tenant)?;
        let RedactedUrl(tenant) = tenant;
        let origin = read_origin(&origin.0, http_on_loopback).map_err(|remedy| {
            ConfigError::new(format!(
                "the callback origin {origin:?} of {tenant:?}: {remedy}"
            ))
        })?;
        self.0.entry(tenant).or_default().push(origin);
        Ok(())
    }

    /// The callback's URL, if a document may be posted to it.
    ///
    /// It is parsed by the HTTP client's own parser and returned in normal form, so
    /// that the client cannot find another host in it.
    pub(super) fn check(&self, callback: &Callback) -> Result<Uri, CallbackError> {
        let unusable = CallbackError::unusable;
        let text = callback.url().expose_secret();
        // That parser ignores white space and reads backslashes as slashes.
        if !text
            .bytes()
            .all(|byte| byte.is_ascii_graphic() && byte != b'\\')
        {
            return Err(unusable(
                "it contains characters that are not allowed in a URL",
            ));
        }
        let url = Url::parse(text).map_err(|_| unusable("it is not an absolute URL"))?;
        if has_userinfo(text, &url) {
            return Err(unusable("it has a user name or password"));
        }
        match self.0.get(callback.tenant()) {
            Some(origins) if origins.iter().any(|origin| is_same_origin(origin, &url)) => {}
            Some(_) => {
                return Err(unusable(
                    "it leads to none of the tenant's configured origins",
                ));
            }
            None if is_at(callback.tenant(), &url) => {}
            None => return Err(unusable("it does not lead to https at the tenant's domain")),
        }
        Uri::try_from(url.as_str()).map_err(|_| unusable("it is not an absolute URL"))
    }
}

/// Whether a URL leads to a tenant's own domain, over https, at port 443.
fn is_at(tenant: &str, url: &Url) -> bool {
    url.scheme() == "https" && url.port().is_none() && url.host_str() == Some(tenant)
}

fn is_same_origin(one: &Url, other: &Url) -> bool {
    one.scheme() == other.scheme()
        && one.host() == other.host()
        && one.port_or_known_default() == other.port_or_known_default()
}

/// Whether a URL has a user name or password, even an empty one. The parser accepts
/// any number of slashes before them, including none.
fn has_userinfo(text: &str, url: &Url) -> bool {
    let (_, rest) = text.split_once(':').unwrap_or_default();
    let authority = rest.trim_start_matches('/').split(['/', '?', '#']).next();
    !url.username().is_empty()
        || url.password().is_some()
        || authority.is_some_and(|authority| authority.contains('@'))
}

fn read_origin(origin: &str, http_on_loopback: bool) -> Result<Url, &'static str> {
    let form = "write it like https://callbacks.example.com, without path and query";
    let url = Url::parse(origin).map_err(|_| form)?;
    let bare = url.path() == "/" && url.query().is_none() && url.fragment().is_none();
    if has_userinfo(origin, &url) || !bare {
        return Err(form);
    }
    match (url.scheme(), url.host_str()) {
        ("https", _) => Ok(url),
        ("http", Some(host)) if is_loopback(host) && http_on_loopback => Ok(url),
        ("http", Some(host)) if is_loopback(host) => {
            Err("use https; for tests, dangerous_allow_http_on_loopback allows http")
        }
        ("http", _) => Err("use https, http is for loopback hosts only"),
        _ => Err(form),
    }
}
