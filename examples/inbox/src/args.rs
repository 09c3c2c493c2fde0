//! The flags, and what is made of them.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Parser;
use tower_conductorone::callback::CallbackClient;
use tower_conductorone::{Tenant, VerifyWebhookLayer};

use crate::BoxError;

/// Receives ConductorOne webhooks, answers 202, and works from a job queue.
///
/// POST /webhooks takes the webhooks. The log goes to stderr.
#[derive(Parser)]
#[command(name = "inbox", version)]
#[allow(clippy::doc_markdown, reason = "it is shown as plain text")]
pub(crate) struct Args {
    /// Where to listen; port 0 takes a free one, which the log names
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:3000")]
    pub(crate) listen: SocketAddr,

    /// What ConductorOne calls, such as https://hooks.example.com
    #[arg(long, value_name = "URL")]
    public_url: String,

    /// A tenant whose webhooks are accepted, such as example.conductor.one
    #[arg(long = "tenant", value_name = "DOMAIN", required = true)]
    tenants: Vec<String>,

    /// Where a tenant's keys are, if not at https://TENANT/auth/v1/jwks
    ///
    /// TENANT= may be left out if there is one tenant. An http:// URL is for a
    /// loopback host only.
    #[arg(long = "jwks-url", value_name = "[TENANT=]URL")]
    jwks_urls: Vec<String>,

    /// Where a tenant's callback URLs may lead, if not to its own domain
    ///
    /// TENANT= may be left out if there is one tenant. An http:// URL is for a
    /// loopback host only.
    #[arg(long = "callback-origin", value_name = "[TENANT=]URL")]
    callback_origins: Vec<String>,

    /// The SQLite file in which the jobs are kept; made if it is not there
    #[arg(long, value_name = "PATH")]
    pub(crate) database: PathBuf,

    /// How long the work takes
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) work_ms: u64,
}

impl Args {
    pub(crate) fn verify_layer(&self) -> Result<VerifyWebhookLayer, BoxError> {
        let jwks_urls = self.by_tenant("--jwks-url", &self.jwks_urls)?;
        let mut builder = VerifyWebhookLayer::builder().public_url(&self.public_url);
        for domain in &self.tenants {
            let mut tenant = Tenant::new(domain);
            for (_, url) in jwks_urls.iter().filter(|(of, _)| of == domain) {
                tenant = tenant.jwks_url(*url);
            }
            builder = builder.tenant(tenant);
        }
        if jwks_urls.iter().any(|(_, url)| url.starts_with("http://")) {
            builder = builder.dangerous_allow_http_on_loopback();
        }
        Ok(builder.build()?)
    }

    pub(crate) fn callback_client(&self) -> Result<CallbackClient, BoxError> {
        let mut builder = CallbackClient::builder();
        for (tenant, url) in self.by_tenant("--callback-origin", &self.callback_origins)? {
            if url.starts_with("http://") {
                builder = builder.dangerous_allow_http_on_loopback();
            }
            builder = builder.origin(tenant, url);
        }
        Ok(builder.build()?)
    }

    /// Whose URL each is.
    fn by_tenant<'a>(
        &'a self,
        flag: &str,
        texts: &'a [String],
    ) -> Result<Vec<(&'a str, &'a str)>, BoxError> {
        let whose = |text: &'a String| match text.split_once('=') {
            Some((tenant, url)) if !tenant.contains("://") => {
                if !self.tenants.iter().any(|known| known == tenant) {
                    return Err(format!("{flag} {text}: no --tenant is {tenant}").into());
                }
                Ok((tenant, url))
            }
            _ => match self.tenants.as_slice() {
                [tenant] => Ok((tenant.as_str(), text.as_str())),
                _ => Err(format!(
                    "{flag} {text}: there are several tenants, write {flag} TENANT={text}"
                )
                .into()),
            },
        };
        texts.iter().map(whose).collect()
    }
}
