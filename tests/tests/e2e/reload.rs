//! A configuration that changes under a running server, with calls up and connections open.

use std::fs;
use std::path::PathBuf;

use plugboard_tests::http::Connection;
use plugboard_tests::place::Place;
use plugboard_tests::program::guest;
use plugboard_tests::server::{Domain, Server};
use plugboard_tests::sipp::Phone;
use plugboard_tests::wait::{SOON, until};

const STATUS: &str = "/callcontroller/alice/bob";

fn login(user: &str, pin: &str) -> String {
    // Standard Base64 of `alice:PIN`, by the characters that the tests need.
    let text = format!("{user}:{pin}");
    let digits: Vec<char> = ('A'..='Z').chain('a'..='z').chain('0'..='9').chain(['+', '/']).collect();
    let encoded = text.as_bytes().chunks(3).flat_map(|chunk| {
        let bits = chunk.iter().fold(0_u32, |bits, byte| bits << 8 | u32::from(*byte)) << (8 * (3 - chunk.len()));
        let digit = |n: usize| if n > chunk.len() { '=' } else { digits[(bits >> (18 - 6 * n)) as usize & 63] };
        [digit(0), digit(1), digit(2), digit(3)]
    });
    format!("Basic {}", encoded.collect::<String>())
}

/// Asks for a status as alice with this PIN; the HTTP status of the answer.
fn ask(connection: &mut Connection, pin: &str) -> u16 {
    let fields = [("Authorization", login("alice", pin))];
    let fields: Vec<(&str, &str)> = fields.iter().map(|(name, value)| (*name, value.as_str())).collect();
    connection.send("GET", STATUS, &fields, &[]).expect("the connection is open").status
}

fn alice(pin: &str) -> Domain {
    Domain::new("example.test").distrust().user("alice", &format!("pin = \"{pin}\"")).user("bob", "pin = \"456\"")
}

fn connect(server: &Server) -> Connection {
    Connection::https(server.https).expect("it listens")
}

#[test]
fn a_signal_changes_a_pin_and_no_connection_closes() {
    let place = Place::new("reload-pin");
    let mut server = Server::start(&place, &[alice("123")]);
    let mut kept = connect(&server);
    assert_eq!((ask(&mut kept, "123"), ask(&mut kept, "n3w-pin")), (200, 401));
    server.reconfigure(&[alice("n3w-pin")], "");
    assert_eq!(ask(&mut kept, "123"), 200, "a file alone changes nothing");
    server.process().signal("HUP");
    until("the new PIN", SOON, || (ask(&mut kept, "n3w-pin") == 200).then_some(()));
    assert_eq!(ask(&mut kept, "123"), 401, "the old one is no good any more");
    assert!(server.log().contains("users.alice"), "{}", server.log());
    assert!(!server.log().contains("n3w-pin"), "{}", server.log());
    assert_eq!(server.plugboard(&["reload"]).succeeded().trim_end(), "nothing was different");
}

#[test]
fn a_bad_file_changes_nothing_and_says_where() {
    let place = Place::new("reload-bad");
    let server = Server::start(&place, &[alice("123")]);
    let mut kept = connect(&server);
    let good = fs::read_to_string(server.config()).expect("it is there");
    let bad = good.replace("\"123\"", "\"n3w-pin\"") + "nonsense = 1\n";
    let line = bad.lines().count();
    let token = server.admin_token();
    server.write(&bad);
    let reloaded = server.plugboard(&["reload"]);
    assert_eq!(reloaded.code, 2, "{reloaded:?}");
    let wanted = format!("{}:{line}: tenants.\"example.test\".users.bob.nonsense", server.config().display());
    assert!(reloaded.err.contains(&wanted), "{wanted} in {}", reloaded.err);

    let mut admin = Connection::http(server.admin).expect("it listens");
    let mut reload = || {
        let token = format!("Bearer {token}");
        admin.send("POST", "/v1/reload", &[("Authorization", &token)], &[]).expect("it answers")
    };
    let answer = reload();
    assert_eq!(answer.status, 422, "{}", answer.text());
    let problem = &answer.json()["problems"][0];
    assert_eq!(problem["line"], line, "{problem}");
    assert_eq!(problem["key"], "tenants.\"example.test\".users.bob.nonsense");
    assert!(problem["file"].as_str().is_some_and(|file| file.ends_with(".toml")), "{problem}");

    let moved =
        good.replace("\"123\"", "\"n3w-pin\"").replace(&format!("udp = \"{}\"", server.sip), "udp = \"127.0.0.1:0\"");
    assert_ne!(moved, good);
    server.write(&moved);
    let answer = reload();
    assert_eq!(answer.status, 409, "{}", answer.text());
    assert!(answer.text().contains("sip.udp"), "{}", answer.text());

    let missing = "[tenants.\"new.test\"]\ncontroller = \"nowhere.wasm\"\n";
    server.write(&(good.replace("\"123\"", "\"n3w-pin\"") + missing));
    let answer = reload();
    assert_eq!(answer.status, 422, "{}", answer.text());
    assert!(answer.text().contains("nowhere.wasm") && answer.text().contains("new.test"), "{}", answer.text());

    assert_eq!((ask(&mut kept, "123"), ask(&mut kept, "n3w-pin")), (200, 401), "nothing of all that happened");
    assert_eq!(server.admin("GET", "/v1/tenants", &[]).json().as_array().map(Vec::len), Some(1));
}

