//! Checks the URL that a token is bound to: `aud` and `htu` (RFC 9449 §4.3).

use std::borrow::Cow;
use std::net::Ipv6Addr;

use crate::excerpt::for_log;
use crate::url::is_loopback;

/// The URL at which ConductorOne reaches this receiver: an origin, plus the path
/// prefix that a proxy strips.
#[derive(Clone, Debug)]
pub(crate) struct PublicUrl {
    target: Target<'static>,
    /// The same as text.
    text: String,
}

/// An http(s) URL without userinfo, query and fragment, in the normal form of
/// RFC 3986 §6.2.2 and §6.2.3.
#[derive(Clone, Debug)]
struct Target<'u> {
    scheme: &'static str,
    host: Cow<'u, str>,
    /// `None` is the scheme's default port.
    port: Option<u16>,
    path: Cow<'u, str>,
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum TargetError {
    #[error("htu {came:?} {reason}")]
    Invalid { came: String, reason: UrlError },
    #[error("htu is {came:?}, this receiver was called at {expected:?}: is the public URL right?")]
    Different { came: String, expected: String },
    #[error(
        "the request's path {path:?} has dot segments: ConductorOne sends none, \
         and a router may resolve them differently"
    )]
    DotSegments { path: String },
    #[error(
        "the request's path is {path:?}, which htu {came:?} encodes differently: \
         does a proxy re-encode it?"
    )]
    Spelling { came: String, path: String },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum UrlError {
    #[error("is not an absolute http or https URL")]
    NotAbsolute,
    #[error("has a user name or password")]
    UserInfo,
    #[error("has no host")]
    NoHost,
    #[error("has an invalid host or port")]
    Authority,
    #[error("has an invalid path")]
    Path,
    #[error("has a query or fragment")]
    Query,
    #[error("is plain http")]
    PlainHttp,
}

impl PublicUrl {
    /// Parses the configured URL. Plain http is allowed only for a loopback host, and
    /// only with `http_on_loopback`.
    pub(crate) fn parse(url: &str, http_on_loopback: bool) -> Result<Self, UrlError> {
        if url.contains(['?', '#']) {
            return Err(UrlError::Query);
        }
        let target = Target::parse(url)?;
        if target.scheme == "http" && !(http_on_loopback && is_loopback(&target.host)) {
            return Err(UrlError::PlainHttp);
        }
        let path = target.path.strip_suffix('/').unwrap_or(&target.path);
        let target = Target {
            scheme: target.scheme,
            port: target.port,
            path: Cow::Owned(path.to_owned()),
            host: Cow::Owned(target.host.into_owned()),
        };
        let text = target.to_string();
        Ok(Self { target, text })
    }

    /// The host, as `aud` must state it.
    pub(crate) fn host(&self) -> &str {
        let host = &self.target.host;
        host.strip_prefix('[')
            .and_then(|host| host.strip_suffix(']'))
            .unwrap_or(host)
    }

    pub(crate) fn is_audience(&self, audience: &str) -> bool {
        audience.eq_ignore_ascii_case(self.host())
            || audience.eq_ignore_ascii_case(&self.target.host)
    }

    /// Checks that `htu` is this URL followed by the request's path (RFC 9449 §4.3).
    /// The query and fragment of `htu` are ignored.
    ///
    /// Routers do not normalise: `/%74ests` and `/grants/../tests` are distinct paths
    /// to them, which a wildcard may match. So a path that is not in normal form must
    /// equal the signed one byte for byte, and one with dot segments is refused.
    pub(crate) fn check_target(&self, htu: &str, path: &str) -> Result<(), TargetError> {
        let is_as_configured = htu.strip_prefix(&*self.text) == Some(path);
        if is_as_configured && is_normal(path) {
            return Ok(());
        }
        let came = Target::parse(htu).map_err(|reason| TargetError::Invalid {
            came: for_log(htu),
            reason,
        })?;
        let Ok(normal) = encoded_path(path) else {
            return Err(TargetError::Different {
                came: for_log(htu),
                expected: for_log(path),
            });
        };
        if has_dot_segments(&normal) {
            return Err(TargetError::DotSegments {
                path: for_log(path),
            });
        }
        let own = &self.target;
        let is_same = came.scheme == own.scheme
            && came.host == own.host
            && came.port == own.port
            && came.path.strip_prefix(&*own.path) == Some(&normal);
        if !is_same {
            return Err(TargetError::Different {
                came: for_log(htu),
                expected: for_log(&format!("{self}{normal}")),
            });
        }
        let signed = htu.split(['?', '#']).next().unwrap_or_default();
        if normal == path || path.is_empty() || signed.ends_with(path) {
            Ok(())
        } else {
            Err(TargetError::Spelling {
                came: for_log(htu),
                path: for_log(path),
            })
        }
    }
}

impl std::fmt::Display for PublicUrl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.text)
    }
}

impl<'u> Target<'u> {
    fn parse(url: &'u str) -> Result<Self, UrlError> {
        let (scheme, rest) = url.split_once("://").ok_or(UrlError::NotAbsolute)?;
        let (scheme, own_port) = match () {
            () if scheme.eq_ignore_ascii_case("https") => ("https", 443),
            () if scheme.eq_ignore_ascii_case("http") => ("http", 80),
            () => return Err(UrlError::NotAbsolute),
        };
        let rest = rest.split(['?', '#']).next().unwrap_or_default();
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        if authority.contains('@') {
            return Err(UrlError::UserInfo);
        }
        let end_of_host = match authority.rfind(']') {
            Some(bracket) => bracket + 1,
            None => authority.find(':').unwrap_or(authority.len()),
        };
        let (host, port) = authority.split_at(end_of_host);
        Ok(Self {
            scheme,
            host: normal_host(host)?,
            port: read_port(port)?.filter(|port| *port != own_port),
            path: normal_path(path)?,
        })
    }
}

