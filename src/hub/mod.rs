//! Topics: who publishes, who subscribes, and the way from one to the other.
//!
//! A [`Publisher`] on any thread puts a [`Publication`] into each worker's bounded inbox; a worker
//! hands it to the members of its own [`Subscriptions`]. Knows no sockets, frames or market.
//! Invariant: workers share nothing but the inboxes and the list of topics; a full inbox never
//! blocks a publisher that did not ask to wait, and each loss is counted.

mod history;
mod inbox;
mod publisher;
mod stamp;
mod subscriptions;
mod topic;

pub use publisher::{Delivery, Publisher, PublisherStats};
pub use stamp::Stamp;
pub use topic::{Lag, Publication, Retain, Topic, TopicOptions};

pub(crate) use inbox::{Inbox, Wake, channel};
pub(crate) use subscriptions::{SlotKey, Subscriptions};
pub(crate) use topic::Care;
