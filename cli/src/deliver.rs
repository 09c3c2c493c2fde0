//! A delivery by ConductorOne's rules.

use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{StatusCode, Uri};
use serde_json::{Value, json};
use tower_conductorone::testing::FakeTenant;

use crate::endpoint::{CALLBACK, Endpoint, KEYS, TAKEN};
use crate::failure::{Failure, Sent};
use crate::output::{self, bad, faint, good, shown};
use crate::post::{Answer, Client};
use crate::{BoxError, End};

/// ConductorOne's limit of attempts.
pub(crate) const ATTEMPTS: usize = 50;

/// Delivers to one receiver.
pub(crate) struct Sender {
    pub(crate) client: Client,
    pub(crate) tenant: FakeTenant,
    /// The receiver's URL.
    pub(crate) to: Uri,
    /// The target URL of the tokens.
    pub(crate) target: String,
    pub(crate) callbacks: Callbacks,
    pub(crate) callback_wait: Duration,
    pub(crate) attempts: usize,
    /// `None` is ConductorOne's: a random 3 to 15 s.
    pub(crate) pause: Option<Duration>,
}

/// The callback endpoint.
pub(crate) enum Callbacks {
    /// In this process.
    Own { origin: String, endpoint: Endpoint },
    /// Of the `c1 serve` at this origin.
    Served(String),
}

/// What happens in a delivery.
pub(crate) enum Step<'a> {
    /// The attempt with this number begins; the first one has 1.
    Attempt(usize),
    /// Its answer, and what follows.
    Answered(&'a Answer, Next),
}

/// What follows an answer.
#[derive(Clone, Copy)]
pub(crate) enum Next {
    /// Another attempt, after this pause.
    Retry(Duration),
    /// The receiver posts its document later.
    Callback,
    End,
}

/// The outcome of a delivery.
pub(crate) struct Report {
    event: String,
    webhook_id: String,
    answers: Vec<Answer>,
    /// The document that ConductorOne would accept, or the reason why none is.
    pub(crate) end: Result<Option<Value>, Failure>,
}

/// A new random id in ConductorOne's form.
pub(crate) fn random_id() -> String {
    std::iter::repeat_with(fastrand::alphanumeric)
        .take(27)
        .collect()
}

