//! `c1 send`.

use std::path::PathBuf;
use std::time::Duration;

use http::Uri;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tower_conductorone::testing::{EVENTS, FakeTenant, Fixture};

use crate::deliver::{ATTEMPTS, Callbacks, Sender, Step, random_id};
use crate::endpoint::Endpoint;
use crate::output::{Progress, print};
use crate::post::Client;
use crate::set::{self, Set};
use crate::{BoxError, End, TenantArgs, target, usage};

/// Sends an event as ConductorOne does, and checks the answer.
///
/// After a 202 it waits for the callback, at its own endpoint or at that of
/// `c1 serve`.
#[derive(clap::Args)]
#[command(after_long_help = "\
Example:
  c1 send test --to http://127.0.0.1:3000/webhooks
  c1 send provision-step --task-type revoke --to http://127.0.0.1:3000/webhooks \\
      --set taskView.task.displayName=\"Take it away\" --retries
  c1 send workflow-step --to http://127.0.0.1:3000/webhooks --file body.json --times 100

Exit codes: 0 all were delivered, 1 one was refused or answered wrongly, or its
callback did not come, 2 wrong usage, 3 one got no answer.")]
#[allow(clippy::doc_markdown, reason = "it is shown as plain text")]
pub(crate) struct Send {
    /// test, provision-step, policy-approval-step, policy-post-action,
    /// workflow-step, finding-dispatch, or any event's full name
    #[arg(value_parser = event)]
    event: String,

    /// The receiver's URL
    #[arg(long, value_name = "URL")]
    to: Uri,

    /// The receiver's public URL [default: the origin of --to]
    ///
    /// The token is for this URL followed by the path of --to.
    #[arg(long, value_name = "URL", env = "C1_PUBLIC_URL")]
    public_url: Option<String>,

    /// The task's type: grant, revoke, certify, offboarding, action or finding
    /// [default: grant]
    #[arg(long, value_name = "TYPE")]
    task_type: Option<String>,

    /// A JSON file with the payload to send
    ///
    /// Either a payload, or a whole body as ConductorOne sends it, whose payload and
    /// webhookId are used.
    #[arg(long, value_name = "FILE", conflicts_with = "task_type")]
    file: Option<PathBuf>,

    /// Sets a value in the payload, such as taskView.task.numericId=7
    ///
    /// Repeatable. Full stops separate names and indices. A value that is not JSON is
    /// text.
    #[arg(long, value_name = "PATH=VALUE", value_parser = set::parse)]
    set: Vec<Set>,

    /// The number of deliveries to send, one after the other
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    times: u32,

    /// Retry as ConductorOne does: up to 50 attempts, 3 to 15 s apart
    #[arg(long)]
    retries: bool,

    /// Seconds between attempts, instead of 3 to 15
    #[arg(long, value_name = "SECONDS", requires = "retries")]
    pause: Option<u64>,

    /// The URL of a `c1 serve` whose callback endpoint to use
    #[arg(long, value_name = "URL")]
    serve: Option<String>,

    /// Seconds to wait for the callback after a 202
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    callback_wait: u64,

    /// Print a JSON line for each delivery
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    tenant: TenantArgs,
}

fn event(name: &str) -> Result<String, String> {
    if name.contains('.') {
        return Ok(name.to_owned());
    }
    let short = |event: &str| folder(event).replace('_', "-");
    match EVENTS.iter().find(|event| short(event) == name) {
        Some(event) => Ok((*event).to_owned()),
        None => Err(format!(
            "the events are {}, or a full name such as c1.webhooks.v1.PayloadOfAnotherEvent",
            EVENTS
                .iter()
                .map(|event| short(event))
                .collect::<Vec<_>>()
                .join(", ")
        )),
    }
}

/// The folder of the event's fixtures: `provision_step` for
/// `c1.webhooks.v1.PayloadProvisionStep`.
fn folder(event: &str) -> String {
    let name = event.rsplit('.').next().unwrap_or_default();
    let mut folder = String::new();
    for letter in name.strip_prefix("Payload").unwrap_or(name).chars() {
        if letter.is_uppercase() && !folder.is_empty() {
            folder.push('_');
        }
        folder.extend(letter.to_lowercase());
    }
    folder
}

