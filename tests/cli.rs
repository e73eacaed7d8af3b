//! The program: its arguments, its answers to mistakes, its signals, and its two small servers.

#![cfg(feature = "cli")]

mod support;

use std::io::{BufRead as _, BufReader};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use support::DEADLINE;
use support::client::Client;
use support::frame::{binary, close, header, text};
use support::program::{Program, Said, run};

/// Checks that a mistake is answered in one line on standard error, with this exit code, and that
/// the line says all of this.
fn expect_one_line(arguments: &[&str], code: i32, says: &[&str]) {
    let Said { status, stdout, stderr } = run(arguments);
    assert_eq!(status.code(), Some(code), "{arguments:?}: {stderr}");
    assert_eq!(stdout, "", "{arguments:?}");
    assert_eq!(stderr.lines().count(), 1, "{arguments:?}: {stderr}");
    assert!(stderr.starts_with("error: "), "{stderr}");
    for part in says {
        assert!(stderr.contains(part), "{arguments:?}: no '{part}' in {stderr}");
    }
}

/// §10.4: what a compressed message over the limit makes the program grow by is in proportion to
/// the limit, not to what the message would inflate to.
#[cfg(target_os = "linux")]
#[test]
fn a_bomb_costs_the_program_less_than_a_mebibyte() {
    // There the kernel rounds up to 2 MiB, whatever the program asks for.
    let huge_pages = std::fs::read_to_string("/sys/kernel/mm/transparent_hugepage/enabled");
    if huge_pages.is_ok_and(|mode| mode.contains("[always]")) {
        return;
    }
    let program = Program::start(&["echo", "--deflate", "--max-message", "64KiB"]);
    let resident_kib = || {
        let status = std::fs::read_to_string(format!("/proc/{}/status", program.id())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap()
    };
    let mut deflate = flate2::Compress::new(flate2::Compression::best(), false);
    let mut bomb = Vec::with_capacity(1 << 17);
    let zeros = vec![0; 32 << 20];
    deflate.compress_vec(&zeros, &mut bomb, flate2::FlushCompress::Sync).unwrap();
    let bomb = support::frame::frame(0xc2, bomb.strip_suffix(&[0, 0, 0xff, 0xff]).unwrap());
    Client::open(program.address).close();
    let before = resident_kib();
    for _ in 0..3 {
        let (mut client, _) = Client::open_with_deflate(program.address, "permessage-deflate");
        client.send(&bomb);
        client.expect_failure(1009);
        let grown = resident_kib().saturating_sub(before);
        assert!(grown < 1024, "{grown} KiB");
    }
}

/// `--help` is complete: all commands, all flags, what they are for, and their defaults.
#[test]
fn help_names_every_flag() {
    const COMMON: &[&str] = &[
        "--listen",
        "--workers",
        "--handshake-timeout",
        "--idle-timeout",
        "--ping-interval",
        "--close-timeout",
        "--drain-timeout",
        "--allow-origin",
        "--send-queue",
        "--deflate",
        "--deflate-threshold",
        "--spin",
        "--pin",
        "--notsent-lowat",
        "--busy-poll",
        "--max-request",
        "--max-request-fields",
        "--max-frame",
        "--max-fragments",
        "--inbox",
        "--metrics",
        "--config",
        "--print-config",
        "--log",
        "--log-format",
        "--max-message",
        "--help",
        "127.0.0.1:9001",
        "TICKWIRE_LOG",
        "\nServer:\n",
        "\nLatency:\n",
        "\nLimits:\n",
        "\nLogging:\n",
    ];
    const SERVE: &[&str] = &[
        "--feed",
        "--symbols",
        "--seed",
        "--start-time",
        "--rate",
        "--speed",
        "--at",
        "--loop",
        "--wait-for",
        "--max-streams",
        "--resume-events",
        "--message-rate",
        "--message-burst",
        "--connection-attempts",
        "--lifetime",
        "--start-delay",
        "\nFeed:\n",
        "\nFeed: simulate:\n",
        "\nFeed: replay:\n",
    ];
    let commands: [(&str, &[&str]); 3] =
        [("serve", SERVE), ("echo", &[]), ("chat", &["--greeting"])];
    for (command, flags) in commands {
        let said = run(&[command, "--help"]);
        assert!(said.status.success() && said.stderr.is_empty(), "{said:?}");
        for flag in COMMON.iter().chain(flags) {
            assert!(said.stdout.contains(flag), "{command}: no {flag} in {}", said.stdout);
        }
        let top = run(&["--help"]);
        assert!(top.status.success() && top.stdout.contains(command), "{top:?}");
    }
    let version = run(&["--version"]);
    assert_eq!(version.stdout.trim(), concat!("tickwire ", env!("CARGO_PKG_VERSION")));
    // Without a command there is nothing to do but to say which there are.
    let nothing = run(&[]);
    assert_eq!(nothing.status.code(), Some(2));
    assert!(nothing.stderr.contains("serve") && nothing.stdout.is_empty(), "{nothing:?}");
}

/// A wrong command line is answered in one line that says what is meant to stand there.
#[test]
fn a_wrong_command_line_is_answered_in_one_line() {
    let cases: [(&[&str], &[&str]); 22] = [
        (&["sevre"], &["sevre", "tickwire --help"]),
        (&["echo", "--lisen", "127.0.0.1:0"], &["--lisen", "--listen", "tickwire echo --help"]),
        (&["echo", "--listen", "here"], &["here", "--listen"]),
        (&["echo", "--workers", "0"], &["1 to 256"]),
        (&["echo", "--workers", "many"], &["1 to 256"]),
        (&["echo", "--pin", "two"], &["such as 2 or 2,3 or 2-5"]),
        (&["echo", "--notsent-lowat", "low"], &["64KiB", "off"]),
        (&["echo", "--busy-poll", "1s"], &["microseconds", "off"]),
        (&["echo", "--idle-timeout", "5 apples"], &["5s or 500ms"]),
        (&["echo", "--close-timeout", "soon"], &["5s or 500ms"]),
        (&["echo", "--max-message", "0"], &["at least 1"]),
        (&["echo", "--max-message", "big"], &["64KiB"]),
        (&["echo", "--allow-origin", "example.com"], &["https://example.com"]),
        (&["echo", "--log-format", "xml"], &["text", "json"]),
        (&["serve", "--feed", "magic"], &["simulate, stdin, replay:FILE, udp:ADDR or tcp:ADDR"]),
        (&["serve", "--feed", "tcp:9002"], &["tcp:127.0.0.1:9002"]),
        (&["serve", "--message-burst", "0"], &["--message-burst"]),
        (&["chat", "--greeting"], &["--greeting"]),
        (&["echo", "--metrics", "here"], &["a port", "0.0.0.0:9100"]),
        (&["echo", "--inbox", "0"], &["1..=1048576"]),
        (&["echo", "--max-fragments", "0"], &["--max-fragments"]),
        (&["echo", "--max-request-fields", "0"], &["1..=10000"]),
    ];
    for (arguments, says) in cases {
        expect_one_line(arguments, 2, says);
    }
}

/// The line is all there is to read: what was wrong, what would do, and whose help to ask for.
#[test]
fn a_wrong_value_is_answered_with_the_help_of_its_command() {
    for command in ["serve", "echo", "chat"] {
        let stderr = run(&[command, "--workers", "x"]).stderr;
        let expected = format!(
            "error: invalid value 'x' for '--workers <N>': write a number from 1 to 256; \
             see 'tickwire {command} --help'\n"
        );
        assert_eq!(stderr, expected);
    }
    expect_one_line(&["echo", "--log-format", "xml"], 2, &["json]; see 'tickwire echo --help'"]);
    expect_one_line(&["--nonsense"], 2, &["see 'tickwire --help'"]);
}

/// What only shows when it is tried is answered likewise, with exit code 1.
#[test]
fn what_cannot_be_done_is_answered_in_one_line() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    for command in ["echo", "chat", "serve"] {
        for workers in ["1", "2"] {
            let arguments = [command, "--listen", &address, "--workers", workers];
            expect_one_line(&arguments, 1, &[&address, "in use", "--listen"]);
        }
    }
    expect_one_line(&["echo", "--listen", "192.0.2.1:9001"], 1, &["192.0.2.1", "0.0.0.0:9001"]);
    expect_one_line(&["echo", "--log", "=nonsense="], 1, &["--log", "info or debug"]);
    let too_few = ["echo", "--listen", "127.0.0.1:0", "--workers", "2", "--pin", "0"];
    expect_one_line(&too_few, 1, &["too few cores (1) for 2 workers", "give 2 to --pin"]);
    let nowhere = ["echo", "--listen", "127.0.0.1:0", "--pin", "4095"];
    expect_one_line(&nowhere, 1, &["core 4095", "another with --pin"]);
    let held = ["serve", "--feed", "udp:127.0.0.1:0", "--wait-for", "1"];
    expect_one_line(&held, 1, &["--wait-for", "leave them out"]);
    let taken = ["serve", "--listen", "127.0.0.1:0", "--feed", &format!("tcp:{address}")];
    expect_one_line(&taken, 1, &[&address, "in use", "--feed"]);
    let taken = ["echo", "--listen", "127.0.0.1:0", "--metrics", &address];
    expect_one_line(&taken, 1, &[&address, "in use", "another with --metrics 127.0.0.1:"]);
    let twice = ["serve", "--listen", "127.0.0.1:0", "--symbols", "BTCUSDT,BTCUSDT"];
    expect_one_line(&twice, 1, &["BTCUSDT twice"]);
}

