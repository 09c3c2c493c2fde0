//! Ids like those of ConductorOne.

/// Something new each time that looks like a KSUID: 27 base62 digits.
pub(super) fn ksuid() -> String {
    std::iter::repeat_with(fastrand::alphanumeric)
        .take(27)
        .collect()
}
