//! Why a server cannot be put together.

use crate::net::BindError;
use std::fmt;
use std::io;

/// Why a server cannot be put together.
#[derive(Debug)]
#[non_exhaustive]
pub enum BuildError {
    /// The server's address cannot be listened on.
    Bind(BindError),
    /// A source's address cannot.
    Source(BindError),
    /// [`Options::pin`](super::Options::pin) has fewer cores than there are workers.
    TooFewCores {
        /// Cores given.
        cores: usize,
        /// Workers asked for.
        workers: usize,
    },
    /// [`Options::pin`](super::Options::pin) has a core that this process may not run on.
    NoSuchCore {
        /// The core.
        core: usize,
        /// Those that it may run on.
        allowed: Vec<usize>,
    },
    /// The system does not let this process busy-poll its sockets.
    BusyPoll(io::Error),
}

impl From<BindError> for BuildError {
    fn from(error: BindError) -> Self {
        Self::Bind(error)
    }
}

impl fmt::Display for BuildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bind(error) | Self::Source(error) => error.fmt(f),
            Self::TooFewCores { cores, workers } => {
                write!(f, "too few cores ({cores}) for {workers} workers, which need one each")
            }
            Self::NoSuchCore { core, allowed } => {
                let allowed: Vec<String> = allowed.iter().map(usize::to_string).collect();
                let allowed = allowed.join(", ");
                write!(f, "core {core} is not one that this process may run on ({allowed})")
            }
            Self::BusyPoll(source) => write!(f, "sockets cannot be busy-polled: {source}"),
        }
    }
}

impl std::error::Error for BuildError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Bind(error) | Self::Source(error) => error.source(),
            Self::BusyPoll(source) => Some(source),
            Self::TooFewCores { .. } | Self::NoSuchCore { .. } => None,
        }
    }
}
