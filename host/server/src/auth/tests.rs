use super::*;
use crate::config::Config;
use plugboard_sip::digest::answer;
use std::path::Path;

const REALM: &str = "example.com";
const TARGET: &str = "/callcontroller/alice/bob?timeout=30";

/// alice has a PIN in clear text, bob as hashes, carol none.
fn users() -> Users {
    let hash = |name: &str| hex(&Sha256::digest(format!("{name}:{REALM}:456")));
    let text = format!(
        "[tenants.\"{REALM}\".users.alice]\npin = \"123\"\naliases = [\"201\"]\n\
         [tenants.\"{REALM}\".users.bob]\npin_ha1 = {{ sha256 = \"{}\" }}\n\
         [tenants.\"{REALM}\".users.carol]\n",
        hash("bob")
    );
    let config = Config::parse(Path::new("test.toml"), &text).expect("valid");
    Users::new(REALM, &config.tenants[0].users)
}

struct Desk {
    authenticator: Authenticator,
    users: Users,
    now: Time,
}

impl Desk {
    fn new() -> Self {
        Self { authenticator: Authenticator::new([1; 32], 1), users: users(), now: Time::from_millis(1_000_000) }
    }

    fn ask(&self, door: Door, source: u8, authorization: Option<&str>, agents: &[&str]) -> Result<Principal, Refusal> {
        let agents: Vec<String> = agents.iter().map(|agent| (*agent).to_owned()).collect();
        let asked = Asked {
            door,
            source: IpAddr::from([192, 0, 2, source]),
            trusted: source == 1,
            method: "POST",
            target: TARGET,
            authorization,
            agents: &agents,
        };
        self.authenticator.check(self.now, REALM, &self.users, &asked)
    }

    fn basic(&self, user: &str, pin: &str) -> Result<Principal, Refusal> {
        self.ask(Door::Https, 2, Some(&basic(user, pin)), &[user])
    }

    /// The challenges that a request without credentials gets.
    fn challenges(&self, door: Door) -> Vec<String> {
        match self.ask(door, 2, None, &["alice"]) {
            Err(Refusal::Login { challenges }) => challenges,
            other => panic!("{other:?}"),
        }
    }
}

fn basic(user: &str, pin: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{user}:{pin}")))
}

/// What a client makes of one of the challenges.
fn digest(challenge: &str, user: &str, pin: &str, uri: &str, count: u32) -> String {
    let parsed = Challenge::parse_all(&[plugboard_sip::message::Value::from(challenge)]);
    let challenge = parsed.first().expect("a digest challenge");
    answer(challenge, &Secret::password(pin), user, "POST", uri, &[], "client", count).expect("answerable")
}

fn user(name: &str) -> Result<Principal, Refusal> {
    Ok(Principal::User(name.to_owned()))
}

fn is_challenge(refusal: &Result<Principal, Refusal>) -> bool {
    matches!(refusal, Err(Refusal::Login { .. }))
}

#[test]
fn a_trusted_network_needs_no_pin_on_https_only() {
    let desk = Desk::new();
    assert_eq!(desk.ask(Door::Https, 1, None, &["alice"]), Ok(Principal::Trusted));
    assert!(is_challenge(&desk.ask(Door::Digest, 1, None, &["alice"])));
    assert!(is_challenge(&desk.ask(Door::Https, 2, None, &["alice"])));
}

#[test]
fn basic_takes_the_agents_pin_over_tls() {
    let desk = Desk::new();
    assert_eq!(desk.basic("alice", "123"), user("alice"));
    assert_eq!(desk.basic("bob", "456"), user("bob"));
    assert!(is_challenge(&desk.ask(Door::Digest, 2, Some(&basic("alice", "123")), &["alice"])));
    for (name, pin) in
        [("alice", "124"), ("alice", ""), ("bob", "123"), ("carol", ""), ("carol", "123"), ("dave", "123")]
    {
        assert!(is_challenge(&desk.basic(name, pin)), "{name}:{pin}");
    }
    for odd in ["Basic", "Basic !", "Basic YWxpY2U=", "Bearer YWxpY2U6MTIz", ""] {
        assert!(is_challenge(&desk.ask(Door::Https, 2, Some(odd), &["alice"])), "{odd}");
    }
}

#[test]
fn whoever_logs_in_must_be_the_agent() {
    let desk = Desk::new();
    let ask = |agents: &[&str]| desk.ask(Door::Https, 2, Some(&basic("alice", "123")), agents);
    assert_eq!(ask(&["alice"]), user("alice"));
    assert_eq!(ask(&["201"]), user("alice"), "an alias is the same user");
    assert_eq!(ask(&["sip:alice@example.com"]), user("alice"));
    assert_eq!(ask(&[]), user("alice"), "call logic decides about paths that name nobody");
    assert_eq!(ask(&["bob"]), Err(Refusal::NotTheAgent));
    assert_eq!(ask(&["nobody"]), Err(Refusal::NotTheAgent));
    assert_eq!(ask(&["alice", "bob"]), Err(Refusal::NotTheAgent));
    assert_eq!(desk.ask(Door::Https, 2, Some(&basic("201", "123")), &["alice"]), user("alice"));
}

