//! What a symbol's name and its decimals tell: the two assets, and by what prices and quantities
//! move. A feed says neither, and clients ask for both.
//! Invariant: base and quote together are the symbol.

use super::markets::Steps;

/// What symbols are known to be quoted in, longest first, so that `BTCFDUSD` is not taken for
/// `BTCFD` in `USD`.
const QUOTES: &[&str] = &[
    "FDUSD", "USDT", "USDC", "USDE", "TUSD", "BUSD", "USD1", "BIDR", "IDRT", "DOGE", "EURI", "BTC",
    "ETH", "BNB", "EUR", "TRY", "BRL", "GBP", "AUD", "JPY", "ARS", "MXN", "ZAR", "UAH", "RUB",
    "PLN", "RON", "CZK", "COP", "IDR", "DAI", "PAX", "XRP", "TRX", "SOL", "DOT", "USD", "VAI",
];

/// The most decimals of what the exchange calls a price.
const DECIMALS: usize = 8;

/// The base asset and the quote asset of a symbol. Where no known one ends it, the last three
/// letters are taken for the quote, so that clients have something to call it.
pub(super) fn split(symbol: &str) -> (&str, &str) {
    let known = QUOTES.iter().find_map(|quote| {
        symbol.strip_suffix(quote).filter(|base| !base.is_empty()).map(|base| base.len())
    });
    let end = known.or_else(|| {
        let (start, _) = symbol.char_indices().rev().nth(2)?;
        (start > 0).then_some(start)
    });
    symbol.split_at_checked(end.unwrap_or(symbol.len())).unwrap_or((symbol, ""))
}

/// How many digits behind the point prices and quantities have had at most.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Decimals {
    pub(super) price: u8,
    pub(super) quantity: u8,
    /// Whether any have been seen.
    pub(super) seen: bool,
}

impl Decimals {
    pub(super) fn note(&mut self, price: u8, quantity: u8) {
        self.price = self.price.max(price);
        self.quantity = self.quantity.max(quantity);
        self.seen = true;
    }

    /// These, or others where nothing has been seen.
    pub(super) fn or(self, other: Self) -> Self {
        if self.seen { self } else { other }
    }

    /// The smallest step that they can tell; of what was not seen the smallest that there is.
    pub(super) fn steps(self) -> Steps {
        let decimals = if self.seen { (self.price, self.quantity) } else { (8, 8) };
        Steps { price: unit(decimals.0), quantity: unit(decimals.1) }
    }
}

/// A one in this decimal place, with at least as many as the exchange writes.
fn unit(decimals: u8) -> String {
    let places = usize::from(decimals);
    if places == 0 {
        return format!("1.{:0<DECIMALS$}", "");
    }
    let fraction = format!("{:0>places$}", 1);
    format!("0.{fraction:0<DECIMALS$}")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// exchangeInfo: `baseAsset` and `quoteAsset`.
    #[test]
    fn a_symbol_is_split_at_the_longest_quote_that_ends_it() {
        for (symbol, base, quote) in [
            ("BTCUSDT", "BTC", "USDT"),
            ("BTCFDUSD", "BTC", "FDUSD"),
            ("ETHBTC", "ETH", "BTC"),
            ("BNBEUR", "BNB", "EUR"),
            ("USDTTRY", "USDT", "TRY"),
            ("ABCXYZ", "ABC", "XYZ"),
            ("USDT", "U", "SDT"),
            ("XY", "XY", ""),
            ("", "", ""),
            ("é1é2é3", "é1é", "2é3"),
        ] {
            assert_eq!(split(symbol), (base, quote), "{symbol}");
        }
        let lengths: Vec<usize> = QUOTES.iter().map(|quote| quote.len()).collect();
        assert!(lengths.is_sorted_by(|a, b| a >= b), "longest first");
    }

    /// exchangeInfo: `tickSize` and `stepSize`, learnt from decimals.
    #[test]
    fn steps_are_the_last_decimal_that_was_seen() {
        let mut decimals = Decimals::default();
        assert_eq!(decimals.steps().price, "0.00000001");
        decimals.note(2, 0);
        decimals.note(1, 0);
        let Steps { price, quantity } = decimals.steps();
        assert_eq!((&*price, &*quantity), ("0.01000000", "1.00000000"));
        assert_eq!(unit(10), "0.0000000001");
        assert_eq!(Decimals::default().or(decimals), decimals);
    }
}
