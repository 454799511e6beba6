use bytes::Bytes;

use super::*;
use crate::message::{HeaderName, Method, Request, Status};

const HEAD: &str = "OPTIONS sip:h SIP/2.0\r\nVia: SIP/2.0/UDP h;branch=z9hG4bK1\r\nFrom: <sip:a@h>;tag=1\r\n\
                    To: <sip:h>\r\nCall-ID: 1\r\nCSeq: 1 OPTIONS\r\n";

fn parse(text: &str) -> Result<Message, ParseError> {
    parse_datagram(Bytes::copy_from_slice(text.as_bytes()), &Limits::default())
}

fn request(text: &str) -> Request {
    match parse(text) {
        Ok(Message::Request(request)) => request,
        other => panic!("not a request: {other:?}"),
    }
}

fn kind(text: &str) -> Option<ParseErrorKind> {
    parse(text).err().map(|error| error.kind)
}

fn answer(text: &str) -> Option<Status> {
    parse(text).err()?.reply.map(|reply| reply.status)
}

#[test]
fn liberal_in_names_spaces_and_line_ends() {
    let found = request(
        "\r\n\nMESSAGE sip:h SIP/2.0\nv :SIP/2.0/UDP h\r\nsUBJECT\t:  one\r\n \t two\n\tthree  \r\nX-Odd:\r\n value\r\nE:\r\n\r\nbody",
    );
    let fields: Vec<_> = found.headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    assert_eq!(
        fields,
        [
            ("Via", Some("SIP/2.0/UDP h")),
            ("Subject", Some("one two three")),
            ("X-Odd", Some("value")),
            ("Content-Encoding", Some("")),
        ]
    );
    assert_eq!(found.method, Method::Message);
    assert_eq!(found.body, "body");
}

#[test]
fn values_are_slices_of_the_datagram() {
    let datagram = Bytes::from(format!("{HEAD}\r\n"));
    let range = datagram.as_ptr_range();
    let message = parse_datagram(datagram.clone(), &Limits::default()).expect("well-formed");
    assert!(message.headers().iter().all(|(_, value)| range.contains(&value.as_bytes().as_ptr())));
}

#[test]
fn the_body_is_as_long_as_it_says() {
    assert_eq!(request(&format!("{HEAD}l: 2\r\n\r\nabc")).body, "ab");
    assert_eq!(request(&format!("{HEAD}\r\nabc")).body, "abc");
    assert_eq!(kind(&format!("{HEAD}l: 4\r\n\r\nabc")), Some(ParseErrorKind::BodyTooShort));
    for bad in ["-1", "+3", "3 3", "", "99999999999999999999999"] {
        assert_eq!(kind(&format!("{HEAD}l: {bad}\r\n\r\nabc")), Some(ParseErrorKind::ContentLength), "{bad}");
    }
    assert_eq!(kind(&format!("{HEAD}l: 3\r\nl: 3\r\n\r\nabc")), Some(ParseErrorKind::ContentLength));
}

#[test]
fn what_is_wrong_is_answered_when_it_can_be() {
    let with_start = |start: &str| format!("{start}\r\n{}\r\n", &HEAD[HEAD.find("Via").expect("a Via")..]);
    assert_eq!(answer(&with_start("OPTIONS  sip:h SIP/2.0")), Some(Status::BAD_REQUEST));
    assert_eq!(answer(&with_start("OPTIONS sip:h SIP/2.0 ")), Some(Status::BAD_REQUEST));
    assert_eq!(answer(&with_start("OPTIONS sip:h SIP/3.0")), Some(Status::VERSION_NOT_SUPPORTED));
    assert_eq!(answer(&format!("{HEAD}no field\r\n\r\n")), Some(Status::BAD_REQUEST));
    assert_eq!(answer(&format!("{HEAD}l: 9\r\n\r\n")), Some(Status::BAD_REQUEST));
    assert_eq!(answer(HEAD), Some(Status::BAD_REQUEST), "the head does not end");
    let long = with_start(&format!("OPTIONS sip:{} SIP/2.0", "x".repeat(MAX_URI)));
    assert_eq!(answer(&long), Some(Status::REQUEST_URI_TOO_LONG));
}