impl Send {
    pub(crate) async fn run(self) -> Result<End, BoxError> {
        let target =
            target(&self.to, self.public_url.as_deref()).unwrap_or_else(|error| usage(error));
        let (payload, webhook_id) = self.content()?;
        let tenant = self.tenant.open()?;
        let (callbacks, server) = if let Some(url) = &self.serve {
            let origin = url.trim_end_matches('/').to_owned();
            (Callbacks::Served(origin), None)
        } else {
            let (callbacks, server) = own_endpoint(tenant.clone()).await?;
            (callbacks, Some(server))
        };
        let sender = Sender {
            client: Client::new()?,
            tenant: tenant.clone(),
            to: self.to.clone(),
            target,
            callbacks,
            callback_wait: Duration::from_secs(self.callback_wait),
            attempts: if self.retries { ATTEMPTS } else { 1 },
            pause: self.pause.map(Duration::from_secs),
        };
        let progress = Progress::new(self.times > 1 || self.retries);
        let (mut ended, mut delivered) = (End::Success, 0);
        for number in 1..=self.times {
            let mut delivery = tenant.delivery(&self.event);
            if let Some(payload) = &payload {
                delivery = delivery.payload(payload.clone());
            }
            if let Some(id) = webhook_id.as_ref().filter(|_| self.times == 1) {
                delivery = delivery.webhook_id(id);
            }
            let note = |step: Step<'_>| {
                if let Some(text) = step.text() {
                    progress.show(&format!(
                        "{number} of {}, {delivered} delivered; {text}",
                        self.times
                    ));
                }
            };
            let envelope = delivery.envelope();
            let report = sender.deliver(&envelope, &random_id(), &note).await?;
            match &report.end {
                Ok(_) => delivered += 1,
                Err(failure) => ended = ended.max(failure.end),
            }
            progress.show("");
            if self.json {
                print(report.line())?;
            } else if self.times == 1 || report.end.is_err() {
                print(report.text())?;
            }
        }
        if self.times > 1 && !self.json {
            print(format!("{delivered} of {} delivered", self.times))?;
        }
        if let Some(server) = server {
            server.stop().await;
        }
        Ok(ended)
    }

    /// The payload and the webhook id, if the flags set them.
    fn content(&self) -> Result<(Option<Value>, Option<String>), BoxError> {
        let (mut payload, mut webhook_id) = (None, None);
        if let Some(file) = &self.file {
            let name = file.display();
            let text = std::fs::read(file).map_err(|error| format!("{name}: {error}"))?;
            let mut body: Value =
                serde_json::from_slice(&text).map_err(|error| format!("{name}: {error}"))?;
            if let Some(event) = body.get("event") {
                if *event != self.event.as_str() {
                    usage(format!("{name} has the event {event}, not {}", self.event));
                }
                webhook_id = body["webhookId"].as_str().map(str::to_owned);
                body = body["payload"].take();
            }
            payload = Some(body);
        } else {
            let kind = self.task_type.as_deref();
            let folder = folder(&self.event);
            let fixture = Fixture::named(&match kind {
                Some(kind) => format!("{folder}/{kind}.full"),
                None => format!("{folder}/full"),
            });
            let fixture = match (fixture, kind) {
                (None, None) => Fixture::named(&format!("{folder}/grant.full")),
                (None, Some(kind)) => usage(format!("this event has no task of type {kind:?}")),
                (fixture, _) => fixture,
            };
            payload = fixture.map(Fixture::payload).or(payload);
        }
        for set in &self.set {
            let payload = payload.get_or_insert_with(
                || json!({ "@type": format!("type.googleapis.com/{}", self.event) }),
            );
            set.apply(payload).unwrap_or_else(|error| usage(error));
        }
        Ok((payload, webhook_id))
    }
}

/// A callback endpoint in this process.
struct Server {
    stop: oneshot::Sender<()>,
    ended: JoinHandle<std::io::Result<()>>,
}

impl Server {
    /// Finishes its answers: the receiver has to learn that its callback was accepted.
    async fn stop(self) {
        drop(self.stop);
        let _ = tokio::time::timeout(Duration::from_secs(1), self.ended).await;
    }
}

async fn own_endpoint(tenant: FakeTenant) -> Result<(Callbacks, Server), BoxError> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
    let origin = format!("http://{}", listener.local_addr()?);
    let endpoint = Endpoint::new(tenant, |_| {});
    let router = endpoint.clone().router();
    let (stop, stopped) = oneshot::channel::<()>();
    let serve = axum::serve(listener, router).with_graceful_shutdown(async {
        let _ = stopped.await;
    });
    let ended = tokio::spawn(serve.into_future());
    Ok((Callbacks::Own { origin, endpoint }, Server { stop, ended }))
}
