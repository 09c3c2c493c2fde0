use std::collections::HashSet;
use std::fmt;

use crate::rejection::RejectionKind;
use crate::verify::Check;

/// The receiver's verdict on a request, check by check.
///
/// Its `Display` is text for a person, of several lines.
#[derive(Clone, Debug)]
pub struct Explanation {
    pub(super) request: String,
    pub(super) token: Option<String>,
    pub(super) remarks: Vec<String>,
    pub(super) checks: Vec<(Check, CheckVerdict)>,
}

/// The verdict of one check.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CheckVerdict {
    /// The request passes the check.
    Passed,
    /// The receiver refuses the request.
    #[non_exhaustive]
    Failed {
        /// The layer's rejection.
        kind: RejectionKind,
        /// The expected and the actual value.
        why: String,
        /// Likely causes and remedies.
        remedies: Vec<String>,
    },
    /// The known settings of the receiver do not suffice for a verdict.
    #[non_exhaustive]
    Unknown {
        /// The missing settings.
        why: String,
    },
    /// An earlier failure left nothing to check.
    NotReached,
}

impl CheckVerdict {
    /// Whether the check failed, so that the receiver refuses the request.
    #[must_use]
    pub fn is_failed(&self) -> bool {
        matches!(self, Self::Failed { .. })
    }
}

impl Explanation {
    /// Whether every check passed, so that the layer accepts the request.
    #[must_use]
    pub fn is_accepted(&self) -> bool {
        self.checks
            .iter()
            .all(|(_, verdict)| *verdict == CheckVerdict::Passed)
    }

    /// The layer's rejection: that of the first check that fails. `None` if no check
    /// fails, even if one is unknown.
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

    /// Remarks on the capture itself.
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
                CheckVerdict::NotReached => writeln!(f, "  -        {check}: not reached")?,
            }
        }
        match self.rejection() {
            Some(kind) => write!(f, "refused: {} ({})", kind.status(), kind.code()),
            None if self.is_accepted() => f.write_str("accepted"),
            None => f.write_str("undecided: no check fails, but some are unknown"),
        }
    }
}
