//! What the JWKS cache logs.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use support::log::Log;
use tower_conductorone::BoxFuture;
use tower_conductorone::keys::{Fetch, FetchError, JwksCache, KeySource};

fn taken(log: &Log) -> Vec<String> {
    log.take().lines().map(str::to_owned).collect()
}

/// Serves a set whose only key has this ID, or fails with this message.
#[derive(Clone, Debug)]
struct Server(Arc<Mutex<Result<&'static str, &'static str>>>);

impl Server {
    fn set(&self, answer: Result<&'static str, &'static str>) {
        *self.0.lock().unwrap() = answer;
    }
}

impl Fetch for Server {
    fn fetch(
        &self,
        _: Request<()>,
        _: usize,
    ) -> BoxFuture<'_, Result<Response<Bytes>, FetchError>> {
        let answer = *self.0.lock().unwrap();
        Box::pin(async move {
            let kid = answer.map_err(FetchError::new)?;
            let jwks = format!(
                r#"{{"keys":[{{"kty":"OKP","crv":"Ed25519","kid":"{kid}",
                    "x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}}]}}"#
            );
            Ok(Response::new(jwks.into()))
        })
    }
}

#[tokio::test(start_paused = true)]
async fn each_change_and_each_failure_is_one_line_that_nobody_can_forge() {
    let log = Log::default();
    let _capturing = log.capture(tracing::Level::INFO);

    let server = Server(Arc::new(Mutex::new(Ok(r"evil\nWARN forged"))));
    let cache = JwksCache::builder("https://example.conductor.one/auth/v1/jwks?token=hunter2")
        .build(server.clone())
        .unwrap();
    cache.ready().await;
    let lines = taken(&log);
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(
        lines[0].contains("INFO") && lines[0].contains("example.conductor.one"),
        "{lines:?}"
    );
    assert!(
        lines[0].contains(r#""evil\nWARN forged" (EdDSA)"#),
        "{lines:?}"
    );
    assert!(!lines[0].contains("hunter2"), "{lines:?}");

    // The same keys again: nothing to tell.
    cache.refresh().await.unwrap();
    tokio::time::sleep(Duration::from_secs(3600)).await;
    assert_eq!(taken(&log), [""; 0]);

    server.set(Ok("another"));
    cache.refresh().await.unwrap();
    assert_eq!(taken(&log).len(), 1);

    server.set(Err("evil\r\nINFO forged"));
    assert!(cache.refresh().await.is_err());
    let lines = taken(&log);
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(
        lines[0].contains("WARN") && lines[0].contains(r"evil\r\nINFO forged"),
        "{lines:?}"
    );
    assert!(lines[0].contains("next_attempt_in=1."), "{lines:?}");
    assert!(!lines[0].contains("hunter2"), "{lines:?}");
}
