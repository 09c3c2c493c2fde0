//! The developer's companion: a fake tenant of ConductorOne on the command
//! line.
//!
//! ```text
//! cargo install tower-conductorone-cli
//! c1 --help
//! ```

mod attack;
mod capture;
mod deliver;
mod endpoint;
mod explain;
mod failure;
mod key;
mod ledger;
mod output;
mod post;
mod send;
mod serve;
mod set;
mod ui;

use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{Args, CommandFactory, Parser, Subcommand};
use http::Uri;
use tokio::runtime::Runtime;

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// A fake ConductorOne tenant for developers of receivers.
///
/// It serves a tenant's keys, sends every event as ConductorOne does, attacks your
/// receiver, and explains what is wrong with a captured request. It signs with its
/// own development key, which no real receiver accepts. For operators of a receiver, it
/// lists and revives deliveries that were given up.
#[derive(Parser)]
#[command(name = "c1", version, after_help = EXIT_CODES, after_long_help = LONG_HELP)]
#[allow(clippy::doc_markdown, reason = "it is shown as plain text")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

const EXIT_CODES: &str = "\
Exit codes:
  0  success: delivered, accepted, revived, or all attacks passed
  1  failure: refused, answered wrongly, no callback, not revived, or an attack failed
  2  wrong usage
  3  no result: no connection, an unreadable file, missing settings";

const LONG_HELP: &str = "\
Deliver a first webhook, in three terminals, the second one in a checkout of
tower-conductorone:
  c1 serve --listen 127.0.0.1:4000
  cargo run --package receiver -- --public-url http://127.0.0.1:3000 \\
      --tenant example.conductor.one --jwks-url http://127.0.0.1:4000/auth/v1/jwks
  c1 send provision-step --to http://127.0.0.1:3000/webhooks
With --ui, c1 serve prints the URL of a page that sends events and shows each attempt,
answer and callback.

Exit codes:
  0  success: delivered, accepted, revived, or all attacks passed
  1  failure: refused, answered wrongly, no callback, not revived, or an attack failed
  2  wrong usage
  3  no result: no connection, an unreadable file, missing settings

Output is coloured on a terminal unless NO_COLOR is set.";

#[derive(Subcommand)]
enum Command {
    Serve(serve::Serve),
    Send(send::Send),
    Attack(attack::Attack),
    Capture(capture::Capture),
    Explain(explain::Explain),
    Ledger(ledger::LedgerArgs),
}

/// The fake tenant.
#[derive(Args)]
struct TenantArgs {
    /// The tenant's domain
    #[arg(
        long,
        value_name = "DOMAIN",
        env = "C1_TENANT",
        default_value = "example.conductor.one"
    )]
    tenant: String,

    /// The file with the tenant's private signing key
    ///
    /// PKCS #8 in PEM. If it does not exist, it is created, readable by you only.
    /// Commands with the same file act as the same tenant.
    #[arg(
        long,
        value_name = "FILE",
        env = "C1_KEY_FILE",
        default_value = "c1-dev-key.pem"
    )]
    key_file: std::path::PathBuf,

    /// The algorithm of a new key [default: es256]
    #[arg(long, value_name = "ALG", value_enum, ignore_case = true)]
    alg: Option<key::Alg>,
}

/// The result of a command, as its exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum End {
    Success = 0,
    Failure = 1,
    NoResult = 3,
}

/// The target URL of the tokens: the receiver's public URL and the path of `--to`.
fn target(to: &Uri, public_url: Option<&str>) -> Result<String, &'static str> {
    if !matches!(to.scheme_str(), Some("http" | "https")) {
        return Err("--to is not a URL such as http://127.0.0.1:3000/webhooks");
    }
    let Some(url) = public_url else {
        return Ok(to.to_string());
    };
    let target = format!("{}{}", url.trim_end_matches('/'), to.path());
    match target.parse::<Uri>() {
        Ok(uri) if uri.scheme().is_some() => Ok(target),
        _ => Err("--public-url is not a URL such as https://hooks.example.com"),
    }
}

/// Ends the program as clap does on wrong usage.
fn usage(message: impl std::fmt::Display) -> ! {
    Cli::command()
        .error(
            ErrorKind::ValueValidation,
            output::shown(&message.to_string()),
        )
        .exit()
}

fn main() -> ExitCode {
    let command = Cli::parse().command;
    let end = Runtime::new().map_err(BoxError::from).and_then(|runtime| {
        let end = runtime.block_on(async {
            match command {
                Command::Serve(serve) => serve.run().await,
                Command::Send(send) => send.run().await,
                Command::Attack(attack) => attack.run().await,
                Command::Capture(capture) => capture.run().await,
                Command::Explain(explain) => explain.run().await,
                Command::Ledger(ledger) => ledger.run().await,
            }
        });
        runtime.shutdown_background();
        end
    });
    let end = end.unwrap_or_else(|error| {
        eprintln!(
            "{} {}",
            output::error("error:"),
            output::shown(&output::with_causes(&*error))
        );
        End::NoResult
    });
    ExitCode::from(end as u8)
}
