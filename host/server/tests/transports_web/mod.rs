//! SIP over WebSocket (RFC 7118): phones in browsers, and what they may not do.

use crate::transports_phone::{Bench, Link, PATIENCE, WebSocketBytes};
use crate::up_and_down;
use futures_util::{SinkExt as _, StreamExt as _};
use plugboard_net::streams::StreamLimits;
use plugboard_server::switch::SwitchConfig;
use plugboard_sip::transport::Transport;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{WebSocketStream, client_async};

/// A browser connects, with these header fields.
async fn connect(bench: &Bench, fields: &[(&'static str, &'static str)]) -> Result<WebSocketStream<TcpStream>, Error> {
    let address = bench.address(Transport::Ws);
    let mut request = format!("ws://{address}/").into_client_request().expect("a request");
    for (name, value) in fields {
        request.headers_mut().insert(*name, HeaderValue::from_static(value));
    }
    let stream = TcpStream::connect(address).await.expect("accepted");
    Ok(client_async(request, stream).await?.0)
}

const SIP: (&str, &str) = ("Sec-WebSocket-Protocol", "sip");

/// A phone in a browser.
async fn phone(bench: &Bench) -> WebSocketStream<TcpStream> {
    connect(bench, &[SIP]).await.expect("a handshake")
}

/// The status of a handshake that is refused.
fn refused(outcome: Result<WebSocketStream<TcpStream>, Error>) -> u16 {
    match outcome {
        Err(Error::Http(response)) => response.status().as_u16(),
        other => panic!("not refused: {other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_over_web_socket_is_one_connection_though_the_phone_has_no_address() {
    let bench = Bench::start(SwitchConfig::default()).await;
    up_and_down(&bench, Transport::Ws, "sip:bob@127.0.0.1:PORT;transport=ws").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_over_web_socket_with_tls_is_one_connection() {
    let bench = Bench::start(SwitchConfig::default()).await;
    up_and_down(&bench, Transport::Wss, "sip:bob@127.0.0.1:PORT;transport=wss").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn text_and_binary_messages_and_keep_alives_are_taken() {
    let bench = Bench::start(SwitchConfig::default()).await;
    for as_text in [true, false] {
        let mut link = Link::new(WebSocketBytes::new(phone(&bench).await, as_text));
        let options = Link::options(1).replace("SIP/2.0/TCP phone.test", "SIP/2.0/WS df7jal23ls0d.invalid");
        link.write(&options.replace("Content-Length: 0\r\n", "")).await;
        let answer = link.message().await;
        assert!(answer.starts_with("SIP/2.0 200 "), "{answer}");
        assert!(answer.contains("Via: SIP/2.0/WS df7jal23ls0d.invalid;"), "{answer}");
        link.write("\r\n\r\n").await;
        assert_eq!(link.exactly(2).await, "\r\n");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_does_not_speak_sip_is_turned_away() {
    let bench = Bench::start(SwitchConfig::default()).await;
    assert_eq!(refused(connect(&bench, &[]).await), 400);
    assert_eq!(refused(connect(&bench, &[("Sec-WebSocket-Protocol", "chat")]).await), 400);
    let mut chatter = phone(&bench).await;
    chatter.send(Message::text("hello")).await.expect("sent");
    let rest = timeout(PATIENCE, chatter.collect::<Vec<_>>()).await.expect("closed in time");
    assert!(!rest.iter().any(|one| matches!(one, Ok(Message::Text(_) | Message::Binary(_)))), "{rest:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_of_another_origin_is_turned_away() {
    let from = |ws_origins: &[&str]| SwitchConfig {
        ws_origins: ws_origins.iter().map(ToString::to_string).collect(),
        ..SwitchConfig::default()
    };
    let (ours, foreign) = (("Origin", "https://phone.example.com"), ("Origin", "https://evil.example"));
    let bench = Bench::start(from(&["https://phone.example.com"])).await;
    assert!(connect(&bench, &[SIP, ours]).await.is_ok());
    assert_eq!(refused(connect(&bench, &[SIP, foreign]).await), 403);
    let bench = Bench::start(from(&[])).await;
    assert_eq!(refused(connect(&bench, &[SIP, ours]).await), 403);
    assert!(connect(&bench, &[SIP]).await.is_ok(), "who is no browser");
    let bench = Bench::start(from(&["*"])).await;
    assert!(connect(&bench, &[SIP, foreign]).await.is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_is_too_large_ends_the_connection() {
    let bench = Bench::start(SwitchConfig::default()).await;
    let mut phone = phone(&bench).await;
    let _ = phone.send(Message::text("x".repeat(70_000))).await; // the other end may close while it comes
    timeout(PATIENCE, phone.collect::<Vec<_>>()).await.expect("closed in time");
    bench.await_connections(0).await;
    assert_eq!(bench.switch.counters().connections_cut_off, 1);
}

/// One phone reads, so that its library answers pings; the other does not.
#[tokio::test(flavor = "multi_thread")]
async fn a_phone_that_answers_pings_stays_and_one_that_does_not_goes() {
    let short = Duration::from_millis(300);
    let streams =
        StreamLimits { ping_after: short, message_time: PATIENCE / 4, idle_time: short, ..StreamLimits::default() };
    let bench = Bench::start(SwitchConfig { streams, ..SwitchConfig::default() }).await;
    let (mut lively, dead) = (phone(&bench).await, phone(&bench).await);
    bench.await_connections(2).await;
    let lively = tokio::spawn(async move {
        while bench.switch.counters().connections_cut_off == 0 {
            let next = timeout(short, lively.next()).await;
            assert!(matches!(next, Err(_) | Ok(Some(Ok(Message::Ping(_))))), "{next:?}");
        }
        assert_eq!(bench.switch.counters().connections_open, 1);
        let mut link = Link::new(WebSocketBytes::new(lively, true));
        link.write(&Link::options(1)).await;
        assert!(link.message().await.starts_with("SIP/2.0 200 "));
    });
    timeout(PATIENCE * 2, lively).await.expect("in time").expect("the one that answers stays");
    drop(dead);
}
