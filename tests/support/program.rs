//! The program itself, in a process of its own.

use super::{DEADLINE, eventually};
use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread::JoinHandle;

/// A server that runs until it is dropped.
pub(crate) struct Program {
    child: Child,
    pub(crate) address: SocketAddr,
    /// Lines of standard output.
    pub(crate) stdout: Receiver<String>,
}

/// What a program that has ended said.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) status: ExitStatus,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Program {
    /// Starts a server on a free port.
    pub(crate) fn start(arguments: &[&str]) -> Self {
        let mut command = command(arguments);
        command.args(["--listen", "127.0.0.1:0", "--log", "warn"]);
        let mut child = command.stdout(Stdio::piped()).spawn().expect("the program starts");
        let out = BufReader::new(child.stdout.take().expect("a piped output"));
        let (sender, stdout) = channel();
        std::thread::spawn(move || {
            for line in out.lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    break;
                }
            }
        });
        let first = stdout.recv_timeout(DEADLINE).expect("the program says where it listens");
        let address = first.split_once("ws://").and_then(|(_, address)| address.parse().ok());
        let address = address.unwrap_or_else(|| panic!("no address: {first}"));
        Self { child, address, stdout }
    }

    /// Sends a signal: `TERM`, `INT`.
    pub(crate) fn signal(&self, name: &str) {
        let kill = Command::new("kill").args(["-s", name, &self.child.id().to_string()]).status();
        assert!(kill.expect("there is a kill command").success());
    }

    /// Waits for the program to end by itself.
    pub(crate) fn wait(&mut self) -> ExitStatus {
        wait(&mut self.child)
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs the program until it ends by itself.
pub(crate) fn run(arguments: &[&str]) -> Said {
    let mut command = command(arguments);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("the program starts");
    let stdout = collect(child.stdout.take());
    let stderr = collect(child.stderr.take());
    let status = wait(&mut child);
    let text = |thread: JoinHandle<String>| thread.join().expect("output is UTF-8");
    Said { status, stdout: text(stdout), stderr: text(stderr) }
}

fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tickwire"));
    command.args(arguments).stdin(Stdio::null()).env_remove("TICKWIRE_LOG");
    command
}

fn collect(pipe: Option<impl Read + Send + 'static>) -> JoinHandle<String> {
    let mut pipe = pipe.expect("a piped output");
    std::thread::spawn(move || {
        let mut text = String::new();
        pipe.read_to_string(&mut text).expect("output is UTF-8");
        text
    })
}

fn wait(child: &mut Child) -> ExitStatus {
    let mut status = None;
    eventually("the program ends", || {
        status = child.try_wait().expect("a child can be waited for");
        status.is_some()
    });
    status.expect("the program has ended")
}