/// Puts a fresh certificate and key in place.
fn certify(place: &Place) -> (PathBuf, Vec<u8>) {
    let pair = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).expect("made");
    place.write("server.key", pair.signing_key.serialize_pem());
    (place.write("server.pem", pair.cert.pem()), pair.cert.der().to_vec())
}

#[test]
fn another_certificate_is_shown_to_the_next_connection() {
    let place = Place::new("reload-certificate");
    let (_, first) = certify(&place);
    let server = Server::start(&place, &[alice("123")]);
    assert_ne!(connect(&server).certificate(), first);
    let good = fs::read_to_string(server.config()).expect("it is there");
    server.write(&good.replace("[http]\n", "[http]\ncertificate = \"server.pem\"\nkey = \"server.key\"\n"));
    assert_eq!(server.plugboard(&["reload"]).succeeded().trim_end(), "changed http.certificate");
    let mut kept = connect(&server);
    assert_eq!(kept.certificate(), first);

    let (file, second) = certify(&place);
    assert_eq!(server.plugboard(&["reload"]).succeeded().trim_end(), "changed http.certificate", "of the same name");
    assert_eq!(connect(&server).certificate(), second);
    assert_eq!(ask(&mut kept, "123"), 200, "a connection goes on as it began");

    fs::write(file, "no certificate").expect("written");
    let refused = server.plugboard(&["reload"]);
    assert_eq!(refused.code, 1, "{refused:?}");
    assert!(refused.err.contains("server.pem"), "{refused:?}");
    assert_eq!(connect(&server).certificate(), second);
    assert_eq!(ask(&mut kept, "123"), 200);
}

/// A tenant, and the path of an INVITE-mode call between two phones for it.
fn tenant(name: &str, calling: &Phone, called: &Phone) -> (Domain, String) {
    let domain = Domain::new(name).set("hosts", format!("[\"pbx.{name}\"]")).user("alice", "pin = \"123\"");
    (domain, format!("/callcontroller/{}/{}?agent=alice", calling.user("alice"), called.user("bob")))
}

fn asked(server: &Server, host: &str, method: &str, path: &str) -> (u16, String) {
    let fields = [("Connection", "close"), ("Accept", "application/json")];
    let answer = connect(server).host(host).send(method, path, &fields, &[]).expect("it answers");
    (answer.status, answer.text())
}

fn talk(server: &Server, host: &str, path: &str) {
    assert_eq!(asked(server, host, "POST", &format!("{path}&sipMethod=invite")).0, 200);
    until("the call to be up", SOON, || asked(server, host, "GET", path).1.contains("\"up\"").then_some(()));
}

