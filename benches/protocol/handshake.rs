//! The opening handshake on the server's side: a browser's request read, judged and answered.

use criterion::{Criterion, Throughput};
use std::hint::black_box;
use tickwire::http::{HeadLimits, HeadParser, Intent, Switching, classify};

/// As Chromium sends it.
const REQUEST: &[u8] = b"GET /ws/btcusdt@trade HTTP/1.1\r\n\
    Host: 127.0.0.1:9001\r\n\
    Connection: Upgrade\r\n\
    Pragma: no-cache\r\n\
    Cache-Control: no-cache\r\n\
    User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) \
    Chrome/142.0.0.0 Safari/537.36\r\n\
    Upgrade: websocket\r\n\
    Origin: http://127.0.0.1:9001\r\n\
    Sec-WebSocket-Version: 13\r\n\
    Accept-Encoding: gzip, deflate, br, zstd\r\n\
    Accept-Language: en-US,en;q=0.9\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
    Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n\r\n";

pub(crate) fn bench(criterion: &mut Criterion) {
    let limits = HeadLimits::default();
    let mut group = criterion.benchmark_group("handshake");
    group.throughput(Throughput::Bytes(REQUEST.len() as u64));
    group.bench_function("read", |bencher| {
        bencher.iter(|| HeadParser::new().try_parse(black_box(REQUEST), &limits).is_ok());
    });
    group.bench_function("read, judge and answer", |bencher| {
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
    group.finish();
}
