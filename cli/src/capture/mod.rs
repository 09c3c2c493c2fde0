//! `c1 capture`.

mod body;
mod folder;
mod forward;
mod report;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use http::Uri;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use serde_json::json;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::sleep;

use self::folder::Folder;
use self::forward::Proxy;
use self::report::Reporter;
use crate::output::{self, print};
use crate::serve::stop_signal;
use crate::{BoxError, End, usage};

/// How many connections are open at once: each may have a body in memory.
const MAX_CONNECTIONS: usize = 64;

/// Records requests on their way to a receiver, for c1 explain.
///
/// It listens, passes each request on as it came, and the answer back, and writes the
/// request into a file of its own. The receiver notices nothing: its public URL, host and
/// headers stay as they are. Let the proxy or the tunnel in front of the receiver call this
/// address instead; TLS has to end before.
///
/// The files hold tokens and callback URLs, which are secrets: only you can read them.
/// Delete them when you are done. Stop it with Ctrl-C.
#[derive(clap::Args)]
#[command(after_long_help = "\
Example:
  c1 capture --listen 127.0.0.1:3001 --to http://127.0.0.1:3000 \\
      --public-url https://hooks.example.com --tenant example.conductor.one
  c1 explain captured/0001.http --public-url https://hooks.example.com \\
      --tenant example.conductor.one --at 2024-04-17T00:02:05Z

For a request that the receiver refuses, it prints the command that explains it.")]
#[allow(clippy::doc_markdown, reason = "it is shown as plain text")]
pub(crate) struct Capture {
    /// The address to listen on; with port 0 the system chooses a free port
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:0")]
    listen: SocketAddr,

    /// The receiver, such as http://127.0.0.1:3000; the path is the request's own
    #[arg(long, value_name = "URL")]
    to: Uri,

    /// The folder for the files 0001.http, 0002.http and so on
    #[arg(long, value_name = "DIR", default_value = "captured")]
    dir: PathBuf,

    /// How many requests to record; further ones are only passed on
    #[arg(long, value_name = "NUMBER", default_value_t = 1000)]
    limit: usize,

    /// The size of the largest body; a request with a larger one is answered 413
    #[arg(long, value_name = "BYTES", default_value_t = 10 * 1024 * 1024)]
    max_body: usize,

    #[command(flatten)]
    receiver: Receiver,

    /// Print a JSON line for each request
    #[arg(long)]
    json: bool,
}

/// What c1 explain has to know.
#[derive(clap::Args)]
struct Receiver {
    /// The receiver's public URL, for the commands that it prints
    #[arg(long, value_name = "URL", env = "C1_PUBLIC_URL")]
    public_url: Option<String>,

    /// The domain of the tenant that the receiver accepts, for the same
    #[arg(long, value_name = "DOMAIN", env = "C1_TENANT")]
    tenant: Option<String>,

    /// The tenant's keys, a file or a URL, for the same
    #[arg(long, value_name = "FILE|URL", requires = "tenant")]
    jwks: Option<String>,
}

impl Capture {
    pub(crate) async fn run(self) -> Result<End, BoxError> {
        let receiver = self.to.to_string();
        let is_http = matches!(self.to.scheme_str(), Some("http" | "https"));
        if !is_http || self.to.path_and_query().is_some_and(|path| path != "/") {
            usage("--to is not a URL without a path, such as http://127.0.0.1:3000");
        }
        let folder = Folder::open(&self.dir, self.limit)
            .map_err(|error| format!("cannot write into {}: {error}", self.dir.display()))?;
        let listener = TcpListener::bind(self.listen)
            .await
            .map_err(|error| format!("cannot listen on {}: {error}", self.listen))?;
        let address = listener.local_addr()?;
        let stop = stop_signal()?;
        let reporter = Reporter::new(self.receiver, self.json);
        let proxy = Arc::new(Proxy::new(self.to, self.max_body, folder, reporter)?);
        if !address.ip().is_loopback() {
            eprintln!(
                "{} {address} is not a loopback address: other machines may reach the receiver through it",
                output::error("warning:")
            );
        }
        if self.json {
            let url = format!("http://{address}");
            print(output::line(&json!({ "listening": url })))?;
        } else {
            print(format!(
                "listening  http://{address}
receiver   {}
files      {}, with tokens and callback URLs: delete them when you are done
",
                output::shown(receiver.trim_end_matches('/')),
                output::shown(&self.dir.display().to_string()),
            ))?;
        }
        tokio::select! {
            () = accept(listener, proxy) => {}
            () = stop => {}
        }
        Ok(End::Success)
    }
}

async fn accept(listener: TcpListener, proxy: Arc<Proxy>) {
    let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    loop {
        let place = Arc::clone(&places).acquire_owned().await;
        match listener.accept().await {
            Ok((stream, _)) => {
                let proxy = Arc::clone(&proxy);
                tokio::spawn(async move {
                    serve(stream, proxy).await;
                    drop(place);
                });
            }
            Err(error) => {
                eprintln!("{} cannot accept: {error}", output::error("error:"));
                sleep(Duration::from_millis(100)).await; // perhaps out of file descriptors
            }
        }
    }
}

/// Leaves the names of headers as they are written, and adds none.
async fn serve(stream: TcpStream, proxy: Arc<Proxy>) {
    let exchange = service_fn(move |request| {
        let proxy = Arc::clone(&proxy);
        async move { proxy.exchange(request).await }
    });
    // A broken connection is the caller's affair, and reported with its request.
    let _ = http1::Builder::new()
        .preserve_header_case(true)
        .auto_date_header(false)
        .timer(TokioTimer::new()) // limits the time for a request's head
        .serve_connection(TokioIo::new(stream), exchange)
        .await;
}
