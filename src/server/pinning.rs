//! Workers that keep to one core each.
//! Invariant: a server that was told its cores either has each worker on its own, or does not run.

use super::error::BuildError;
use std::io;

/// Checks that there is a core for each worker and that this process may run on it. No cores at
/// all: the workers run wherever the system puts them.
pub(super) fn check(cores: &[usize], workers: usize) -> Result<(), BuildError> {
    if cores.is_empty() {
        return Ok(());
    }
    if cores.len() < workers {
        return Err(BuildError::TooFewCores { cores: cores.len(), workers });
    }
    let allowed: Vec<usize> =
        core_affinity::get_core_ids().unwrap_or_default().iter().map(|core| core.id).collect();
    match cores.iter().take(workers).find(|core| !allowed.contains(core)) {
        Some(core) => Err(BuildError::NoSuchCore { core: *core, allowed }),
        None => Ok(()),
    }
}

/// Keeps this thread to a core.
///
/// # Errors
/// The system does not let it: its cores have become others since they were checked.
pub(super) fn pin_to(core: usize) -> io::Result<()> {
    if core_affinity::set_for_current(core_affinity::CoreId { id: core }) {
        return Ok(());
    }
    Err(io::Error::other(format!("a worker cannot be kept to core {core}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cores_that_are_not_there_are_refused() {
        assert!(check(&[], 3).is_ok());
        let allowed: Vec<usize> =
            core_affinity::get_core_ids().unwrap().iter().map(|core| core.id).collect();
        assert!(check(&allowed, 1).is_ok());
        let text = check(&allowed, allowed.len() + 1).unwrap_err().to_string();
        assert!(text.ends_with("which need one each"), "{text}");
        let text = check(&[9999], 1).unwrap_err().to_string();
        assert!(text.starts_with("core 9999 is not one that this process may run on ("), "{text}");
        // Only the first is used.
        assert!(check(&[allowed[0], 9999], 1).is_ok());
    }

    #[test]
    fn a_pinned_thread_has_no_other_core() {
        let thread = std::thread::spawn(|| {
            let core = core_affinity::get_core_ids().unwrap()[0];
            pin_to(core.id).unwrap();
            core_affinity::get_core_ids().unwrap() == [core]
        });
        assert!(thread.join().unwrap());
    }
}
