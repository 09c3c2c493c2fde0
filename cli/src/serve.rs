//! `c1 serve`.

use std::net::SocketAddr;
use std::sync::Arc;

use http::Uri;
use tokio::net::TcpListener;

use crate::endpoint::{CALLBACK, Endpoint, KEYS, Notice};
use crate::output::{bad, faint, good, print, shown};
use crate::ui::{History, Ui};
use crate::{BoxError, End, TenantArgs, target, usage};

/// Serves a fake tenant's keys and its callback endpoint, and a page to send events.
///
/// Stop it with Ctrl-C. It prints the requests that it gets.
#[derive(clap::Args)]
#[command(after_long_help = "\
Example:
  c1 serve --listen 127.0.0.1:4000
  c1 serve --ui --to http://127.0.0.1:3000/webhooks
  c1 serve --tenant other.example --alg eddsa --key-file other.pem")]
pub(crate) struct Serve {
    /// The address to listen on; with port 0 the system chooses a free port
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:0")]
    listen: SocketAddr,

    /// Serve a page, too, that sends events and shows their attempts, answers and callbacks
    ///
    /// Open the printed URL in a browser. It shows each attempt, answer and callback, and
    /// for each refusal the reason and the remedy. It needs no network, and shows no
    /// token and no callback URL.
    #[arg(long)]
    ui: bool,

    /// The receiver's URL, for the page
    #[arg(
        long,
        value_name = "URL",
        requires = "ui",
        default_value = "http://127.0.0.1:3000/webhooks"
    )]
    to: Uri,

    #[command(flatten)]
    tenant: TenantArgs,
}

impl Serve {
    pub(crate) async fn run(self) -> Result<End, BoxError> {
        if !self.listen.ip().is_loopback() {
            return Err("--listen must be a loopback address".into());
        }
        target(&self.to, None).unwrap_or_else(|error| usage(error));
        let tenant = self.tenant.open()?;
        let listener = TcpListener::bind(self.listen)
            .await
            .map_err(|error| format!("cannot listen on {}: {error}", self.listen))?;
        let address = listener.local_addr()?;
        let stop = stop_signal()?;

        let history = self.ui.then(|| Arc::new(History::default()));
        let noted = history.clone();
        let endpoint = Endpoint::new(tenant.clone(), move |notice| {
            say(&notice);
            if let Some(history) = &noted {
                history.note(&notice);
            }
        });
        let mut router = endpoint.clone().router();
        let mut page = String::new();
        if let Some(history) = history {
            let to = self.to.to_string();
            let ui = Ui::new(tenant.clone(), endpoint, address, to, history)?;
            router = router.merge(ui.router());
            page = format!("page       http://{address}/\n");
        }
        let (domain, file) = (tenant.domain(), self.tenant.key_file.display());
        print(format!(
            "tenant     {domain}, signing with the key in {file}
keys       http://{address}{KEYS}
callbacks  http://{address}{CALLBACK}…
{page}
Start a receiver, in a checkout of tower-conductorone:
  cargo run --package receiver -- --public-url http://127.0.0.1:3000 \\
      --tenant {domain} --jwks-url http://{address}{KEYS} \\
      --callback-origin http://{address}
Send it an event:
  c1 send test --to http://127.0.0.1:3000/webhooks \\
      --tenant {domain} --key-file {file} --serve http://{address}
"
        ))?;
        tokio::select! {
            ended = axum::serve(listener, router) => ended?,
            () = stop => {}
        }
        Ok(End::Success)
    }
}

/// Prints a request that the endpoint got.
fn say(notice: &Notice) {
    let text = match notice {
        Notice::KeysFetched => "the keys were fetched".to_owned(),
        Notice::Callback {
            event,
            document,
            refused: None,
            ..
        } => {
            let document = shown(&String::from_utf8_lossy(document));
            let accepted = good("callback accepted");
            format!("{accepted} for {}: {document}", shown(event))
        }
        Notice::Callback {
            event,
            refused: Some(why),
            ..
        } => format!(
            "{} for {}: {}",
            bad("callback refused"),
            shown(event),
            shown(why)
        ),
    };
    let now = jiff::Timestamp::now();
    // Without a reader there is nothing to report.
    let _ = print(format!("{} {text}", faint(&format!("{now:.0}"))));
}

/// Listens for Ctrl-C and SIGTERM from now on; the future waits for the first.
pub(crate) fn stop_signal() -> std::io::Result<impl Future<Output = ()>> {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        Ok(async move {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
        })
    }
    #[cfg(not(unix))]
    Ok(async { drop(tokio::signal::ctrl_c().await) })
}