/// A recording is opened before anything is served.
#[test]
fn a_recording_that_cannot_be_replayed_is_answered_in_one_line() {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let missing = folder.join("no-such-recording.ndjson");
    let cases: [(&str, &[u8]); 3] = [
        ("not-gzip.ndjson.gz", b"this is not gzip"),
        ("not-json.ndjson", b"this is not json\nnor is this\n"),
        ("empty.ndjson", b""),
    ];
    let serve = |path: &Path| {
        let feed = format!("replay:{}", path.display());
        let name = path.file_name().unwrap().to_str().unwrap();
        expect_one_line(&["serve", "--listen", "127.0.0.1:0", "--feed", &feed], 1, &[name]);
    };
    serve(&missing);
    for (name, content) in cases {
        let path = folder.join(name);
        std::fs::write(&path, content).unwrap();
        serve(&path);
    }
}

/// `echo` sends each message back to its sender, in kind, up to the limit.
#[test]
fn echo_sends_every_message_back() {
    for workers in ["1", "2"] {
        let program = Program::start(&["echo", "--workers", workers, "--max-message", "1KiB"]);
        let mut clients: Vec<Client> = (0..8).map(|_| Client::open(program.address)).collect();
        for (n, client) in clients.iter_mut().enumerate() {
            client.send(&text(&format!("hello {n}")));
            client.send(&binary(&[0xff; 1024]));
        }
        for (n, client) in clients.iter_mut().enumerate() {
            client.expect_text(&format!("hello {n}"));
            client.expect_binary(&[0xff; 1024]);
            client.send(&header(0x82, 1025));
            client.expect_failure(1009);
        }
    }
}