#[test]
fn what_must_not_be_answered() {
    for silent in [
        "ACK  sip:h SIP/2.0\r\nVia: SIP/2.0/UDP h\r\n\r\n",
        "SIP/2.0 999 No\r\nVia: SIP/2.0/UDP h\r\n\r\n",
        "GET / HTTP/1.1\r\nVia: SIP/2.0/UDP h\r\n\r\n",
        "OPTIONS  sip:h SIP/2.0\r\n\r\n",
        "garbage",
        "\r\n\r\n",
    ] {
        let error = parse(silent).expect_err("malformed");
        assert_eq!(error.reply, None, "{silent}");
    }
    assert_eq!(kind("\r\n\r\n"), Some(ParseErrorKind::Empty));
}

#[test]
fn a_lone_cr_starts_nothing() {
    assert_eq!(kind(&format!("{HEAD}X: a\rEvil: b\r\n\r\n")), Some(ParseErrorKind::Header));
    assert_eq!(kind("OPTIONS sip:h SIP/2.0\rX\r\n\r\n"), Some(ParseErrorKind::StartLine));
}

#[test]
fn a_status_line_with_a_lone_cr_is_none() {
    let rest = &HEAD[HEAD.find("Via").expect("a Via")..];
    assert_eq!(kind(&format!("SIP/2.0 200 O\rK\r\n{rest}\r\n")), Some(ParseErrorKind::StartLine));
}

#[test]
fn the_start_line_is_not_folded() {
    let rest = &HEAD[HEAD.find("Via").expect("a Via")..];
    for blank in [" ", "\t"] {
        let error = parse(&format!("OPTIONS sip:h SIP/2.0\r\n{blank}X: y\r\n z\r\n{rest}\r\n")).expect_err("folded");
        assert_eq!(error.kind, ParseErrorKind::Header);
        let reply = error.reply.expect("it can be answered");
        assert!(reply.request.headers.len() == 5 && reply.request.headers.contains(&HeaderName::Via), "{reply:?}");
    }
}

#[test]
fn values_that_are_not_utf8_survive() {
    let mut datagram = HEAD.as_bytes().to_vec();
    datagram.extend_from_slice(b"Subject: caf\xe9\r\nContent-Length: 2\r\n\r\n\xff\x00");
    let message = parse_datagram(datagram.clone().into(), &Limits::default()).expect("well-formed");
    assert_eq!(message.headers().get(&HeaderName::Subject).map(|value| value.as_bytes()), Some(&b"caf\xe9"[..]));
    assert_eq!(message.to_bytes(), datagram);
}

mod limits {
    use super::*;

    /// A head of exactly this many bytes.
    fn head_of(size: usize) -> String {
        let mut text = HEAD.to_owned();
        let filler = |length: usize| format!("X:{}\r\n", "y".repeat(length - 4));
        while size - 2 - text.len() > 2 * 4000 {
            text += &filler(4000);
        }
        let rest = size - 2 - text.len();
        text += &filler(rest / 2);
        text += &filler(rest - rest / 2);
        text + "\r\n"
    }

    #[test]
    fn datagram() {
        let of = |size: usize| head_of(1000) + &"b".repeat(size - 1000);
        assert_eq!(kind(&of(MAX_DATAGRAM)), None);
        assert_eq!(kind(&of(MAX_DATAGRAM + 1)), Some(ParseErrorKind::MessageTooLarge));
        assert_eq!(answer(&of(MAX_DATAGRAM + 1)), Some(Status::MESSAGE_TOO_LARGE));
    }

    #[test]
    fn head() {
        assert_eq!(head_of(MAX_HEAD).len(), MAX_HEAD);
        assert_eq!(kind(&head_of(MAX_HEAD)), None);
        assert_eq!(kind(&head_of(MAX_HEAD + 1)), Some(ParseErrorKind::HeadTooLarge));
    }

    #[test]
    fn headers() {
        let of = |count: usize| format!("{HEAD}{}\r\n", "X: y\r\n".repeat(count - 5));
        assert_eq!(kind(&of(MAX_HEADERS)), None);
        assert_eq!(kind(&of(MAX_HEADERS + 1)), Some(ParseErrorKind::TooManyHeaders));
    }

