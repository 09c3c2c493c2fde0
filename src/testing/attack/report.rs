//! The results of attacks.

use std::fmt;
use std::time::Duration;

use http::StatusCode;

/// The right answer to an attack.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Expectation {
    /// A genuine request in a legal form: a 2xx status.
    Accepted,
    /// A 4xx status, but not 410.
    Refused,
    /// 2xx or 4xx but not 410: the request is genuine, but unusual.
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

/// The verdict on the answer to an attack.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum AttackVerdict {
    /// The answer is right.
    Passed,
    /// The receiver accepted a forgery.
    Accepted,
    /// The receiver refused a genuine request, so it loses deliveries. For an attack
    /// that repeats a genuine request: it refused the first.
    Refused,
    /// 410, after which ConductorOne gives the delivery up.
    Gone,
    /// A 5xx status: the request causes an error in the receiver. This includes 503,
    /// as no attack makes its keys or stores unavailable.
    ServerError,
    /// A status that neither accepts nor refuses, such as a redirect.
    UnexpectedStatus,
    /// No answer within the time limit.
    Hung,
    /// The service panicked.
    Panicked,
    /// The connection ended without an answer, or the service failed with an
    /// error.
    NoAnswer,
    /// The answer contains a part of the token or of the callback URL.
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
            Self::UnexpectedStatus => "BAD STATUS",
            Self::Hung => "HUNG",
            Self::Panicked => "PANICKED",
            Self::NoAnswer => "NO ANSWER",
            Self::Leaked => "LEAKED",
        }
    }
}

/// One attack and its result.
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

    /// A description of the request, in one sentence.
    #[must_use]
    pub fn description(&self) -> &'static str {
        self.description
    }

    /// The right answer.
    #[must_use]
    pub fn expected(&self) -> Expectation {
        self.expected
    }

    /// The status of the answer, if any.
    #[must_use]
    pub fn status(&self) -> Option<StatusCode> {
        self.status
    }

    /// How long the answer took, on tokio's clock.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        self.elapsed
    }

    /// The verdict on the answer.
    #[must_use]
    pub fn verdict(&self) -> AttackVerdict {
        self.verdict
    }
}

/// The results of all attacks. `Display` prints a table.
#[derive(Clone, Debug)]
pub struct AttackReport {
    results: Vec<AttackResult>,
}

impl AttackReport {
    pub(super) fn new(results: Vec<AttackResult>) -> Self {
        Self { results }
    }

    /// Every attack, in the order of firing.
    #[must_use]
    pub fn results(&self) -> &[AttackResult] {
        &self.results
    }

    /// The attacks that did not pass.
    pub fn failures(&self) -> impl Iterator<Item = &AttackResult> {
        let mut results = self.results.iter();
        std::iter::from_fn(move || results.find(|result| result.verdict != AttackVerdict::Passed))
    }

    /// Whether all attacks passed.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.failures().next().is_none()
    }

    /// Fails a test unless all attacks passed.
    ///
    /// # Panics
    /// If an attack did not pass, with the report as the message.
    #[track_caller]
    pub fn assert_clean(&self) {
        assert!(self.is_clean(), "{self}");
    }
}

/// The attacks that did not pass come last, where a terminal shows them.
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
        write!(f, "{all} attacks: {} passed, {failed} failed", all - failed)
    }
}
