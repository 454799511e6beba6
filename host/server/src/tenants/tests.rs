use super::*;
use crate::config::Config;
use plugboard_calls::logic::Directory;
use std::path::Path;

const TWO: &str = r#"
[tenants."One.example"]
hosts = ["PBX.one.example"]
trusted = ["10.0.0.0/8", "::1"]
[tenants."One.example".users.alice]
display_name = "Alice"
aliases = ["201"]
pin = "1"
sip_password = "x"
[tenants."two.example"]
cors_origins = ["https://portal.example"]
[tenants."two.example".users.bob]
sip_user = "bob-at-proxy"
sip_password = "y"
"#;

fn tenants() -> Tenants {
    let config = Config::parse(Path::new("test.toml"), TWO).expect("valid");
    let one = |tenant: &TenantConfig| (Tenant::new(tenant, Arc::new(Deployments::for_tests())), tenant.hosts.clone());
    Tenants::new(config.tenants.iter().map(one).collect()).expect("two")
}

#[test]
fn the_host_chooses_the_tenant() {
    let tenants = tenants();
    let chosen = |host| tenants.by_host(host).domain().to_owned();
    assert_eq!(chosen(Some("two.example")), "two.example");
    assert_eq!(chosen(Some("TWO.example:6666")), "two.example");
    assert_eq!(chosen(Some("two.example.")), "two.example");
    assert_eq!(chosen(Some("pbx.one.example")), "one.example");
    assert_eq!(chosen(Some("one.example")), "one.example");
    assert_eq!(chosen(Some("[::1]:6666")), "one.example");
    assert_eq!(chosen(Some("nobody.example")), "one.example");
    assert_eq!(chosen(None), "one.example");
}

#[test]
fn only_the_networks_named_are_trusted() {
    let tenants = tenants();
    let one = tenants.by_host(None);
    let trusts = |address: &str| one.trusts(address.parse().expect("an address"));
    assert!(trusts("10.1.2.3") && trusts("::ffff:10.1.2.3") && trusts("::1"));
    assert!(!trusts("11.1.2.3") && !trusts("::2"));
    assert!(!tenants.by_host(Some("two.example")).trusts("10.1.2.3".parse().expect("an address")));
}

#[test]
fn a_user_is_found_by_name_alias_and_address() {
    let tenants = tenants();
    let users = &tenants.by_host(None).users;
    for name in
        ["alice", "201", "alice@one.example", "alice@ONE.example", "sip:alice@one.example", "SIP:201@one.example"]
    {
        assert_eq!(users.find(name).map(|user| user.name.clone()), Some("alice".to_owned()), "{name}");
    }
    for name in
        ["Alice", "bob", "alice@two.example", "sip:Alice@one.example", "sip:alice@one.example:5070", "", "@one.example"]
    {
        assert_eq!(users.find(name), None, "{name}");
    }
    let identity = users.find("201").expect("alice").identity.clone();
    assert_eq!(
        (identity.address_of_record.as_str(), identity.display_name.as_deref()),
        ("sip:alice@one.example", Some("Alice"))
    );
}

#[test]
fn what_answers_sip_challenges_is_the_users_own() {
    let tenants = tenants();
    let username = |host, user| tenants.by_host(Some(host)).users.credentials(user).map(|found| found.username);
    assert_eq!(username("one.example", "alice"), Some("alice".to_owned()));
    assert_eq!(username("two.example", "bob"), Some("bob-at-proxy".to_owned()));
    assert_eq!(username("one.example", "bob"), None);
}
