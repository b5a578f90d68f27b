//! How much memory there is, and how much this process has taken.

use sysinfo::{MemoryRefreshKind, System};

/// Bytes of main memory that a process may use: the machine's, or its container's; `None` where the system does not say.
pub fn main_memory_bytes() -> Option<u64> {
    let mut system = System::new();
    system.refresh_memory_specifics(MemoryRefreshKind::nothing().with_ram());
    let container = system.cgroup_limits().map_or(u64::MAX, |limits| limits.total_memory);
    Some(system.total_memory().min(container)).filter(|bytes| *bytes > 0)
}

/// The most main memory that the process has held at once, in bytes; `None` where the system does not say.
#[cfg(target_os = "linux")]
pub fn peak_memory_bytes() -> Option<u64> {
    // Not getrusage: its peak is inherited from the process that started this one.
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let kibibytes = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?.trim().strip_suffix("kB")?;
    kibibytes.trim().parse::<u64>().ok().map(|kibibytes| kibibytes * 1024)
}

/// The most main memory that the process has held at once, in bytes; `None` where the system does not say.
#[cfg(all(unix, not(target_os = "linux")))]
pub fn peak_memory_bytes() -> Option<u64> {
    // SAFETY: the struct is plain numbers, for which zeros are valid, and the call writes no further than its size.
    let usage = unsafe {
        let mut usage: libc::rusage = std::mem::zeroed();
        (libc::getrusage(libc::RUSAGE_SELF, &raw mut usage) == 0).then_some(usage)
    }?;
    // Apple counts bytes, the others 1024 of them.
    let unit = if cfg!(target_vendor = "apple") { 1 } else { 1024 };
    u64::try_from(usage.ru_maxrss).ok().map(|peak| peak * unit)
}

/// The most main memory that the process has held at once, in bytes; `None` where the system does not say.
#[cfg(windows)]
pub fn peak_memory_bytes() -> Option<u64> {
    use windows_sys::Win32::System::ProcessStatus::{K32GetProcessMemoryInfo, PROCESS_MEMORY_COUNTERS};
    use windows_sys::Win32::System::Threading::GetCurrentProcess;
    let mut counters = PROCESS_MEMORY_COUNTERS::default();
    counters.cb = size_of::<PROCESS_MEMORY_COUNTERS>() as u32;
    // SAFETY: the handle of the own process is always valid, and the call writes no further than `cb`.
    let succeeded = unsafe { K32GetProcessMemoryInfo(GetCurrentProcess(), &raw mut counters, counters.cb) };
    (succeeded != 0).then_some(counters.PeakWorkingSetSize as u64)
}

/// The most main memory that the process has held at once, in bytes; `None` where the system does not say.
#[cfg(not(any(unix, windows)))]
pub fn peak_memory_bytes() -> Option<u64> {
    None
}

#[cfg(test)]
#[cfg(any(unix, windows))]
mod tests {
    use super::*;

    #[test]
    fn the_process_has_taken_less_than_there_is() {
        let all = main_memory_bytes().unwrap();
        assert!(all > peak_memory_bytes().unwrap() && all < 1 << 50, "{all}");
    }

    #[test]
    fn the_peak_grows_with_what_is_touched() {
        let before = peak_memory_bytes().unwrap();
        let max = 4 << 40;
        assert!((1 << 20..max).contains(&before), "{before}");
        // Other tests may have reached as much already: it grows to at least what this one holds, or was above it.
        let block = vec![1_u8; 64 << 20];
        assert!(std::hint::black_box(&block).iter().all(|&byte| byte == 1));
        assert!(peak_memory_bytes().unwrap() >= before.max(64 << 20));
    }
}
