//! One delivery of the history.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use serde_json::Value;

use super::order::{Order, Webhook};
use crate::deliver::{Next, Step};
use crate::failure::Failure;
use crate::output;
use crate::post::Answer;

/// The most bytes of an answer or a document that are kept.
const MAX_TEXT: usize = 4096;

/// The most callbacks that are kept.
const MAX_CALLBACKS: usize = 20;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    Queued,
    Sending,
    Retrying,
    /// For the callback.
    Waiting,
    Delivered,
    /// The receiver's last answer was no success.
    Refused,
    /// No answer, no callback, or a document that is of no use.
    NotDelivered,
    Stopped,
}

pub(super) struct Delivery {
    pub(super) order: Arc<Order>,
    pub(super) webhook: Webhook,
    /// The delivery that this one repeats.
    pub(super) repeats: Option<u64>,
    pub(super) state: State,
    /// The change that it had last.
    pub(super) changed: u64,
    pub(super) begun: Option<(SystemTime, Instant)>,
    pub(super) took: Option<Duration>,
    pub(super) attempts: Vec<Attempt>,
    pub(super) callbacks: Vec<Callback>,
    /// The document, or why there is none.
    pub(super) end: Option<Result<Text, Failure>>,
    /// That are kept of it, about.
    pub(super) bytes: usize,
}

/// Times count from the delivery's begin.
pub(super) struct Attempt {
    pub(super) at: Duration,
    pub(super) answered: Option<Answered>,
}

pub(super) struct Answered {
    pub(super) took: Duration,
    /// Or why there is none.
    pub(super) status: Result<http::StatusCode, String>,
    pub(super) text: Text,
    pub(super) pause: Option<Duration>,
}

pub(super) struct Callback {
    pub(super) at: Duration,
    pub(super) document: Text,
    pub(super) refused: Option<String>,
}

/// The begin of a text of others, without secrets.
#[derive(Default)]
pub(super) struct Text {
    pub(super) text: String,
    /// The bytes of the whole.
    pub(super) whole: usize,
}

impl State {
    pub(super) const ALL: [Self; 8] = [
        Self::Queued,
        Self::Sending,
        Self::Retrying,
        Self::Waiting,
        Self::Delivered,
        Self::Refused,
        Self::NotDelivered,
        Self::Stopped,
    ];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Sending => "sending",
            Self::Retrying => "retrying",
            Self::Waiting => "waiting for callback",
            Self::Delivered => "delivered",
            Self::Refused => "refused",
            Self::NotDelivered => "not delivered",
            Self::Stopped => "stopped",
        }
    }

    pub(super) fn is_finished(self) -> bool {
        matches!(
            self,
            Self::Delivered | Self::Refused | Self::NotDelivered | Self::Stopped
        )
    }
}

impl Text {
    pub(super) fn new(whole: &str, token: &str) -> Self {
        let mut text = redacted(whole, token);
        let mut end = text.len().min(MAX_TEXT);
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        text.truncate(end);
        Self {
            text,
            whole: whole.len(),
        }
    }
}

/// Replaces a callback URL's last part, and whatever looks like a JWT.
fn redacted(text: &str, token: &str) -> String {
    const REDACTED: &str = "[secret]";
    let mut redacted = String::new();
    let mut rest = text;
    // A JWT is base64url and full stops, and begins with `{"`.
    while let Some(start) = rest.find("eyJ") {
        let (before, from) = rest.split_at(start);
        let is_part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        let end = from.find(|c| !is_part(c)).unwrap_or(from.len());
        let (word, after) = from.split_at(end);
        redacted.push_str(before);
        redacted.push_str(if word.contains('.') { REDACTED } else { word });
        rest = after;
    }
    redacted.push_str(rest);
    redacted.replace(token, REDACTED)
}

impl Delivery {
    pub(super) fn new(order: Arc<Order>, webhook: Webhook, repeats: Option<u64>) -> Self {
        Self {
            order,
            webhook,
            repeats,
            state: State::Queued,
            changed: 0,
            begun: None,
            took: None,
            attempts: Vec::new(),
            callbacks: Vec::new(),
            end: None,
            bytes: 0,
        }
    }

    pub(super) fn step(&mut self, step: &Step<'_>) {
        match step {
            Step::Attempt(_) => {
                self.state = State::Sending;
                let begun = self
                    .begun
                    .get_or_insert_with(|| (SystemTime::now(), Instant::now()));
                let at = begun.1.elapsed();
                let answered = None;
                self.attempts.push(Attempt { at, answered });
            }
            Step::Answered(answer, next) => self.answered(answer, *next),
        }
    }

    pub(super) fn ended(&mut self, end: Result<Option<Value>, Failure>) {
        let last = self.attempts.last();
        let status = last
            .and_then(|attempt| attempt.answered.as_ref())
            .and_then(|answered| answered.status.as_ref().ok());
        self.state = match &end {
            Ok(_) => State::Delivered,
            Err(_) if status.is_some_and(|status| !status.is_success()) => State::Refused,
            Err(_) => State::NotDelivered,
        };
        self.end = Some(end.map(|document| {
            let text = document.as_ref().map(output::pretty).unwrap_or_default();
            let text = Text::new(&text, &self.webhook.token);
            self.bytes += text.text.len();
            text
        }));
    }

    fn answered(&mut self, answer: &Answer, next: Next) {
        let text = Text::new(&answer.text(), &self.webhook.token);
        self.bytes += text.text.len();
        let pause = match next {
            Next::Retry(pause) => {
                self.state = State::Retrying;
                Some(pause)
            }
            Next::Callback => {
                self.state = State::Waiting;
                None
            }
            Next::End => None,
        };
        if let Some(attempt) = self.attempts.last_mut() {
            attempt.answered = Some(Answered {
                took: answer.took,
                status: answer
                    .status()
                    .ok_or_else(|| answer.trouble().unwrap_or_default().to_owned()),
                text,
                pause,
            });
        }
    }

    /// A document came to its callback URL.
    pub(super) fn posted(&mut self, document: Text, refused: Option<String>) {
        if self.callbacks.len() < MAX_CALLBACKS {
            self.bytes += document.text.len();
            let at = self
                .begun
                .map_or(Duration::ZERO, |(_, begun)| begun.elapsed());
            self.callbacks.push(Callback {
                at,
                document,
                refused,
            });
        }
    }
}
