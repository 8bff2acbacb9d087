//! Room for tasks that are held at the same time, which can change while they are held.

use crate::BATCH_MAX;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Room for so many tasks. Clones share it.
#[derive(Debug, Clone)]
pub struct Room {
    free: Arc<Semaphore>,
    size: Arc<Mutex<Size>>,
    /// Its weak references are the tasks that are held: permits alone do not say, because
    /// free ones are set aside while a lease is waited for.
    held: Arc<()>,
}

/// One task that is held, until this is dropped.
#[derive(Debug)]
pub(crate) struct Place {
    _held: Weak<()>,
    _permit: OwnedSemaphorePermit,
}

#[derive(Debug)]
struct Size {
    held_max: usize,
    /// Places that are to vanish as they become free.
    owed: usize,
}

impl Room {
    /// For so many tasks, one at the least.
    pub fn new(held_max: usize) -> Self {
        let held_max = held_max.max(1);
        let size = Arc::new(Mutex::new(Size { held_max, owed: 0 }));
        Self { free: Arc::new(Semaphore::new(held_max)), size, held: Arc::new(()) }
    }

    /// For so many tasks from now on. Those that are held stay held; where there are more
    /// of them, none is taken until enough have ended.
    pub fn resize(&self, held_max: usize) {
        let mut size = self.lock();
        let held_max = held_max.max(1);
        if held_max >= size.held_max {
            let more = held_max - size.held_max;
            let paid = more.min(size.owed);
            size.owed -= paid;
            self.free.add_permits(more - paid);
        } else {
            let fewer = size.held_max - held_max;
            size.owed += fewer - self.free.forget_permits(fewer);
        }
        size.held_max = held_max;
    }

    /// Tasks that are held at the moment.
    pub fn held(&self) -> usize {
        Arc::weak_count(&self.held)
    }

    /// Tasks that can be held.
    pub fn held_max(&self) -> usize {
        self.lock().held_max
    }

    /// For one task, with the permit that was got for it.
    pub(crate) fn place(&self, permit: OwnedSemaphorePermit) -> Place {
        Place { _held: Arc::downgrade(&self.held), _permit: permit }
    }

    /// One permit at least, and as many more as are free, in one.
    pub(crate) async fn permits(&self) -> Option<OwnedSemaphorePermit> {
        loop {
            let free = self.free.available_permits().clamp(1, BATCH_MAX);
            // The semaphore is never closed, and `free` is far below the largest count.
            let wanted = u32::try_from(free).unwrap_or(1);
            let mut permits = self.free.clone().acquire_many_owned(wanted).await.ok()?;
            let mut size = self.lock();
            let paid = size.owed.min(permits.num_permits());
            if let Some(paid) = permits.split(paid) {
                size.owed -= paid.num_permits();
                paid.forget();
            }
            if permits.num_permits() > 0 {
                return Some(permits);
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Size> {
        // Two numbers that are whole between any two operations, whoever panicked.
        self.size.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    async fn got(room: &Room) -> usize {
        let permits = tokio::time::timeout(Duration::from_millis(1), room.permits()).await;
        let permits = permits.ok().flatten();
        permits.map_or(0, |permits| {
            let count = permits.num_permits();
            permits.forget();
            count
        })
    }

    #[tokio::test(start_paused = true)]
    async fn room_grows_at_once_and_shrinks_as_it_becomes_free() {
        let room = Room::new(3);
        let held = room.permits().await.unwrap();
        assert_eq!((held.num_permits(), got(&room).await), (3, 0));
        room.resize(5);
        assert_eq!(got(&room).await, 2);
        room.resize(1);
        drop(held);
        assert_eq!(got(&room).await, 0, "two are held elsewhere, and there is room for one");

        let room = Room::new(8);
        let held = room.permits().await.unwrap();
        room.resize(2);
        room.resize(4);
        drop(held);
        assert_eq!(got(&room).await, 4);
    }
}