/// What market-data clients say fits in a frame: `serve` takes few fragments, unless told to.
#[test]
fn serve_takes_messages_in_a_thousand_frames_and_no_more() {
    for (flags, frames) in [(&[][..], 1024), (&["--max-fragments", "2"][..], 2)] {
        let program = Program::start(&[&["serve"], flags].concat());
        let mut client = Client::open_at(program.address, "/ws");
        client.send(&header(0x01, 0));
        for _ in 1..frames {
            client.send(&header(0x00, 0));
        }
        client.expect_alive();
        client.send(&header(0x00, 0));
        client.expect_failure(1008);
    }
}

/// `chat` greets, and sends each message to everybody, its sender too, in kind.
#[test]
fn chat_sends_every_message_to_everybody() {
    for workers in ["1", "2"] {
        let program = Program::start(&["chat", "--workers", workers, "--greeting", "wëlcome"]);
        let mut clients: Vec<Client> = (0..6).map(|_| Client::open(program.address)).collect();
        for client in &mut clients {
            client.expect_text("wëlcome");
        }
        for sender in 0..clients.len() {
            clients[sender].send(&text(&format!("from {sender}")));
            for client in &mut clients {
                client.expect_text(&format!("from {sender}"));
            }
        }
        clients[0].send(&binary(b"\x00\xff"));
        for client in &mut clients {
            client.expect_binary(b"\x00\xff");
        }
        // Who has left hears nothing, and the others go on.
        clients.remove(2).close();
        clients[0].send(&text("one less"));
        for client in &mut clients {
            client.expect_text("one less");
        }
    }
}

