//! The curl lines of the document that the service is built from, host, port and path aside.

use std::net::SocketAddr;

use plugboard_tests::curl::curl;
use plugboard_tests::place::Place;
use plugboard_tests::server::{Domain, Server};
use plugboard_tests::status::{lines, summary};

/// A server, and a port behind which the calling party's phone can be made to ring.
struct Desk {
    place: Place,
    server: Server,
    phone: SocketAddr,
}

impl Desk {
    fn start(name: &str) -> Self {
        let place = Place::new(name);
        let phone = place.port();
        let domain = Domain::new("sipxtest.test")
            .user("user1", "pin = \"123\"")
            .user("user2", "pin = \"456\"")
            .user("user3", "pin = \"123\"")
            .user("user4", "aliases = [\"204\"]");
        let server = Server::start(&place, &[domain.proxy(phone)]);
        Self { place, server, phone }
    }

    /// Types `curl OPTIONS URL`; returns the status and the body.
    fn curl(&self, options: &str, path: &str) -> (u16, String) {
        let url = format!("https://{}/callcontroller/{path}", self.server.https);
        self.run(options, &url)
    }

    fn run(&self, options: &str, url: &str) -> (u16, String) {
        let options: Vec<&str> = options.split_whitespace().chain([url]).collect();
        let answer = curl(&options);
        (answer.status, answer.body.trim_end().to_owned())
    }

    /// Places a call by `post`, which has to succeed, asks how it goes by `get`, and hangs up by `delete`. The phone has
    /// to ring, and stop.
    fn rings(
        &self,
        post: impl Fn() -> (u16, String),
        get: impl Fn() -> (u16, String),
        delete: impl Fn() -> (u16, String),
    ) {
        let phone = self.place.phone("no_answer").at(self.phone).start();
        assert_eq!(post(), (200, String::new()));
        plugboard_tests::wait::until("the phone to ring", plugboard_tests::wait::SOON, || {
            let (status, xml) = get();
            assert_eq!(status, 200, "{xml}");
            (summary(&lines(&format!("{xml}\n"))) == ["INVITE SIP/2.0 180 Ringing"]).then_some(())
        });
        assert_eq!(delete().0, 200);
        phone.finish();
    }

    /// curl options that make a request come from an address that is not trusted.
    fn outside(&self) -> String {
        format!("-k --interface {}", self.place.ip())
    }
}

#[test]
fn calling_user_from_a_remote_host() {
    let desk = Desk::start("seed-user");
    let options = format!("{} -u user1:123", desk.outside());
    desk.rings(
        || desk.curl(&format!("{options} -X POST"), "user1/user2?timeout=30"),
        || desk.curl(&options, "user1/user2"),
        || desk.curl(&format!("{options} -X DELETE"), "user1/user2"),
    );
}

#[test]
fn agent_from_a_remote_host_and_from_the_trusted_domain() {
    let desk = Desk::start("seed-agent");
    let (path, outside) = ("user1/user2?agent=user3", desk.outside());
    desk.rings(
        || desk.curl(&format!("{outside} -X POST -u user3:123"), path),
        || desk.curl(&format!("{outside} -u user3:123 -X GET"), path),
        || desk.curl("-k -X DELETE", path),
    );
    desk.rings(
        || desk.curl("-k -X POST", path),
        || desk.curl("-k", path),
        || desk.curl(&format!("{outside} -X DELETE -u user3:123"), path),
    );
}

#[test]
fn digest_listener() {
    let desk = Desk::start("seed-digest");
    let url = format!("http://{}/callcontroller/user1/user2", desk.server.digest);
    let ask = |options: &str| desk.run(&format!("--digest -u user1:123 {options}"), &url);
    desk.rings(|| ask("-X POST"), || ask(""), || ask("-X DELETE"));
    assert_eq!(desk.run("-X POST", &url), (401, "not valid user pin".to_owned()), "trusted addresses log in here too");
    assert_eq!(desk.run("-X POST -u user1:123", &url).0, 401, "Basic over HTTP");
    assert_eq!(desk.run("--digest -u user1:124 -X POST", &url), (401, "not valid user pin".to_owned()));
    assert_eq!(desk.run("--digest -u user3:123 -X POST", &url), (403, "Agent does not match principal".to_owned()));
}

#[test]
fn failures_say_why() {
    let desk = Desk::start("seed-failures");
    let outside = desk.outside();
    let not_valid = (401, "not valid user pin".to_owned());
    let post = |options: &str, path: &str| desk.curl(&format!("{outside} -X POST {options}"), path);
    assert_eq!(post("-u user1:124", "user1/user2"), not_valid, "wrong PIN");
    assert_eq!(post("", "user1/user2"), not_valid, "no PIN");
    assert_eq!(post("-u nobody:123", "nobody/user2"), not_valid, "no such user");
    assert_eq!(post("-u user4:", "user4/user2"), not_valid, "a user without a PIN");
    assert_eq!(post("-u user3:123", "user1/user2"), (403, "Agent does not match principal".to_owned()));
    assert_eq!(post("-u user3:123", "user1/user2?agent=user1"), (403, "Agent does not match principal".to_owned()));
    let head = desk.curl(&format!("{outside} --head -X POST -u user1:124"), "user1/user2").1.to_ascii_lowercase();
    assert!(head.contains("www-authenticate: basic"), "{head}");

    for (path, status, word) in [
        ("user1/user2?timeout=0", 400, "timeout"),
        ("user1/user2?timeout=3601", 400, "timeout"),
        ("user1/user2?sipMethod=OPTIONS", 400, "sipMethod"),
        ("user1/user2?action=hold", 400, "action"),
        ("user1/user2?action=transfer", 400, "target"),
        ("user1/user2?isForwardingAllowed=perhaps", 400, "isForwardingAllowed"),
        ("user1/user2?resultCacheTime=86401", 400, "resultCacheTime"),
        ("user1/user2?agent=nobody", 404, "nobody"),
        ("user1/user2?action=transfer&target=user3", 404, ""),
        ("user1", 404, ""),
    ] {
        let (seen, reason) = desk.curl("-k -X POST", path);
        assert_eq!(seen, status, "{path}: {reason}");
        assert!(reason.contains(word) && !reason.contains('\n'), "{path}: {reason}");
    }
    assert_eq!(desk.curl("-k -X PUT", "user1/user2").0, 405);
    assert_eq!(desk.curl("-k -X DELETE", "user1/user2").0, 404);
    let (status, xml) = desk.curl("-k", "user1/user2");
    assert_eq!((status, lines(&format!("{xml}\n")).len()), (200, 0), "a call that is not known has an empty list");
}
