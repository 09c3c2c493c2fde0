//! What the JWKS cache logs.

use std::io::Write;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use tower_conductorone::BoxFuture;
use tower_conductorone::keys::{Fetch, FetchError, JwksCache, KeySource};

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Log {
    fn take(&self) -> Vec<String> {
        let bytes = std::mem::take(&mut *self.0.lock().unwrap());
        String::from_utf8(bytes)
            .unwrap()
            .lines()
            .map(str::to_owned)
            .collect()
    }
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
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::INFO)
        .with_ansi(false)
        .without_time()
        .with_writer(move || writer.clone())
        .finish();
    let _capturing = support::capture(subscriber);

    let server = Server(Arc::new(Mutex::new(Ok(r"evil\nWARN forged"))));
    let cache = JwksCache::builder("https://example.conductor.one/auth/v1/jwks?token=hunter2")
        .build(server.clone())
        .unwrap();
    cache.ready().await;
    let lines = log.take();
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
    assert_eq!(log.take(), [""; 0]);

    server.set(Ok("another"));
    cache.refresh().await.unwrap();
    assert_eq!(log.take().len(), 1);

    server.set(Err("evil\r\nINFO forged"));
    assert!(cache.refresh().await.is_err());
    let lines = log.take();
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(
        lines[0].contains("WARN") && lines[0].contains(r"evil\r\nINFO forged"),
        "{lines:?}"
    );
    assert!(lines[0].contains("next_attempt_in=1."), "{lines:?}");
    assert!(!lines[0].contains("hunter2"), "{lines:?}");
}
