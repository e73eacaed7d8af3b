//! Open files: how many this process may have (RLIMIT_NOFILE), and more where it may ask for more.
//! Each connection is one, so this is what bounds how many a server holds.

use super::args::{CONNECTIONS_MAX_DEFAULT, ServerArguments};
use anyhow::ensure;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Descriptors besides those of connections: standard streams, signals, a feed and its producers.
const OTHERS: u64 = 96;
/// Those of a worker's event loop and listener.
const OTHERS_A_WORKER: u64 = 8;
/// Those of the metrics' own server and its clients.
const OTHERS_OF_METRICS: u64 = 64;
/// Descriptors of a client besides those of its connections.
const OTHERS_OF_A_CLIENT: u64 = 32;
/// Room for fewer connections is worth a warning.
const ROOM_MIN: u64 = 4096;

/// Raises the limit to what the system allows, and says what that has room for: fewer connections
/// than somebody has asked for are worth a warning, or so few that anybody might miss them.
pub(super) fn make_room(arguments: &ServerArguments) {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    // Where it is refused there is what there was.
    let _ = setrlimit(Resource::Nofile, raised);
    let descriptors = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    let metrics = arguments.metrics.map_or(0, |_| OTHERS_OF_METRICS);
    let others = OTHERS + OTHERS_A_WORKER * arguments.workers as u64 + metrics;
    let room = descriptors.saturating_sub(others);
    let needed = match arguments.max_connections {
        CONNECTIONS_MAX_DEFAULT => ROOM_MIN,
        asked_for => u64::from(asked_for),
    };
    if room < needed {
        let enough = needed.saturating_add(others).checked_next_power_of_two().unwrap_or(u64::MAX);
        tracing::warn!(
            "room for {room} connections: only {descriptors} descriptors may be open; raise that \
             with 'ulimit -n {enough}', or in a systemd unit with LimitNOFILE={enough}"
        );
    } else {
        tracing::info!("room for {room} connections: {descriptors} descriptors may be open");
    }
}

/// Raises the limit where there are too few for so many connections of a client.
pub(super) fn require(connections: usize) -> anyhow::Result<()> {
    let needed = connections as u64 + OTHERS_OF_A_CLIENT;
    let limit = getrlimit(Resource::Nofile);
    if limit.current.is_none_or(|current| current >= needed) {
        return Ok(());
    }
    // Beyond the hard limit only an administrator gets; trying costs nothing.
    let maximum = limit.maximum.map(|maximum| maximum.max(needed));
    let raised = setrlimit(Resource::Nofile, Rlimit { current: Some(needed), maximum });
    let allowed = limit.maximum.unwrap_or(u64::MAX);
    ensure!(
        raised.is_ok(),
        "{connections} connections need {needed} descriptors and {allowed} are allowed; raise the \
         limit with 'ulimit -Hn {needed}', or open fewer"
    );
    Ok(())
}

/// How many descriptors may be open.
pub(super) fn allowed() -> Option<u64> {
    getrlimit(Resource::Nofile).current
}
