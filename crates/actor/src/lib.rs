//! Supervised tasks with bounded mailboxes.
//!
//! No domain in here, and no clock but tokio's, which tests can pause. Why this is not
//! an actor library is decided in `docs/adr/0003-actors-on-plain-tokio.md`.
//!
//! Requests flow down a tree of actors through [`mailbox`]es and replies come back
//! through the request itself; nobody awaits a parent, so bounded queues cannot deadlock.

mod budget;
mod failure;
mod mailbox;
mod supervisor;

pub use budget::RestartBudget;
pub use failure::{Escalation, Failure};
pub use mailbox::{Address, AskError, Mailbox, Reply, TellError, mailbox};
pub use supervisor::Supervisor;
