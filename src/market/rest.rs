//! The GETs of the REST interface that order books and markets are loaded with: `/api/v3/depth` and
//! `/api/v3/exchangeInfo`. Errors have the exchange's codes and texts (`errors.md` in
//! `binance-spot-api-docs`).
//!
//! Invariant: whatever is asked is answered, in JSON, and from what has been prepared where it was
//! asked before.

use super::assets;
use super::json::push_string;
use super::markets::{DEPTH_LIMIT_MAX, Depth, Markets, Missing, Steps, Symbol};
use super::path::{pairs, percent_decode};
use crate::http::{Response, Status};
use std::borrow::Cow;

/// Levels of a side that are answered where nobody says how many.
const DEPTH_LIMIT_DEFAULT: usize = 100;
/// The longest symbol that can be asked for, in characters: the exchange's figure.
const SYMBOL_CHARACTERS_MAX: usize = 50;

/// Why a request has no other answer.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Failure {
    status: Status,
    code: i32,
    text: String,
}

impl Failure {
    fn of_request(code: i32, text: impl Into<String>) -> Self {
        Self { status: Status::BAD_REQUEST, code, text: text.into() }
    }

    fn illegal(parameter: &str, range: &str) -> Self {
        let text = format!("Illegal characters found in parameter '{parameter}'; ");
        Self::of_request(-1100, text + &format!("legal range is '{range}'."))
    }

    fn illegal_symbol() -> Self {
        Self::illegal("symbol", r"^[\w\-._&&[^a-z]]{1,50}$")
    }

    fn unknown_symbol() -> Self {
        Self::of_request(-1121, "Invalid symbol.")
    }

    fn response(&self) -> Response {
        let mut out = format!(r#"{{"code":{},"msg":"#, self.code).into_bytes();
        push_string(&self.text, &mut out);
        out.push(b'}');
        json(self.status, out)
    }
}

/// The answer to a request, if its path is one of these.
pub(super) fn answer(
    markets: &Markets,
    path: &str,
    query: Option<&str>,
    now_ms: u64,
) -> Option<Response> {
    let query = query.unwrap_or_default();
    let answer = match path {
        "/api/v3/depth" => depth(markets, query),
        "/api/v3/exchangeInfo" => exchange_info(markets, query, now_ms),
        _ => return None,
    };
    // Pages of other origins are clients too: what is here is for everybody.
    let response = answer.unwrap_or_else(|failure| failure.response());
    let response = response.field("Access-Control-Allow-Origin", "*");
    Some(response.unwrap_or_else(|_| Response::new(Status::INTERNAL_SERVER_ERROR)))
}

fn depth(markets: &Markets, query: &str) -> Result<Response, Failure> {
    let symbol = parameter(query, "symbol")?.ok_or_else(|| {
        let text = "Mandatory parameter 'symbol' was not sent, was empty/null, or malformed.";
        Failure::of_request(-1102, text)
    })?;
    let limit = limit(parameter(query, "limit")?)?;
    check_symbol(&symbol)?;
    match markets.depth(&symbol, limit) {
        Depth::Book(answer) => Ok(Response::shared_json(Status::OK, answer)),
        Depth::UnknownSymbol => Err(Failure::unknown_symbol()),
        Depth::Missing(missing) => {
            let text = match missing {
                Missing::DepthStream => format!(
                    "No order book of {symbol}: no depth stream of it has come from the feed"
                ),
                Missing::Snapshot => format!(
                    "No order book of {symbol} yet: the feed's differences have come, and no \
                     snapshot that they follow"
                ),
                Missing::UpdatesAfter(last) => format!(
                    "The order book of {symbol} is withdrawn: the feed has left out updates after \
                     {last}; they or a snapshot are waited for"
                ),
            };
            Err(Failure { status: Status::SERVICE_UNAVAILABLE, code: -1001, text })
        }
    }
}

fn limit(text: Option<Cow<'_, str>>) -> Result<usize, Failure> {
    let Some(text) = text else { return Ok(DEPTH_LIMIT_DEFAULT) };
    if text.len() > 20 || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(Failure::illegal("limit", "^[0-9]{1,20}$"));
    }
    // What is more than a number can hold is more than there may be.
    match text.parse().unwrap_or(DEPTH_LIMIT_MAX) {
        0 => Err(Failure::of_request(-1130, "Data sent for parameter 'limit' is not valid.")),
        limit => Ok(limit),
    }
}

fn check_symbol(symbol: &str) -> Result<(), Failure> {
    let legal = |c: char| (c.is_alphanumeric() && !c.is_ascii_lowercase()) || "-_.".contains(c);
    let short = symbol.chars().count() <= SYMBOL_CHARACTERS_MAX;
    if short && symbol.chars().all(legal) { Ok(()) } else { Err(Failure::illegal_symbol()) }
}

