//! What distinguishes one simulated symbol from another.
//! Invariant: prices are far enough from zero for a book on both sides of any price reached.

/// The longest symbol, in bytes.
const SYMBOL_BYTES_MAX: usize = 20;

/// A simulated symbol: its scale, its price and how busy it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SymbolSpec {
    pub(super) symbol: String,
    /// The price step, in 10⁻⁸ of the quote asset.
    pub(super) tick: u64,
    /// The quantity step, in 10⁻⁸ of the base asset.
    pub(super) lot: u64,
    /// The price that the market returns to, in ticks.
    pub(super) anchor: u64,
    /// How far from the best price most orders lie, in ticks.
    pub(super) width: u64,
    /// A usual order's size, in lots.
    pub(super) order_lots: u64,
    /// Orders placed, cancelled or executed per second.
    pub(super) actions_per_second: u64,
}

impl SymbolSpec {
    /// The symbols simulated when none are named.
    #[must_use]
    pub fn defaults() -> Vec<Self> {
        ["BTCUSDT", "ETHUSDT", "SOLUSDT", "BNBUSDT"].map(Self::of).into()
    }

    /// A symbol by name, in any case. Well-known ones have a likely price; any other trades
    /// around 100.
    ///
    /// # Errors
    /// [`SymbolError`] unless the name is 1 to 20 ASCII letters and digits.
    pub fn named(symbol: &str) -> Result<Self, SymbolError> {
        let plain = symbol.bytes().all(|byte| byte.is_ascii_alphanumeric());
        if symbol.is_empty() || symbol.len() > SYMBOL_BYTES_MAX || !plain {
            return Err(SymbolError);
        }
        Ok(Self::of(&symbol.to_ascii_uppercase()))
    }

    /// The symbol, in upper case.
    #[must_use]
    pub fn symbol(&self) -> &str {
        &self.symbol
    }

    /// By what its prices move, in decimals.
    #[must_use]
    pub fn price_step(&self) -> String {
        decimals(self.tick)
    }

    /// By what its quantities move, in decimals.
    #[must_use]
    pub fn quantity_step(&self) -> String {
        decimals(self.lot)
    }

    fn of(symbol: &str) -> Self {
        let (tick, lot, anchor, order_lots, actions_per_second) = match symbol {
            "BTCUSDT" => (1_000_000, 1000, 6_700_000, 8000, 45),
            "ETHUSDT" => (1_000_000, 10_000, 260_000, 9000, 35),
            "SOLUSDT" => (1_000_000, 100_000, 15_000, 6000, 20),
            "BNBUSDT" => (1_000_000, 100_000, 60_000, 900, 15),
            _ => (1_000_000, 100_000, 10_000, 5000, 15),
        };
        let width = (anchor / 4000).max(60);
        let symbol = symbol.to_owned();
        Self { symbol, tick, lot, anchor, width, order_lots, actions_per_second }
    }
}

/// A number of 10⁻⁸, as prices and quantities are written.
fn decimals(units: u64) -> String {
    const ONE: u64 = 100_000_000;
    format!("{}.{:08}", units / ONE, units % ONE)
}

/// A name that no symbol can have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a symbol is 1 to {SYMBOL_BYTES_MAX} letters and digits, such as BTCUSDT")]
pub struct SymbolError;

#[cfg(test)]
mod tests {
    use super::*;

    /// Simulation: symbols are upper case, whatever case they are asked for in.
    #[test]
    fn symbols_are_named_in_any_case() {
        assert_eq!(SymbolSpec::named("btcusdt").unwrap(), SymbolSpec::defaults()[0]);
        assert_eq!(SymbolSpec::named("xyz1").unwrap().symbol(), "XYZ1");
        let btc = SymbolSpec::named("BTCUSDT").unwrap();
        assert_eq!((&*btc.price_step(), &*btc.quantity_step()), ("0.01000000", "0.00001000"));
        for name in ["", "BTC/USDT", "é", "A23456789012345678901"] {
            assert_eq!(SymbolSpec::named(name), Err(SymbolError), "{name}");
        }
    }
}
