//! A plain GET at the server's address, on a connection of its own.
//! Invariant: an answer is over by its deadline, and takes no more memory than allowed.

use super::endpoint::Endpoint;
use super::error::{ClientError, Fault};
use super::session::dial;
use crate::http::{Get, GetHead, HeadLimits};
use std::io::{Read as _, Write as _};
use std::time::{Duration, Instant};

/// For an answer to come whole.
const DEADLINE: Duration = Duration::from_secs(10);
/// An order book of 5,000 levels a side has half a megabyte, a list of streams some megabytes.
const ANSWER_BYTES_MAX: usize = 32 << 20;
const RECEIVE_BYTES: usize = 64 << 10;

/// An answer: its status, and its content.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) content: String,
}

impl Endpoint {
    /// Asks for `target`, such as `/api/v3/time`, whatever path the server was named by.
    pub(crate) fn get(&self, target: &str) -> Result<Answer, ClientError> {
        self.try_get(target).map_err(|fault| ClientError::Get {
            at: self.to_string(),
            target: target.to_owned(),
            fault,
        })
    }

    fn try_get(&self, target: &str) -> Result<Answer, Fault> {
        let start = Instant::now();
        let mut stream = dial(self.combined())?;
        let (mut get, mut request) = (Get::new(self.combined(), target), Vec::new());
        get.encode(&mut request);
        stream.write_all(&request).map_err(Fault::Io)?;
        let (mut received, mut buffer) = (Vec::new(), vec![0; RECEIVE_BYTES]);
        let mut head: Option<GetHead> = None;
        loop {
            let left = DEADLINE.saturating_sub(start.elapsed());
            if left.is_zero() {
                return Err(Fault::Late(DEADLINE));
            }
            stream.set_read_timeout(Some(left)).map_err(Fault::Io)?;
            let len = stream.read(&mut buffer).map_err(Fault::Io)?;
            received.extend_from_slice(buffer.get(..len).unwrap_or_default());
            if received.len() > ANSWER_BYTES_MAX {
                return Err(Fault::TooLong(ANSWER_BYTES_MAX));
            }
            if head.is_none() {
                head = get.try_parse(&received, &HeadLimits::default()).map_err(Fault::Http)?;
            }
            let whole = head.and_then(|head| content(head, &received));
            match (whole, head) {
                (Some(answer), _) => return Ok(answer),
                // RFC 9112 §6.3: without a length the content ends with the connection.
                (None, Some(GetHead { content_len: None, status, head_len })) if len == 0 => {
                    return Ok(answer(status, received.get(head_len..)));
                }
                (None, _) if len == 0 => return Err(Fault::NoAnswer),
                (None, _) => {}
            }
        }
    }
}

/// The answer, once as much of it is there as its head says.
fn content(head: GetHead, received: &[u8]) -> Option<Answer> {
    let len = usize::try_from(head.content_len?).ok()?;
    let content = received.get(head.head_len..head.head_len.checked_add(len)?)?;
    Some(answer(head.status, Some(content)))
}

fn answer(status: u16, content: Option<&[u8]>) -> Answer {
    let content = String::from_utf8_lossy(content.unwrap_or_default()).into_owned();
    Answer { status, content }
}