#[test]
fn a_tenant_comes_and_its_calls_go_with_it_and_those_of_others_stay() {
    let place = Place::new("reload-tenants");
    let phones: Vec<Phone> = ["calling", "called", "calling", "called"].map(|name| place.phone(name).start()).into();
    let [red_calling, red_called, blue_calling, blue_called] = phones.try_into().expect("four phones");
    let (red, red_path) = tenant("red.test", &red_calling, &red_called);
    let (blue, blue_path) = tenant("blue.test", &blue_calling, &blue_called);
    let server = Server::start(&place, std::slice::from_ref(&red));
    talk(&server, "pbx.red.test", &red_path);

    server.reconfigure(&[red.clone(), blue], "");
    assert_eq!(server.plugboard(&["reload"]).succeeded().trim_end(), "added tenants.\"blue.test\"");
    talk(&server, "pbx.blue.test", &blue_path);
    assert_eq!(server.admin("GET", "/v1/calls?domain=blue.test", &[]).json().as_array().map(Vec::len), Some(1));

    server.reconfigure(&[red], "");
    assert_eq!(server.plugboard(&["reload"]).succeeded().trim_end(), "removed tenants.\"blue.test\"");
    blue_calling.finish();
    blue_called.finish();
    assert_eq!(
        asked(&server, "pbx.blue.test", "DELETE", &blue_path).0,
        404,
        "the first tenant answers, and knows no such call"
    );
    assert_eq!(server.admin("GET", "/v1/tenants/blue.test/versions", &[]).status, 404);
    until("the end in the journal", SOON, || {
        let folder = server.config().with_file_name(format!("state-{}", server.sip.port())).join("journal/blue.test");
        let files = fs::read_dir(folder).ok()?.filter_map(|file| fs::read_to_string(file.ok()?.path()).ok());
        files.collect::<String>().contains("tenant_removed").then_some(())
    });

    assert!(asked(&server, "pbx.red.test", "GET", &red_path).1.contains("\"up\""), "the other call goes on");
    assert_eq!(asked(&server, "pbx.red.test", "DELETE", &red_path).0, 200);
    red_calling.finish();
    red_called.finish();
}

#[test]
fn a_listener_that_moves_closes_no_other() {
    let place = Place::new("reload-listener");
    let mut server = Server::start(&place, &[alice("123")]);
    let (mut old, mut digest) = (connect(&server), Connection::http(server.digest).expect("it listens"));
    assert_eq!(ask(&mut old, "123"), 200);
    assert_eq!(digest.send("GET", STATUS, &[], &[]).expect("it answers").status, 401);
    let before = server.https;
    server.https = place.port();
    server.reconfigure(&[alice("123")], "");
    assert_eq!(server.plugboard(&["reload"]).succeeded().trim_end(), "changed http.https");
    assert_eq!(ask(&mut connect(&server), "123"), 200);
    until("the old address to be left", SOON, || Connection::https(before).is_err().then_some(()));
    assert_eq!(digest.send("GET", STATUS, &[], &[]).expect("its connection is open").status, 401);

    let taken = std::net::TcpListener::bind(place.port()).expect("a free port");
    let good = fs::read_to_string(server.config()).expect("it is there");
    let address = taken.local_addr().expect("bound").to_string();
    server.write(&good.replace(&server.https.to_string(), &address).replace("\"123\"", "\"n3w-pin\""));
    let refused = server.plugboard(&["reload"]);
    assert_eq!(refused.code, 1, "{refused:?}");
    assert!(refused.err.contains(&address), "{refused:?}");
    assert_eq!(ask(&mut connect(&server), "123"), 200, "all or nothing");
}

#[test]
fn a_call_keeps_what_its_call_logic_is_told_and_a_new_one_hears_of_a_change() {
    let place = Place::new("reload-settings");
    let told = |tone: &str| {
        let domain = Domain::new("example.test").controller(&guest("echo")).user("alice", "pin = \"123\"");
        [domain.set("settings", format!("{{ tone = \"{tone}\" }}"))]
    };
    let server = Server::start(&place, &told("dial"));
    let hears =
        |key: &str| asked(&server, "example.test", "GET", &format!("/callcontroller/{key}?setting=tone&keep")).1;
    assert!(hears("first").contains("dial"), "{}", hears("first"));
    server.reconfigure(&told("ring"), "");
    let reloaded = server.plugboard(&["reload"]).succeeded();
    assert_eq!(reloaded.trim_end(), "changed tenants.\"example.test\".settings");
    assert!(hears("second").contains("ring"), "{}", hears("second"));
    assert!(hears("first").contains("dial"), "the call that is up keeps its version: {}", hears("first"));

    server.plugboard(&["rollback", "--domain", "example.test"]).succeeded();
    assert!(hears("third").contains("dial"), "what it was told comes back with a version: {}", hears("third"));
    assert!(hears("second").contains("ring"), "{}", hears("second"));
}
