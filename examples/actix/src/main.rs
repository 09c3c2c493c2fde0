//! Webhooks in actix-web, which is no Tower service and has another version of `http`:
//! `verify()` verifies a request, and the services inside work as everywhere.
//!
//! Try it with a fake tenant, in three terminals (Ctrl-C stops it):
//!
//! ```text
//! c1 serve --listen 127.0.0.1:4000
//! cargo run --package actix-example
//! c1 send provision-step --to http://127.0.0.1:3000/webhooks
//! ```

use std::convert::Infallible;
use std::env;
use std::error::Error;
use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::{App, HttpRequest, HttpResponse, HttpServer, web};
use bytes::Bytes;
use futures_util::TryStreamExt;
use http::{Request, Response};
use http_body::{Body, Frame};
use http_body_util::{BodyExt, StreamBody};
use tokio::runtime::Handle;
use tower::{Layer, ServiceExt};
use tower_conductorone::event::{Comment, Outcome, ProvisionReply, ProvisionStep};
use tower_conductorone::{
    ConfigError, DeliverOnce, DeliverOnceLayer, EventRouter, Tenant, Typed, VerifyWebhookLayer,
    Webhook,
};

async fn provision(_: Typed<ProvisionStep>) -> ProvisionReply {
    ProvisionReply::complete(Comment::none())
}

#[derive(Clone)]
struct Receiver {
    verify: VerifyWebhookLayer,
    webhooks: DeliverOnce<EventRouter>,
    runtime: Handle,
}

/// Takes the body as a stream: nothing of it is read before the token has passed.
async fn receive(
    receiver: web::Data<Receiver>,
    request: HttpRequest,
    body: web::Payload,
) -> HttpResponse {
    let Ok(request) = convert(&request, body) else {
        return HttpResponse::BadRequest().finish();
    };
    let request = match receiver.verify.verify(request).await {
        Ok(request) => request,
        Err(rejection) => return answer(rejection.response()).await,
    };
    // Each of actix's workers has a runtime of its own, which ends before `drain` below has
    // waited for the work that goes on: so that is done on the program's runtime.
    let webhooks = receiver.webhooks.clone();
    match receiver.runtime.spawn(webhooks.oneshot(request)).await {
        Ok(Ok(response)) => answer(response).await,
        Ok(Err(never)) => match never {},
        Err(_) => HttpResponse::InternalServerError().finish(),
    }
}

/// The request in the version of `http` that Tower has. The path is the one that was
/// called, also inside of scopes.
fn convert(
    request: &HttpRequest,
    body: web::Payload,
) -> http::Result<Request<impl Body<Data = Bytes, Error = actix_web::error::PayloadError>>> {
    let mut converted = Request::builder()
        .method(request.method().as_str())
        .uri(request.uri().to_string());
    for (name, value) in request.headers() {
        converted = converted.header(name.as_str(), value.as_bytes());
    }
    converted.body(StreamBody::new(body.map_ok(Frame::data)))
}

async fn answer<B>(response: Response<B>) -> HttpResponse
where
    B: Body<Data = Bytes, Error = Infallible>,
{
    let (head, body) = response.into_parts();
    let Ok(body) = body.collect().await;
    let status = StatusCode::from_u16(head.status.as_u16());
    let status = status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut answer = HttpResponse::build(status);
    for (name, value) in &head.headers {
        answer.append_header((name.as_str(), value.as_bytes()));
    }
    answer.body(body.to_bytes())
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
async fn main() -> Result<(), Box<dyn Error>> {
    tracing_subscriber::fmt().init();
    let events = EventRouter::builder()
        .on(provision)
        .fallback(async |_: Webhook| Outcome::retry_later(Duration::from_secs(60)))
        .build()?;
    let once = DeliverOnceLayer::builder().build()?;
    let receiver = web::Data::new(Receiver {
        verify: verify()?,
        webhooks: once.layer(events),
        runtime: Handle::current(),
    });
    let server = HttpServer::new(move || {
        let webhooks = web::resource("/webhooks").to(receive); // any method: it answers 405
        App::new().app_data(receiver.clone()).service(webhooks)
    });
    let server = server.bind(setting("C1_LISTEN", "127.0.0.1:3000"))?;
    for address in server.addrs() {
        println!("listening on http://{address}");
    }
    server.run().await?; // until Ctrl-C or SIGTERM
    let drained = once.drain().await;
    println!("stopped, {} deliveries were cut off", drained.cut_off());
    Ok(())
}
