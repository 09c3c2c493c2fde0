//! Why a delivery failed, and what to do about it.

use http::StatusCode;
use serde_json::Value;
use tower_conductorone::RejectionKind;

use crate::End;

/// The longest code that is shown: those of the layer are shorter.
const MAX_CODE: usize = 64;

/// Why a delivery failed.
#[derive(Clone, Debug)]
pub(crate) struct Failure {
    pub(crate) end: End,
    /// The code in the receiver's problem details.
    pub(crate) code: Option<String>,
    pub(crate) why: String,
    pub(crate) remedy: String,
}

impl Failure {
    pub(crate) fn new(end: End, why: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self {
            end,
            code: None,
            why: why.into(),
            remedy: remedy.into(),
        }
    }

    /// The receiver did not answer.
    pub(crate) fn no_answer(trouble: &Trouble) -> Self {
        Self::new(End::NoResult, &*trouble.what, trouble.remedy)
    }

    /// The receiver took the delivery, but `ConductorOne` cannot use its document.
    pub(crate) fn unusable(why: impl Into<String>) -> Self {
        let remedy = RejectionKind::UnusableResponse.remedy();
        Self::new(End::Failure, why, remedy)
    }

    /// The receiver took the delivery, and did not post its document.
    pub(crate) fn no_callback(seconds: u64) -> Self {
        Self::new(
            End::Failure,
            format!("202, but no callback within {seconds} s"),
            "post the document to the delivery's callback URL, within its time-out; \
             a refused callback is answered 400 with the reason",
        )
    }

    /// The receiver answered with this status, which is no success.
    pub(crate) fn refused(status: StatusCode, body: &[u8], sent: &Sent<'_>) -> Self {
        if status == StatusCode::GONE {
            let why = "410: ConductorOne does not retry";
            let remedy = "answer a failure that may pass with 503: 410 ends the delivery for good";
            return Self::new(End::Failure, why, remedy);
        }
        let Some(code) = code(body) else {
            let (why, remedy) = by_status(status);
            return Self::new(End::Failure, format!("{status}{why}"), remedy);
        };
        let kind = RejectionKind::ALL.iter().find(|kind| kind.code() == code);
        let remedy = match kind {
            _ if code == "invalid_token" => sent.token_remedy(),
            Some(RejectionKind::NoCallback) => format!(
                "allow callbacks to {} with CallbackClientBuilder::origin (the example receiver: \
                 --callback-origin)",
                sent.callbacks
            ),
            Some(kind) => kind.remedy().into(),
            None => "look up the code in the receiver's log".into(),
        };
        Self {
            code: Some(code),
            ..Self::new(
                End::Failure,
                format!("{status}; the receiver's log says why"),
                remedy,
            )
        }
    }
}

/// No answer came.
#[derive(Clone, Debug)]
pub(crate) struct Trouble {
    pub(crate) what: String,
    pub(crate) remedy: &'static str,
}

/// What a receiver has to know of the tenant.
pub(crate) struct Sent<'a> {
    pub(crate) tenant: &'a str,
    /// The URL that the token is for.
    pub(crate) target: &'a str,
    /// The origin of the callback URL.
    pub(crate) callbacks: &'a str,
    /// Nobody has fetched the tenant's keys at this URL yet.
    pub(crate) unfetched: Option<String>,
}

impl Sent<'_> {
    /// The remedy if a token is refused: the answer does not say for which fault, lest a
    /// forger learn from it.
    fn token_remedy(&self) -> String {
        let Self { tenant, target, .. } = self;
        let keys = match &self.unfetched {
            Some(url) => format!(
                "nobody has fetched this tenant's keys: is the receiver's JWKS URL {url}? Then "
            ),
            None => String::new(),
        };
        format!(
            "{keys}find the check in the receiver's log; the token is from the tenant {tenant}, \
             for {target}: compare both with the receiver's tenants and public URL, and its clock \
             with the time"
        )
    }
}

/// The code of the layer's answer: it logs each of its problem details.
fn code(body: &[u8]) -> Option<String> {
    let body: Value = serde_json::from_slice(body).ok()?;
    let code = body["code"].as_str().filter(|_| body["title"].is_string());
    Some(code?.chars().take(MAX_CODE).collect())
}

/// Of an answer that is not the layer's.
fn by_status(status: StatusCode) -> (&'static str, &'static str) {
    match status {
        StatusCode::NOT_FOUND => (
            ": does the webhook have another path?",
            "compare the path of the URL with the receiver's route",
        ),
        _ if status.is_redirection() => (
            "",
            "give the webhook the final URL: ConductorOne retries after a redirect",
        ),
        _ => (
            "",
            "the layer did not answer this: look into the log of the handler, or of a proxy before it",
        ),
    }
}
