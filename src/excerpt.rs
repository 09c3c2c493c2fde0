//! Shortens untrusted text for the log.

use std::borrow::Cow;

/// Returns the beginning of an untrusted text. Written with `{:?}`, which escapes it, it
/// fits on a log line.
///
/// Everything after `/callback/` is left out: in a callback URL it is a secret, and an
/// untrusted text may contain one anywhere.
pub(crate) fn for_log(text: &str) -> String {
    const SHOWN: usize = 128;
    const CALLBACK: &str = "/callback/";

    let shown = match text.split_once(CALLBACK) {
        Some((before, _)) => text.get(..before.len() + CALLBACK.len()).unwrap_or(before),
        None => text,
    };
    let shown = match shown.char_indices().nth(SHOWN) {
        Some((cut, _)) => shown.get(..cut).unwrap_or_default(),
        None => shown,
    };
    if shown.len() < text.len() {
        format!("{shown}…")
    } else {
        shown.to_owned()
    }
}

/// Escapes the unprintable characters of an untrusted text, and cuts it off after 400
/// bytes, so that it can be logged with `{}`.
pub(crate) fn one_line(text: &str) -> Cow<'_, str> {
    const SHOWN: usize = 400;

    // Eight bytes at a time are one comparison.
    let (words, rest) = text.as_bytes().as_chunks::<8>();
    let is_plain = |bytes: &[u8]| {
        let and = |plain, byte: &u8| plain & matches!(byte, b' '..=b'~');
        bytes.iter().fold(true, and)
    };
    if text.len() <= SHOWN && words.iter().all(|word| is_plain(word)) && is_plain(rest) {
        return Cow::Borrowed(text);
    }
    let mut escaped = String::new();
    for c in text.chars() {
        if escaped.len() >= SHOWN {
            escaped.push('…');
            break;
        }
        match c {
            '"' | '\'' | '\\' => escaped.push(c),
            c => escaped.extend(c.escape_debug()),
        }
    }
    Cow::Owned(escaped)
}
