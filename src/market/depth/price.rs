//! Prices and quantities: decimal numbers as text. Prices are compared as numbers, exactly.
//! Invariant: texts for one number are one [`Price`] (`0.10` and `0.1`), and texts for two are two.

/// The longest text of a price or a quantity, in bytes. The exchange's have up to 20.
const DIGITS_MAX: usize = 31;

/// How many digits behind the point can be told apart.
const FRACTION_DIGITS_MAX: usize = 18;
const FRACTION_UNIT: u64 = 10_u64.pow(18);

/// A price in units of 10⁻¹⁸.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::market) struct Price(u128);

impl Price {
    /// `None` of what is no decimal number, is over 2⁶⁴, or is too fine to be told from others.
    pub(in crate::market) fn parse(text: &str) -> Option<Self> {
        let (whole, fraction) = parts(text)?;
        let whole: u64 = whole.parse().ok()?;
        let fraction = fraction.trim_end_matches('0');
        let missing = FRACTION_DIGITS_MAX.checked_sub(fraction.len())?;
        let digits = |value: u64, byte: u8| value * 10 + u64::from(byte - b'0');
        let fraction = fraction.bytes().fold(0, digits) * 10_u64.pow(u32::try_from(missing).ok()?);
        Some(Self(u128::from(whole) * u128::from(FRACTION_UNIT) + u128::from(fraction)))
    }

    /// The number in units of 10⁻⁸; `None` where it is no whole number of them.
    pub(in crate::market) fn hundred_millionths(self) -> Option<u128> {
        self.0.is_multiple_of(10_u128.pow(10)).then_some(self.0 / 10_u128.pow(10))
    }
}

impl Price {
    /// Another one, by which the highest price comes first.
    pub(in crate::market) fn complement(self) -> Self {
        Self(u128::MAX - self.0)
    }
}

/// The text of a decimal number, without a sign or an exponent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::market) struct Digits {
    len: u8,
    bytes: [u8; DIGITS_MAX],
}

impl Digits {
    /// `None` of what is no decimal number, or too long.
    pub(in crate::market) fn parse(text: &str) -> Option<Self> {
        parts(text)?;
        let mut bytes = [0; DIGITS_MAX];
        bytes.get_mut(..text.len())?.copy_from_slice(text.as_bytes());
        Some(Self { len: u8::try_from(text.len()).ok()?, bytes })
    }

    pub(in crate::market) fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.len)).unwrap_or_default()
    }

    pub(in crate::market) fn text(&self) -> &str {
        // They were read from text.
        str::from_utf8(self.as_bytes()).unwrap_or_default()
    }

    pub(in crate::market) fn is_zero(&self) -> bool {
        self.as_bytes().iter().all(|byte| matches!(byte, b'0' | b'.'))
    }

    /// How many digits stand behind the point, zeros at the end not counted.
    pub(in crate::market) fn decimals(&self) -> u8 {
        let mut fraction = self.as_bytes().split(|byte| *byte == b'.').nth(1).unwrap_or_default();
        while let [rest @ .., b'0'] = fraction {
            fraction = rest;
        }
        u8::try_from(fraction.len()).unwrap_or(u8::MAX)
    }
}

/// Appends prices with their quantities, `["<price>","<quantity>"]`, with commas between them.
pub(in crate::market) fn push_levels<'a>(
    levels: impl Iterator<Item = (&'a Digits, &'a Digits)>,
    out: &mut Vec<u8>,
) {
    let mut separator: &[u8] = b"[\"";
    for (price, quantity) in levels {
        out.extend_from_slice(separator);
        out.extend_from_slice(price.as_bytes());
        out.extend_from_slice(b"\",\"");
        out.extend_from_slice(quantity.as_bytes());
        out.extend_from_slice(b"\"]");
        separator = b",[\"";
    }
}

/// The digits before and behind the point.
fn parts(text: &str) -> Option<(&str, &str)> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    (are_digits(whole) && are_digits(fraction)).then_some((whole, fraction))
}

fn are_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Levels are told apart by number: however a price is written, it is the same level.
    #[test]
    fn a_price_is_its_number() {
        let same = ["0.1", "0.10", "00.1", "0.100000000000000000", "000.1000000000000000000000"];
        for text in same {
            assert_eq!(Price::parse(text), Price::parse("0.1"), "{text}");
            assert!(Price::parse(text).is_some(), "{text}");
        }
        assert_eq!(Price::parse("7"), Price::parse("7.0"));
    }

    #[test]
    fn prices_are_ordered_as_numbers() {
        let rising = [
            "0",
            "0.000000000000000001",
            "0.00000001",
            "0.1",
            "0.11",
            "0.2",
            "1",
            "9.99",
            "10",
            "18446744073709551615",
            "18446744073709551615.999999999999999999",
        ];
        for pair in rising.windows(2) {
            let [low, high] = pair else { panic!("a window of two") };
            assert!(Price::parse(low).unwrap() < Price::parse(high).unwrap(), "{low} {high}");
        }
    }

    /// Zero, however it is written, and what stands behind the point without its zeros.
    #[test]
    fn the_zeros_of_a_number_are_known() {
        for (text, is_zero, decimals) in [
            ("0", true, 0),
            ("000.000", true, 0),
            ("10", false, 0),
            ("10.00", false, 0),
            ("0.0100", false, 2),
            ("7.05", false, 2),
        ] {
            let digits = Digits::parse(text).unwrap();
            assert_eq!((digits.is_zero(), digits.decimals()), (is_zero, decimals), "{text}");
        }
    }

    /// A number that could be mistaken for another is refused, and so is anything but digits.
    #[test]
    fn what_is_no_bounded_decimal_is_refused() {
        for text in
            ["", ".", "1.", ".5", "-1", "+1", "1e3", "1,5", " 1", "1.2.3", "0x1", "٣", "NaN"]
        {
            assert_eq!(Price::parse(text), None, "{text}");
            assert_eq!(Digits::parse(text), None, "{text}");
        }
        assert_eq!(Price::parse("0.0000000000000000001"), None);
        assert_eq!(Price::parse("18446744073709551616"), None);
        assert_eq!(Digits::parse(&"1".repeat(DIGITS_MAX)).unwrap().as_bytes(), [b'1'; DIGITS_MAX]);
        assert_eq!(Digits::parse(&"1".repeat(DIGITS_MAX + 1)), None);
    }
}
