//! The wait for replicas, and the switch with which a test shows what it is good for.

#[cfg(feature = "negative-controls")]
mod switch {
    use std::sync::atomic::{AtomicBool, Ordering};

    static OFF: AtomicBool = AtomicBool::new(false);

    /// Answers before replicas have confirmed, in this whole process. For a test that has to
    /// see its checker find what is lost then.
    pub fn switch_off(off: bool) {
        OFF.store(off, Ordering::Relaxed);
    }

    pub(crate) fn is_off() -> bool {
        OFF.load(Ordering::Relaxed)
    }
}

#[cfg(feature = "negative-controls")]
pub(crate) use switch::is_off;
#[cfg(feature = "negative-controls")]
pub use switch::switch_off;

#[cfg(not(feature = "negative-controls"))]
pub(crate) fn is_off() -> bool {
    false
}
