//! What a worker does while it waits, the core that it keeps to, and the options of its sockets.

mod support;

use std::time::{Duration, Instant};
use support::DEADLINE;
use support::frame::{FIN, PING, text};
use support::program::Program;
use support::puppet::{FLOOD_FRAMES, Stage, puppets};
use support::server::options;
use tickwire::proto::Timeouts;
use tickwire::server::{Options, Retain, SocketOptions, Waiting};

/// A worker that never sleeps does all that one does that sleeps: it reads, takes publications,
/// keeps time, and stops when it is asked to.
#[test]
fn a_spinning_worker_serves_keeps_time_and_stops() {
    let timeouts =
        Timeouts { ping_interval: Some(Duration::from_millis(30)), ..Timeouts::default() };
    let options = Options { waiting: Waiting::Spin, workers: 2, timeouts, ..options() };
    let stage = puppets(options);
    let mut client = stage.subscriber("ticks");
    let ping = client.read_frame();
    assert_eq!(ping.first, FIN | PING, "nothing else wakes it");
    let topic = stage.server.publisher.topic("ticks", Retain::Nothing);
    stage.server.publisher.publish(&topic, "tick".into());
    assert_eq!(client.hear(), "tick");
    assert_eq!(client.ask("hello"), "hello");
    // `stop` has a deadline of its own; closing takes the drain timeout, and no turn more.
    stage.server.stop();
}

/// A worker stays on the core that it was given, and the threads that serve no connection do not.
#[cfg(target_os = "linux")]
#[test]
fn a_pinned_worker_has_one_core() {
    let allowed = core_affinity::get_core_ids().unwrap();
    let core = allowed.last().unwrap().id.to_string();
    let program = Program::start(&["serve", "--pin", &core]);
    let read =
        |path: &std::path::Path, file| std::fs::read_to_string(path.join(file)).unwrap_or_default();
    let find = |thread: &str| {
        let tasks = std::fs::read_dir(format!("/proc/{}/task", program.id())).unwrap();
        let mut tasks = tasks.map(|task| task.unwrap().path());
        tasks.find(|task| read(task, "comm").trim() == thread)
    };
    // The first worker runs on the main thread, and is pinned when it has begun to serve.
    support::client::Client::open_at(program.address, "/ws").expect_alive();
    let cores_of = |thread: &str| {
        let start = Instant::now();
        let task = loop {
            // A thread names itself, some time after it has started.
            match find(thread) {
                Some(task) => break task,
                None => assert!(start.elapsed() < DEADLINE, "no thread {thread}"),
            }
            std::thread::yield_now();
        };
        let status = read(&task, "status");
        let line = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:"));
        line.map(|line| line.trim().to_owned())
    };
    assert_eq!(cores_of("tickwire"), Some(core.clone()));
    if allowed.len() > 1 {
        assert_ne!(cores_of("feed"), Some(core));
    }
}

fn with_mark(notsent_lowat_bytes: Option<u32>) -> Stage {
    let sockets = SocketOptions { notsent_lowat_bytes, ..SocketOptions::default() };
    puppets(Options { sockets, send_queue_bytes_max: 64 << 20, ..options() })
}

/// TCP_NOTSENT_LOWAT: a socket that has refused something says when it wants more, however low the
/// mark is: a slow reader gets everything, in order, and the handler is told that it has.
#[test]
fn a_slow_reader_gets_everything_whatever_the_mark_is() {
    for mark in [Some(1), Some(4096), Some(128 << 10), None] {
        let stage = with_mark(mark);
        let mut client = stage.open();
        client.send(&text("flood"));
        // Another connection's answer: by then the flood has filled what there was room in.
        stage.open().expect_alive();
        for frame in 0..FLOOD_FRAMES {
            assert_eq!(client.read_frame().payload.len(), 100_000, "{mark:?}: {frame}");
        }
        client.expect_text("drained");
        assert_eq!(stage.calls.recv_timeout(DEADLINE), Ok("on_drain"));
    }
}

/// TCP_NOTSENT_LOWAT: what nobody reads waits in the send queue, and not in the kernel.
#[cfg(target_os = "linux")]
#[test]
fn the_mark_bounds_what_the_kernel_holds() {
    let taken = |mark| {
        let stage = with_mark(mark);
        let mut client = stage.open();
        client.send(&text("flood"));
        let start = Instant::now();
        let mut other = stage.open();
        while stage.server.stats().messages_in < 1 {
            assert!(start.elapsed() < DEADLINE, "the flood is not handled");
            other.expect_alive();
        }
        // The turn of the flood is over when this is answered.
        other.expect_alive();
        stage.server.stats().bytes_out
    };
    let (low, unbounded) = (taken(Some(16 << 10)), taken(None));
    assert!(low * 2 < unbounded, "{low} bytes with a mark, {unbounded} without");
}