impl std::fmt::Display for Target<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}://{}", self.scheme, self.host)?;
        if let Some(port) = self.port {
            write!(f, ":{port}")?;
        }
        f.write_str(&self.path)
    }
}

/// Returns the host in lower case, with only the percent-encodings that it needs.
fn normal_host(host: &str) -> Result<Cow<'_, str>, UrlError> {
    if host.is_empty() {
        return Err(UrlError::NoHost);
    }
    if let Some(address) = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'))
    {
        let address: Ipv6Addr = address.parse().map_err(|_| UrlError::Authority)?;
        return Ok(Cow::Owned(format!("[{address}]")));
    }
    let is_host = |byte: u8| {
        is_unreserved(byte) || matches!(byte, b'!' | b'$' | b'&'..=b',' | b';' | b'=' | b'%')
    };
    if !host.bytes().all(is_host) {
        return Err(UrlError::Authority);
    }
    let name = normal_encoding(host).ok_or(UrlError::Authority)?;
    if name.bytes().any(|byte| byte.is_ascii_uppercase()) {
        return Ok(Cow::Owned(name.to_ascii_lowercase()));
    }
    Ok(name)
}

/// Parses the port after a colon; an empty one means none (RFC 3986 §3.2.3).
fn read_port(text: &str) -> Result<Option<u16>, UrlError> {
    match text.strip_prefix(':') {
        None if text.is_empty() => Ok(None),
        Some("") => Ok(None),
        Some(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => {
            digits.parse().map(Some).map_err(|_| UrlError::Authority)
        }
        _ => Err(UrlError::Authority),
    }
}

/// Normalises a path's encodings (RFC 3986 §6.2.2.1, §6.2.2.2); an empty path
/// becomes `/` (§6.2.3).
fn encoded_path(path: &str) -> Result<Cow<'_, str>, UrlError> {
    if path.is_empty() {
        return Ok(Cow::Borrowed("/"));
    }
    let normal = normal_encoding(path).ok_or(UrlError::Path)?;
    if normal.starts_with('/') {
        Ok(normal)
    } else {
        Err(UrlError::Path)
    }
}

/// Whether the path is in normal form already, in a cheap check that may say no to one
/// that is.
fn is_normal(path: &str) -> bool {
    let is_plain = |byte| is_unreserved(byte) || byte == b'/';
    path.starts_with('/') && path.bytes().all(is_plain) && !has_dot_segments(path)
}

fn has_dot_segments(path: &str) -> bool {
    path.split('/').any(|segment| matches!(segment, "." | ".."))
}

/// Normalises a path: encodings, then dot segments (RFC 3986 §6.2.2.3).
fn normal_path(path: &str) -> Result<Cow<'_, str>, UrlError> {
    let path = encoded_path(path)?;
    if !has_dot_segments(&path) {
        return Ok(path);
    }
    let mut kept: Vec<&str> = Vec::new();
    let mut segments = path.split('/').skip(1).peekable();
    while let Some(segment) = segments.next() {
        match segment {
            "." => {}
            ".." => {
                kept.pop();
            }
            segment => {
                kept.push(segment);
                continue;
            }
        }
        // A final dot segment leaves a trailing slash.
        if segments.peek().is_none() {
            kept.push("");
        }
    }
    Ok(Cow::Owned(format!("/{}", kept.join("/"))))
}

/// Writes percent-encodings in capitals, decodes unreserved characters, and encodes
/// printable characters that a URL cannot contain (not all senders encode those).
/// `None` on an invalid encoding, a space, a control character or anything that is
/// not ASCII.
fn normal_encoding(text: &str) -> Option<Cow<'_, str>> {
    if text.bytes().all(|byte| is_unreserved(byte) || byte == b'/') {
        return Some(Cow::Borrowed(text));
    }
    let mut normal = String::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        match byte {
            b'%' => {
                let decoded = hex(bytes.next()?)? << 4 | hex(bytes.next()?)?;
                if is_unreserved(decoded) {
                    normal.push(char::from(decoded));
                } else {
                    push_encoded(&mut normal, decoded);
                }
            }
            b'"' | b'<' | b'>' | b'[' | b'\\' | b']' | b'^' | b'`' | b'{' | b'|' | b'}' => {
                push_encoded(&mut normal, byte);
            }
            byte if byte.is_ascii_graphic() => normal.push(char::from(byte)),
            _ => return None,
        }
    }
    Some(Cow::Owned(normal))
}

fn push_encoded(text: &mut String, byte: u8) {
    let digit = |value: u8| {
        char::from_digit(u32::from(value), 16)
            .unwrap_or('0')
            .to_ascii_uppercase()
    };
    text.extend(['%', digit(byte >> 4), digit(byte & 0xf)]);
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit)
        .to_digit(16)
        .and_then(|value| u8::try_from(value).ok())
}

/// RFC 3986 §2.3.
fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')
}
