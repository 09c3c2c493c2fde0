//! The developer's companion: a fake tenant of ConductorOne on the command
//! line.
//!
//! ```text
//! cargo run --example c1 -- --help
//! ```

mod attack;
mod deliver;
mod explain;
mod key;
mod output;
mod post;
mod send;
mod serve;
mod set;

use std::process::ExitCode;

use axum::http::Uri;
use clap::error::ErrorKind;
use clap::{Args, CommandFactory, Parser, Subcommand};
use tokio::runtime::Runtime;

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// A fake tenant of ConductorOne for those who write a receiver.
///
/// It serves a tenant's keys, sends every event as ConductorOne does, attacks
/// your receiver, and says
/// of a captured request what is wrong with it. All that it signs is signed
/// with a development key of its own, which no real receiver takes.
#[derive(Parser)]
#[command(name = "c1", version, after_help = EXIT_CODES, after_long_help = LONG_HELP)]
#[allow(clippy::doc_markdown, reason = "it is shown as plain text")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

const EXIT_CODES: &str = "\
Exit codes:
  0  all went well: taken, accepted
  1  refused, answered wrongly, or not answered
  2  wrong usage
  3  it could not be tried, or not be told: a file, a port, keys";

const LONG_HELP: &str = "\
c1 stands for: cargo run --example c1 --

From nothing to a webhook that is taken, in three terminals:
  c1 serve --listen 127.0.0.1:4000
  cargo run --example receiver -- --public-url http://127.0.0.1:3000 \\
      --tenant example.conductor.one --jwks-url http://127.0.0.1:4000/auth/v1/jwks
  c1 send provision-step --to http://127.0.0.1:3000/webhooks

Exit codes:
  0  all went well: taken, accepted
  1  refused, answered wrongly, or not answered
  2  wrong usage
  3  it could not be tried, or not be told: a file, a port, keys

Colours are for terminals only, and not with NO_COLOR set.";

#[derive(Subcommand)]
enum Command {
    Serve(serve::Serve),
    Send(send::Send),
    Attack(attack::Attack),
    Explain(explain::Explain),
}

/// Whose webhooks they are.
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

    /// The file with the private key with which the tenant signs
    ///
    /// PKCS #8 in PEM. It is made if it does not exist, readable for you only.
    /// Commands with the same file are the same tenant.
    #[arg(
        long,
        value_name = "FILE",
        env = "C1_KEY_FILE",
        default_value = "c1-dev-key.pem"
    )]
    key_file: std::path::PathBuf,

    /// The algorithm of a key that is made: ES256 unless told otherwise
    #[arg(long, value_name = "ALG", value_enum, ignore_case = true)]
    alg: Option<key::Alg>,
}

/// How a command has ended.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum End {
    Well = 0,
    Refused = 1,
    Untold = 3,
}

/// The URL that a token is made for: the receiver's public URL and the path at
/// which it is called.
fn target(to: &Uri, public_url: Option<&str>) -> String {
    if !matches!(to.scheme_str(), Some("http" | "https")) {
        usage("--to is no URL: write it like http://127.0.0.1:3000/webhooks");
    }
    let Some(url) = public_url else {
        return to.to_string();
    };
    let target = format!("{}{}", url.trim_end_matches('/'), to.path());
    match target.parse::<Uri>() {
        Ok(uri) if uri.scheme().is_some() => target,
        _ => usage("--public-url is no URL: write it like https://hooks.example.com"),
    }
}

/// Ends the program as clap does it for what it finds itself.
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
                Command::Explain(explain) => explain.run().await,
            }
        });
        runtime.shutdown_background();
        end
    });
    let end = end.unwrap_or_else(|error| {
        eprintln!(
            "{} {}",
            output::error("error:"),
            output::shown(&error.to_string())
        );
        End::Untold
    });
    ExitCode::from(end as u8)
}
