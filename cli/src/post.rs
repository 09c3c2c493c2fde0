//! The connection to the receiver.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{Request, StatusCode, Uri};
use http_body_util::{BodyExt, Full};
use serde_json::{Value, json};
use tokio::sync::{AcquireError, Semaphore, SemaphorePermit};
use tower_conductorone::event::Reply;

use crate::BoxError;
use crate::failure::{Failure, Sent, Trouble};
use crate::output::with_causes;

/// How long ConductorOne waits for an answer.
const TIMEOUT: Duration = Duration::from_secs(30);

/// The size of the largest answer: ConductorOne accepts 250 KB.
const MAX_ANSWER: usize = 256 * 1024;

/// The most requests at once.
const MAX_REQUESTS: usize = 64;

#[derive(Clone)]
pub(crate) struct Client {
    client: reqwest::Client,
    requests: Arc<Semaphore>,
}

/// The answer to one attempt.
pub(crate) struct Answer {
    pub(crate) took: Duration,
    outcome: Result<(StatusCode, Bytes), Trouble>,
}

impl Client {
    pub(crate) fn new() -> Result<Self, BoxError> {
        // A development receiver is not behind a proxy.
        let client = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .build()?;
        Ok(Self {
            client,
            requests: Arc::new(Semaphore::new(MAX_REQUESTS)),
        })
    }

    /// Waits until another request may begin; it ends with the permit.
    pub(crate) async fn turn(&self) -> Result<SemaphorePermit<'_>, AcquireError> {
        self.requests.acquire().await
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
            .client
            .request(parts.method, url.to_string())
            .headers(parts.headers)
            .body(body.collect().await?.to_bytes());
        let started = Instant::now();
        let outcome = tokio::time::timeout(TIMEOUT, read(request))
            .await
            .unwrap_or_else(|_| {
                Err(Trouble {
                    what: "no answer within 30 s".into(),
                    remedy: "answer within 25 s, or answer 202 and post the document to the \
                             callback URL",
                })
            });
        Ok(Answer {
            took: started.elapsed(),
            outcome,
        })
    }

    /// The body of a 200; `None` for a 204.
    pub(crate) async fn get(&self, url: &str) -> Result<Option<Bytes>, String> {
        match read(self.client.get(url).timeout(TIMEOUT)).await {
            Ok((StatusCode::OK, body)) => Ok(Some(body)),
            Ok((StatusCode::NO_CONTENT, _)) => Ok(None),
            Ok((status, _)) => Err(format!("it answered {status}")),
            Err(trouble) => Err(trouble.what),
        }
    }
}

async fn read(request: reqwest::RequestBuilder) -> Result<(StatusCode, Bytes), Trouble> {
    let mut answer = request.send().await.map_err(trouble)?;
    let mut body = Vec::new();
    while let Some(chunk) = answer.chunk().await.map_err(trouble)? {
        body.extend_from_slice(&chunk);
        if body.len() > MAX_ANSWER {
            return Err(Trouble {
                what: "the answer is longer than 250 KB".into(),
                remedy: "answer with a shorter document: ConductorOne takes 250 KB",
            });
        }
    }
    Ok((answer.status(), body.into()))
}

fn trouble(error: reqwest::Error) -> Trouble {
    let remedy = if error.is_connect() {
        "start the receiver, or correct its URL"
    } else {
        "see why the receiver, or a proxy before it, ended the connection"
    };
    Trouble {
        what: with_causes(&error.without_url()),
        remedy,
    }
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
    pub(crate) fn end(&self, event: &str, sent: &Sent<'_>) -> Result<Option<Value>, Failure> {
        match &self.outcome {
            Ok((status, body)) if status.is_success() => {
                match Reply::from_json(event, body.clone()) {
                    Ok(_) => Ok(serde_json::from_slice(body).ok()),
                    Err(error) => Err(Failure::unusable(error.to_string())),
                }
            }
            Ok((status, body)) => Err(Failure::refused(*status, body, sent)),
            Err(trouble) => Err(Failure::no_answer(trouble)),
        }
    }

    /// Why there is no answer.
    pub(crate) fn trouble(&self) -> Option<&str> {
        self.outcome.as_ref().err().map(|trouble| &*trouble.what)
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
            Err(trouble) => json!({ "error": trouble.what, "milliseconds": took }),
        }
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.outcome {
            Ok((status, _)) => write!(f, "{status}")?,
            Err(trouble) => f.write_str(&trouble.what)?,
        }
        write!(f, " after {} ms", self.took.as_millis())
    }
}
