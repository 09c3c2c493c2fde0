//! What the tests of callbacks share.

use std::collections::{HashSet, VecDeque};
use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::{Request, Response, Uri};
use serde_json::json;
use tokio::time::Instant;
use tower_conductorone::BoxFuture;
use tower_conductorone::callback::{
    Callback, CallbackClient, CallbackClientBuilder, Post, PostError,
};
use tower_conductorone::event::{Comment, ProvisionReply, Reply};
use tower_conductorone::testing::VirtualClock;

use super::{DOMAIN, now};

pub const PROVISION: &str = "c1.webhooks.v1.PayloadProvisionStep";
pub const SECRET: &str = "s3cret-of-the-url";
pub const COMMENT: &str = "s3cret-of-the-document";

/// A callback of a provisioning step, fired [`now`].
pub fn callback(url: &str) -> Callback {
    serde_json::from_value(json!({
        "version": 1,
        "tenant": DOMAIN,
        "event": PROVISION,
        "webhookId": "2fCjgK8tYJxV9u8d1wupBMeXZ45",
        "callbackUrl": url,
        "firedAt": now().duration_since(SystemTime::UNIX_EPOCH).expect("later").as_secs(),
    }))
    .expect("a callback")
}

/// The callback URL that the tenant would have sent.
pub fn own_url() -> String {
    format!("https://{DOMAIN}/api/v1/webhooks/callback/{SECRET}")
}

pub fn reply() -> Reply {
    ProvisionReply::complete(Comment::truncated(COMMENT)).into()
}

/// A client whose clock starts at [`now`] and goes on with tokio's.
pub fn builder() -> CallbackClientBuilder {
    CallbackClient::builder().clock(VirtualClock::starting_at(now()))
}

/// What becomes of a POST.
#[derive(Clone, Debug)]
pub enum Act {
    Answer(u16, Vec<(&'static str, String)>),
    /// No connection.
    Unsent,
    /// The connection breaks while the answer is awaited.
    Broken,
    /// Nothing ever comes.
    Hang,
}

pub fn status(status: u16) -> Act {
    Act::Answer(status, Vec::new())
}

/// Posts to nobody: follows a script, whose last act is repeated.
#[derive(Clone)]
pub struct Script {
    acts: Arc<Mutex<VecDeque<Act>>>,
    started: Instant,
    posts: Arc<Mutex<Vec<Duration>>>,
    documents: Arc<Mutex<Vec<Bytes>>>,
    urls: Arc<Mutex<Vec<Uri>>>,
}

impl Script {
    pub fn new(acts: impl IntoIterator<Item = Act>) -> Self {
        Self {
            acts: Arc::new(Mutex::new(acts.into_iter().collect())),
            started: Instant::now(),
            posts: Arc::default(),
            documents: Arc::default(),
            urls: Arc::default(),
        }
    }

    /// When each POST was made, counted from the script's start.
    pub fn posts(&self) -> Vec<Duration> {
        self.posts.lock().expect("no panic").clone()
    }

    /// What each of them had to say.
    pub fn documents(&self) -> Vec<Bytes> {
        self.documents.lock().expect("no panic").clone()
    }

    /// How many different URLs were posted to.
    pub fn urls(&self) -> usize {
        let urls = self.urls.lock().expect("no panic");
        urls.iter().collect::<HashSet<_>>().len()
    }

    /// The URL that was posted to last.
    pub fn last_url(&self) -> Option<Uri> {
        self.urls.lock().expect("no panic").last().cloned()
    }

    fn next(&self) -> Act {
        let mut acts = self.acts.lock().expect("no panic");
        let act = acts.pop_front().expect("an act");
        if acts.is_empty() {
            acts.push_back(act.clone());
        }
        act
    }
}

/// Without the documents, which are secrets in the tests.
impl fmt::Debug for Script {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Script").finish_non_exhaustive()
    }
}

impl Post for Script {
    fn post(&self, request: Request<Bytes>) -> BoxFuture<'_, Result<Response<()>, PostError>> {
        assert_eq!(request.method(), "POST");
        assert_eq!(request.headers()["content-type"], "application/json");
        let at = self.started.elapsed();
        self.posts.lock().expect("no panic").push(at);
        let url = request.uri().clone();
        self.urls.lock().expect("no panic").push(url);
        let mut documents = self.documents.lock().expect("no panic");
        documents.push(request.into_body());
        Box::pin(async {
            match self.next() {
                Act::Answer(status, headers) => {
                    let mut answer = Response::builder().status(status);
                    for (name, value) in headers {
                        answer = answer.header(name, value);
                    }
                    Ok(answer.body(()).expect("valid headers"))
                }
                Act::Unsent => Err(PostError::unsent("connection refused")),
                Act::Broken => Err(PostError::unknown("connection reset")),
                Act::Hang => std::future::pending().await,
            }
        })
    }
}
