//! Bounded queues of messages to an actor.

use std::{fmt, sync::Arc};
use tokio::sync::{Mutex, mpsc, oneshot};

/// Where an actor sends its answer; dropping it tells the asker that none will come.
pub type Reply<R> = oneshot::Sender<R>;

/// Where messages to an actor are put. Cheap to clone.
pub struct Address<M>(mpsc::Sender<M>);

/// Where an actor takes its messages from. A clone shares the queue, so that an actor
/// that is started again goes on with the messages its predecessor left.
pub struct Mailbox<M>(Arc<Mutex<mpsc::Receiver<M>>>);

/// Why a message was not delivered; it comes back.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TellError<M> {
    /// The actor is behind; tell it later, or tell the caller to come again later.
    #[error("the mailbox is full")]
    Full(M),
    /// The actor is gone for good.
    #[error("the actor has stopped")]
    Stopped(M),
}

/// Why a question has no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AskError {
    /// The actor is behind; the question did not reach it.
    #[error("the mailbox is full")]
    Full,
    /// The actor is gone for good; the question did not reach it.
    #[error("the actor has stopped")]
    Stopped,
    /// The actor took the question and failed or stopped; it may have acted on it.
    #[error("the actor dropped the question")]
    Dropped,
}

impl AskError {
    /// Whether the same question can be asked later without being answered twice.
    pub fn is_retryable(self) -> bool {
        match self {
            Self::Full => true,
            Self::Stopped | Self::Dropped => false,
        }
    }
}

/// A queue for at most `capacity` messages, at least one.
pub fn mailbox<M>(capacity: usize) -> (Address<M>, Mailbox<M>) {
    let (sender, receiver) = mpsc::channel(capacity.max(1));
    (Address(sender), Mailbox(Arc::new(Mutex::new(receiver))))
}

impl<M> Address<M> {
    /// Puts a message into the mailbox, or gives it back at once: never waits.
    pub fn try_tell(&self, message: M) -> Result<(), TellError<M>> {
        self.0.try_send(message).map_err(|error| match error {
            mpsc::error::TrySendError::Full(message) => TellError::Full(message),
            mpsc::error::TrySendError::Closed(message) => TellError::Stopped(message),
        })
    }

    /// Puts a question into the mailbox and waits for its answer. `question` makes the
    /// message out of where the answer goes. A full mailbox refuses at once.
    pub async fn ask<R>(&self, question: impl FnOnce(Reply<R>) -> M) -> Result<R, AskError> {
        let (reply, answer) = oneshot::channel();
        match self.try_tell(question(reply)) {
            Ok(()) => answer.await.map_err(|_| AskError::Dropped),
            Err(TellError::Full(_)) => Err(AskError::Full),
            Err(TellError::Stopped(_)) => Err(AskError::Stopped),
        }
    }
}

impl<M> Mailbox<M> {
    /// The oldest message; nothing once every address is gone and the queue is empty.
    /// Giving up waiting loses no message.
    pub async fn next(&self) -> Option<M> {
        self.0.lock().await.recv().await
    }
}

impl<M> Clone for Address<M> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<M> Clone for Mailbox<M> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<M> fmt::Debug for Address<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Address({} free of {})", self.0.capacity(), self.0.max_capacity())
    }
}

impl<M> fmt::Debug for Mailbox<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Mailbox")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_full_mailbox_gives_the_message_back() {
        let (address, mailbox) = mailbox(1);
        address.try_tell("a").unwrap();
        assert_eq!(address.try_tell("b"), Err(TellError::Full("b")));
        assert_eq!(mailbox.next().await, Some("a"));
        address.try_tell("b").unwrap();
        drop(mailbox);
        assert_eq!(address.try_tell("c"), Err(TellError::Stopped("c")));
    }

    #[tokio::test]
    async fn every_question_ends() {
        let (address, mailbox) = mailbox::<Reply<u32>>(1);
        let (asked, ()) = tokio::join!(address.ask(|reply| reply), async {
            mailbox.next().await.unwrap().send(7).unwrap();
        });
        assert_eq!(asked, Ok(7));

        let (asked, ()) = tokio::join!(address.ask(|reply| reply), async {
            drop(mailbox.next().await);
        });
        assert_eq!(asked, Err(AskError::Dropped));

        // Asked, queued, and then nobody is left to take it.
        let (asked, ()) = tokio::join!(address.ask(|reply| reply), async { drop(mailbox) });
        assert_eq!(asked, Err(AskError::Dropped));
        assert_eq!(address.ask(|reply| reply).await, Err(AskError::Stopped));
    }
}
