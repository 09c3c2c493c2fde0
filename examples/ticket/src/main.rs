//! Provisioning by people: a webhook opens a ticket and is answered 202; days later another
//! process closes the ticket, with the callback that was stored in it.
//!
//! Try it with a fake tenant, in three terminals (`c1 send` waits ten minutes for you):
//!
//! ```text
//! c1 serve --listen 127.0.0.1:4000
//! cargo run --package ticket
//! c1 send provision-step --to http://127.0.0.1:3000/webhooks \
//!     --serve http://127.0.0.1:4000 --callback-wait 600
//! ```
//!
//! The second one prints the ticket's number. Stop it, if you like, and close the ticket:
//!
//! ```text
//! cargo run --package ticket -- close NUMBER "Ada has her account"
//! cargo run --package ticket -- fail NUMBER "there is no licence left"
//! ```

mod tickets;

use std::env;
use std::error::Error;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::routing::post;
use tokio::net::TcpListener;
use tokio::task::spawn_blocking;
use tower_conductorone::callback::{CallbackClient, CallbackError, Delivered};
use tower_conductorone::event::{Comment, Outcome, ProvisionReply, ProvisionStep};
use tower_conductorone::ledger::DeliveryKey;
use tower_conductorone::{ConfigError, Tenant, Typed, VerifyWebhookLayer};

use self::tickets::{Ticket, Tickets};

const TENANT: &str = "example.conductor.one";

#[derive(Clone)]
struct Desk {
    tickets: Tickets,
    callbacks: CallbackClient,
}

async fn open(State(desk): State<Desk>, step: Typed<ProvisionStep>) -> Outcome {
    let callback = step.webhook().callback();
    let usable = callback.filter(|callback| desk.callbacks.check(callback).is_ok());
    let Some(callback) = usable else {
        let comment = Comment::truncated("there is no callback URL to answer a ticket at");
        return step.answer(ProvisionReply::errored(comment)); // 202 would be an empty promise
    };
    // The same for each attempt of the delivery, so a retry opens no second ticket.
    let number = Tickets::number(&DeliveryKey::of(step.webhook()));
    let app = step.task_view().app();
    let title = app.map_or("access to an app".into(), |app| {
        format!("access to {}", app.display_name)
    });
    let ticket = Ticket { title, callback };
    match spawn_blocking(move || desk.tickets.open(&number, &ticket)).await {
        Ok(Ok(())) => Outcome::accepted(), // not before the ticket is on the disk
        Ok(Err(error)) => {
            eprintln!("cannot open a ticket: {error}");
            Outcome::retry_later(Duration::from_secs(5))
        }
        Err(_) => Outcome::failed(),
    }
}

async fn close(desk: &Desk, number: &str, reply: ProvisionReply) -> Result<(), Box<dyn Error>> {
    let ticket = desk.tickets.read(number)?;
    let callback = ticket
        .callback
        .typed::<ProvisionStep>()
        .ok_or("another event's ticket")?;
    // It tries again until ConductorOne has answered, or the callback's time is over.
    match desk.callbacks.answer(&callback, reply).await {
        Ok(Delivered::Accepted) => println!("ticket {number}: ConductorOne has the answer"),
        Ok(_) => println!("ticket {number}: ConductorOne has an answer, most likely this one"),
        Err(error @ (CallbackError::UsedOrExpired | CallbackError::DeadlinePassed { .. })) => {
            println!("ticket {number}: too late, {error}");
        }
        Err(error) => return Err(error.into()), // the ticket stays open
    }
    Ok(desk.tickets.close(number)?)
}

fn setting(name: &str, local: &str) -> String {
    env::var(name).unwrap_or_else(|_| local.to_owned())
}

fn verify() -> Result<VerifyWebhookLayer, ConfigError> {
    let jwks_url = setting("C1_JWKS_URL", "http://127.0.0.1:4000/auth/v1/jwks");
    VerifyWebhookLayer::builder()
        .public_url(setting("C1_PUBLIC_URL", "http://127.0.0.1:3000"))
        // Without `jwks_url`, it is the real tenant.
        .tenant(Tenant::new(TENANT).jwks_url(jwks_url))
        .dangerous_allow_http_on_loopback() // the fake tenant has no certificate
        .build()
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    tracing_subscriber::fmt().init();
    let desk = Desk {
        tickets: Tickets::in_folder(setting("TICKETS", "tickets"))?,
        callbacks: CallbackClient::builder()
            // Without `origin`, documents go to the tenant's own domain.
            .origin(
                TENANT,
                setting("C1_CALLBACK_ORIGIN", "http://127.0.0.1:4000"),
            )
            .dangerous_allow_http_on_loopback()
            .build()?,
    };
    let arguments: Vec<_> = env::args().skip(1).collect();
    let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        [] => serve(desk).await,
        ["close", number, comment] => {
            let reply = ProvisionReply::complete(Comment::new(comment)?);
            close(&desk, number, reply).await
        }
        ["fail", number, comment] => {
            let reply = ProvisionReply::errored(Comment::new(comment)?);
            close(&desk, number, reply).await
        }
        _ => Err("usage: ticket [close NUMBER COMMENT | fail NUMBER COMMENT]".into()),
    }
}

async fn serve(desk: Desk) -> Result<(), Box<dyn Error>> {
    let app = Router::new()
        .route("/webhooks", post(open))
        .with_state(desk)
        .layer(verify()?);
    let listener = TcpListener::bind(setting("C1_LISTEN", "127.0.0.1:3000")).await?;
    println!("listening on http://{}", listener.local_addr()?);
    axum::serve(listener, app)
        .with_graceful_shutdown(async { drop(tokio::signal::ctrl_c().await) })
        .await?;
    Ok(())
}
