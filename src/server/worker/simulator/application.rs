//! The application that the simulated server runs: it does what messages tell it, notes what it
//! sends, and checks that it is told things in the order in which it may be.

use super::ledger::{
    CHAT, CHAT_NAME, CONFLATED, Effect, FOLDED, FRAME_BYTES, Owed, RETAINED, Run, TOPICS, event,
};
use super::socket::Shared;
use crate::http::{Request, Response, Status};
use crate::proto::{CloseCode, Message};
use crate::server::context::Context;
use crate::server::folds::Fold;
use crate::server::handler::{Closed, Handler, Opening, Upgrade};
use std::panic::resume_unwind;

/// The application.
pub(super) struct Application {
    pub(super) world: Shared,
}

/// A connection, by its number in the world.
pub(super) struct Session {
    id: usize,
}

/// A panic that prints nothing.
fn panic_quietly() {
    resume_unwind(Box::new("the application panics, as it was told to"));
}

impl Application {
    /// Notes that the application is called for an open connection; its number.
    fn enter(&self, cx: &mut Context<'_, Session>, what: &'static str) -> usize {
        let id = cx.session().id;
        let mut world = self.world.borrow_mut();
        world.note(what, id, 0);
        let account = world.ledger.account(id);
        let wrong = match (account.opened_at, account.closing_at, account.closed_at) {
            (None, ..) => Some("before it was open"),
            (_, Some(_), _) => Some("after the application closed it"),
            (.., Some(_)) => Some("after on_close"),
            _ => None,
        };
        if let Some(wrong) = wrong {
            world.fail(format!("#{id}: {what} {wrong}"));
        }
        id
    }

    fn send(&self, cx: &mut Context<'_, Session>, payload: Vec<u8>, effect: Effect) {
        let id = cx.session().id;
        let message = match str::from_utf8(&payload) {
            Ok(text) => Message::Text(text),
            Err(_) => Message::Binary(&payload),
        };
        // Before it goes: what is sent at once may be read before the call returns.
        let bytes = payload.len() + FRAME_BYTES;
        {
            let mut world = self.world.borrow_mut();
            let account = world.ledger.account(id);
            account.sent_bytes += bytes;
            account.owed.push_back(Owed { payload: payload.clone(), effect });
        }
        if !cx.send(message) {
            let mut world = self.world.borrow_mut();
            let account = world.ledger.account(id);
            account.owed.pop_back();
        }
    }

    fn close(&self, id: usize) {
        let mut world = self.world.borrow_mut();
        let now = world.now();
        world.ledger.account(id).closing_at.get_or_insert(now);
    }

    fn next_number(&self, cx: &Context<'_, Session>, topic: usize) -> u64 {
        let events_in = cx.core.counters.events_in.value();
        self.world.borrow_mut().ledger.next_number(topic, events_in)
    }

    /// What a message tells the application to do, by its first byte.
    fn obey(&mut self, cx: &mut Context<'_, Session>, id: usize, order: u8, rest: &[u8]) {
        let number = || str::from_utf8(rest).ok().and_then(|text| text.parse::<usize>().ok());
        match (order, number()) {
            (b's', Some(topic @ 0..=CHAT)) => self.subscribe(cx, topic),
            (b'u', Some(topic @ 0..=CHAT)) => {
                if cx.unsubscribe(name(topic)) {
                    let number = self.next_number(cx, topic);
                    self.send(cx, b"r-".to_vec(), Effect::Unsubscribed(topic, number));
                } else {
                    self.send(cx, b"r!".to_vec(), Effect::None);
                }
            }
            (b'p', Some(bytes)) => {
                let number = self.world.borrow().ledger.chat_published;
                let payload = event(CHAT, number, bytes.min(5000));
                {
                    let ledger = &mut self.world.borrow_mut().ledger;
                    ledger.chat_published += 1;
                    ledger.event_bytes += payload.len() + FRAME_BYTES;
                }
                cx.publish(CHAT_NAME, payload.as_str());
                self.send(cx, b"r*".to_vec(), Effect::None);
            }
            (b'b', Some(bytes)) => {
                self.send(cx, vec![b'r'; bytes.clamp(1, 100_000)], Effect::None);
            }
            (b'c', _) => {
                cx.close(CloseCode::NORMAL, "as you wish");
                self.close(id);
                // What is sent in the same call still comes before the close frame.
                self.send(cx, b"rlast".to_vec(), Effect::None);
            }
            (b'x', _) => {
                self.send(cx, b"rlast".to_vec(), Effect::None);
                self.close(id);
                panic_quietly();
            }
            _ => self.send(cx, [b"r", rest].concat(), Effect::None),
        }
    }

