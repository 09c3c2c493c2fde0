//! A receiver that answers by a script, and keeps what it was sent.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::error::Error;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use tokio::time::sleep;
use tower::Service;

use super::body::{Script, Step, data};

/// How the receiver answers a request. It does so again and again if it is the
/// last in the script.
#[derive(Clone, Copy, Debug)]
pub enum Answer {
    /// With this status and body.
    Now(u16, &'static str),
    /// The same, later.
    After(Duration, u16, &'static str),
    /// With a body that breaks off.
    BreakOff,
    /// Not at all: the connection fails.
    Fail,
    /// Not at all: the connection cannot be made.
    Refuse,
}

/// A request as it came, its body read.
#[derive(Clone, Debug)]
pub struct Seen {
    pub head: Request<()>,
    pub body: Bytes,
}

impl Seen {
    pub fn header(&self, name: &str) -> &str {
        self.head.headers()[name].to_str().expect("text")
    }
}

#[derive(Clone)]
pub struct Scripted {
    answers: Arc<Mutex<VecDeque<Answer>>>,
    seen: Arc<Mutex<Vec<Seen>>>,
    /// How many answers were not waited for.
    dropped: Arc<Mutex<usize>>,
}

impl Scripted {
    pub fn new(answers: impl IntoIterator<Item = Answer>) -> Self {
        Self {
            answers: Arc::new(Mutex::new(answers.into_iter().collect())),
            seen: Arc::default(),
            dropped: Arc::default(),
        }
    }

    pub fn seen(&self) -> Vec<Seen> {
        self.seen.lock().expect("no panic").clone()
    }

    pub fn dropped(&self) -> usize {
        *self.dropped.lock().expect("no panic")
    }
}

struct Dropped(Option<Arc<Mutex<usize>>>);

impl Dropped {
    fn not(mut self) {
        self.0 = None;
    }
}

impl Drop for Dropped {
    fn drop(&mut self) {
        if let Some(count) = &self.0 {
            *count.lock().expect("no panic") += 1;
        }
    }
}

impl Service<Request<Full<Bytes>>> for Scripted {
    type Response = Response<Script>;
    type Error = Box<dyn Error + Send + Sync>;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        let mut answers = self.answers.lock().expect("no panic");
        match answers.front() {
            Some(Answer::Refuse) => {
                if answers.len() > 1 {
                    answers.pop_front();
                }
                Poll::Ready(Err("connection refused".into()))
            }
            _ => Poll::Ready(Ok(())),
        }
    }

    fn call(&mut self, request: Request<Full<Bytes>>) -> Self::Future {
        let answer = {
            let mut answers = self.answers.lock().expect("no panic");
            match answers.len() {
                0 | 1 => *answers.front().expect("a script"),
                _ => answers.pop_front().expect("a script"),
            }
        };
        let seen = Arc::clone(&self.seen);
        let dropped = Dropped(Some(Arc::clone(&self.dropped)));
        Box::pin(async move {
            let (parts, body) = request.into_parts();
            let Ok::<_, Infallible>(body) = body.collect().await;
            seen.lock().expect("no panic").push(Seen {
                head: Request::from_parts(parts, ()),
                body: body.to_bytes(),
            });
            let (status, step) = match answer {
                Answer::Now(status, body) => (status, data(body)),
                Answer::After(time, status, body) => {
                    sleep(time).await;
                    (status, data(body))
                }
                Answer::BreakOff => (200, Step::Fail("connection reset")),
                Answer::Fail | Answer::Refuse => return Err("connection reset".into()),
            };
            dropped.not();
            let mut response = Response::new(Script::new([step]));
            *response.status_mut() = status.try_into().expect("a status");
            Ok(response)
        })
    }
}
