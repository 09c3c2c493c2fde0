use std::error::Error;
use std::fmt;

use crate::keys::KeysUnavailable;

/// The keys of one or several tenants could not be loaded.
///
/// `Display` lists every tenant with its cause, on one line.
#[derive(Clone, Debug)]
pub struct TenantKeysError {
    failures: Vec<(String, KeysUnavailable)>,
}

impl TenantKeysError {
    pub(super) fn check(
        failures: impl Iterator<Item = (String, KeysUnavailable)>,
    ) -> Result<(), Self> {
        let mut failures: Vec<_> = failures.collect();
        failures.sort_by(|(one, _), (other, _)| one.cmp(other));
        if failures.is_empty() {
            Ok(())
        } else {
            Err(Self { failures })
        }
    }

    /// Each tenant whose keys could not be loaded, by its domain, with the cause;
    /// in the order of the domains.
    pub fn tenants(&self) -> impl Iterator<Item = (&str, &KeysUnavailable)> {
        let failures = self.failures.iter();
        failures.map(|(domain, cause)| (domain.as_str(), cause))
    }
}

impl fmt::Display for TenantKeysError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("cannot load the keys of ")?;
        for (i, (domain, cause)) in self.tenants().enumerate() {
            let separator = if i == 0 { "" } else { "; of " };
            write!(f, "{separator}{domain}: {}", cause.reason())?;
        }
        Ok(())
    }
}

impl Error for TenantKeysError {}