/// The value of a parameter, decoded and not empty.
fn parameter<'q>(query: &'q str, name: &str) -> Result<Option<Cow<'q, str>>, Failure> {
    let mut values = pairs(query).filter(|(key, _)| *key == name).map(|(_, value)| value);
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(Failure::of_request(-1101, "Duplicate values for a parameter detected."));
    }
    if value.is_empty() {
        return Err(Failure::of_request(-1105, format!("Parameter '{name}' was empty.")));
    }
    let malformed = |_| Failure::of_request(-1100, "Illegal characters found in a parameter.");
    percent_decode(value).map(Some).map_err(malformed)
}

fn exchange_info(markets: &Markets, query: &str, now_ms: u64) -> Result<Response, Failure> {
    let find = |name: &str| {
        check_symbol(name)?;
        markets.find(name).ok_or_else(Failure::unknown_symbol)
    };
    let symbols = match (parameter(query, "symbol")?, parameter(query, "symbols")?) {
        (None, None) => markets.all(),
        (Some(symbol), None) => vec![find(&symbol)?],
        (None, Some(symbols)) => {
            let names: Vec<String> = serde_json::from_str(&symbols).map_err(|_| {
                let range =
                    r#"^\[("[\w\-._&&[^a-z]]{1,50}"(,"[\w\-._&&[^a-z]]{1,50}"){0,}){0,1}\]$"#;
                Failure::illegal("symbols", range)
            })?;
            names.iter().map(|name| find(name)).collect::<Result<_, _>>()?
        }
        (Some(_), Some(_)) => {
            let text = "Combination of optional parameters invalid.";
            return Err(Failure::of_request(-1128, text));
        }
    };
    let mut out = Vec::new();
    out.extend_from_slice(br#"{"timezone":"UTC","serverTime":"#);
    out.extend_from_slice(itoa::Buffer::new().format(now_ms).as_bytes());
    out.extend_from_slice(br#","rateLimits":[],"exchangeFilters":[],"symbols":["#);
    for (index, symbol) in symbols.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        push_symbol(symbol, &mut out);
    }
    out.extend_from_slice(b"]}");
    Ok(json(Status::OK, out))
}

/// What clients read of a symbol. Nobody trades here: prices and quantities have the steps that the
/// feed's have, and no other limits than those of their form.
fn push_symbol(symbol: &Symbol, out: &mut Vec<u8>) {
    let (base, quote) = assets::split(&symbol.name);
    let Steps { price, quantity } = symbol.lock().steps();
    out.extend_from_slice(br#"{"symbol":"#);
    push_string(&symbol.name, out);
    out.extend_from_slice(br#","status":"TRADING","baseAsset":"#);
    push_string(base, out);
    out.extend_from_slice(br#","baseAssetPrecision":8,"quoteAsset":"#);
    push_string(quote, out);
    out.extend_from_slice(
        br#","quotePrecision":8,"quoteAssetPrecision":8,"baseCommissionPrecision":8,"#,
    );
    out.extend_from_slice(
        br#""quoteCommissionPrecision":8,"orderTypes":["LIMIT","LIMIT_MAKER","MARKET"],"#,
    );
    out.extend_from_slice(br#""icebergAllowed":false,"ocoAllowed":false,"otoAllowed":false,"#);
    out.extend_from_slice(br#""quoteOrderQtyMarketAllowed":true,"allowTrailingStop":false,"#);
    out.extend_from_slice(br#""cancelReplaceAllowed":false,"#);
    out.extend_from_slice(
        br#""isSpotTradingAllowed":true,"isMarginTradingAllowed":false,"filters":["#,
    );
    let filters = format!(
        concat!(
            r#"{{"filterType":"PRICE_FILTER","minPrice":"{price}","#,
            r#""maxPrice":"1000000000.00000000","tickSize":"{price}"}},"#,
            r#"{{"filterType":"LOT_SIZE","minQty":"{quantity}","maxQty":"9000000000.00000000","#,
            r#""stepSize":"{quantity}"}},"#,
            r#"{{"filterType":"NOTIONAL","minNotional":"{notional}","applyMinToMarket":true,"#,
            r#""maxNotional":"9000000000.00000000","applyMaxToMarket":false,"avgPriceMins":5}}"#,
        ),
        price = price,
        quantity = quantity,
        notional = "0.00000000",
    );
    out.extend_from_slice(filters.as_bytes());
    out.extend_from_slice(br#"],"permissions":["SPOT"],"permissionSets":[["SPOT"]],"#);
    out.extend_from_slice(br#""defaultSelfTradePreventionMode":"NONE","#);
    out.extend_from_slice(br#""allowedSelfTradePreventionModes":["NONE"]}"#);
}

/// An answer of the bytes that this file writes.
fn json(status: Status, content: Vec<u8>) -> Response {
    Response::shared_json(status, content.into())
}