    fn subscribe(&self, cx: &mut Context<'_, Session>, topic: usize) {
        if cx.subscriptions().any(|subscribed| subscribed == name(topic)) {
            return self.send(cx, b"r!".to_vec(), Effect::None);
        }
        let mut number = self.next_number(cx, topic);
        if matches!(topic, RETAINED | CONFLATED) {
            // The last event comes again, if there was one.
            number = number.saturating_sub(1);
        }
        self.send(cx, b"r+".to_vec(), Effect::Subscribed(topic, number));
        cx.subscribe(name(topic));
    }
}

fn name(topic: usize) -> &'static str {
    TOPICS.get(topic).copied().unwrap_or(CHAT_NAME)
}

impl Handler for Application {
    type Session = Session;

    fn on_request(&mut self, opening: &Opening<'_>) -> Upgrade<Session> {
        match opening.request.path() {
            "/no" => Upgrade::Respond(Response::text(Status::FORBIDDEN, "no\n")),
            "/panic" => {
                panic_quietly();
                Upgrade::accept(Session { id: 0 })
            }
            _ => Upgrade::accept(Session { id: usize::from(opening.peer.port()) }),
        }
    }

    fn on_http(&mut self, request: &Request<'_>) -> Response {
        if request.path() == "/panic" {
            panic_quietly();
        }
        Response::text(Status::OK, "x".repeat(request.path().len() * 100))
    }

    fn on_open(&mut self, cx: &mut Context<'_, Session>) {
        let id = cx.session().id;
        {
            let mut world = self.world.borrow_mut();
            let now = world.now();
            world.note("on_open", id, 0);
            world.ledger.opened += 1;
            if world.ledger.account(id).opened_at.replace(now).is_some() {
                world.fail(format!("#{id}: on_open twice"));
            }
        }
        self.send(cx, b"nhello".to_vec(), Effect::None);
    }

    fn on_message(&mut self, cx: &mut Context<'_, Session>, message: Message<'_>) {
        let id = self.enter(cx, "on_message");
        self.world.borrow_mut().ledger.messages += 1;
        if let Some((order, rest)) = message.payload().split_first() {
            self.obey(cx, id, *order, rest);
        } else {
            self.send(cx, b"r".to_vec(), Effect::None);
        }
    }

    fn on_drain(&mut self, cx: &mut Context<'_, Session>) {
        let id = self.enter(cx, "on_drain");
        if cx.queued_bytes() > 0 {
            self.world.borrow_mut().fail(format!("#{id}: on_drain with a queue"));
        }
        self.world.borrow_mut().queue_drained(id);
        self.send(cx, b"ndrained".to_vec(), Effect::None);
    }

    fn on_shutdown(&mut self, cx: &mut Context<'_, Session>) {
        self.enter(cx, "on_shutdown");
        self.send(cx, b"nbye".to_vec(), Effect::None);
    }

    fn fold(topic: &str) -> Option<Box<dyn Fold>> {
        (topic == name(FOLDED)).then(|| Box::new(Run::default()) as Box<dyn Fold>)
    }

    fn on_close(&mut self, session: Session, closed: &Closed<'_>) {
        let mut world = self.world.borrow_mut();
        let now = world.now();
        world.note("on_close", session.id, u64::from(closed.code.number()));
        world.note(closed.cause.name(), session.id, 0);
        world.ledger.closed += 1;
        let account = world.ledger.account(session.id);
        let (opened, closed_before) = (account.opened_at, account.closed_at.replace(now));
        if opened.is_none() || closed_before.is_some() {
            world.fail(format!("#{}: on_close without an on_open of its own", session.id));
        }
    }
}
