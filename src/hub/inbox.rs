//! A worker's inbox: bounded, many writers, one reader, who is woken only when it sleeps.
//!
//! Invariant: after a writer's message is in and [`Sender::try_send`] has returned, the reader is
//! awake or has a wake-up on its way. Before it sleeps the reader says so and looks once more; a
//! writer puts its message in and then asks whether the reader sleeps. Whichever comes second sees
//! the other.

use super::topic::Publication;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering, fence};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};

/// What ends a reader's sleep, from any thread.
pub(crate) type Wake = Arc<dyn Fn() + Send + Sync>;

/// An inbox of `capacity` messages, at least one.
pub(crate) fn channel(capacity: usize, wake: Wake) -> (Sender, Inbox) {
    let (sender, receiver) = sync_channel(capacity.max(1));
    let asleep = Arc::new(AtomicBool::new(false));
    (Sender { sender, asleep: Arc::clone(&asleep), wake }, Inbox { receiver, asleep })
}

/// Whether a message found its way into an inbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sent {
    Delivered,
    /// The inbox is full.
    Full,
    /// The reader has gone.
    Gone,
}

/// The writing end.
#[derive(Clone)]
pub(crate) struct Sender {
    sender: SyncSender<Publication>,
    asleep: Arc<AtomicBool>,
    wake: Wake,
}

impl Sender {
    /// Puts a message in, without waiting.
    pub(crate) fn try_send(&self, publication: Publication) -> Sent {
        let sent = match self.sender.try_send(publication) {
            Ok(()) => Sent::Delivered,
            Err(TrySendError::Full(_)) => Sent::Full,
            Err(TrySendError::Disconnected(_)) => Sent::Gone,
        };
        self.wake_if_asleep();
        sent
    }

    /// Puts a message in, and waits for room where there is none.
    pub(crate) fn send(&self, publication: Publication) -> Sent {
        let sent = match self.sender.try_send(publication) {
            Ok(()) => Sent::Delivered,
            // A full inbox has a reader that is awake, or about to be.
            Err(TrySendError::Full(publication)) => {
                self.wake_if_asleep();
                self.sender.send(publication).map_or(Sent::Gone, |()| Sent::Delivered)
            }
            Err(TrySendError::Disconnected(_)) => Sent::Gone,
        };
        self.wake_if_asleep();
        sent
    }

    fn wake_if_asleep(&self) {
        fence(Ordering::SeqCst);
        if self.asleep.load(Ordering::Relaxed) && self.asleep.swap(false, Ordering::AcqRel) {
            (self.wake)();
        }
    }
}

/// The reading end.
pub(crate) struct Inbox {
    receiver: Receiver<Publication>,
    asleep: Arc<AtomicBool>,
}

impl Inbox {
    /// The next message, without waiting.
    pub(crate) fn try_receive(&self) -> Option<Publication> {
        self.receiver.try_recv().ok()
    }

    /// Says that the reader is about to sleep. It must look once more before it does.
    pub(crate) fn announce_sleep(&self) {
        self.asleep.store(true, Ordering::Relaxed);
        fence(Ordering::SeqCst);
    }

    /// Says that the reader is awake, so that nobody wakes it.
    pub(crate) fn announce_awake(&self) {
        self.asleep.store(false, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::super::stamp::Stamp;
    use super::super::topic::{Retain, Topics};
    use super::*;
    use crate::proto::Message;
    use std::sync::atomic::AtomicUsize;

    fn publication() -> Publication {
        let topic = Topics::default().intern("t", Retain::Nothing);
        Publication::new(&topic, Message::Text("x"), Stamp::now())
    }

    fn counted() -> (Arc<AtomicUsize>, Wake) {
        let wakes = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&wakes);
        (
            wakes,
            Arc::new(move || {
                count.fetch_add(1, Ordering::Relaxed);
            }),
        )
    }

    /// A burst costs one wake-up, and none while the reader is awake.
    #[test]
    fn only_a_sleeping_reader_is_woken_and_only_once() {
        let (wakes, wake) = counted();
        let (sender, inbox) = channel(8, wake);
        assert_eq!(sender.try_send(publication()), Sent::Delivered);
        assert_eq!(wakes.load(Ordering::Relaxed), 0);
        inbox.announce_sleep();
        sender.try_send(publication());
        sender.try_send(publication());
        assert_eq!(wakes.load(Ordering::Relaxed), 1);
        inbox.announce_sleep();
        inbox.announce_awake();
        sender.try_send(publication());
        assert_eq!(wakes.load(Ordering::Relaxed), 1);
    }

    #[test]
    fn a_full_inbox_refuses_and_a_dropped_one_says_so() {
        let (sender, inbox) = channel(1, counted().1);
        assert_eq!(sender.try_send(publication()), Sent::Delivered);
        assert_eq!(sender.try_send(publication()), Sent::Full);
        assert!(inbox.try_receive().is_some());
        assert!(inbox.try_receive().is_none());
        drop(inbox);
        assert_eq!(sender.try_send(publication()), Sent::Gone);
        assert_eq!(sender.send(publication()), Sent::Gone);
    }

    /// Nothing is lost, and the reader's sleep always ends: a reader that sleeps for real, on a
    /// channel that stands for the poll.
    #[test]
    fn a_sleeping_reader_gets_everything() {
        const COUNT: usize = 20_000;
        let (bell, poll) = std::sync::mpsc::sync_channel::<()>(1);
        let wake: Wake = Arc::new(move || {
            let _ = bell.try_send(());
        });
        let (sender, inbox) = channel(16, wake);
        let writer = std::thread::spawn(move || {
            let publication = publication();
            for _ in 0..COUNT {
                assert_eq!(sender.send(publication.clone()), Sent::Delivered);
            }
            sender
        });
        let mut received = 0;
        while received < COUNT {
            inbox.announce_sleep();
            let mut got = 0;
            while inbox.try_receive().is_some() {
                got += 1;
            }
            if got == 0 {
                let woken = poll.recv_timeout(std::time::Duration::from_secs(10));
                assert!(woken.is_ok(), "the wake-up was lost after {received}");
            }
            inbox.announce_awake();
            received += got;
        }
        drop(writer.join().unwrap());
    }
}
