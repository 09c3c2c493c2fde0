//! What it says of each request: never a token, nor a callback URL.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread;
use std::time::Instant;

use http::request::Parts;
use http::{Response, StatusCode};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::Receiver;
use crate::output::{self, bad, faint, good, print, shown};

/// The longest text of a caller's that is shown.
const MAX_SHOWN: usize = 200;

/// How many requests wait for a terminal that was stopped; of more, nothing is said.
const MAX_WAITING: usize = 1000;

pub(super) struct Reporter {
    receiver: Receiver,
    as_json: bool,
    is_full: AtomicBool,
    lines: SyncSender<String>,
}

/// One request; if it has no end, its caller has hung up.
pub(super) struct Exchange<'a> {
    reporter: &'a Reporter,
    at: Timestamp,
    started: Instant,
    method: String,
    path: String,
    event: Option<String>,
    file: Option<PathBuf>,
    trouble: Option<String>,
    is_told: bool,
}

impl Reporter {
    pub(super) fn new(receiver: Receiver, as_json: bool) -> Self {
        let (lines, waiting) = sync_channel::<String>(MAX_WAITING);
        thread::spawn(move || {
            for line in waiting {
                let _ = print(line); // without a reader there is nothing to report
            }
        });
        Self {
            receiver,
            as_json,
            is_full: AtomicBool::new(false),
            lines,
        }
    }

    pub(super) fn begin(&self, head: &Parts) -> Exchange<'_> {
        let event = head.headers.get("webhook-event");
        Exchange {
            reporter: self,
            at: Timestamp::now(),
            started: Instant::now(),
            method: short(head.method.as_str()),
            path: path(head.uri.path()),
            event: event.map(|event| short(&String::from_utf8_lossy(event.as_bytes()))),
            file: None,
            trouble: None,
            is_told: false,
        }
    }

    /// The command that explains the request in this file.
    fn command(&self, file: &str, at: Timestamp) -> String {
        let Receiver {
            public_url,
            tenant,
            jwks,
        } = &self.receiver;
        let at = format!("{at:.3}");
        let options = [
            ("--public-url", public_url),
            ("--tenant", tenant),
            ("--jwks", jwks),
            ("--at", &Some(at)),
        ];
        let mut command = vec!["c1 explain".to_owned(), quoted(file)];
        for (option, value) in options {
            if let Some(value) = value {
                command.extend([option.to_owned(), quoted(value)]);
            }
        }
        command.join(" ")
    }
}

impl Exchange<'_> {
    /// Its file, if it has one.
    pub(super) fn written(&mut self, file: Result<Option<PathBuf>, String>) {
        match file {
            Ok(Some(file)) => self.file = Some(file),
            Ok(None) => {
                if !self.reporter.is_full.swap(true, Ordering::Relaxed) {
                    let full = "no more requests are recorded: there are as many as --limit says";
                    eprintln!("{}", output::error(full));
                }
            }
            Err(error) => self.trouble = Some(format!("not recorded: {error}")),
        }
    }

    pub(super) fn ended<B>(&mut self, answered: &Result<Response<B>, (StatusCode, String)>) {
        match answered {
            Ok(answer) => self.tell(answer.status(), None, true),
            Err((status, why)) => self.tell(*status, Some(why), false),
        }
    }

    fn tell(&mut self, status: StatusCode, why: Option<&str>, by_receiver: bool) {
        self.is_told = true;
        let is_fine = status.is_success() || status.is_redirection();
        let mut answer = format!("{status} after {} ms", self.started.elapsed().as_millis());
        if let Some(why) = why {
            answer = format!("{answer}, by c1: {}", shown(why));
        }
        let answer = if is_fine { good(&answer) } else { bad(&answer) };
        self.print(&answer, Some(status), why, !is_fine && by_receiver);
    }

    fn print(&self, answer: &str, status: Option<StatusCode>, why: Option<&str>, explain: bool) {
        let file = self.file.as_ref().map(|file| file.display().to_string());
        let command = file.as_ref().filter(|_| explain);
        let command = command.map(|file| self.reporter.command(file, self.at));
        let line = if self.reporter.as_json {
            let took = u64::try_from(self.started.elapsed().as_millis());
            output::line(&json!({
                "time": format!("{:.3}", self.at),
                "method": self.method,
                "path": self.path,
                "event": self.event,
                "status": status.map(|status| status.as_u16()),
                "error": why,
                "milliseconds": took.map_or(Value::Null, Value::from),
                "file": file,
                "not_recorded": self.trouble,
                "explain": command,
            }))
        } else {
            let parts = [
                Some(faint(&format!("{:.0}", self.at))),
                Some(self.method.clone()),
                Some(self.path.clone()),
                self.event.clone(),
                Some(answer.to_owned()),
                file.map(|file| faint(&shown(&file))),
                self.trouble.as_ref().map(|trouble| bad(&shown(trouble))),
            ];
            let parts: Vec<_> = parts.into_iter().flatten().collect();
            let command = command.map(|command| format!("\n  {command}"));
            parts.join(" ") + &command.unwrap_or_default()
        };
        // Nobody waits for a terminal.
        let _ = self.reporter.lines.try_send(line);
    }
}

impl Drop for Exchange<'_> {
    fn drop(&mut self) {
        if !self.is_told {
            let why = "the caller hung up before the answer";
            self.print(&bad(why), None, Some(why), false);
        }
    }
}

/// Without what may be a secret: the query, and the rest of a callback URL.
fn path(path: &str) -> String {
    const CALLBACK: &str = "/webhooks/callback/";
    match path.split_once(CALLBACK) {
        Some((before, _)) => short(&format!("{before}{CALLBACK}…")),
        None => short(path),
    }
}

fn short(text: &str) -> String {
    let mut short: String = text.chars().take(MAX_SHOWN).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    shown(&short)
}

/// One word of a POSIX shell.
fn quoted(word: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./:@%+,=".contains(c);
    if !word.is_empty() && word.chars().all(is_plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}
