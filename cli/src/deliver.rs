//! A delivery by ConductorOne's rules.

use std::time::{Duration, Instant};

use http::{StatusCode, Uri};
use serde_json::{Value, json};
use tower_conductorone::testing::FakeTenant;

use crate::output::{self, bad, faint, good, shown};
use crate::post::{Answer, Client};
use crate::serve::{CALLBACK, TAKEN};
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
    /// The origin of the callback endpoint.
    pub(crate) callbacks: String,
    pub(crate) callback_wait: Duration,
    pub(crate) attempts: usize,
    /// `None` is ConductorOne's: a random 3 to 15 s.
    pub(crate) pause: Option<Duration>,
}

/// The outcome of a delivery.
pub(crate) struct Report {
    event: String,
    webhook_id: String,
    answers: Vec<Answer>,
    /// The document that ConductorOne would accept, or the reason why none is.
    pub(crate) end: Result<Option<Value>, (End, String)>,
}

impl Sender {
    /// Delivers this envelope with a new callback URL, and reports progress to `note`.
    pub(crate) async fn deliver(
        &self,
        envelope: &Value,
        note: &dyn Fn(String),
    ) -> Result<Report, BoxError> {
        let text = |name: &str| envelope[name].as_str().unwrap_or_default();
        let (event, webhook_id) = (text("event"), text("webhookId"));
        let token: String = std::iter::repeat_with(fastrand::alphanumeric)
            .take(27)
            .collect();
        let mut answers = Vec::new();
        let end = loop {
            // Every attempt has a new token for the same webhook.
            let attempt = self
                .tenant
                .delivery(event)
                .to(&self.target)
                .payload(envelope["payload"].clone())
                .webhook_id(webhook_id)
                .callback_url(Some(&format!(
                    "{}{CALLBACK}{event}/{token}",
                    self.callbacks
                )));
            note(format!("attempt {}", answers.len() + 1));
            let answer = self.client.post(&self.to, attempt.request()).await?;
            let shown = answer.to_string();
            if answer.status() == Some(StatusCode::ACCEPTED) {
                answers.push(answer);
                note(format!("{shown}; waiting for the callback"));
                break self.wait_for(&token).await;
            }
            let (end, again) = (answer.end(event), answer.is_retried());
            answers.push(answer);
            if !again || answers.len() >= self.attempts {
                break end;
            }
            let pause = self
                .pause
                .unwrap_or_else(|| Duration::from_millis(fastrand::u64(3_000..=15_000)));
            note(format!("{shown}; next attempt in {} s", pause.as_secs()));
            tokio::time::sleep(pause).await;
        };
        Ok(Report {
            event: event.to_owned(),
            webhook_id: webhook_id.to_owned(),
            answers,
            end,
        })
    }

    async fn wait_for(&self, token: &str) -> Result<Option<Value>, (End, String)> {
        let url = format!("{}{TAKEN}{token}", self.callbacks);
        let until = Instant::now() + self.callback_wait;
        loop {
            let asked = self.client.get(&url).await;
            let document = asked.map_err(|error| {
                let why = format!("the callback endpoint cannot be reached: {error}");
                (End::NoResult, why)
            })?;
            if let Some(document) = document {
                return Ok(serde_json::from_slice(&document).ok());
            }
            if Instant::now() >= until {
                let why = format!(
                    "202, but no callback within {} s",
                    self.callback_wait.as_secs()
                );
                return Err((End::Failure, why));
            }
        }
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
            Err((_, why)) => {
                let text = self.answers.last().map(Answer::text).unwrap_or_default();
                lines.extend(Some(shown(&text)).filter(|text| !text.is_empty()));
                lines.push(bad(&format!("not delivered: {}", shown(why))));
            }
        }
        lines.join("\n")
    }

    pub(crate) fn line(&self) -> String {
        let attempts: Vec<_> = self.answers.iter().map(Answer::line).collect();
        let (document, why) = match &self.end {
            Ok(document) => (document.as_ref(), None),
            Err((_, why)) => (None, Some(why)),
        };
        output::line(&json!({
            "event": self.event,
            "webhookId": self.webhook_id,
            "delivered": self.end.is_ok(),
            "attempts": attempts,
            "document": document,
            "why": why,
        }))
    }
}
