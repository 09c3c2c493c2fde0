use std::collections::HashSet;
use std::fmt;

use crate::rejection::RejectionKind;
use crate::verify::Check;

/// What a receiver makes of a request, check by check.
///
/// Its `Display` is for a person to read, several lines long.
#[derive(Clone, Debug)]
pub struct Explanation {
    pub(super) request: String,
    pub(super) token: Option<String>,
    pub(super) remarks: Vec<String>,
    pub(super) checks: Vec<(Check, CheckVerdict)>,
}

/// What became of a check.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CheckVerdict {
    /// All is well.
    Passed,
    /// The receiver refuses the request.
    #[non_exhaustive]
    Failed {
        /// As the layer says it.
        kind: RejectionKind,
        /// What was expected and what came.
        why: String,
        /// What may have happened, and what would help.
        remedies: Vec<String>,
    },
    /// What is known of the receiver is not enough to say.
    #[non_exhaustive]
    Unknown {
        /// What would have to be known.
        why: String,
    },
    /// There is nothing to judge, since something before it is not as it
    /// should be.
    NotReached,
}

impl CheckVerdict {
    /// Whether the receiver refuses the request for it.
    #[must_use]
    pub fn is_failed(&self) -> bool {
        matches!(self, Self::Failed { .. })
    }
}

impl Explanation {
    /// Whether every check has passed: the layer accepts the request.
    #[must_use]
    pub fn is_accepted(&self) -> bool {
        self.checks
            .iter()
            .all(|(_, verdict)| *verdict == CheckVerdict::Passed)
    }

    /// Why the layer refuses the request: the first check that fails says so.
    /// `None` also if none fails but something is unknown.
    #[must_use]
    pub fn rejection(&self) -> Option<RejectionKind> {
        self.checks.iter().find_map(|(_, verdict)| match verdict {
            CheckVerdict::Failed { kind, .. } => Some(*kind),
            _ => None,
        })
    }

    /// All checks, in the layer's order.
    pub fn checks(&self) -> impl Iterator<Item = (Check, &CheckVerdict)> {
        self.checks.iter().map(|(check, verdict)| (*check, verdict))
    }

    /// What is to be said of the capture itself.
    #[must_use]
    pub fn remarks(&self) -> &[String] {
        &self.remarks
    }
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.request)?;
        if let Some(token) = &self.token {
            writeln!(f, "{token}")?;
        }
        for remark in &self.remarks {
            writeln!(f, "note: {remark}")?;
        }
        let mut told = HashSet::new();
        for (check, verdict) in &self.checks {
            match verdict {
                CheckVerdict::Passed => writeln!(f, "  ok       {check}")?,
                CheckVerdict::Failed {
                    kind,
                    why,
                    remedies,
                } => {
                    writeln!(f, "  FAILED   {check} [{}]", kind.code())?;
                    if !why.is_empty() {
                        writeln!(f, "           {why}")?;
                    }
                    // Audience and URL often fail for one reason.
                    for remedy in remedies.iter().filter(|remedy| told.insert(*remedy)) {
                        writeln!(f, "           -> {remedy}")?;
                    }
                }
                CheckVerdict::Unknown { why } => {
                    writeln!(f, "  unknown  {check}\n           {why}")?;
                }
                CheckVerdict::NotReached => writeln!(f, "  -        {check}: nothing to judge")?,
            }
        }
        match self.rejection() {
            Some(kind) => write!(f, "refused: {} ({})", kind.status(), kind.code()),
            None if self.is_accepted() => f.write_str("accepted"),
            None => f.write_str("nothing is wrong so far, but not all is known"),
        }
    }
}
