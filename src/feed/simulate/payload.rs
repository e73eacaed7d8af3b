//! The payloads of trades and books, members in the order the exchange sends them. Those of candles
//! and tickers are in `market`, which derives them from other feeds too.
//! Invariant: each function appends one complete JSON object.

use super::book::{Book, Diff, Level};
use crate::market::statistics::{Style, Trade};

pub(super) fn trade(style: &Style, now_ms: u64, trade: Trade, out: &mut Vec<u8>) {
    let mut json = style.begin("trade", now_ms, out);
    json.raw(r#","t":"#).int(trade.ids.0);
    json.raw(r#","p":"#).price(trade.price).raw(r#","q":"#).quantity(trade.lots);
    json.execution(now_ms, trade.maker);
}

/// Trades that one order caused at one price.
pub(super) fn agg_trade(style: &Style, now_ms: u64, id: u64, total: Trade, out: &mut Vec<u8>) {
    let mut json = style.begin("aggTrade", now_ms, out);
    json.raw(r#","a":"#).int(id);
    json.raw(r#","p":"#).price(total.price).raw(r#","q":"#).quantity(total.lots);
    json.raw(r#","f":"#).int(total.ids.0).raw(r#","l":"#).int(total.ids.1);
    json.execution(now_ms, total.maker);
}

pub(super) fn book_ticker(
    style: &Style,
    update_id: u64,
    (bid, ask): (Level, Level),
    out: &mut Vec<u8>,
) {
    let mut json = style.json(out);
    json.raw(r#"{"u":"#).int(update_id).raw(r#","s":"#).raw(style.symbol());
    json.raw(r#","b":"#).price(bid.0).raw(r#","B":"#).quantity(bid.1);
    json.raw(r#","a":"#).price(ask.0).raw(r#","A":"#).quantity(ask.1).raw("}");
}

pub(super) fn depth_update(style: &Style, now_ms: u64, diff: &Diff, out: &mut Vec<u8>) {
    let mut json = style.begin("depthUpdate", now_ms, out);
    json.raw(r#","U":"#).int(diff.first_id).raw(r#","u":"#).int(diff.last_id);
    json.raw(r#","b":"#).levels(diff.bids.iter().copied());
    json.raw(r#","a":"#).levels(diff.asks.iter().copied()).raw("}");
}

pub(super) fn partial_depth(style: &Style, book: &Book, levels: usize, out: &mut Vec<u8>) {
    let mut json = style.json(out);
    json.raw(r#"{"lastUpdateId":"#).int(book.update_id());
    json.raw(r#","bids":"#).levels(book.bids().take(levels));
    json.raw(r#","asks":"#).levels(book.asks().take(levels)).raw("}");
}

#[cfg(test)]
mod tests {
    use super::super::book::Side;
    use super::*;
    use crate::market::statistics::Maker;

    fn style() -> Style {
        Style::new("BTCUSDT", 1_000_000, 1000)
    }

    fn written(write: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        write(&mut out);
        String::from_utf8(out).unwrap()
    }

    /// Payloads: trades, byte for byte.
    #[test]
    fn trades_are_written_as_documented() {
        let trade = Trade { ids: (12, 12), price: 6_700_001, lots: 1, maker: Maker::Buyer };
        assert_eq!(
            written(|out| super::trade(&style(), 5, trade, out)),
            concat!(
                r#"{"e":"trade","E":5,"s":"BTCUSDT","t":12,"p":"67000.01000000","q":"0.00001000","#,
                r#""T":5,"m":true,"M":true}"#,
            )
        );
        let total = Trade { ids: (11, 12), maker: Maker::Seller, lots: 250_000, ..trade };
        assert_eq!(
            written(|out| agg_trade(&style(), 5, 3, total, out)),
            concat!(
                r#"{"e":"aggTrade","E":5,"s":"BTCUSDT","a":3,"p":"67000.01000000","#,
                r#""q":"2.50000000","f":11,"l":12,"T":5,"m":false,"M":true}"#,
            )
        );
    }

    /// Payloads: books, with a deleted level as zero.
    #[test]
    fn books_are_written_as_documented() {
        let diff = Diff { first_id: 7, last_id: 9, bids: vec![(100, 1), (99, 0)], asks: vec![] };
        assert_eq!(
            written(|out| depth_update(&style(), 5, &diff, out)),
            concat!(
                r#"{"e":"depthUpdate","E":5,"s":"BTCUSDT","U":7,"u":9,"b":[["1.00000000","#,
                r#""0.00001000"],["0.99000000","0.00000000"]],"a":[]}"#,
            )
        );
        assert_eq!(
            written(|out| book_ticker(&style(), 9, ((100, 1), (101, 2)), out)),
            concat!(
                r#"{"u":9,"s":"BTCUSDT","b":"1.00000000","B":"0.00001000","a":"1.01000000","#,
                r#""A":"0.00002000"}"#,
            )
        );
        let mut book = Book::new(5);
        book.place(Side::Bid, 100, 1);
        book.place(Side::Bid, 99, 1);
        book.place(Side::Ask, 102, 3);
        assert_eq!(
            written(|out| partial_depth(&style(), &book, 1, out)),
            concat!(
                r#"{"lastUpdateId":7,"bids":[["1.00000000","0.00001000"]],"asks":[["1.02000000","#,
                r#""0.00003000"]]}"#,
            )
        );
    }
}
