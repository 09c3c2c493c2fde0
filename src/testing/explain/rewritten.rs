//! Finds out how an intermediary has rewritten a body, by trial: a guess with the
//! right hash is proven.

use sha2::{Digest, Sha256};

/// The deepest nesting that is tried: no delivery is nested so deeply, and each level
/// makes every line longer.
const MAX_NESTING: usize = 128;

/// The white space of common JSON writers.
struct Layout {
    what: &'static str,
    after_colon: &'static str,
    after_comma: &'static str,
    indent: Option<&'static str>,
}

const fn one_line(
    what: &'static str,
    after_colon: &'static str,
    after_comma: &'static str,
) -> Layout {
    Layout {
        what,
        after_colon,
        after_comma,
        indent: None,
    }
}

const fn indented(what: &'static str, indent: &'static str) -> Layout {
    Layout {
        what,
        after_colon: " ",
        after_comma: "",
        indent: Some(indent),
    }
}

const LAYOUTS: [Layout; 7] = [
    one_line("on one line without spaces", "", ""),
    one_line("on one line with a space after each comma", "", " "),
    one_line("on one line with a space after each colon", " ", ""),
    one_line(
        "on one line with a space after each colon and comma",
        " ",
        " ",
    ),
    indented("with an indentation of two spaces", "  "),
    indented("with an indentation of four spaces", "    "),
    indented("with an indentation of tabs", "\t"),
];

/// Characters that some writers of JSON escape and others do not.
const ESCAPES: [(&str, &[(&str, &str)]); 4] = [
    ("", &[]),
    (
        " and with <, > and & escaped",
        &[("<", "\\u003c"), (">", "\\u003e"), ("&", "\\u0026")],
    ),
    (
        " and with <, > and & not escaped",
        &[("\\u003c", "<"), ("\\u003e", ">"), ("\\u0026", "&")],
    ),
    (" and with / not escaped", &[("\\/", "/")]),
];

/// The common rewriting that gives the body this hash, if any. Tries no body longer
/// than `max_bytes`.
pub(super) fn find(body: &[u8], digest: &[u8; 32], max_bytes: usize) -> Option<String> {
    let is_it = |candidate: &[u8]| Sha256::digest(candidate)[..] == *digest;
    if let Some((_, how)) = line_ends(body)
        .into_iter()
        .find(|(candidate, _)| is_it(candidate))
    {
        return Some(how.to_owned());
    }
    let text = std::str::from_utf8(body).ok()?;
    serde_json::from_str::<serde::de::IgnoredAny>(text).ok()?;
    for (escaped, replacements) in ESCAPES {
        let text = replacements
            .iter()
            .fold(text.to_owned(), |text, (from, to)| text.replace(from, to));
        for layout in &LAYOUTS {
            let Some(candidate) = layout.write(&text, max_bytes) else {
                continue;
            };
            let hash = Sha256::new().chain_update(candidate);
            for (ending, ended) in [
                ("", ""),
                ("\n", " and a line end"),
                ("\r\n", " and a line end of CRLF"),
            ] {
                if hash.clone().chain_update(ending).finalize()[..] == *digest {
                    return Some(format!("written {}{escaped}{ended}", layout.what));
                }
            }
        }
    }
    None
}

/// The body with other line ends, each with a description.
pub(super) fn line_ends(body: &[u8]) -> Vec<(Vec<u8>, &'static str)> {
    let mut candidates = vec![
        ([body, b"\n"].concat(), "with a line end added at its end"),
        (
            [body, b"\r\n"].concat(),
            "with a line end of CRLF added at its end",
        ),
    ];
    if let Some(shorter) = body.strip_suffix(b"\n") {
        let shorter = shorter.strip_suffix(b"\r").unwrap_or(shorter);
        candidates.push((shorter.to_vec(), "without the line end at its end"));
    }
    let unix = replaced(body, b"\r\n", b"\n");
    candidates.push((
        replaced(&unix, b"\n", b"\r\n"),
        "with line ends of CRLF in place of LF",
    ));
    candidates.push((unix, "with line ends of LF in place of CRLF"));
    candidates
}

fn replaced(bytes: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    let mut replaced = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    while let Some((first, tail)) = rest.split_first() {
        if let Some(tail) = rest.strip_prefix(from) {
            replaced.extend_from_slice(to);
            rest = tail;
        } else {
            replaced.push(*first);
            rest = tail;
        }
    }
    replaced
}

impl Layout {
    /// The same JSON text with this white space between its tokens; all else is
    /// unchanged. `None` if it is nested too deeply or becomes too long.
    fn write(&self, json: &str, max_bytes: usize) -> Option<String> {
        let mut out = String::with_capacity(json.len());
        let (mut depth, mut in_string, mut escaped) = (0_usize, false, false);
        let mut is_empty = false;
        let mut characters = json.chars().peekable();
        while let Some(character) = characters.next() {
            if depth > MAX_NESTING || out.len() > max_bytes {
                return None;
            }
            if in_string {
                out.push(character);
                in_string = escaped || character != '"';
                escaped = !escaped && character == '\\';
                continue;
            }
            match character {
                ' ' | '\t' | '\r' | '\n' => {}
                '{' | '[' => {
                    out.push(character);
                    depth += 1;
                    while characters.next_if(char::is_ascii_whitespace).is_some() {}
                    // An empty object or array stays on its line.
                    is_empty = matches!(characters.peek(), Some('}' | ']'));
                    if !is_empty {
                        self.new_line(&mut out, depth);
                    }
                }
                '}' | ']' => {
                    depth = depth.saturating_sub(1);
                    if !std::mem::take(&mut is_empty) {
                        self.new_line(&mut out, depth);
                    }
                    out.push(character);
                }
                ',' => {
                    out.push(character);
                    out.push_str(self.after_comma);
                    self.new_line(&mut out, depth);
                }
                ':' => {
                    out.push(character);
                    out.push_str(self.after_colon);
                }
                _ => {
                    in_string = character == '"';
                    out.push(character);
                }
            }
        }
        Some(out)
    }

    fn new_line(&self, out: &mut String, depth: usize) {
        if let Some(indent) = self.indent {
            out.push('\n');
            out.extend(std::iter::repeat_n(indent, depth));
        }
    }
}