    #[test]
    fn vias_in_one_field_and_in_many() {
        let many = |count: usize| format!("{HEAD}{}\r\n", "v: SIP/2.0/UDP x\r\n".repeat(count - 1));
        let one = |count: usize| format!("{HEAD}v: SIP/2.0/UDP x{}\r\n\r\n", ", SIP/2.0/UDP x".repeat(count - 2));
        for of in [&many as &dyn Fn(usize) -> String, &one] {
            assert_eq!(kind(&of(MAX_VIAS)), None);
            assert_eq!(answer(&of(MAX_VIAS + 1)), Some(Status::TOO_MANY_HOPS));
        }
    }

    #[test]
    fn uri() {
        let of = |size: usize| HEAD.replacen("sip:h", &format!("sip:{}", "h".repeat(size - 4)), 1) + "\r\n";
        assert_eq!(kind(&of(MAX_URI)), None);
        assert_eq!(kind(&of(MAX_URI + 1)), Some(ParseErrorKind::UriTooLong));
    }

    #[test]
    fn line() {
        let of = |size: usize| format!("{HEAD}X: {}\r\n\r\n", "y".repeat(size - 3));
        assert_eq!(kind(&of(MAX_LINE)), None);
        assert_eq!(kind(&of(MAX_LINE + 1)), Some(ParseErrorKind::LineTooLong));
    }
}

mod stream {
    use super::*;

    fn frame(text: &str) -> Frame {
        frame_stream(text.as_bytes(), &Limits::default())
    }

    #[test]
    fn each_prefix_is_partial() {
        let message = format!("{HEAD}Content-Length:\r\n 3\r\n\r\nabc");
        for end in 0..message.len() {
            assert_eq!(frame(&message[..end]), Frame::Partial, "{end}");
        }
        assert_eq!(frame(&message), Frame::Message(message.len()));
        assert_eq!(frame(&(message.clone() + "NEXT")), Frame::Message(message.len()));
    }

    #[test]
    fn keep_alives_and_missing_lengths() {
        assert_eq!(frame("\r\n\r\nOPT"), Frame::KeepAlive(4));
        let bare = format!("{HEAD}\r\n");
        assert_eq!(frame(&(bare.clone() + "OPTIONS")), Frame::Message(bare.len()));
    }

    #[test]
    fn a_content_length_that_only_others_may_see_breaks_the_stream() {
        for line in ["X: 1\rContent-Length: 5", "Content-Length 5", "Content\r\n -Length: 5", "Content-Length\u{a0}: 5"]
        {
            assert_eq!(frame(&format!("{HEAD}{line}\r\n\r\nhello")), Frame::Broken(ParseErrorKind::Header), "{line:?}");
        }
        let folded = HEAD.replacen("\r\n", "\r\n Content-Length: 5\r\n", 1);
        assert_eq!(frame(&format!("{folded}\r\nhello")), Frame::Broken(ParseErrorKind::Header));
        let cr = HEAD.replacen("\r\n", "\rContent-Length: 5\r\n", 1);
        assert_eq!(frame(&format!("{cr}\r\nhello")), Frame::Broken(ParseErrorKind::StartLine));
    }

    #[test]
    fn what_cannot_be_framed() {
        assert_eq!(frame(&format!("{HEAD}l: x\r\n\r\n")), Frame::Broken(ParseErrorKind::ContentLength));
        assert_eq!(frame(&format!("{HEAD}l: 1\r\nl: 1\r\n\r\n")), Frame::Broken(ParseErrorKind::ContentLength));
        assert_eq!(frame(&"x".repeat(MAX_HEAD)), Frame::Partial);
        assert_eq!(frame(&"x".repeat(MAX_HEAD + 1)), Frame::Broken(ParseErrorKind::HeadTooLarge));
        let head = format!("{HEAD}l: 0\r\n\r\n").len();
        let of = |size: usize| format!("{HEAD}l: {}\r\n\r\n", size - head - 4);
        assert_eq!(frame(&of(MAX_DATAGRAM)), Frame::Partial);
        assert_eq!(frame(&of(MAX_DATAGRAM + 1)), Frame::Broken(ParseErrorKind::MessageTooLarge));
    }
}