#[test]
fn challenges_are_offered_best_first() {
    let desk = Desk::new();
    let kinds = |door| {
        let start = |challenge: String| challenge.split(' ').next().map(str::to_owned).unwrap_or_default();
        desk.challenges(door).into_iter().map(start).collect::<Vec<_>>()
    };
    assert_eq!(kinds(Door::Digest), ["Digest", "Digest"]);
    assert_eq!(kinds(Door::Https), ["Digest", "Digest", "Basic"]);
    let offered = desk.challenges(Door::Digest);
    assert!(offered[0].contains("SHA-256") && offered[1].contains("MD5"), "{offered:?}");
    assert!(offered.iter().all(|challenge| challenge.contains("realm=\"example.com\"")));
}

#[test]
fn digest_is_taken_on_both_listeners() {
    for door in [Door::Digest, Door::Https] {
        let desk = Desk::new();
        let challenges = desk.challenges(door);
        let sha256 = digest(&challenges[0], "alice", "123", TARGET, 1);
        assert_eq!(desk.ask(door, 2, Some(&sha256), &["alice"]), user("alice"));
        let md5 = digest(&challenges[1], "alice", "123", TARGET, 2);
        assert_eq!(desk.ask(door, 2, Some(&md5), &["alice"]), user("alice"));
        let hashed = digest(&challenges[0], "bob", "456", TARGET, 3);
        assert_eq!(desk.ask(door, 2, Some(&hashed), &["bob"]), user("bob"));
        let unhashed = digest(&challenges[1], "bob", "456", TARGET, 4);
        assert!(is_challenge(&desk.ask(door, 2, Some(&unhashed), &["bob"])), "no MD5 hash of bob's");
    }
}

#[test]
fn a_proof_serves_one_request() {
    let desk = Desk::new();
    let challenge = &desk.challenges(Door::Digest)[0];
    let ask = |source, authorization: &str| desk.ask(Door::Digest, source, Some(authorization), &["alice"]);
    let first = digest(challenge, "alice", "123", TARGET, 1);
    assert_eq!(ask(2, &first), user("alice"));
    assert!(is_stale(&ask(2, &first)), "again");
    let second = digest(challenge, "alice", "123", TARGET, 2);
    assert!(is_stale(&ask(3, &second)), "from elsewhere");
    assert!(
        is_fresh_challenge(&ask(2, &digest(challenge, "alice", "123", "/callcontroller/alice/carol", 3))),
        "another URI"
    );
    assert!(is_fresh_challenge(&ask(2, &digest(challenge, "alice", "124", TARGET, 4))), "wrong PIN");
    assert_eq!(
        ask(2, &digest(challenge, "alice", "123", &format!("http://pbx.example.com:6667{TARGET}"), 5)),
        user("alice")
    );
    let other_realm = challenge.replace("example.com", "example.org");
    assert!(is_fresh_challenge(&ask(2, &digest(&other_realm, "alice", "123", TARGET, 6))));
}

#[test]
fn an_old_nonce_is_stale_but_no_wrong_pin() {
    let mut desk = Desk::new();
    let challenge = desk.challenges(Door::Digest).remove(0);
    desk.now = Time::from_millis(desk.now.as_millis() + nonces::NONCE_MS_MAX + 1);
    let proof = digest(&challenge, "alice", "123", TARGET, 1);
    for _ in 0..2 * guesses::FREE_PER_USER {
        assert!(is_stale(&desk.ask(Door::Digest, 2, Some(&proof), &["alice"])));
    }
    let wrong = digest(&challenge, "alice", "124", TARGET, 1);
    assert!(is_fresh_challenge(&desk.ask(Door::Digest, 2, Some(&wrong), &["alice"])));
}

#[test]
fn a_guesser_waits_and_nobody_else_does() {
    let desk = Desk::new();
    for _ in 0..=guesses::FREE_PER_USER {
        assert!(is_challenge(&desk.basic("alice", "000")));
    }
    assert_eq!(desk.basic("alice", "123"), Err(Refusal::Later { seconds: 1 }), "even the right PIN is not looked at");
    assert_eq!(desk.ask(Door::Https, 3, Some(&basic("alice", "123")), &["alice"]), user("alice"));
    assert_eq!(desk.basic("bob", "456"), user("bob"));
    let later = Desk { now: Time::from_millis(desk.now.as_millis() + 1_000), ..desk };
    assert_eq!(later.basic("alice", "123"), user("alice"));
}

#[test]
fn unknown_users_look_like_wrong_pins() {
    let desk = Desk::new();
    let told = |name: &str| {
        (0..guesses::FREE_PER_USER + 2)
            .map(|_| match desk.basic(name, "000") {
                Err(Refusal::Login { challenges }) => format!("401 {}", challenges.len()),
                other => format!("{other:?}"),
            })
            .collect::<Vec<_>>()
    };
    assert_eq!(told("alice"), told("nobody"));
    assert_eq!(told("alice"), told("alice"));
}

fn is_stale(refusal: &Result<Principal, Refusal>) -> bool {
    matches!(refusal, Err(Refusal::Login { challenges }) if challenges.iter().any(|c| c.contains("stale=true")))
}

fn is_fresh_challenge(refusal: &Result<Principal, Refusal>) -> bool {
    is_challenge(refusal) && !is_stale(refusal)
}
