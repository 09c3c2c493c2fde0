//! Output, escaping and colours.

use std::fmt::Write as _;
use std::io::{self, IsTerminal, Write};
use std::iter;

use serde_json::Value;

use crate::BoxError;

/// Writes to stdout. A closed pipe is not an error.
pub(crate) fn print(text: impl AsRef<str>) -> Result<(), BoxError> {
    let mut out = io::stdout().lock();
    let written = writeln!(out, "{}", text.as_ref()).and_then(|()| out.flush());
    match written {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(()),
    }
}

/// Foreign text on one line: escapes line ends and control characters.
pub(crate) fn shown(text: &str) -> String {
    let mut shown = String::new();
    for c in text.chars() {
        match c {
            '"' | '\'' | '\\' => shown.push(c),
            c => shown.extend(c.escape_debug()),
        }
    }
    shown
}

/// An error followed by its causes.
pub(crate) fn with_causes(error: &(dyn std::error::Error + 'static)) -> String {
    iter::successors(Some(error), |error| error.source())
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(": ")
}

/// JSON on one line. Escapes control characters beyond ASCII, which `serde_json`
/// does not.
pub(crate) fn line(json: &Value) -> String {
    escaped(&json.to_string())
}

/// JSON on several lines, for a person.
pub(crate) fn pretty(json: &Value) -> String {
    escaped(&format!("{json:#}"))
}

fn escaped(json: &str) -> String {
    let mut escaped = String::new();
    for c in json.chars() {
        if c == '\n' || matches!(c, ' '..='~') || (!c.is_ascii() && c.escape_debug().len() == 1) {
            escaped.push(c);
        } else {
            for unit in c.encode_utf16(&mut [0; 2]) {
                // Writing to a string does not fail.
                let _ = write!(escaped, "\\u{unit:04x}");
            }
        }
    }
    escaped
}

pub(crate) fn good(text: &str) -> String {
    paint(&io::stdout(), "32", text)
}

pub(crate) fn bad(text: &str) -> String {
    paint(&io::stdout(), "31", text)
}

pub(crate) fn faint(text: &str) -> String {
    paint(&io::stdout(), "2", text)
}

pub(crate) fn error(text: &str) -> String {
    paint(&io::stderr(), "31", text)
}

fn paint(stream: &impl IsTerminal, colour: &str, text: &str) -> String {
    // https://no-color.org: set and not empty.
    let without = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    if without || !stream.is_terminal() {
        text.to_owned()
    } else {
        format!("\x1b[{colour}m{text}\x1b[0m")
    }
}

/// A progress line on stderr, if that is a terminal.
pub(crate) struct Progress {
    shown: bool,
}

impl Progress {
    pub(crate) fn new(wanted: bool) -> Self {
        Self {
            shown: wanted && io::stderr().is_terminal(),
        }
    }

    pub(crate) fn show(&self, text: &str) {
        if self.shown {
            eprint!("\r\x1b[K{}", shown(text));
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.show("");
    }
}
