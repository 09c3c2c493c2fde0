//! Webhooks on plain hyper, without axum: HTTP/1.1 and HTTP/2 on one port, other paths
//! beside them, and a graceful stop.
//!
//! Try it with a fake tenant, in three terminals (Ctrl-C stops it):
//!
//! ```text
//! c1 serve --listen 127.0.0.1:4000
//! cargo run --package hyper-example
//! c1 send provision-step --to http://127.0.0.1:3000/webhooks
//! ```

use std::convert::Infallible;
use std::pin::pin;
use std::time::Duration;
use std::{env, io};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use http_body_util::combinators::UnsyncBoxBody;
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;
use tokio::time::{sleep, timeout};
use tower::{Layer, Service, ServiceExt, service_fn};
use tower_conductorone::event::{Acknowledgement, Comment, Outcome, Payload, ProvisionReply};
use tower_conductorone::{ConfigError, DeliverOnceLayer, Tenant, VerifyWebhookLayer, Webhook};

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// The body of requests and responses in this service, wherever they come from.
type Body = UnsyncBoxBody<Bytes, Infallible>;

/// Only a verified webhook gets here, and each delivery once.
async fn handle(request: Request<Body>) -> Result<Response<Full<Bytes>>, BoxError> {
    let webhook = request.extensions().get::<Webhook>();
    let outcome = match webhook.ok_or("VerifyWebhookLayer is missing")?.payload()? {
        Payload::ProvisionStep(step) => step.answer(ProvisionReply::complete(Comment::none())),
        Payload::Test(test) => test.answer(Acknowledgement::new()),
        _ => Outcome::retry_later(Duration::from_secs(60)),
    };
    Ok(outcome.response())
}

fn setting(name: &str, local: &str) -> String {
    env::var(name).unwrap_or_else(|_| local.to_owned())
}

fn verify() -> Result<VerifyWebhookLayer, ConfigError> {
    let jwks_url = setting("C1_JWKS_URL", "http://127.0.0.1:4000/auth/v1/jwks");
    VerifyWebhookLayer::builder()
        .public_url(setting("C1_PUBLIC_URL", "http://127.0.0.1:3000"))
        // Without `jwks_url`, it is the real tenant.
        .tenant(Tenant::new("example.conductor.one").jwks_url(jwks_url))
        .dangerous_allow_http_on_loopback() // the fake tenant has no certificate
        .build()
}

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    tracing_subscriber::fmt().init();
    let once = DeliverOnceLayer::builder().build()?;
    let handler = service_fn(handle)
        // The layers pass `Full<Bytes>` on, and this handler takes another body.
        .map_request(|request: Request<Full<Bytes>>| request.map(Body::new));
    let webhooks = verify()?.layer(once.layer(handler));
    let app = service_fn(move |request: Request<Incoming>| {
        let webhooks = webhooks.clone();
        async move {
            Ok::<_, BoxError>(match request.uri().path() {
                "/webhooks" => webhooks.oneshot(request).await?.map(Body::new),
                "/healthz" => Response::new(Body::default()),
                _ => {
                    let mut response = Response::new(Body::default());
                    *response.status_mut() = StatusCode::NOT_FOUND;
                    response
                }
            })
        }
    });

    let listener = TcpListener::bind(setting("C1_LISTEN", "127.0.0.1:3000")).await?;
    println!("listening on http://{}", listener.local_addr()?);
    serve(listener, app).await?;
    let drained = once.drain().await; // the work that goes on after a 202
    println!("stopped, {} deliveries were cut off", drained.cut_off());
    Ok(())
}

/// Serves until Ctrl-C, and then answers the requests that have come.
async fn serve<S>(listener: TcpListener, app: S) -> io::Result<()>
where
    S: Service<Request<Incoming>, Response = Response<Body>, Error = BoxError>,
    S: Clone + Send + 'static,
    S::Future: Send,
{
    // It takes the protocol from the connection's first bytes.
    let mut server = auto::Builder::new(TokioExecutor::new());
    server.http1().timer(TokioTimer::new()); // limits the time for a request's head
    let connections = GracefulShutdown::new();
    let mut stop = pin!(tokio::signal::ctrl_c());
    loop {
        let stream = tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => stream,
                Err(error) => {
                    eprintln!("cannot accept: {error}"); // perhaps out of file descriptors
                    sleep(Duration::from_millis(100)).await;
                    continue;
                }
            },
            stop = &mut stop => break stop?,
        };
        let service = TowerToHyperService::new(app.clone());
        let connection = server.serve_connection(TokioIo::new(stream), service);
        tokio::spawn(connections.watch(connection.into_owned()));
    }
    drop(listener);
    // All are answered by then: what is left is a client that sends half a request.
    let limit = Duration::from_secs(30);
    let _ = timeout(limit, connections.shutdown()).await;
    Ok(())
}