impl Sender {
    /// Delivers this envelope, and tells `note` of each step.
    ///
    /// The token is the last part of its callback URL.
    pub(crate) async fn deliver(
        &self,
        envelope: &Value,
        token: &str,
        note: &(dyn Fn(Step<'_>) + Sync),
    ) -> Result<Report, BoxError> {
        let text = |name: &str| envelope[name].as_str().unwrap_or_default();
        let (event, webhook_id) = (text("event"), text("webhookId"));
        let callback_url = format!("{}{CALLBACK}{event}/{token}", self.callbacks.origin());
        let mut answers = Vec::new();
        let end = loop {
            // Every attempt has a new token for the same webhook.
            let attempt = self
                .tenant
                .delivery(event)
                .to(&self.target)
                .payload(envelope["payload"].clone())
                .webhook_id(webhook_id)
                .callback_url(Some(&callback_url));
            let turn = self.client.turn().await?;
            note(Step::Attempt(answers.len() + 1));
            let answer = self.client.post(&self.to, attempt.request()).await?;
            drop(turn);
            if answer.status() == Some(StatusCode::ACCEPTED) {
                note(Step::Answered(&answer, Next::Callback));
                answers.push(answer);
                break self.document(token).await;
            }
            let (end, again) = (answer.end(event, &self.sent()), answer.is_retried());
            if !again || answers.len() + 1 >= self.attempts {
                note(Step::Answered(&answer, Next::End));
                answers.push(answer);
                break end;
            }
            let pause = self
                .pause
                .unwrap_or_else(|| Duration::from_millis(fastrand::u64(3_000..=15_000)));
            note(Step::Answered(&answer, Next::Retry(pause)));
            answers.push(answer);
            tokio::time::sleep(pause).await;
        };
        Ok(Report {
            event: event.to_owned(),
            webhook_id: webhook_id.to_owned(),
            answers,
            end,
        })
    }

    fn sent(&self) -> Sent<'_> {
        Sent {
            tenant: self.tenant.domain(),
            target: &self.target,
            callbacks: self.callbacks.origin(),
            unfetched: match &self.callbacks {
                Callbacks::Own { origin, endpoint } if !endpoint.is_fetched() => {
                    Some(format!("{origin}{KEYS}"))
                }
                _ => None,
            },
        }
    }

    async fn document(&self, token: &str) -> Result<Option<Value>, Failure> {
        let document = match &self.callbacks {
            Callbacks::Own { endpoint, .. } => endpoint.document(token, self.callback_wait).await,
            Callbacks::Served(origin) => self.served(origin, token).await?,
        };
        match document {
            Some(document) => Ok(serde_json::from_slice(&document).ok()),
            None => Err(Failure::no_callback(self.callback_wait.as_secs())),
        }
    }

    async fn served(&self, origin: &str, token: &str) -> Result<Option<Bytes>, Failure> {
        let url = format!("{origin}{TAKEN}{token}");
        let until = Instant::now() + self.callback_wait;
        loop {
            let document = self.client.get(&url).await.map_err(|error| {
                let why = format!("the callback endpoint cannot be reached: {error}");
                Failure::new(End::NoResult, why, "start `c1 serve`, or correct --serve")
            })?;
            if document.is_some() || Instant::now() >= until {
                return Ok(document);
            }
        }
    }
}

impl Callbacks {
    fn origin(&self) -> &str {
        let (Self::Own { origin, .. } | Self::Served(origin)) = self;
        origin
    }
}

impl Step<'_> {
    /// The step on a line for a person.
    pub(crate) fn text(&self) -> Option<String> {
        Some(match self {
            Self::Attempt(number) => format!("attempt {number}"),
            Self::Answered(answer, Next::Callback) => {
                format!("{answer}; waiting for the callback")
            }
            Self::Answered(answer, Next::Retry(pause)) => {
                format!("{answer}; next attempt in {} s", pause.as_secs())
            }
            Self::Answered(_, Next::End) => return None,
        })
    }
}

impl Report {
    pub(crate) fn text(&self) -> String {
        let (event, webhook_id) = (shown(&self.event), shown(&self.webhook_id));
        let mut lines = vec![format!("{event}, webhook {webhook_id}")];
        for (index, answer) in self.answers.iter().enumerate() {
            let answer = shown(&answer.to_string());
            lines.push(faint(&format!("attempt {}: {answer}", index + 1)));
        }
        match &self.end {
            Ok(document) => {
                lines.extend(document.as_ref().map(output::pretty));
                lines.push(good("delivered: the document answers the event"));
            }
            Err(failure) => {
                let text = self.answers.last().map(Answer::text).unwrap_or_default();
                lines.extend(Some(shown(&text)).filter(|text| !text.is_empty()));
                lines.push(bad(&format!("not delivered: {}", shown(&failure.why))));
                lines.push(format!("-> {}", shown(&failure.remedy)));
            }
        }
        lines.join("\n")
    }

    pub(crate) fn line(&self) -> String {
        let attempts: Vec<_> = self.answers.iter().map(Answer::line).collect();
        let (document, failure) = match &self.end {
            Ok(document) => (document.as_ref(), None),
            Err(failure) => (None, Some(failure)),
        };
        output::line(&json!({
            "event": self.event,
            "webhookId": self.webhook_id,
            "delivered": self.end.is_ok(),
            "attempts": attempts,
            "document": document,
            "code": failure.map(|failure| &failure.code),
            "why": failure.map(|failure| &failure.why),
            "remedy": failure.map(|failure| &failure.remedy),
        }))
    }
}
