//! The connection to the receiver.

use std::fmt;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{Request, StatusCode, Uri};
use http_body_util::{BodyExt, Full};
use serde_json::{Value, json};
use tower_conductorone::event::Reply;

use crate::output::with_causes;
use crate::{BoxError, End};

/// How long ConductorOne waits for an answer.
const TIMEOUT: Duration = Duration::from_secs(30);

/// The size of the largest answer: ConductorOne accepts 250 KB.
const MAX_ANSWER: usize = 256 * 1024;

pub(crate) struct Client(reqwest::Client);

/// The answer to one attempt.
pub(crate) struct Answer {
    took: Duration,
    outcome: Result<(StatusCode, Bytes), String>,
}

impl Client {
    pub(crate) fn new() -> Result<Self, BoxError> {
        // A development receiver is not behind a proxy.
        let client = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .build()?;
        Ok(Self(client))
    }

    /// Sends the request to this URL instead of its own.
    pub(crate) async fn post(
        &self,
        url: &Uri,
        request: Request<Full<Bytes>>,
    ) -> Result<Answer, BoxError> {
        let (mut parts, body) = request.into_parts();
        // Answers are printed, not unpacked.
        parts.headers.remove(reqwest::header::ACCEPT_ENCODING);
        let request = self
            .0
            .request(parts.method, url.to_string())
            .headers(parts.headers)
            .body(body.collect().await?.to_bytes());
        let started = Instant::now();
        let outcome = tokio::time::timeout(TIMEOUT, read(request))
            .await
            .unwrap_or_else(|_| Err("no answer within 30 s".into()));
        Ok(Answer {
            took: started.elapsed(),
            outcome: outcome.map_err(|error| with_causes(&*error)),
        })
    }

    /// The body of a 200; `None` for a 204.
    pub(crate) async fn get(&self, url: &str) -> Result<Option<Bytes>, String> {
        match read(self.0.get(url).timeout(TIMEOUT)).await {
            Ok((StatusCode::OK, body)) => Ok(Some(body)),
            Ok((StatusCode::NO_CONTENT, _)) => Ok(None),
            Ok((status, _)) => Err(format!("it answered {status}")),
            Err(error) => Err(with_causes(&*error)),
        }
    }
}

async fn read(request: reqwest::RequestBuilder) -> Result<(StatusCode, Bytes), BoxError> {
    let mut answer = request.send().await.map_err(reqwest::Error::without_url)?;
    let mut body = Vec::new();
    while let Some(chunk) = answer.chunk().await.map_err(reqwest::Error::without_url)? {
        body.extend_from_slice(&chunk);
        if body.len() > MAX_ANSWER {
            return Err("the answer is longer than 250 KB".into());
        }
    }
    Ok((answer.status(), body.into()))
}

/// Whether the layer has answered: it logs each of its problem details.
fn is_rejection(body: &[u8]) -> bool {
    let body: Value = serde_json::from_slice(body).unwrap_or_default();
    body["code"].is_string() && body["title"].is_string()
}

impl Answer {
    pub(crate) fn status(&self) -> Option<StatusCode> {
        self.outcome.as_ref().ok().map(|(status, _)| *status)
    }

    /// Whether ConductorOne retries after it.
    pub(crate) fn is_retried(&self) -> bool {
        self.status()
            .is_none_or(|status| !status.is_success() && status != StatusCode::GONE)
    }

    /// The outcome of a delivery that ends with this answer.
    pub(crate) fn end(&self, event: &str) -> Result<Option<Value>, (End, String)> {
        match &self.outcome {
            Ok((status, body)) if status.is_success() => {
                match Reply::from_json(event, body.clone()) {
                    Ok(_) => Ok(serde_json::from_slice(body).ok()),
                    Err(error) => Err((End::Failure, error.to_string())),
                }
            }
            Ok((StatusCode::GONE, _)) => {
                Err((End::Failure, "410: ConductorOne does not retry".into()))
            }
            Ok((status, body)) => {
                let why = match *status {
                    _ if is_rejection(body) => "; the receiver's log says why",
                    StatusCode::NOT_FOUND => ": does the webhook have another path?",
                    _ => "",
                };
                Err((End::Failure, format!("{status}{why}")))
            }
            Err(error) => Err((End::NoResult, error.clone())),
        }
    }

    /// The answer's body, as text.
    pub(crate) fn text(&self) -> String {
        match &self.outcome {
            Ok((_, body)) => String::from_utf8_lossy(body).into_owned(),
            Err(_) => String::new(),
        }
    }

    pub(crate) fn line(&self) -> Value {
        let took = u64::try_from(self.took.as_millis()).unwrap_or(u64::MAX);
        match &self.outcome {
            Ok((status, _)) => json!({ "status": status.as_u16(), "milliseconds": took }),
            Err(error) => json!({ "error": error, "milliseconds": took }),
        }
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.outcome {
            Ok((status, _)) => write!(f, "{status}")?,
            Err(error) => f.write_str(error)?,
        }
        write!(f, " after {} ms", self.took.as_millis())
    }
}