/// The first lines say where it listens and what to do with it.
#[test]
fn the_first_lines_say_what_to_try() {
    let program = Program::start(&["echo"]);
    let next = program.stdout.recv_timeout(DEADLINE).unwrap();
    assert!(next.contains(&format!("ws://{}", program.address)), "{next}");
}

/// SIGTERM and SIGINT close every connection with 1001, and the program ends well once the peers
/// have answered.
#[test]
fn a_signal_closes_all_connections_and_ends_well() {
    for (signal, workers) in [("TERM", "1"), ("INT", "2")] {
        let mut program = Program::start(&["echo", "--workers", workers]);
        let mut clients: Vec<Client> = (0..4).map(|_| Client::open(program.address)).collect();
        for client in &mut clients {
            client.expect_alive();
        }
        program.signal(signal);
        for client in &mut clients {
            assert_eq!(client.expect_close(1001), "server shutdown");
            client.send(&close(1001, ""));
            client.expect_eof();
        }
        drop(clients);
        assert!(program.wait().success());
    }
}

/// A peer that does not answer cannot keep the program from ending.
#[test]
fn the_drain_timeout_bounds_the_end() {
    let mut program = Program::start(&["echo", "--drain-timeout", "200ms"]);
    let mut client = Client::open(program.address);
    client.expect_alive();
    let start = Instant::now();
    program.signal("TERM");
    client.expect_close(1001);
    assert!(program.wait().success());
    assert!(start.elapsed() >= Duration::from_millis(200));
}

/// A second signal ends the program at once, and says by which signal.
#[test]
fn a_second_signal_ends_the_program_at_once() {
    let mut program = Program::start(&["echo", "--drain-timeout", "1h", "--close-timeout", "1h"]);
    let mut client = Client::open(program.address);
    client.expect_alive();
    program.signal("INT");
    // The first has been taken once this is here.
    client.expect_close(1001);
    program.signal("INT");
    assert_eq!(program.wait().code(), Some(128 + 2));
}

/// At level debug, each end says what rule was broken, and each refusal why.
#[test]
fn a_debug_log_says_what_each_peer_did_wrong() {
    let mut program = Program::start(&["echo", "--log", "debug"]);
    let mut stranger = Client::connect(program.address);
    stranger.send(b"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n\r\n");
    assert_eq!(stranger.read_answer().status, 400);
    program.logged("handshake rejected: ");
    let answered = program.logged("answered in HTTP");
    assert!(answered.contains("400") && answered.contains("handshake_refused"), "{answered}");
    let mut client = Client::open(program.address);
    client.send(&[0x81, 0x00]);
    client.expect_failure(1002);
    let closed = program.logged("closed ");
    assert!(closed.contains("violation=Unmasked"), "{closed}");
    drop((stranger, client));
    program.signal("TERM");
    assert!(program.logged("stopped ").contains("violation=1"));
    assert!(program.wait().success());
}

