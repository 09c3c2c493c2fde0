//! What another process takes, as Linux tells it.

use std::fs;
use std::time::Duration;

/// In MB of 1,048,576 bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Memory {
    /// `VmRSS`: what it has now.
    pub(crate) now: f64,
    /// `VmHWM`: the most that it ever had.
    pub(crate) peak: f64,
}

pub(crate) fn memory(process: u32) -> Option<Memory> {
    let status = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let field = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name))?;
        let kilobytes: f64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
        Some(kilobytes / 1024.0)
    };
    Some(Memory {
        now: field("VmRSS:")?,
        peak: field("VmHWM:")?,
    })
}

/// The time that the process's first thread ran on a processor. (`stat` has that of all
/// threads, but only in hundredths of a second.)
pub(crate) fn cpu(process: u32) -> Option<Duration> {
    let times = fs::read_to_string(format!("/proc/{process}/schedstat")).ok()?;
    let nanoseconds = times.split_whitespace().next()?.parse().ok()?;
    Some(Duration::from_nanos(nanoseconds))
}

/// Microseconds for each of so many requests.
pub(crate) fn cpu_each(
    before: Option<Duration>,
    after: Option<Duration>,
    requests: usize,
) -> Option<f64> {
    let requests = u32::try_from(requests).ok()?;
    Some(after?.checked_sub(before?)?.as_secs_f64() * 1e6 / f64::from(requests))
}
