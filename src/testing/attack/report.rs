//! What came of the attacks.

use std::fmt;
use std::time::Duration;

use http::StatusCode;

/// What has to come of an attack.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Expectation {
    /// A genuine request in a legal form: a 2xx status.
    Accepted,
    /// A 4xx status, but not 410.
    Refused,
    /// Genuine, but so odd that refusing it is fine, too.
    Either,
}

impl Expectation {
    fn as_str(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Refused => "refused",
            Self::Either => "either",
        }
    }
}

/// What came of an attack.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum AttackVerdict {
    /// What had to come.
    Passed,
    /// It was accepted, and must not be: a forgery gets through.
    Accepted,
    /// A genuine request was not accepted: deliveries are lost. (For an attack
    /// that repeats a genuine request, that one.)
    Refused,
    /// 410, after which ConductorOne gives the delivery up for good.
    Gone,
    /// A 5xx status: the receiver stumbles over what it is sent. (Also 503:
    /// with its keys at hand, nothing that it is sent is a trouble of its own.)
    ServerError,
    /// A status that says neither, such as a redirection.
    OddStatus,
    /// No answer within the time limit.
    Hung,
    /// The service panicked.
    Panicked,
    /// The connection ended without an answer, or the service failed with an
    /// error.
    NoAnswer,
    /// The answer has a piece of the token or of the callback URL.
    Leaked,
}

impl AttackVerdict {
    fn as_str(self) -> &'static str {
        match self {
            Self::Passed => "ok",
            Self::Accepted => "ACCEPTED",
            Self::Refused => "REFUSED",
            Self::Gone => "GONE",
            Self::ServerError => "SERVER ERROR",
            Self::OddStatus => "ODD STATUS",
            Self::Hung => "HUNG",
            Self::Panicked => "PANICKED",
            Self::NoAnswer => "NO ANSWER",
            Self::Leaked => "LEAKED",
        }
    }
}

/// One attack, and what came of it.
#[derive(Clone, Debug)]
pub struct AttackResult {
    pub(super) name: &'static str,
    pub(super) description: &'static str,
    pub(super) expected: Expectation,
    pub(super) status: Option<StatusCode>,
    pub(super) elapsed: Duration,
    pub(super) verdict: AttackVerdict,
}

impl AttackResult {
    /// The attack's name, such as `alg_none`.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// What is sent, in a sentence.
    #[must_use]
    pub fn description(&self) -> &'static str {
        self.description
    }

    /// What had to come of it.
    #[must_use]
    pub fn expected(&self) -> Expectation {
        self.expected
    }

    /// The status of the answer, if there was one.
    #[must_use]
    pub fn status(&self) -> Option<StatusCode> {
        self.status
    }

    /// How long it took, on tokio's clock.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        self.elapsed
    }

    /// What came of it.
    #[must_use]
    pub fn verdict(&self) -> AttackVerdict {
        self.verdict
    }
}

/// What came of all attacks. `Display` prints it as a table.
#[derive(Clone, Debug)]
pub struct AttackReport {
    results: Vec<AttackResult>,
}

impl AttackReport {
    pub(super) fn new(results: Vec<AttackResult>) -> Self {
        Self { results }
    }

    /// Every attack, in the order in which they were fired.
    #[must_use]
    pub fn results(&self) -> &[AttackResult] {
        &self.results
    }

    /// The attacks that the receiver did not stand.
    pub fn failures(&self) -> impl Iterator<Item = &AttackResult> {
        let mut results = self.results.iter();
        std::iter::from_fn(move || results.find(|result| result.verdict != AttackVerdict::Passed))
    }

    /// Whether the receiver stood all of them.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.failures().next().is_none()
    }

    /// Fails a test unless the receiver stood all attacks.
    ///
    /// # Panics
    /// If it did not, with the report as the message.
    #[track_caller]
    pub fn assert_clean(&self) {
        assert!(self.is_clean(), "{self}");
    }
}

/// The attacks that the receiver did not stand come last, where a terminal
/// shows them.
impl fmt::Display for AttackReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = self.results.iter().map(|result| result.name.len());
        let width = names.max().unwrap_or_default();
        writeln!(
            f,
            "result        {:<width$}  expected  status     time",
            "attack"
        )?;
        let passed = |result: &&AttackResult| result.verdict == AttackVerdict::Passed;
        for result in self.results.iter().filter(passed).chain(self.failures()) {
            let verdict = result.verdict.as_str();
            let expected = result.expected.as_str();
            let status = match &result.status {
                Some(status) => status.as_str(),
                None => "-",
            };
            let time = result.elapsed.as_millis();
            write!(
                f,
                "{verdict:<12}  {:<width$}  {expected:<8}  {status:<6}  {time:>4} ms",
                result.name
            )?;
            if result.verdict != AttackVerdict::Passed {
                write!(f, "  {}", result.description)?;
            }
            writeln!(f)?;
        }
        let (all, failed) = (self.results.len(), self.failures().count());
        write!(f, "{all} attacks: {} stood, {failed} not", all - failed)
    }
}
