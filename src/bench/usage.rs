//! What a process uses, as Linux tells it; none elsewhere, and of one that is gone.

/// Resident memory, in MiB.
pub(super) fn memory_mib(id: u32) -> Option<f64> {
    let status = std::fs::read_to_string(format!("/proc/{id}/status")).ok()?;
    let line = status.lines().find(|line| line.starts_with("VmRSS:"))?;
    let kib: f64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kib / 1024.0)
}

/// CPU time of all its threads so far, in seconds.
pub(super) fn cpu_seconds(id: u32) -> Option<f64> {
    let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
    // The name in parentheses may hold anything. After it, the 12th and 13th
    // fields are the ticks as itself and in the kernel.
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_whitespace().skip(11);
    let mut ticks = || fields.next()?.parse::<f64>().ok();
    let per_second = u32::try_from(rustix::param::clock_ticks_per_second()).ok()?;
    Some((ticks()? + ticks()?) / f64::from(per_second))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(target_os = "linux")]
    fn this_process_uses_something_and_none_is_told_of_nobody() {
        let id = std::process::id();
        assert!(memory_mib(id).unwrap() > 1.0);
        assert!(cpu_seconds(id).is_some());
        assert_eq!(memory_mib(u32::MAX), None);
        assert_eq!(cpu_seconds(u32::MAX), None);
    }
}
