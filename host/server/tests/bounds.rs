//! What a slow or greedy client can hold: nothing for long.

mod common;

use common::{PATIENCE, Served, get, said, said_kept, short, to_end};
use plugboard_server::config::HttpLimits;
use std::time::{Duration, Instant};
use tokio::io::{AsyncRead, AsyncWriteExt as _};
use tokio::time::timeout;

const ALICE: &str = "Authorization: Basic YWxpY2U6MTIz\r\n";
const PATH: &str = "/callcontroller/alice/bob";

/// Waits until the server closes the connection; what it said until then.
async fn closed(stream: &mut (impl AsyncRead + Unpin)) -> String {
    timeout(PATIENCE, to_end(stream)).await.expect("the server closes the connection")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_says_nothing_is_cut_off() {
    let served = Served::start(short()).await;
    for address in [served.https, served.digest, served.admin] {
        assert_eq!(closed(&mut served.plain(address).await).await, "");
    }
    closed(&mut served.tls("http/1.1").await).await;
    closed(&mut served.tls("h2").await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_header_that_drips_in_is_cut_off() {
    let served = Served::start(short()).await;
    let mut stream = served.plain(served.digest).await;
    let began = Instant::now();
    let mut sent = 0;
    for piece in "GET / HTTP/1.1\r\n".chars().chain("X-Slow: 1\r\n".chars().cycle()) {
        sent += 1;
        if stream.write_all(&[piece as u8]).await.is_err() || began.elapsed() > PATIENCE {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(began.elapsed() < PATIENCE, "still open after {sent} bytes");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_header_that_drips_in_is_cut_off_too() {
    let served = Served::start(HttpLimits { idle_timeout: PATIENCE * 3, ..short() }).await;
    let mut stream = served.plain(served.digest).await;
    let first = format!("GET {PATH} HTTP/1.1\r\nHost: one.test\r\n\r\n");
    assert_eq!(said_kept(&mut stream, &first).await.status, 401);
    stream.write_all(b"GET / HT").await.expect("sent");
    closed(&mut stream).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kept_connection_is_closed_once_nothing_is_asked_for_long() {
    let served = Served::start(short()).await;
    let mut stream = served.plain(served.digest).await;
    let request = format!("GET {PATH} HTTP/1.1\r\nHost: one.test\r\n\r\n");
    for _ in 0..3 {
        assert_eq!(said_kept(&mut stream, &request).await.status, 401);
        // Longer than a header may take, shorter than a connection may be idle.
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
    closed(&mut stream).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_does_not_come_is_answered_408() {
    let served = Served::start(short()).await;
    let request = format!("POST {PATH} HTTP/1.1\r\nHost: one.test\r\n{ALICE}Content-Length: 10\r\n\r\nfive.");
    let answer = said(served.tls("http/1.1").await, &request).await;
    assert_eq!((answer.status, answer.body.trim_end()), (408, "the body took too long"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_is_bounded_announced_or_not() {
    let served = Served::start(short()).await;
    let post = |fields: &str, body: &str| {
        format!("POST {PATH} HTTP/1.1\r\nHost: one.test\r\nConnection: close\r\n{ALICE}{fields}\r\n{body}")
    };
    let fits = said(served.tls("http/1.1").await, &post("Content-Length: 1000\r\n", &"x".repeat(1000))).await;
    assert_eq!(fits.status, 200);
    let announced = said(served.tls("http/1.1").await, &post("Content-Length: 1001\r\n", "")).await;
    assert_eq!(
        (announced.status, announced.body.trim_end()),
        (413, "the body is larger than 1000 bytes (body_bytes_max)")
    );
    let chunked = format!("3e9\r\n{}\r\n0\r\n\r\n", "x".repeat(1001));
    let found_out = said(served.tls("http/1.1").await, &post("Transfer-Encoding: chunked\r\n", &chunked)).await;
    assert_eq!(found_out.status, 413);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_header_is_bounded() {
    let served = Served::start(HttpLimits { header_bytes_max: 8_192, ..HttpLimits::default() }).await;
    let header = |bytes: usize| get("one.test", PATH, &format!("X-Long: {}\r\n", "x".repeat(bytes)));
    assert_eq!(said(served.plain(served.digest).await, &header(7_000)).await.status, 401);
    assert_eq!(said(served.plain(served.digest).await, &header(20_000)).await.status, 431);
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_beyond_the_bound_wait_until_one_closes() {
    let limits = HttpLimits { connections_max: 2, ..HttpLimits::default() };
    let served = Served::start(limits).await;
    let request = format!("GET {PATH} HTTP/1.1\r\nHost: one.test\r\n\r\n");
    let mut held = [served.plain(served.digest).await, served.plain(served.digest).await];
    for stream in &mut held {
        assert_eq!(said_kept(stream, &request).await.status, 401);
    }
    let mut third = served.plain(served.digest).await;
    let early = timeout(Duration::from_millis(200), said_kept(&mut third, &request)).await;
    assert!(early.is_err(), "there are two already");
    drop(held);
    let mut third = served.plain(served.digest).await;
    assert_eq!(said_kept(&mut third, &request).await.status, 401);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_under_way_is_answered_when_the_server_stops() {
    let served = Served::start(HttpLimits::default()).await;
    let stream = served.tls("http/1.1").await;
    let mut idle = served.plain(served.digest).await;
    let first = format!("GET {PATH} HTTP/1.1\r\nHost: one.test\r\n\r\n");
    assert_eq!(said_kept(&mut idle, &first).await.status, 401);
    let address = served.digest;
    let slow = tokio::spawn(async move { said(stream, &get("one.test", "/callcontroller/alice/slow", ALICE)).await });
    tokio::time::sleep(Duration::from_millis(100)).await;
    served.stop().await;
    assert_eq!(slow.await.expect("no panic").status, 200);
    assert_eq!(closed(&mut idle).await, "");
    assert!(tokio::net::TcpStream::connect(address).await.is_err(), "nobody listens any more");
}
