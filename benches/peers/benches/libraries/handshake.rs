//! The opening handshake on the server's side: a browser's request in, the answer out. tickwire also
//! judges the request by RFC 6455 §4.2.1 and looks for what no request may hold; sockudo-ws looks for
//! the fields that it needs; tokio-websockets and tungstenite make a request of the http crate's.

use crate::memory::{Memory, ready};
use criterion::{Criterion, Throughput};
use sockudo_ws::handshake::{build_response, generate_accept_key, parse_request};
use std::hint::black_box;
use tickwire::http::{HeadLimits, HeadParser, Intent, Switching, classify};
use tokio_tungstenite::tungstenite;
use tokio_websockets::ServerBuilder;

/// As Chromium sends it.
const REQUEST: &[u8] = b"GET /ws/btcusdt@trade HTTP/1.1\r\n\
    Host: 127.0.0.1:9001\r\n\
    Connection: Upgrade\r\n\
    User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) \
    Chrome/142.0.0.0 Safari/537.36\r\n\
    Upgrade: websocket\r\n\
    Origin: http://127.0.0.1:9001\r\n\
    Sec-WebSocket-Version: 13\r\n\
    Accept-Encoding: gzip, deflate, br, zstd\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

pub(crate) fn bench(criterion: &mut Criterion) {
    let limits = HeadLimits::default();
    let mut group = criterion.benchmark_group("handshake");
    group.throughput(Throughput::Elements(1));
    group.bench_function("tickwire", |bencher| {
        let mut out = Vec::new();
        bencher.iter(|| {
            out.clear();
            let request = HeadParser::new().try_parse(black_box(REQUEST), &limits);
            let request = request.expect("a valid head").expect("a whole head");
            match classify(&request) {
                Ok(Intent::WebSocket(handshake)) => Switching::new(&handshake).encode(&mut out),
                other => panic!("a browser's handshake is {other:?}"),
            }
            black_box(out.as_slice());
        });
    });
    group.bench_function("tungstenite", |bencher| {
        bencher.iter(|| {
            let memory = Memory::endless(black_box(REQUEST));
            black_box(tungstenite::accept(memory).expect("a valid handshake"));
        });
    });
    group.bench_function("tokio-websockets", |bencher| {
        let builder = ServerBuilder::new();
        bencher.iter(|| {
            let memory = Memory::endless(black_box(REQUEST));
            black_box(ready(builder.accept(memory)).expect("a valid handshake"));
        });
    });
    group.bench_function("sockudo-ws", |bencher| {
        bencher.iter(|| {
            let request = parse_request(black_box(REQUEST)).expect("a valid head");
            let (request, _) = request.expect("a whole head");
            let key = generate_accept_key(request.key);
            black_box(build_response(&key, None, None));
        });
    });
    group.finish();
}
