//! The payload of each kind of event, members in the order the exchange sends them.
//! Invariant: each function appends one complete JSON object.

use super::book::{Book, Diff, Level, Side};
use super::spec::SymbolSpec;
use super::tally::{Candle, Tally, Trade};

/// Prices and quantities have eight decimals.
const UNITS: u128 = 100_000_000;

/// What all payloads of a symbol have in common.
#[derive(Debug, Clone)]
pub(super) struct Style {
    symbol: String,
    tick: u64,
    lot: u64,
}

impl Style {
    pub(super) fn new(spec: &SymbolSpec) -> Self {
        Self { symbol: spec.symbol.clone(), tick: spec.tick, lot: spec.lot }
    }

    /// The symbol, in upper case.
    pub(super) fn symbol(&self) -> &str {
        &self.symbol
    }

    pub(super) fn trade(&self, now_ms: u64, trade: Trade, out: &mut Vec<u8>) {
        let mut json = self.begin("trade", now_ms, out);
        json.raw(r#","t":"#).int(trade.id);
        json.raw(r#","p":"#).price(trade.price).raw(r#","q":"#).quantity(trade.lots);
        json.execution(now_ms, trade.maker);
    }

    /// Trades with the ids `ids` that one order caused at one price.
    pub(super) fn agg_trade(
        &self,
        now_ms: u64,
        id: u64,
        ids: (u64, u64),
        total: Trade,
        out: &mut Vec<u8>,
    ) {
        let mut json = self.begin("aggTrade", now_ms, out);
        json.raw(r#","a":"#).int(id);
        json.raw(r#","p":"#).price(total.price).raw(r#","q":"#).quantity(total.lots);
        json.raw(r#","f":"#).int(ids.0).raw(r#","l":"#).int(ids.1);
        json.execution(now_ms, total.maker);
    }

    pub(super) fn book_ticker(&self, update_id: u64, bid: Level, ask: Level, out: &mut Vec<u8>) {
        let mut json = self.json(out);
        json.raw(r#"{"u":"#).int(update_id).raw(r#","s":""#).raw(&self.symbol).raw("\"");
        json.raw(r#","b":"#).price(bid.0).raw(r#","B":"#).quantity(bid.1);
        json.raw(r#","a":"#).price(ask.0).raw(r#","A":"#).quantity(ask.1).raw("}");
    }

    pub(super) fn depth_update(&self, now_ms: u64, diff: &Diff, out: &mut Vec<u8>) {
        let mut json = self.begin("depthUpdate", now_ms, out);
        json.raw(r#","U":"#).int(diff.first_id).raw(r#","u":"#).int(diff.last_id);
        json.raw(r#","b":"#).levels(diff.bids.iter().copied());
        json.raw(r#","a":"#).levels(diff.asks.iter().copied()).raw("}");
    }

    pub(super) fn partial_depth(&self, book: &Book, levels: usize, out: &mut Vec<u8>) {
        let mut json = self.json(out);
        json.raw(r#"{"lastUpdateId":"#).int(book.update_id());
        json.raw(r#","bids":"#).levels(book.bids().take(levels));
        json.raw(r#","asks":"#).levels(book.asks().take(levels)).raw("}");
    }

    pub(super) fn kline(&self, now_ms: u64, candle: &Candle, closed: Closed, out: &mut Vec<u8>) {
        let tally = &candle.tally;
        let mut json = self.begin("kline", now_ms, out);
        json.raw(r#","k":{"t":"#).int(candle.open_ms).raw(r#","T":"#).int(candle.close_ms());
        json.raw(r#","s":""#).raw(&self.symbol).raw(r#"","i":""#).raw(candle.interval);
        json.raw(r#"","f":"#).id(tally.ids.map(|ids| ids.0));
        json.raw(r#","L":"#).id(tally.ids.map(|ids| ids.1));
        json.raw(r#","o":"#).price(tally.open).raw(r#","c":"#).price(tally.close);
        json.raw(r#","h":"#).price(tally.high).raw(r#","l":"#).price(tally.low);
        json.raw(r#","v":"#).quantity(tally.lots).raw(r#","n":"#).int(tally.trades);
        json.raw(match closed {
            Closed::Yes => r#","x":true"#,
            Closed::No => r#","x":false"#,
        });
        json.raw(r#","q":"#).amount(tally.quote).raw(r#","V":"#).quantity(tally.taker_buy_lots);
        json.raw(r#","Q":"#).amount(tally.taker_buy_quote).raw(r#","B":"0"}}"#);
    }

    pub(super) fn mini_ticker(&self, now_ms: u64, window: &Tally, out: &mut Vec<u8>) {
        let mut json = self.begin("24hrMiniTicker", now_ms, out);
        json.raw(r#","c":"#).price(window.close).raw(r#","o":"#).price(window.open);
        json.raw(r#","h":"#).price(window.high).raw(r#","l":"#).price(window.low);
        json.raw(r#","v":"#).quantity(window.lots).raw(r#","q":"#).amount(window.quote).raw("}");
    }

    /// `opened_ms` is the window's start and `before` the last price before it.
    pub(super) fn ticker(
        &self,
        now_ms: u64,
        (opened_ms, before, window): (u64, u64, &Tally),
        (bid, ask): (Level, Level),
        out: &mut Vec<u8>,
    ) {
        let change = i128::from(window.close) - i128::from(window.open);
        let mut json = self.begin("24hrTicker", now_ms, out);
        json.raw(r#","p":"#).price_change(change);
        json.raw(r#","P":"#).percentage(change, window.open);
        json.raw(r#","w":"#).average(window);
        json.raw(r#","x":"#).price(before).raw(r#","c":"#).price(window.close);
        json.raw(r#","Q":"#).quantity(window.last_lots);
        json.raw(r#","b":"#).price(bid.0).raw(r#","B":"#).quantity(bid.1);
        json.raw(r#","a":"#).price(ask.0).raw(r#","A":"#).quantity(ask.1);
        json.raw(r#","o":"#).price(window.open).raw(r#","h":"#).price(window.high);
        json.raw(r#","l":"#).price(window.low).raw(r#","v":"#).quantity(window.lots);
        json.raw(r#","q":"#).amount(window.quote);
        json.raw(r#","O":"#).int(opened_ms).raw(r#","C":"#).int(now_ms);
        json.raw(r#","F":"#).id(window.ids.map(|ids| ids.0));
        json.raw(r#","L":"#).id(window.ids.map(|ids| ids.1));
        json.raw(r#","n":"#).int(window.trades).raw("}");
    }

    pub(super) fn avg_price(
        &self,
        now_ms: u64,
        last_trade_ms: u64,
        tally: &Tally,
        out: &mut Vec<u8>,
    ) {
        let mut json = self.begin("avgPrice", now_ms, out);
        json.raw(r#","i":"5m","w":"#).average(tally);
        json.raw(r#","T":"#).int(last_trade_ms).raw("}");
    }

    fn begin<'a>(&'a self, event: &str, now_ms: u64, out: &'a mut Vec<u8>) -> Json<'a> {
        let mut json = self.json(out);
        json.raw(r#"{"e":""#).raw(event).raw(r#"","E":"#).int(now_ms);
        json.raw(r#","s":""#).raw(&self.symbol).raw("\"");
        json
    }

    fn json<'a>(&'a self, out: &'a mut Vec<u8>) -> Json<'a> {
        Json { out, tick: u128::from(self.tick), lot: u128::from(self.lot) }
    }
}

/// Whether a candle has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Closed {
    Yes,
    No,
}

/// Appends pieces of JSON, scaling ticks and lots to decimals.
struct Json<'a> {
    out: &'a mut Vec<u8>,
    tick: u128,
    lot: u128,
}

impl Json<'_> {
    fn raw(&mut self, text: &str) -> &mut Self {
        self.out.extend_from_slice(text.as_bytes());
        self
    }

    fn int(&mut self, value: u64) -> &mut Self {
        self.raw(itoa::Buffer::new().format(value))
    }

    /// A trade's id, or -1 where there was no trade.
    fn id(&mut self, id: Option<u64>) -> &mut Self {
        match id {
            Some(id) => self.int(id),
            None => self.raw("-1"),
        }
    }

    fn price(&mut self, ticks: u64) -> &mut Self {
        self.decimal(u128::from(ticks) * self.tick)
    }

    fn quantity(&mut self, lots: u64) -> &mut Self {
        self.decimal(u128::from(lots) * self.lot)
    }

    /// A sum of prices times quantities.
    fn amount(&mut self, quote: u128) -> &mut Self {
        self.decimal(quote * self.tick * self.lot / UNITS)
    }

    fn average(&mut self, tally: &Tally) -> &mut Self {
        match quotient(tally.quote * self.tick, tally.lots) {
            Some(average) => self.decimal(average),
            None => self.price(tally.close),
        }
    }

    fn price_change(&mut self, ticks: i128) -> &mut Self {
        self.raw(if ticks < 0 { "\"-" } else { "\"" });
        self.bare_decimal(ticks.unsigned_abs() * self.tick).raw("\"")
    }

    /// `change` in percent of `open`, with three decimals.
    fn percentage(&mut self, change: i128, open: u64) -> &mut Self {
        let thousandths = quotient(change.unsigned_abs() * 100_000, open).unwrap_or_default();
        self.raw(if change < 0 && thousandths > 0 { "\"-" } else { "\"" });
        self.digits(thousandths / 1000, 0).raw(".").digits(thousandths % 1000, 3).raw("\"")
    }

    fn decimal(&mut self, units: u128) -> &mut Self {
        self.raw("\"").bare_decimal(units).raw("\"")
    }

    fn bare_decimal(&mut self, units: u128) -> &mut Self {
        self.digits(units / UNITS, 0).raw(".").digits(units % UNITS, 8)
    }

    /// A number, with zeros in front up to `width` digits.
    fn digits(&mut self, value: u128, width: usize) -> &mut Self {
        let mut buffer = itoa::Buffer::new();
        let digits = buffer.format(value);
        for _ in digits.len()..width {
            self.out.push(b'0');
        }
        self.raw(digits)
    }

    fn levels(&mut self, levels: impl Iterator<Item = Level>) -> &mut Self {
        self.raw("[");
        for (index, (price, lots)) in levels.enumerate() {
            self.raw(if index > 0 { ",[" } else { "[" });
            self.price(price).raw(",").quantity(lots).raw("]");
        }
        self.raw("]")
    }

    /// The end of both kinds of trade: when, and whether the buyer was the maker.
    fn execution(&mut self, now_ms: u64, maker: Side) {
        self.raw(r#","T":"#).int(now_ms);
        self.raw(match maker {
            Side::Bid => r#","m":true,"M":true}"#,
            Side::Ask => r#","m":false,"M":true}"#,
        });
    }
}

fn quotient(dividend: u128, divisor: u64) -> Option<u128> {
    dividend.checked_div(u128::from(divisor))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn style() -> Style {
        Style::new(&SymbolSpec::named("BTCUSDT").unwrap())
    }

    fn written(write: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        write(&mut out);
        String::from_utf8(out).unwrap()
    }

    /// Payloads: trades, byte for byte.
    #[test]
    fn trades_are_written_as_documented() {
        let trade = Trade { id: 12, price: 6_700_001, lots: 1, maker: Side::Bid };
        assert_eq!(
            written(|out| style().trade(5, trade, out)),
            concat!(
                r#"{"e":"trade","E":5,"s":"BTCUSDT","t":12,"p":"67000.01000000","q":"0.00001000","#,
                r#""T":5,"m":true,"M":true}"#,
            )
        );
        let total = Trade { maker: Side::Ask, lots: 250_000, ..trade };
        assert_eq!(
            written(|out| style().agg_trade(5, 3, (11, 12), total, out)),
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
            written(|out| style().depth_update(5, &diff, out)),
            concat!(
                r#"{"e":"depthUpdate","E":5,"s":"BTCUSDT","U":7,"u":9,"b":[["1.00000000","#,
                r#""0.00001000"],["0.99000000","0.00000000"]],"a":[]}"#,
            )
        );
        assert_eq!(
            written(|out| style().book_ticker(9, (100, 1), (101, 2), out)),
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
            written(|out| style().partial_depth(&book, 1, out)),
            concat!(
                r#"{"lastUpdateId":7,"bids":[["1.00000000","0.00001000"]],"asks":[["1.02000000","#,
                r#""0.00003000"]]}"#,
            )
        );
    }

    /// Payloads: statistics, falling and without trades.
    #[test]
    fn statistics_are_written_as_documented() {
        let mut window = Tally::new(200);
        window.add(Trade { id: 1, price: 200, lots: 100_000, maker: Side::Ask });
        window.add(Trade { id: 2, price: 150, lots: 100_000, maker: Side::Bid });
        assert_eq!(
            written(|out| style().ticker(9, (1, 199, &window), ((149, 1), (151, 1)), out)),
            concat!(
                r#"{"e":"24hrTicker","E":9,"s":"BTCUSDT","p":"-0.50000000","P":"-25.000","#,
                r#""w":"1.75000000","x":"1.99000000","c":"1.50000000","Q":"1.00000000","#,
                r#""b":"1.49000000","B":"0.00001000","a":"1.51000000","A":"0.00001000","#,
                r#""o":"2.00000000","h":"2.00000000","l":"1.50000000","v":"2.00000000","#,
                r#""q":"3.50000000","O":1,"C":9,"F":1,"L":2,"n":2}"#,
            )
        );
        assert_eq!(
            written(|out| style().mini_ticker(9, &window, out)),
            concat!(
                r#"{"e":"24hrMiniTicker","E":9,"s":"BTCUSDT","c":"1.50000000","o":"2.00000000","#,
                r#""h":"2.00000000","l":"1.50000000","v":"2.00000000","q":"3.50000000"}"#,
            )
        );
        let candle = Candle::new(("1m", 60_000), "btcusdt", 0, 100);
        assert_eq!(
            written(|out| style().kline(9, &candle, Closed::No, out)),
            concat!(
                r#"{"e":"kline","E":9,"s":"BTCUSDT","k":{"t":0,"T":59999,"s":"BTCUSDT","i":"1m","#,
                r#""f":-1,"L":-1,"o":"1.00000000","c":"1.00000000","h":"1.00000000","#,
                r#""l":"1.00000000","v":"0.00000000","n":0,"x":false,"q":"0.00000000","#,
                r#""V":"0.00000000","Q":"0.00000000","B":"0"}}"#,
            )
        );
        assert_eq!(
            written(|out| style().avg_price(9, 8, &Tally::new(100), out)),
            r#"{"e":"avgPrice","E":9,"s":"BTCUSDT","i":"5m","w":"1.00000000","T":8}"#
        );
    }
}
