//! The payloads of candles, tickers and averages, members in the order the exchange sends them, and
//! the writer that other payloads are made with too.
//! Invariant: each function of [`Style`] appends one complete JSON object.

use super::super::json::push_string;
use super::tally::{Candle, Maker, Tally};

/// Prices and quantities have eight decimals.
const UNITS: u128 = 100_000_000;

/// A price in ticks and its quantity in lots.
pub(crate) type Level = (u64, u128);

/// What all payloads of a symbol have in common: its name, and in how many units of 10⁻⁸ prices and
/// quantities are counted.
#[derive(Debug, Clone)]
pub(crate) struct Style {
    /// As a JSON string.
    symbol: String,
    tick: u64,
    lot: u64,
}

impl Style {
    pub(crate) fn new(symbol: &str, tick: u64, lot: u64) -> Self {
        let mut quoted = Vec::new();
        push_string(symbol, &mut quoted);
        Self { symbol: String::from_utf8(quoted).unwrap_or_default(), tick, lot }
    }

    pub(crate) fn kline(&self, now_ms: u64, candle: &Candle, closed: Closed, out: &mut Vec<u8>) {
        let tally = &candle.tally;
        let mut json = self.begin("kline", now_ms, out);
        json.raw(r#","k":{"t":"#).int(candle.open_ms).raw(r#","T":"#).int(candle.close_ms());
        json.raw(r#","s":"#).raw(&self.symbol).raw(r#","i":""#).raw(candle.interval);
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

    pub(crate) fn mini_ticker(&self, now_ms: u64, window: &Tally, out: &mut Vec<u8>) {
        let mut json = self.begin("24hrMiniTicker", now_ms, out);
        json.raw(r#","c":"#).price(window.close).raw(r#","o":"#).price(window.open);
        json.raw(r#","h":"#).price(window.high).raw(r#","l":"#).price(window.low);
        json.raw(r#","v":"#).quantity(window.lots).raw(r#","q":"#).amount(window.quote).raw("}");
    }

    /// `opened_ms` is the window's start and `before` the last price before it.
    pub(crate) fn ticker(
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

    pub(crate) fn avg_price(
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

    pub(crate) fn begin<'a>(&'a self, event: &str, now_ms: u64, out: &'a mut Vec<u8>) -> Json<'a> {
        let mut json = self.json(out);
        json.raw(r#"{"e":""#).raw(event).raw(r#"","E":"#).int(now_ms);
        json.raw(r#","s":"#).raw(&self.symbol);
        json
    }

    /// The symbol as a JSON string.
    pub(crate) fn symbol(&self) -> &str {
        &self.symbol
    }

    pub(crate) fn json<'a>(&'a self, out: &'a mut Vec<u8>) -> Json<'a> {
        Json { out, tick: u128::from(self.tick), lot: u128::from(self.lot) }
    }
}

/// Whether a candle has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Closed {
    Yes,
    No,
}

/// Appends pieces of JSON, scaling ticks and lots to decimals.
pub(crate) struct Json<'a> {
    out: &'a mut Vec<u8>,
    tick: u128,
    lot: u128,
}

impl Json<'_> {
    pub(crate) fn raw(&mut self, text: &str) -> &mut Self {
        self.out.extend_from_slice(text.as_bytes());
        self
    }

    pub(crate) fn int(&mut self, value: u64) -> &mut Self {
        self.raw(itoa::Buffer::new().format(value))
    }

    /// A trade's id, or -1 where there was no trade.
    fn id(&mut self, id: Option<u64>) -> &mut Self {
        match id {
            Some(id) => self.int(id),
            None => self.raw("-1"),
        }
    }

    pub(crate) fn price(&mut self, ticks: u64) -> &mut Self {
        self.decimal(u128::from(ticks) * self.tick)
    }

    pub(crate) fn quantity(&mut self, lots: impl Into<u128>) -> &mut Self {
        self.decimal(lots.into().saturating_mul(self.lot))
    }

    /// A sum of prices times quantities.
    fn amount(&mut self, quote: u128) -> &mut Self {
        self.decimal(quote.saturating_mul(self.tick * self.lot) / UNITS)
    }

    fn average(&mut self, tally: &Tally) -> &mut Self {
        match tally.quote.saturating_mul(self.tick).checked_div(tally.lots) {
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
        let thousandths = (change.unsigned_abs() * 100_000).checked_div(u128::from(open));
        let thousandths = thousandths.unwrap_or_default();
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

    pub(crate) fn levels<Q: Into<u128>>(
        &mut self,
        levels: impl Iterator<Item = (u64, Q)>,
    ) -> &mut Self {
        self.raw("[");
        for (index, (price, lots)) in levels.enumerate() {
            self.raw(if index > 0 { ",[" } else { "[" });
            self.price(price).raw(",").quantity(lots).raw("]");
        }
        self.raw("]")
    }

    /// The end of both kinds of trade: when, and whether the buyer was the maker.
    pub(crate) fn execution(&mut self, now_ms: u64, maker: Maker) {
        self.raw(r#","T":"#).int(now_ms);
        self.raw(match maker {
            Maker::Buyer => r#","m":true,"M":true}"#,
            Maker::Seller => r#","m":false,"M":true}"#,
        });
    }
}

#[cfg(test)]
mod tests {
    use super::super::tally::Trade;
    use super::*;

    fn style() -> Style {
        Style::new("BTCUSDT", 1_000_000, 1000)
    }

    fn written(write: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        write(&mut out);
        String::from_utf8(out).unwrap()
    }

    /// Payloads: statistics, falling and without trades.
    #[test]
    fn statistics_are_written_as_documented() {
        let mut window = Tally::new(200);
        window.add(Trade { ids: (1, 1), price: 200, lots: 100_000, maker: Maker::Seller });
        window.add(Trade { ids: (2, 2), price: 150, lots: 100_000, maker: Maker::Buyer });
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
        let candle = Candle::new(("1m", 60_000), 0, 100);
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
