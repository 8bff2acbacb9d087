//! What carries the place of work in its trace from one process to the next, and the switch
//! with which a test shows what each of them is good for.

/// A border that a trace crosses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Carrier {
    /// Metadata of gRPC calls.
    Metadata,
    /// Tasks, as they are handed to whoever leases them.
    Tasks,
    /// What is recorded of a run with its journal.
    Journals,
}

impl Carrier {
    /// What is handed on here: the whole context, unless a test has it taken away.
    pub fn hand_on<T>(self, context: Option<T>) -> Option<T> {
        context.filter(|_| !self.is_cut())
    }

    /// In builds for tests, the environment says at which border traces are lost: a negative
    /// control for the check that traces are whole.
    #[cfg(debug_assertions)]
    fn is_cut(self) -> bool {
        use std::sync::LazyLock;
        static CUT: LazyLock<Option<String>> =
            LazyLock::new(|| std::env::var("BATON_CUT_TRACE").ok());
        let name = match self {
            Self::Metadata => "metadata",
            Self::Tasks => "tasks",
            Self::Journals => "journals",
        };
        CUT.as_deref() == Some(name)
    }

    #[cfg(not(debug_assertions))]
    fn is_cut(self) -> bool {
        false
    }
}
