//! The market-stream server: a [`Handler`] that speaks the protocol of this module's siblings.
//!
//! A connection's path names its first streams; control messages change them. Events are published
//! as bare payloads under their stream's name, and rendered once for each way of wanting them:
//! bare, enveloped or numbered, in milliseconds or microseconds. Of the REST API there are the
//! requests that clients begin with: the time, and what [`Markets`] knows of symbols and order
//! books; `/tickwire/streams` lists what there is.
//! Invariant: the answer to a control message comes before anything that the message causes.

use super::control::{self, Command, Property, Resume};
use super::depth::{self, DepthFold, Since};
use super::envelope::{self, Framing, Sequence};
use super::files::StaticFile;
use super::listing;
use super::markets::Markets;
use super::path::{Endpoint, STREAMS_PER_CONNECTION_DEFAULT};
use super::reply::{self, ErrorReply, Fault};
use super::rest;
use super::stream::{StreamClass, StreamName};
use crate::http::{Request, Response, Status};
use crate::proto::{CloseCode, Message};
use crate::server::{
    Absorbed, Context, Fold, Handler, Lag, Opening, Published, Publisher, Retain, TopicOptions,
    Upgrade, View,
};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::SystemTime;

/// What all workers' handlers are made from.
#[derive(Clone)]
pub struct MarketOptions {
    /// Streams that one connection may be subscribed to. Default 1,024; over it, error code 4 and
    /// close code 1008.
    pub streams_max: usize,
    /// The page at `/` and the files that it is made of. Default: none, and a line of text at `/`.
    pub files: Arc<[StaticFile]>,
    /// The order books that are answered from. Default: none, and those requests are not found.
    pub markets: Option<Arc<Markets>>,
    /// Called once for each connection, when it first subscribes to something.
    pub on_first_subscription: Option<Arc<dyn Fn() + Send + Sync>>,
    /// Whose topics are listed at `/tickwire/streams`. Default: nobody's, and it is not found.
    pub publisher: Option<Publisher>,
}

impl Default for MarketOptions {
    fn default() -> Self {
        Self {
            streams_max: STREAMS_PER_CONNECTION_DEFAULT,
            files: Arc::new([]),
            markets: None,
            on_first_subscription: None,
            publisher: None,
        }
    }
}

impl std::fmt::Debug for MarketOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MarketOptions").field("streams_max", &self.streams_max).finish()
    }
}

/// The market-stream protocol as a [`Handler`].
#[derive(Debug)]
pub struct MarketHandler {
    options: MarketOptions,
    /// Where answers are put together.
    answer: Vec<u8>,
}

/// One client.
#[derive(Debug)]
pub struct Client {
    view: envelope::View,
    /// The streams that its path named, until it is open.
    requested: Vec<StreamName<'static>>,
    has_subscribed: bool,
}

impl MarketHandler {
    /// The handler of one worker.
    #[must_use]
    pub fn new(options: MarketOptions) -> Self {
        Self { options, answer: Vec::new() }
    }

    fn send_answer(&self, cx: &mut Context<'_, Client>) {
        match std::str::from_utf8(&self.answer) {
            Ok(text) => {
                cx.send(text);
            }
            Err(error) => debug_assert!(false, "answers are JSON: {error}"),
        }
    }

    fn refuse(&mut self, cx: &mut Context<'_, Client>, error: &ErrorReply<'_>) {
        error.encode(&mut self.answer);
        self.send_answer(cx);
    }

    fn subscribe(
        &mut self,
        cx: &mut Context<'_, Client>,
        streams: &[StreamName<'_>],
        resume: &Resume,
    ) {
        for stream in streams.iter().map(StreamName::as_str) {
            match resume.get(stream) {
                Some(seen) => cx.resume(stream, *seen),
                None => cx.subscribe(stream),
            };
        }
        if !streams.is_empty()
            && !std::mem::replace(&mut cx.session().has_subscribed, true)
            && let Some(tell) = &self.options.on_first_subscription
        {
            tell();
        }
    }

    fn handle_control(&mut self, cx: &mut Context<'_, Client>, request: &control::Request<'_>) {
        let id = request.id;
        match &request.command {
            Command::Subscribe(streams, resume) => {
                if self.exceeds_streams_max(cx, streams) {
                    self.refuse(cx, &ErrorReply::new(id, Fault::TooManySubscriptions));
                    cx.close(CloseCode::POLICY_VIOLATION, "Too many subscriptions");
                    return;
                }
                let gaps = resume.iter().filter_map(|(stream, seen)| {
                    Some((stream.as_str(), cx.missing(stream, *seen)?))
                });
                reply::resumed(gaps, id, &mut self.answer);
                self.send_answer(cx);
                self.subscribe(cx, streams, resume);
                return;
            }
            Command::Unsubscribe(streams) => {
                for stream in streams {
                    cx.unsubscribe(stream.as_str());
                }
                reply::done(id, &mut self.answer);
            }
            Command::ListSubscriptions => {
                reply::subscriptions(cx.subscriptions(), id, &mut self.answer);
            }
            Command::Get(property) => {
                let envelope::View { framing, sequence, .. } = cx.session().view;
                let value = match property {
                    Property::Combined => framing == Framing::Combined,
                    Property::Sequence => sequence == Sequence::Shown,
                };
                reply::property(value, id, &mut self.answer);
            }
            Command::SetCombined(framing) => {
                update_view(cx, |view| view.framing = *framing);
                reply::done(id, &mut self.answer);
            }
            Command::SetSequence(sequence) => {
                update_view(cx, |view| view.sequence = *sequence);
                reply::done(id, &mut self.answer);
            }
        }
        self.send_answer(cx);
    }

    fn exceeds_streams_max(&self, cx: &Context<'_, Client>, streams: &[StreamName<'_>]) -> bool {
        let most = cx.subscription_count() + streams.len();
        if most <= self.options.streams_max {
            return false;
        }
        let mut all: BTreeSet<&str> = cx.subscriptions().collect();
        all.extend(streams.iter().map(StreamName::as_str));
        all.len() > self.options.streams_max
    }
}