/// The last line of the log leaves out what there was none of, and a stop says how to hurry it.
#[test]
fn the_last_lines_of_the_log_are_brief() {
    let mut program = Program::start(&["echo"]);
    program.signal("INT");
    program.logged("Ctrl-C once more to stop at once");
    let last = program.logged("stopped ");
    assert!(last.contains("accepted=0") && !last.contains("ended="), "{last}");
    assert!(program.wait().success());
}

/// Whoever started it may have gone, and the other ends of its output with him: it serves on, and
/// stops when it is told to.
#[test]
fn a_server_whose_output_nobody_reads_any_more_stops_all_the_same() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tickwire"));
    command.args(["serve", "--listen", "127.0.0.1:0", "--log", "debug"]);
    let mut child =
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts");
    let mut line = String::new();
    let mut stdout = BufReader::new(child.stdout.take().expect("a pipe"));
    stdout.read_line(&mut line).expect("a line");
    drop((stdout, child.stderr.take()));
    let address = line.trim().split_once("ws://").expect("an address").1.parse().expect("one");
    Client::open_at(address, "/ws/btcusdt@bookTicker").hear();
    support::program::signal(child.id(), "TERM");
    let ended = Instant::now() + DEADLINE;
    while child.try_wait().expect("a child of ours").is_none() && Instant::now() < ended {
        std::thread::sleep(Duration::from_millis(5));
    }
    // One that goes on is not to be left behind.
    let _ = child.kill();
    let status = child.wait().expect("a child of ours");
    assert!(status.success(), "{status:?}");
}

/// The program under a limit on descriptors, and the first line that it logs.
#[cfg(target_os = "linux")]
fn start_under(ulimit: &str, arguments: &[&str]) -> (Program, String) {
    let (program, _) = Program::start_under(&format!("ulimit {ulimit}"), arguments);
    let said = program.logged("room for ");
    (program, said)
}

/// The room that is promised is there, for whatever the other descriptors are.
#[cfg(target_os = "linux")]
#[test]
fn as_many_connections_as_there_is_room_for_are_served() {
    let arguments = ["serve", "--workers", "2", "--metrics", ":0", "--feed", "tcp:127.0.0.1:0"];
    let (program, said) = start_under("-n 400", &arguments);
    assert!(said.contains("WARN"), "{said}");
    for part in ["400 descriptors", "'ulimit -n 8192'", "LimitNOFILE=8192"] {
        assert!(said.contains(part), "no {part} in {said}");
    }
    let room = said.split("room for ").nth(1).and_then(|rest| rest.split(' ').next());
    let room: usize = room.unwrap().parse().unwrap();
    assert!(room > 100, "{said}");
    let mut clients: Vec<Client> =
        (0..room).map(|_| Client::open_at(program.address, "/ws")).collect();
    for client in &mut clients {
        client.expect_alive();
    }
}

/// What the system allows is used, without being asked for.
#[cfg(target_os = "linux")]
#[test]
fn the_limit_on_descriptors_is_raised_where_it_may_be() {
    let hard = std::fs::read_to_string("/proc/self/limits").unwrap();
    let hard = hard.lines().find(|line| line.starts_with("Max open files")).unwrap();
    let hard: u64 = hard.split_whitespace().nth(4).unwrap().parse().unwrap_or(u64::MAX);
    if hard < 8192 {
        return;
    }
    let (_program, said) = start_under("-n 8192 && ulimit -Sn 100", &["echo"]);
    assert!(said.contains("INFO") && said.contains("8192 descriptors"), "{said}");
}
