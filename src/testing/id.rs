//! Ids in ConductorOne's form.

/// A new random id in the form of a KSUID: 27 base62 digits.
pub(super) fn ksuid() -> String {
    std::iter::repeat_with(fastrand::alphanumeric)
        .take(27)
        .collect()
}
