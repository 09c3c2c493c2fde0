//! `c1 explain`.

use std::io::Read;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use jiff::Timestamp;
use serde_json::json;
use tower_conductorone::testing::explain::{CapturedRequest, CheckVerdict, Explanation};
use tower_conductorone::testing::{Explainer, ManualClock};
use tower_conductorone::{RejectionKind, Tenant, VerifyWebhookBuilder, VerifyWebhookLayer};

use crate::output::{bad, faint, good, print, shown};
use crate::{BoxError, End, output, usage};

/// Explains, check by check, whether a receiver accepts captured requests, why not,
/// and what helps.
///
/// A file is a raw HTTP/1.1 request: request line, headers, empty line, body. Give
/// the receiver's settings: its public URL and its tenant. Checks that depend on an
/// omitted setting are "unknown". The output contains no token, signature or callback
/// URL. A token that is reused in a later file is detected.
#[derive(clap::Args)]
#[command(after_long_help = "\
Example:
  c1 explain request.txt --public-url https://hooks.example.com \\
      --tenant example.conductor.one --at 2024-04-17T00:02:05Z
  c1 explain first.txt second.txt --tenant example.conductor.one --jwks jwks.json

Exit codes: 0 all requests are accepted, 1 one is refused, 2 wrong usage, 3 a file
is not a request, or no check fails but some are unknown.")]
#[allow(clippy::doc_markdown, reason = "it is shown as plain text")]
pub(crate) struct Explain {
    /// The files with the requests; - reads stdin
    #[arg(required = true, value_name = "REQUEST_FILE")]
    files: Vec<PathBuf>,

    /// The receiver's public URL, such as https://hooks.example.com
    #[arg(long, value_name = "URL", env = "C1_PUBLIC_URL")]
    public_url: Option<String>,

    /// The domain of the tenant that the receiver accepts
    #[arg(long, value_name = "DOMAIN", env = "C1_TENANT")]
    tenant: Option<String>,

    /// The tenant's keys [default: https://TENANT/auth/v1/jwks]
    ///
    /// A JWKS file, or a URL with https, or with http and a loopback host.
    #[arg(long, value_name = "FILE|URL", requires = "tenant")]
    jwks: Option<String>,

    /// When the requests were received [default: now]
    ///
    /// Like 2024-04-17T00:02:00Z (RFC 3339), or in seconds since 1970.
    #[arg(long, value_name = "TIME", value_parser = moment)]
    at: Option<SystemTime>,

    /// Print a JSON line for each file
    #[arg(long)]
    json: bool,
}

impl Explain {
    pub(crate) async fn run(self) -> Result<End, BoxError> {
        let mut explainer = Explainer::new(self.receiver())
            .unwrap_or_else(|error| usage(output::with_causes(&error)));
        let mut end = End::Success;
        for file in &self.files {
            let name = file.display().to_string();
            let request = read(file)
                .and_then(|raw| Ok(CapturedRequest::parse(&raw)?))
                .map_err(|error| format!("{name}: {error}"))?;
            let explanation = explainer.explain(&request).await;
            if self.json {
                print(output::line(&line(&name, &explanation)))?;
            } else {
                if self.files.len() > 1 {
                    print(format!("{}:", shown(&name)))?;
                }
                print(coloured(&explanation) + "\n")?;
            }
            end = end.max(match explanation.rejection() {
                Some(_) => End::Failure,
                None if explanation.is_accepted() => End::Success,
                None => End::NoResult,
            });
        }
        Ok(end)
    }

    fn receiver(&self) -> VerifyWebhookBuilder {
        let now = self.at.unwrap_or_else(SystemTime::now);
        let mut receiver = VerifyWebhookLayer::builder()
            .clock(ManualClock::at(now))
            .dangerous_allow_http_on_loopback();
        if let Some(url) = &self.public_url {
            receiver = receiver.public_url(url);
        }
        if let Some(domain) = &self.tenant {
            let tenant = Tenant::new(domain);
            receiver = receiver.tenant(match &self.jwks {
                Some(url) if url.contains("://") => tenant.jwks_url(url),
                Some(file) => tenant.jwks_file(file),
                None => tenant,
            });
        }
        receiver
    }
}

fn read(file: &PathBuf) -> Result<Vec<u8>, BoxError> {
    if file.as_os_str() == "-" {
        let mut raw = Vec::new();
        std::io::stdin().read_to_end(&mut raw)?;
        return Ok(raw);
    }
    Ok(std::fs::read(file)?)
}

fn moment(text: &str) -> Result<SystemTime, String> {
    if let Ok(seconds) = text.parse() {
        return UNIX_EPOCH
            .checked_add(Duration::from_secs(seconds))
            .ok_or_else(|| "the time is out of range".into());
    }
    Timestamp::from_str(text)
        .and_then(SystemTime::try_from)
        .map_err(|_| "not a time such as 2024-04-17T00:02:00Z or 1713312120".into())
}

fn coloured(explanation: &Explanation) -> String {
    let text = explanation.to_string();
    let lines: Vec<_> = text
        .lines()
        .map(|line| match line.split_whitespace().next() {
            Some("FAILED" | "refused:") => bad(line),
            Some("ok" | "accepted") => good(line),
            Some("-") => faint(line),
            _ => line.to_owned(),
        })
        .collect();
    lines.join("\n")
}

fn line(file: &str, explanation: &Explanation) -> serde_json::Value {
    let checks: Vec<_> = explanation
        .checks()
        .map(|(check, verdict)| {
            let name = format!("{check:?}");
            let mut line = match verdict {
                CheckVerdict::Passed => json!({ "check": name, "verdict": "passed" }),
                CheckVerdict::Failed {
                    kind,
                    why,
                    remedies,
                    ..
                } => json!({
                    "check": name, "verdict": "failed", "code": kind.code(), "why": why,
                    "remedies": remedies,
                }),
                CheckVerdict::Unknown { why, .. } => {
                    json!({ "check": name, "verdict": "unknown", "why": why })
                }
                _ => json!({ "check": name, "verdict": "not reached" }),
            };
            line["number"] = check.number().into();
            line
        })
        .collect();
    json!({
        "file": file,
        "accepted": explanation.is_accepted(),
        "code": explanation.rejection().map(RejectionKind::code),
        "remarks": explanation.remarks(),
        "checks": checks,
    })
}
