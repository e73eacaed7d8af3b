//! The program itself, in a process of its own.

use super::{DEADLINE, eventually};
use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread::JoinHandle;
use std::time::Instant;

/// A server that runs until it is dropped.
pub(crate) struct Program {
    child: Child,
    pub(crate) address: SocketAddr,
    /// Standard input, which ends when this is dropped.
    pub(crate) stdin: Option<ChildStdin>,
    /// Lines of standard output.
    pub(crate) stdout: Receiver<String>,
    /// Lines of standard error.
    log: Receiver<String>,
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
        Self::start_and_tell(arguments).0
    }

    /// Starts a server on a free port, after a command of the shell's; its first line.
    pub(crate) fn start_under(shell: &str, arguments: &[&str]) -> (Self, String) {
        let mut command = Command::new("sh");
        command.args(["-c", &format!("{shell} && exec \"$0\" \"$@\"")]);
        command.arg(env!("CARGO_BIN_EXE_tickwire")).args(arguments).env_remove("TICKWIRE_LOG");
        Self::spawn("127.0.0.1:0", command)
    }

    /// Starts a server on a free port; its first line.
    pub(crate) fn start_and_tell(arguments: &[&str]) -> (Self, String) {
        Self::spawn("127.0.0.1:0", command(arguments))
    }

    /// Starts a server where one was before.
    pub(crate) fn start_at(address: SocketAddr, arguments: &[&str]) -> Self {
        Self::spawn(&address.to_string(), command(arguments)).0
    }

    fn spawn(listen: &str, mut command: Command) -> (Self, String) {
        command.args(["--listen", listen]).stdin(Stdio::piped());
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the program starts");
        let (stdout, log) = (lines(child.stdout.take()), lines(child.stderr.take()));
        let Ok(first) = stdout.recv_timeout(DEADLINE) else {
            panic!("the program does not say where it listens, but {:?}", log.recv());
        };
        let address = first.split_once("ws://").and_then(|(_, address)| address.parse().ok());
        let address = address.unwrap_or_else(|| panic!("no address: {first}"));
        let stdin = child.stdin.take();
        (Self { child, address, stdin, stdout, log }, first)
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Waits for a line of standard error with `part` in it; earlier ones are passed over.
    pub(crate) fn logged(&self, part: &str) -> String {
        logged(&self.log, part)
    }

    /// Sends a signal: `TERM`, `INT`, `KILL`.
    pub(crate) fn signal(&self, name: &str) {
        signal(self.child.id(), name);
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

/// A command that is no server, while it runs.
pub(crate) struct Running {
    child: Child,
    /// Lines of standard output.
    pub(crate) stdout: Receiver<String>,
    /// Lines of standard error.
    log: Receiver<String>,
}

impl Running {
    pub(crate) fn start(arguments: &[&str]) -> Self {
        let mut command = command(arguments);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the program starts");
        let (stdout, log) = (lines(child.stdout.take()), lines(child.stderr.take()));
        Self { child, stdout, log }
    }

    /// The next line of standard output.
    pub(crate) fn line(&self) -> String {
        self.stdout.recv_timeout(DEADLINE).unwrap_or_else(|_| {
            panic!("no line comes; the log says {:#?}", self.log.try_iter().collect::<Vec<_>>())
        })
    }

    /// Waits for a line of standard error with `part` in it; earlier ones are passed over.
    pub(crate) fn logged(&self, part: &str) -> String {
        logged(&self.log, part)
    }

    /// Sends a signal: `TERM`, `INT`, `KILL`.
    pub(crate) fn signal(&self, name: &str) {
        signal(self.child.id(), name);
    }

    /// Waits for it to end.
    pub(crate) fn wait(&mut self) -> ExitStatus {
        wait(&mut self.child)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn logged(log: &Receiver<String>, part: &str) -> String {
    let (start, mut passed) = (Instant::now(), Vec::new());
    loop {
        match log.recv_timeout(DEADLINE.saturating_sub(start.elapsed())) {
            Ok(line) if line.contains(part) => return line,
            Ok(line) => passed.push(line),
            Err(_) => panic!("the log does not say {part:?}, but {passed:#?}"),
        }
    }
}

/// Runs the program until it ends by itself.
pub(crate) fn run(arguments: &[&str]) -> Said {
    said(arguments, |_| {})
}

/// Runs the program, and sends it a signal once something is so.
pub(crate) fn run_with_signal(arguments: &[&str], name: &str, is_so: impl FnMut() -> bool) -> Said {
    said(arguments, |child| {
        eventually("the program is at work", is_so);
        signal(child.id(), name);
    })
}

fn said(arguments: &[&str], meanwhile: impl FnOnce(&Child)) -> Said {
    let mut command = command(arguments);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("the program starts");
    let stdout = collect(child.stdout.take());
    let stderr = collect(child.stderr.take());
    meanwhile(&child);
    let status = wait(&mut child);
    let text = |thread: JoinHandle<String>| thread.join().expect("output is UTF-8");
    Said { status, stdout: text(stdout), stderr: text(stderr) }
}

pub(crate) fn signal(process: u32, name: &str) {
    let kill = Command::new("kill").args(["-s", name, &process.to_string()]).status();
    assert!(kill.expect("there is a kill command").success());
}

fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tickwire"));
    command.args(arguments).stdin(Stdio::null()).env_remove("TICKWIRE_LOG");
    command
}

fn lines(pipe: Option<impl Read + Send + 'static>) -> Receiver<String> {
    let pipe = BufReader::new(pipe.expect("a piped output"));
    let (sender, receiver) = channel();
    // A test that is over receives no more.
    std::thread::spawn(move || {
        let _ = pipe.lines().map_while(Result::ok).try_for_each(|line| sender.send(line));
    });
    receiver
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
