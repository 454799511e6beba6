use super::*;
use serde::Serialize;

#[derive(Serialize)]
#[serde(rename_all = "snake_case")]
enum Kind {
    Unit,
    One(u8),
    Named { text: &'static str, more: Vec<Kind> },
}

#[derive(Serialize)]
struct Id(u32);

#[derive(Serialize)]
struct Empty {}

#[derive(Serialize)]
struct All {
    text: String,
    number: i64,
    none: Option<u8>,
    some: Option<bool>,
    letter: char,
    id: Id,
    pair: (Id, Id),
    empty: Empty,
    kinds: Vec<Kind>,
    nothing: Vec<u8>,
}

#[test]
fn every_kind_of_value_is_written_as_serde_json_writes_it() {
    let all = All {
        text: (0..=0x7f_u8).map(char::from).chain("ünï\u{2028}\u{1f600}".chars()).collect(),
        number: i64::MIN,
        none: None,
        some: Some(true),
        letter: '"',
        id: Id(7),
        pair: (Id(1), Id(2)),
        empty: Empty {},
        kinds: vec![Kind::Unit, Kind::One(255), Kind::Named { text: "a\r\n", more: vec![Kind::Unit] }],
        nothing: Vec::new(),
    };
    let mut ours = Vec::new();
    write(&mut ours, &all).expect("it can be written");
    assert_eq!(String::from_utf8_lossy(&ours), serde_json::to_string(&all).expect("it can be written"));
}

#[test]
fn what_no_line_has_is_refused() {
    assert!(write(&mut Vec::new(), &0.5).is_err());
    assert!(write(&mut Vec::new(), &std::collections::BTreeMap::from([(1, 2)])).is_err());
}
