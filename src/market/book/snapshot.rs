//! A whole order book as the REST interface answers it, read as strictly as a diff. Members that
//! the answer does not have are left out, such as the `s` that recorders add.

use super::super::depth::diff::Level;
use serde::Deserialize;

#[derive(Deserialize)]
pub(super) struct Snapshot {
    #[serde(rename = "lastUpdateId")]
    pub(super) last_update_id: u64,
    pub(super) bids: Vec<Level>,
    pub(super) asks: Vec<Level>,
}

impl Snapshot {
    /// Reads a payload; `None` of what is no snapshot.
    pub(super) fn parse(payload: &str) -> Option<Self> {
        // serde also reads a struct from an array; the protocol does not.
        payload.trim_ascii_start().starts_with('{').then_some(())?;
        serde_json::from_str(payload).ok()
    }
}

/// The last update in a snapshot; `None` where it says none.
pub(in crate::market) fn snapshot_update_id(payload: &str) -> Option<u64> {
    #[derive(Deserialize)]
    struct UpdateId {
        #[serde(rename = "lastUpdateId")]
        last_update_id: u64,
    }
    serde_json::from_str(payload).ok().map(|UpdateId { last_update_id }| last_update_id)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// GETs: `{"lastUpdateId":u,"bids":[[p,q]…],"asks":[[p,q]…]}`, and nothing like it.
    #[test]
    fn only_the_documented_answer_is_a_snapshot() {
        let answer = r#" {"s":"BTCUSDT","lastUpdateId":7,"bids":[["1.0","2"]],"asks":[]}"#;
        let snapshot = Snapshot::parse(answer).unwrap();
        assert_eq!((snapshot.last_update_id, snapshot.bids.len(), snapshot.asks.len()), (7, 1, 0));
        for other in [
            "",
            "[7,[],[]]",
            r#"{"lastUpdateId":-7,"bids":[],"asks":[]}"#,
            r#"{"lastUpdateId":7,"bids":[]}"#,
            r#"{"lastUpdateId":7,"bids":[["1","x"]],"asks":[]}"#,
            r#"{"lastUpdateId":7,"lastUpdateId":7,"bids":[],"asks":[]}"#,
        ] {
            assert!(Snapshot::parse(other).is_none(), "{other}");
        }
    }
}
