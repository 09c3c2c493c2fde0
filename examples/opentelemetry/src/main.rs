//! One trace from ConductorOne's request to the callback, with `tracing-opentelemetry`.
//!
//! ```text
//! cargo run --package opentelemetry-example
//! ```
//!
//! A fake tenant sends a webhook to a slow handler: the layer answers 202 and posts the
//! answer later. The spans are exported into memory and printed; a service of yours takes
//! the exporter of `opentelemetry-otlp` instead.

use std::collections::HashMap;
use std::error::Error;
use std::io::Write;
use std::time::Duration;

use axum::extract::Request;
use axum::http::Response;
use axum::routing::post;
use axum::{Router, middleware};
use bytes::Bytes;
use opentelemetry::trace::{SpanId, TracerProvider};
use opentelemetry::{Context, ContextGuard};
use opentelemetry_sdk::trace::{InMemorySpanExporter, SdkTracerProvider, SpanData};
use tower_conductorone::callback::{CallbackClient, Post, PostError};
use tower_conductorone::event::{Comment, Event, Outcome, ProvisionReply, ProvisionStep};
use tower_conductorone::testing::FakeTenant;
use tower_conductorone::{BoxFuture, DeliverOnceLayer, Tenant, Typed, VerifyWebhookLayer};
use tower_http::trace::{DefaultMakeSpan, TraceLayer};
use tracing::{Instrument, Level, Span, info_span};
use tracing_opentelemetry::OpenTelemetrySpanExt;
use tracing_subscriber::layer::SubscriberExt;

/// The handler is slow: ConductorOne gets 202, and the answer by callback.
async fn provision(step: Typed<ProvisionStep>) -> Outcome {
    let work = async { tokio::time::sleep(Duration::from_millis(1500)).await };
    work.instrument(info_span!("create the account")).await;
    step.answer(ProvisionReply::complete(Comment::truncated("done")))
}

/// Keeps the context of the request's span for the spans that follow it.
async fn keep_context(mut request: Request) -> Request {
    let context = Span::current().context();
    request.extensions_mut().insert(context);
    request
}

/// Enters the context that [`keep_context`] has kept.
fn enter_context(extensions: &axum::http::Extensions) -> Option<ContextGuard> {
    extensions.get::<Context>().cloned().map(Context::attach)
}

fn app(
    tenant: &FakeTenant,
    jwks: &str,
) -> Result<(Router, DeliverOnceLayer), Box<dyn Error + Send + Sync>> {
    let verify = VerifyWebhookLayer::builder()
        .public_url("https://hooks.example.com")
        .tenant(Tenant::new(tenant.domain()).jwks_url(jwks))
        .dangerous_allow_http_on_loopback() // the fake tenant has no certificate
        .build()?;
    let once = DeliverOnceLayer::builder()
        .answer_within(Duration::from_secs(1))
        .callbacks(CallbackClient::builder().post(ConductorOne).build()?)
        .span_context(enter_context)
        .build()?;
    let of_request = DefaultMakeSpan::new().level(Level::INFO);
    let app = Router::new()
        .route("/webhooks", post(provision))
        .layer(once.clone())
        .layer(middleware::map_request(keep_context))
        .layer(verify)
        .layer(TraceLayer::new_for_http().make_span_with(of_request)); // outside: runs first
    Ok((app, once))
}

/// Takes every answer at the callback URL.
#[derive(Debug)]
struct ConductorOne;

impl Post for ConductorOne {
    fn post(&self, _: Request<Bytes>) -> BoxFuture<'_, Result<Response<()>, PostError>> {
        Box::pin(async { Ok(Response::new(())) })
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    let exporter = InMemorySpanExporter::default();
    let provider = SdkTracerProvider::builder()
        .with_simple_exporter(exporter.clone())
        .build();
    let spans = tracing_opentelemetry::layer().with_tracer(provider.tracer("receiver"));
    tracing::subscriber::set_global_default(tracing_subscriber::registry().with(spans))?;

    let tenant = FakeTenant::new("example.conductor.one");
    let jwks = tenant.serve().await?;
    let (mut app, once) = app(&tenant, &jwks.url())?;
    let answer = tenant.delivery(ProvisionStep::NAME).call(&mut app).await;
    let drained = once.drain().await;

    let mut out = std::io::stdout();
    writeln!(
        out,
        "ConductorOne's request was answered {}.",
        answer.status()
    )?;
    writeln!(out, "The answer was posted: {}.\n", drained.is_complete())?;
    for line in tree(&exporter.get_finished_spans()?) {
        writeln!(out, "{line}")?;
    }
    Ok(())
}

/// The spans below each other, each trace with its own heading.
fn tree(spans: &[SpanData]) -> Vec<String> {
    let mut below: HashMap<SpanId, Vec<&SpanData>> = HashMap::new();
    let mut spans: Vec<_> = spans.iter().collect();
    spans.sort_by_key(|span| span.start_time);
    for span in &spans {
        below.entry(span.parent_span_id).or_default().push(span);
    }
    let mut lines = Vec::new();
    let mut open = Vec::new();
    for root in below.remove(&SpanId::INVALID).unwrap_or_default() {
        lines.push(format!("trace {}", root.span_context.trace_id()));
        open.push((root, 1));
        while let Some((span, depth)) = open.pop() {
            let took = span.end_time.duration_since(span.start_time);
            let took = took.unwrap_or_default();
            lines.push(format!("{}{} ({took:.1?})", "  ".repeat(depth), span.name));
            let children = below.remove(&span.span_context.span_id());
            let children = children.unwrap_or_default().into_iter().rev();
            open.extend(children.map(|child| (child, depth + 1)));
        }
    }
    lines
}
