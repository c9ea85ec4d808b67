//! How much memory a process has resident.

/// Bytes resident; `None` when the process is gone.
pub(crate) fn resident(pid: u32) -> Option<u64> {
    // A read of /proc never waits for a disk.
    let text = std::fs::read_to_string(format!("/proc/{pid}/statm")).ok()?;
    let pages: u64 = text.split_ascii_whitespace().nth(1)?.parse().ok()?;
    Some(pages * rustix::param::page_size() as u64)
}

#[cfg(test)]
mod tests {
    #[test]
    fn this_process_has_some() {
        let bytes = super::resident(std::process::id()).unwrap();
        assert!((1 << 20..1 << 40).contains(&bytes), "{bytes}");
        assert_eq!(super::resident(u32::MAX), None);
    }
}
