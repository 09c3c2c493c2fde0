//! `c1 attack`.

use std::time::{Duration, Instant};

use http::Uri;
use serde_json::json;
use tower_conductorone::testing::AttackPack;
use tower_conductorone::testing::attack::{AttackReport, AttackVerdict};

use crate::output::{self, Progress, bad, good, print};
use crate::{BoxError, End, TenantArgs, target, usage};

/// Fires forged, stolen, altered, malformed and oversized requests at a receiver, and
/// reports which of them it handled wrongly.
///
/// Some requests are genuine, in unusual but legal forms: the receiver must accept
/// them. It needs the keys of this tenant: start `c1 serve` first. The requests are
/// administrator's tests, and a few of them reach its handler.
#[derive(clap::Args)]
#[command(after_long_help = "\
Example:
  c1 attack --to http://127.0.0.1:3000/webhooks
  c1 attack --to http://127.0.0.1:3000/webhooks --public-url https://hooks.example.com

Exit codes: 0 all attacks passed, 1 one failed, 2 wrong usage, 3 the receiver
cannot be reached.")]
pub(crate) struct Attack {
    /// The receiver's URL
    #[arg(long, value_name = "URL")]
    to: Uri,

    /// The receiver's public URL [default: the origin of --to]
    ///
    /// The tokens are for this URL followed by the path of --to.
    #[arg(long, value_name = "URL", env = "C1_PUBLIC_URL")]
    public_url: Option<String>,

    /// The size of the largest body that the receiver accepts
    #[arg(long, value_name = "BYTES", default_value_t = 2 * 1024 * 1024)]
    max_body: usize,

    /// Print a JSON line for each attack
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    tenant: TenantArgs,
}

impl Attack {
    pub(crate) async fn run(self) -> Result<End, BoxError> {
        let target =
            target(&self.to, self.public_url.as_deref()).unwrap_or_else(|error| usage(error));
        let tenant = self.tenant.open()?;
        let pack = AttackPack::new(&tenant, target).max_body_bytes(self.max_body);
        let url = self.to.to_string();
        let report = tokio::select! {
            report = pack.fire_at(&url) => {
                report.map_err(|error| format!("cannot attack {url}: {error}"))?
            }
            () = tell_time() => return Ok(End::NoResult),
        };
        if self.json {
            for result in report.results() {
                let verdict = format!("{:?}", result.verdict()).to_lowercase();
                let line = json!({
                    "attack": result.name(),
                    "what": result.description(),
                    "expected": format!("{:?}", result.expected()).to_lowercase(),
                    "status": result.status().map(|status| status.as_u16()),
                    "verdict": verdict,
                    "passed": result.verdict() == AttackVerdict::Passed,
                });
                print(output::line(&line))?;
            }
        } else {
            print(coloured(&report))?;
        }
        Ok(if report.is_clean() {
            End::Success
        } else {
            End::Failure
        })
    }
}

/// Shows the elapsed time: some attacks take ten seconds.
async fn tell_time() {
    let progress = Progress::new(true);
    let start = Instant::now();
    loop {
        progress.show(&format!("attacking for {} s", start.elapsed().as_secs()));
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

/// The report with its failures, which come last, and its summary in colour.
fn coloured(report: &AttackReport) -> String {
    let text = report.to_string();
    let lines: Vec<_> = text.lines().collect();
    let failed = report.failures().count() + 1;
    let (fine, last) = lines.split_at(lines.len().saturating_sub(failed));
    let paint = if report.is_clean() { good } else { bad };
    let last = last.iter().map(|line| paint(line));
    let lines: Vec<_> = fine
        .iter()
        .map(|line| (*line).to_owned())
        .chain(last)
        .collect();
    lines.join("\n")
}
