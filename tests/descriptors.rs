//! Out of descriptors: the program with few of them, in a process of its own.
#![cfg(all(target_os = "linux", feature = "cli"))]

mod support;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};
use support::client::{Client, upgrade_request};
use support::program::Program;
use support::{DEADLINE, eventually};

/// Descriptors that the program may have, some of which it needs for itself.
const DESCRIPTORS: u32 = 64;
const CLIENTS: usize = 150;
/// The time over which CPU time is measured.
const SPAN: Duration = Duration::from_secs(2);
/// Ticks of CPU time in a second, on every Linux.
const TICKS_PER_SECOND: u64 = 100;
/// How long those who wait may wait once there are descriptors again.
const RECOVERY: Duration = Duration::from_secs(1);

/// A client that has sent its request and waits to be accepted.
fn request(address: SocketAddr) -> TcpStream {
    let mut stream = TcpStream::connect_timeout(&address, DEADLINE).expect("the kernel takes it");
    stream.set_read_timeout(Some(DEADLINE)).expect("the deadline is not zero");
    stream.write_all(upgrade_request("/ws", "").as_bytes()).expect("the kernel takes it");
    stream
}

/// Whether an answer has come.
fn is_served(stream: &TcpStream) -> bool {
    stream.set_nonblocking(true).expect("the connection stands");
    let served = stream.peek(&mut [0]).is_ok();
    stream.set_nonblocking(false).expect("the connection stands");
    served
}

/// The CPU time that a process has taken, in ticks.
fn cpu_ticks(id: u32) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).expect("it runs");
    let (_, after_name) = stat.rsplit_once(')').expect("a name in brackets");
    let ticks = after_name.split_whitespace().skip(11).take(2);
    ticks.map(|ticks| ticks.parse::<u64>().expect("a number")).sum()
}

/// Who waits is not lost and is served by itself once there are descriptors; meanwhile the server
/// hardly works, and those it has are served as ever.
#[test]
fn out_of_descriptors_the_server_waits_and_recovers_by_itself() {
    let arguments = ["serve", "--feed", "stdin"];
    let (program, _) = Program::start_with_descriptors(DESCRIPTORS, &arguments);
    let mut canary = Client::open_at(program.address, "/ws");
    let mut waiting: Vec<TcpStream> = (0..CLIENTS).map(|_| request(program.address)).collect();
    program.logged("cannot accept");
    let (before, start) = (cpu_ticks(program.id()), Instant::now());
    eventually("the span is over", || start.elapsed() >= SPAN);
    canary.expect_alive();
    let ticks = cpu_ticks(program.id()) - before;
    let share = ticks * 100 / (start.elapsed().as_secs() * TICKS_PER_SECOND);
    assert!(share < 5, "{share} % of a core while out of descriptors");
    let mut served_in_all = 0;
    while !waiting.is_empty() {
        let (served, rest): (Vec<_>, Vec<_>) = waiting.into_iter().partition(is_served);
        assert!(!served.is_empty(), "{served_in_all} served, {} wait", rest.len());
        served_in_all += served.len();
        waiting = rest;
        for mut stream in served {
            let mut status = [0; 12];
            stream.read_exact(&mut status).expect("an answer");
            assert_eq!(&status, b"HTTP/1.1 101");
        }
        // Their descriptors are free now, and nobody knocks anew.
        let freed = Instant::now();
        if !waiting.is_empty() {
            eventually("others are served", || waiting.iter().any(is_served));
            assert!(freed.elapsed() < RECOVERY, "after {:?}", freed.elapsed());
            let all = waiting.len().min(DESCRIPTORS as usize / 2);
            eventually("many are", || waiting.iter().filter(|one| is_served(one)).count() >= all);
        }
    }
    assert_eq!(served_in_all, CLIENTS);
    canary.expect_alive();
}

/// The same for a producer: it is let in when there is a descriptor for it, and what it sent
/// meanwhile is heard.
#[test]
fn a_producer_that_waits_for_a_descriptor_is_accepted_without_another_attempt() {
    let arguments = ["serve", "--feed", "tcp:127.0.0.1:0"];
    let (program, told) = Program::start_with_descriptors(DESCRIPTORS, &arguments);
    let feed = told.split_once("tcp ").and_then(|(_, rest)| rest.split_once(' '));
    let feed: SocketAddr = feed.expect("the feed's address").0.parse().expect("an address");
    let mut subscriber = Client::open_at(program.address, "/ws/a@trade");
    let clients: Vec<TcpStream> = (0..CLIENTS).map(|_| request(program.address)).collect();
    program.logged("cannot accept");
    let mut producer = TcpStream::connect_timeout(&feed, DEADLINE).expect("the kernel takes it");
    producer.write_all(b"{\"stream\":\"a@trade\",\"data\":{\"t\":1}}\n").expect("and its line");
    program.logged("cannot accept a producer");
    drop(clients);
    let freed = Instant::now();
    assert_eq!(subscriber.hear(), r#"{"t":1}"#);
    assert!(freed.elapsed() < RECOVERY, "after {:?}", freed.elapsed());
}
