//! Session descriptions: what is told to a leg is one session for it, whatever comes from the other one (RFC 3264 §8).

use plugboard_sdk::sdp::{MEDIA_LINES_MAX, Origin, Session, digest, held_answer, media, media_count, same_places};

/// What a description gains at most, in bytes: an origin that the other side chose, and media lines that are refused.
const GROWTH_MAX: usize = MEDIA_LINES_MAX * 32;

/// Two descriptions, apart by a zero byte, on their way to one leg as offers and as answers.
pub fn sdp(data: &[u8]) {
    let at = data.iter().position(|byte| *byte == 0).unwrap_or(data.len());
    let (first, rest) = data.split_at(at);
    let second = rest.get(1..).unwrap_or_default();
    for description in [first, second] {
        assert!(media(description).len() <= media_count(description).min(MEDIA_LINES_MAX));
        assert!(same_places(description, description));
        let held = held_answer(description, 1, 1);
        assert_eq!(media_count(&held), media_count(description), "an answer has the lines of its offer");
        assert!(media(&held).iter().all(|line| line.port == 0 || line.port == 9));
    }
    offers(first, second);
    answers(first, second);
}

/// The leg sees one origin; its version rises by one with each change, and by none without; no line is ever dropped.
fn offers(first: &[u8], second: &[u8]) {
    let mut leg = Session::default();
    leg.heard(second);
    let bound = first.len() + second.len() + GROWTH_MAX;
    let told = leg.offer(first);
    assert!(told.len() <= bound && media_count(&told) >= lines(second).max(lines(first)));
    let again = leg.offer(first);
    assert_eq!(again, told, "nothing has changed");
    let changed = leg.offer(second);
    assert!(changed.len() <= bound && media_count(&changed) >= lines(first));
    let (Some(before), Some(after)) = (Origin::of(&told), Origin::of(&changed)) else { return };
    assert_eq!((&before.session, &before.address), (&after.session, &after.address), "it is another session");
    let rises = u64::from(digest(&told) != digest(&changed));
    assert_eq!(after.version, before.version.saturating_add(rises));
}

/// An answer has as many media lines as the offer.
fn answers(offer: &[u8], answer: &[u8]) {
    let mut leg = Session::default();
    leg.heard(offer);
    let told = leg.answer(answer, media_count(offer));
    let wanted = media_count(offer);
    assert!(media_count(&told) == wanted || wanted > MEDIA_LINES_MAX, "{wanted} lines");
    assert!(told.len() <= answer.len() + GROWTH_MAX);
}

fn lines(description: &[u8]) -> usize {
    media_count(description).min(MEDIA_LINES_MAX)
}