impl Handler for MarketHandler {
    type Session = Client;

    fn on_request(&mut self, opening: &Opening<'_>) -> Upgrade<Client> {
        let request = opening.request;
        match Endpoint::parse(request.path(), request.query(), self.options.streams_max) {
            Ok(Endpoint { view, streams }) => {
                Upgrade::accept(Client { view, requested: streams, has_subscribed: false })
            }
            Err(error) => {
                let status = Status::new(error.status()).unwrap_or(Status::BAD_REQUEST);
                Upgrade::Respond(Response::text(status, format!("{status}: {error}\n")))
            }
        }
    }

    fn on_http(&mut self, request: &Request<'_>) -> Response {
        let path = request.path();
        if let Some(file) = self.options.files.iter().find(|file| file.path() == path) {
            return file.answer(request);
        }
        if let Some(markets) = &self.options.markets
            && let Some(answer) = rest::answer(markets, path, request.query(), unix_ms())
        {
            return answer;
        }
        match path {
            "/" => Response::text(
                Status::OK,
                "tickwire: connect a WebSocket client to /ws/<stream> or /stream?streams=<stream>\n",
            ),
            "/api/v3/ping" => Response::json(Status::OK, "{}"),
            "/api/v3/time" => {
                Response::json(Status::OK, format!(r#"{{"serverTime":{}}}"#, unix_ms()))
            }
            "/tickwire/streams" => match &self.options.publisher {
                Some(publisher) => {
                    Response::json(Status::OK, listing::streams(&publisher.topics()))
                }
                None => Response::text(Status::NOT_FOUND, "404 Not Found\n"),
            },
            path => match Endpoint::parse(path, request.query(), self.options.streams_max) {
                Ok(_) => Response::from(crate::http::Rejection::UpgradeRequired),
                Err(_) => Response::text(Status::NOT_FOUND, "404 Not Found\n"),
            },
        }
    }

    fn on_open(&mut self, cx: &mut Context<'_, Client>) {
        update_view(cx, |_| ());
        let streams = std::mem::take(&mut cx.session().requested);
        self.subscribe(cx, &streams, &Resume::new());
    }

    fn on_message(&mut self, cx: &mut Context<'_, Client>, message: Message<'_>) {
        self.answer.clear();
        match message {
            Message::Text(text) => match control::parse(text) {
                Ok(request) => self.handle_control(cx, &request),
                Err(error) => self.refuse(cx, &error),
            },
            Message::Binary(_) => self.refuse(cx, &ErrorReply::binary()),
        }
    }

    fn on_shutdown(&mut self, cx: &mut Context<'_, Client>) {
        let view = cx.session().view;
        self.answer.clear();
        envelope::server_shutdown(unix_ms(), view, &mut self.answer);
        self.send_answer(cx);
    }

    fn render(event: &Published<'_>, view: View, out: &mut Vec<u8>) {
        let [plain, ..] = envelope::View::ALL;
        let view = envelope::View::ALL.get(usize::from(view.number())).copied().unwrap_or(plain);
        let Published { topic: stream, payload, seq, stamp } = *event;
        let event = envelope::Event { stream, payload, seq, ingest_ns: stamp.unix_ns };
        envelope::render(&event, view, out);
    }

    fn fold(stream: &str) -> Option<Box<dyn Fold>> {
        let foldable = StreamClass::of(stream) == StreamClass::Diff;
        foldable.then(|| Box::new(DepthFold::default()) as Box<dyn Fold>)
    }
}

impl Fold for DepthFold {
    fn mark(&self, payload: &[u8]) -> Option<u64> {
        depth::first_update_id(payload)
    }

    fn absorb(&mut self, seq: u64, payload: &[u8]) -> Absorbed {
        match DepthFold::absorb(self, seq, payload) {
            depth::Absorbed::Folded => Absorbed::Taken,
            // What is no diff would have to be sent as it is, in its place among the others.
            depth::Absorbed::NotADiff | depth::Absorbed::Full | depth::Absorbed::OutOfOrder => {
                Absorbed::Refused
            }
        }
    }

    fn since(&self, seq: u64, first_update_id: u64, out: &mut Vec<u8>) -> bool {
        match DepthFold::since(self, seq, first_update_id, out) {
            Since::Whole | Since::AfterGap => true,
            Since::Nothing | Since::Unknown => false,
        }
    }

    fn forget_before(&mut self, seq: u64) {
        DepthFold::forget_before(self, seq);
    }
}

impl From<StreamClass> for TopicOptions {
    /// How topics for streams of this class are to be made.
    fn from(class: StreamClass) -> Self {
        let (retain, lag) = match class {
            StreamClass::State => (Retain::Last, Lag::Conflate),
            StreamClass::Diff => (Retain::Nothing, Lag::Fold),
            StreamClass::Event => (Retain::Nothing, Lag::Close),
        };
        Self { retain, lag, resume_events: 0 }
    }
}

/// The time in milliseconds since 1970.
fn unix_ms() -> u64 {
    let since_epoch = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
    u64::try_from(since_epoch.as_millis()).unwrap_or(u64::MAX)
}

/// Changes how the client's events are written, from the next one on.
fn update_view(cx: &mut Context<'_, Client>, update: impl FnOnce(&mut envelope::View)) {
    let view = &mut cx.session().view;
    update(view);
    let number = u8::try_from(view.canonical().index()).ok();
    cx.set_view(number.and_then(View::new).unwrap_or_default());
}
