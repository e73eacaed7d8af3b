//! `--metrics`: what a server does, for a monitoring system to read over HTTP, and whether it
//! takes connections. A second, small server on an address and a thread of its own.
//!
//! Knows no counter by what it means. Invariant: nobody who asks here can hold up a connection of
//! the server that is watched, or its end: a scrape reads counters and takes no lock of a worker's.

mod exposition;
mod process;

use super::run::{Fed, advice};
use crate::http::{HeadLimits, Request, Response, Status};
use crate::proto::{Limits, Message, Timeouts};
use crate::server::{
    Context, Handler, Opening, Options, Publisher, Server, ShutdownHandle, StatsHandle, Upgrade,
};
use anyhow::{Context as _, anyhow};
use prometheus_client::registry::Registry;
use std::net::SocketAddr;
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime};

/// OpenMetrics 1.0, §4.1: the media type by which a reader knows the format.
const MEDIA_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
/// Time for a request, for its answer to be taken, and for the last ones at the end.
const PATIENCE: Duration = Duration::from_secs(2);
/// Readers at a time: monitoring systems are one or two.
const CONNECTIONS_MAX: usize = 48;
/// Bytes of a request: monitoring systems send less than 1 KiB.
const REQUEST_BYTES_MAX: usize = 4096;
/// Bytes of answers that wait for a reader; an answer has some 8 KiB.
const QUEUE_BYTES_MAX: usize = 256 << 10;

/// What is watched.
#[derive(Clone, Debug)]
pub(super) struct Watched {
    pub(super) stats: StatsHandle,
    pub(super) publisher: Publisher,
    pub(super) shutdown: ShutdownHandle,
    /// `None` where no feed is.
    pub(super) feed: Option<Fed>,
    pub(super) started: SystemTime,
}

/// The metrics' server, which listens.
pub(super) struct Endpoint {
    server: Server,
    watched: Watched,
}

/// One that serves, until this is dropped.
pub(super) struct Serving {
    shutdown: ShutdownHandle,
    thread: Option<JoinHandle<()>>,
}

impl Endpoint {
    /// Listens for those who read metrics.
    pub(super) fn listen(address: SocketAddr, watched: Watched) -> anyhow::Result<Self> {
        let server = Server::builder(address).options(options()).build();
        let server = server.map_err(|error| anyhow!("{error}; {}", advice(&error, "--metrics")))?;
        Ok(Self { server, watched })
    }

    pub(super) fn local_addr(&self) -> SocketAddr {
        self.server.local_addr()
    }

    /// Serves on a thread of its own.
    pub(super) fn start(self) -> anyhow::Result<Serving> {
        let Self { server, watched } = self;
        let shutdown = server.shutdown_handle();
        let run = move || {
            if let Err(error) = server.run(|_| Metrics::new(watched.clone())) {
                tracing::error!(%error, "metrics are served no more");
            }
        };
        let spawned = std::thread::Builder::new().name("metrics".to_owned()).spawn(run);
        let thread = spawned.context("cannot start a thread for the metrics")?;
        Ok(Serving { shutdown, thread: Some(thread) })
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        self.shutdown.shutdown();
        if let Some(thread) = self.thread.take() {
            // One that panicked has said so.
            let _ = thread.join();
        }
    }
}

/// Little of everything: a few readers with small requests, who are not waited for.
fn options() -> Options {
    Options {
        limits: Limits::message(125),
        timeouts: Timeouts { close_timeout: PATIENCE, ..Timeouts::default() },
        head_limits: HeadLimits {
            head_bytes_max: REQUEST_BYTES_MAX,
            target_bytes_max: 256,
            fields_max: 64,
        },
        handshake_timeout: PATIENCE,
        connections_max: CONNECTIONS_MAX,
        send_queue_bytes_max: QUEUE_BYTES_MAX,
        inbox_events_max: 1,
        drain_timeout: PATIENCE,
        ..Options::default()
    }
}

struct Metrics {
    registry: Registry,
    watched: ShutdownHandle,
}

impl Metrics {
    fn new(watched: Watched) -> Self {
        let shutdown = watched.shutdown.clone();
        Self { registry: exposition::registry(watched), watched: shutdown }
    }

    fn answer(&self) -> Response {
        let Ok(text) = exposition::render(&self.registry) else {
            return Response::new(Status::INTERNAL_SERVER_ERROR);
        };
        let response = Response::new(Status::OK).content(MEDIA_TYPE, text.into_bytes());
        response.unwrap_or_else(|_| Response::new(Status::INTERNAL_SERVER_ERROR))
    }
}

impl Handler for Metrics {
    type Session = ();

    fn on_request(&mut self, _: &Opening<'_>) -> Upgrade<()> {
        Upgrade::Respond(not_found())
    }

    fn on_http(&mut self, request: &Request<'_>) -> Response {
        match request.path() {
            "/metrics" => self.answer(),
            "/healthz" if self.watched.is_requested() => {
                Response::text(Status::SERVICE_UNAVAILABLE, "draining\n")
            }
            "/healthz" => Response::text(Status::OK, "ok\n"),
            _ => not_found(),
        }
    }

    fn on_message(&mut self, _: &mut Context<'_, ()>, _: Message<'_>) {}
}

fn not_found() -> Response {
    Response::text(Status::NOT_FOUND, "there are /metrics and /healthz\n")
}
