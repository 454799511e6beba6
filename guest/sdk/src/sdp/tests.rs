use super::*;

const AUDIO: &[u8] = b"v=0\r\no=bob 7 40 IN IP4 192.0.2.9\r\ns=caf\xe9\r\nc=IN IP4 192.0.2.9\r\nt=0 0\r\na=sendonly\r\n\
    m=audio 6000 RTP/AVP 0 101\r\na=rtpmap:0 PCMU/8000\r\nm=video 6002/2 RTP/AVP 96\r\nc=IN IP4 192.0.2.10\r\na=recvonly\r\n";

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn the_origin_is_read_and_written_and_every_other_byte_kept() {
    let origin = Origin::of(AUDIO).expect("has one");
    assert_eq!((origin.session.as_str(), origin.version, origin.address.as_str()), ("bob 7", 40, "IN IP4 192.0.2.9"));
    assert_eq!(origin.write_into(AUDIO), AUDIO);
    let raised = Origin { version: 41, ..origin }.write_into(AUDIO);
    assert_eq!(raised.len(), AUDIO.len());
    let differing: Vec<usize> = (0..AUDIO.len()).filter(|at| AUDIO[*at] != raised[*at]).collect();
    assert_eq!(differing.len(), 1);
    assert_eq!(Origin::of(b"v=0\r\ns=-\r\n"), None);
    assert_eq!(Origin::of(b"o=bob 7 x IN IP4 192.0.2.9\r\n"), None);
}

#[test]
fn media_lines_have_the_connection_and_direction_that_hold_for_them() {
    let media = media(AUDIO);
    assert_eq!(media.len(), 2);
    assert_eq!((media[0].port, media[0].direction), (6000, Direction::SendOnly));
    assert_eq!(media[0].connection.as_deref(), Some("IN IP4 192.0.2.9"));
    assert_eq!((media[1].port, media[1].direction), (6002, Direction::ReceiveOnly));
    assert_eq!(media[1].connection.as_deref(), Some("IN IP4 192.0.2.10"));
}

#[test]
fn media_lines_are_bounded() {
    let many = |count: usize| [b"v=0\r\n".to_vec(), b"m=audio 1 RTP/AVP 0\r\n".repeat(count)].concat();
    assert_eq!(media(&many(MEDIA_LINES_MAX)).len(), MEDIA_LINES_MAX);
    assert_eq!(media(&many(MEDIA_LINES_MAX + 1)).len(), MEDIA_LINES_MAX);
}

#[test]
fn the_stand_in_is_one_held_audio_line_and_the_first_offer_has_none() {
    let stand_in = stand_in(5, 1);
    let lines = media(&stand_in);
    assert_eq!(lines.len(), 1);
    assert_eq!(lines[0].formats, ["0", "101"]);
    assert_eq!(lines[0].direction, Direction::Inactive);
    assert!(text(&stand_in).contains("telephone-event/8000"));
    assert_eq!(media_count(&no_media(5, 1)), 0);
    assert_eq!(Origin::of(&no_media(5, 1)).map(|origin| origin.version), Some(1));
}

#[test]
fn a_held_answer_takes_the_audio_and_refuses_the_rest() {
    let lines = media(&held_answer(AUDIO, 5, 2));
    assert_eq!(lines.len(), 2);
    assert_eq!((lines[0].kind.as_str(), lines[0].port, lines[0].direction), ("audio", 9, Direction::Inactive));
    assert_eq!(lines[0].formats, ["0", "101"]);
    assert_eq!((lines[1].kind.as_str(), lines[1].port), ("video", 0));
}

#[test]
fn a_leg_sees_one_origin_whose_version_rises_by_one_on_change_only() {
    let mut leg = Session::default();
    let first = leg.offer(&no_media(5, 1));
    assert_eq!(Origin::of(&first).map(|origin| origin.version), Some(1));
    let second = leg.offer(AUDIO);
    let origin = Origin::of(&second).expect("has one");
    assert_eq!((origin.session.as_str(), origin.version), ("- 5", 2));
    let unchanged = Origin { version: 99, ..Origin::of(AUDIO).expect("has one") }.write_into(AUDIO);
    assert_eq!(leg.offer(&unchanged), second, "only the sender's own version moved");
    assert_eq!(Origin::of(&leg.offer(&stand_in(1, 1))).map(|origin| origin.version), Some(3));
}

#[test]
fn an_offer_never_has_fewer_lines_than_the_session_and_an_answer_has_those_of_the_offer() {
    let mut leg = Session::default();
    leg.heard(AUDIO);
    let offer = leg.offer(&stand_in(1, 1));
    let lines = media(&offer);
    assert_eq!(lines.iter().map(|line| line.port).collect::<Vec<_>>(), [9, 0]);
    assert_eq!(media_count(&leg.answer(AUDIO, 1)), 1);
    assert!(text(&leg.answer(AUDIO, 1)).contains("a=rtpmap:0"));
    assert_eq!(media_count(&leg.answer(&no_media(1, 1), 2)), 2);
}

#[test]
fn lines_that_we_offered_stay_too() {
    let mut leg = Session::default();
    leg.offer(AUDIO);
    assert_eq!(media_count(&leg.offer(&stand_in(1, 1))), 2);
}
