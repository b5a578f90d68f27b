//! Ctrl-C and its like.

use anyhow::Context;

/// Calls `act` at Ctrl-C and when the process is asked to end. A terminal that closes is no reason to end where the
/// process was started to outlive it, by `nohup`.
pub(super) fn on_interrupt(act: impl FnMut() + Send + 'static) -> anyhow::Result<()> {
    #[cfg(unix)]
    let outlives = ignores_hangup();
    ctrlc::set_handler(act).context("catching Ctrl-C")?;
    #[cfg(unix)]
    if outlives {
        // SAFETY: the call takes no memory.
        unsafe { libc::signal(libc::SIGHUP, libc::SIG_IGN) };
    }
    Ok(())
}

#[cfg(unix)]
fn ignores_hangup() -> bool {
    let mut now = std::mem::MaybeUninit::<libc::sigaction>::zeroed();
    // SAFETY: without a new action the call only writes the present one, into memory that is there for it; all zeroes is
    // one too.
    unsafe {
        libc::sigaction(libc::SIGHUP, std::ptr::null(), now.as_mut_ptr());
        now.assume_init().sa_sigaction == libc::SIG_IGN
    }
}
