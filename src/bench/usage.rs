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
    let [own, kernel, _, _] = ticks(id)?;
    Some((own + kernel) / per_second()?)
}

/// The same, with that of the processes that it has started and that have ended.
pub(super) fn cpu_seconds_with_ended(id: u32) -> Option<f64> {
    Some(ticks(id)?.iter().sum::<f64>() / per_second()?)
}

/// CPU time of the whole machine so far, in seconds: whatever was not idle.
pub(super) fn machine_seconds() -> Option<f64> {
    let stat = std::fs::read_to_string("/proc/stat").ok()?;
    let all = stat.lines().next()?.strip_prefix("cpu ")?;
    let ticks: Vec<f64> = all
        .split_whitespace()
        .filter_map(|ticks| ticks.parse().ok())
        .collect();
    // user, nice, system, idle, iowait, irq, softirq, steal; guests are in the first.
    let busy = [0, 1, 2, 5, 6].iter().filter_map(|index| ticks.get(*index));
    Some(busy.sum::<f64>() / per_second()?)
}

/// As itself and in the kernel; then the same of its children that have ended.
fn ticks(id: u32) -> Option<[f64; 4]> {
    let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
    // The name in parentheses may hold anything. After it, they are the 12th to 15th.
    let (_, fields) = stat.rsplit_once(')')?;
    let fields = fields.split_whitespace().skip(11).take(4);
    let ticks: Vec<f64> = fields.filter_map(|ticks| ticks.parse().ok()).collect();
    ticks.try_into().ok()
}

fn per_second() -> Option<f64> {
    let ticks = u32::try_from(rustix::param::clock_ticks_per_second()).ok()?;
    Some(f64::from(ticks))
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
        assert!(cpu_seconds_with_ended(id) >= cpu_seconds(id));
        assert!(machine_seconds() >= cpu_seconds(id));
        assert_eq!(memory_mib(u32::MAX), None);
        assert_eq!(cpu_seconds(u32::MAX), None);
    }
}
