//! Who a request is made for: the query's `agent`, else the first path segment behind the controller's prefix (the
//! calling user).

use percent_encoding::percent_decode_str;
use std::borrow::Cow;

/// All that a request names as its agent, decoded; nothing when it names nobody.
///
/// Call logic reads the query by its own rules and might take another `agent` than the host would, so a request that
/// names several is made for all of them: whoever logs in has to be each.
pub fn agents_of(path: &str, query: Option<&str>, prefix: &str) -> Vec<String> {
    let named = |pair: &str| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        (decode(name, true) == "agent" && !value.is_empty()).then(|| decode(value, true).into_owned())
    };
    let agents: Vec<String> = query.unwrap_or_default().split('&').filter_map(named).collect();
    if agents.is_empty() { calling_user(path, prefix).into_iter().collect() } else { agents }
}

fn calling_user(path: &str, prefix: &str) -> Option<String> {
    let rest = path.strip_prefix(prefix.trim_end_matches('/'))?.strip_prefix('/')?;
    let first = rest.split('/').next().unwrap_or_default();
    (!first.is_empty()).then(|| decode(first, false).into_owned())
}

fn decode(text: &str, plus_is_space: bool) -> Cow<'_, str> {
    if plus_is_space && text.contains('+') {
        return Cow::Owned(percent_decode_str(&text.replace('+', " ")).decode_utf8_lossy().into_owned());
    }
    percent_decode_str(text).decode_utf8_lossy()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_agent_is_named_or_is_who_calls() {
        let agents = |path, query| agents_of(path, query, "/callcontroller");
        assert_eq!(agents("/callcontroller/alice/bob", None), ["alice"]);
        assert_eq!(agents("/callcontroller/alice", None), ["alice"]);
        assert_eq!(agents("/callcontroller/alice/bob", Some("timeout=1&agent=carol")), ["carol"]);
        assert_eq!(agents("/callcontroller/alice/bob", Some("agent=carol&agent=dave")), ["carol", "dave"]);
        assert_eq!(agents("/callcontroller/alice/bob", Some("agent=")), ["alice"]);
        assert_eq!(agents("/callcontroller/alice/bob", Some("Agent=carol")), ["alice"]);
        assert_eq!(agents("/callcontroller/al%69ce%40example.com/bob", None), ["alice@example.com"]);
        assert_eq!(agents("/callcontroller/alice/bob", Some("%61gent=c%61rol")), ["carol"]);
        assert_eq!(agents("/elsewhere", Some("agent=carol")), ["carol"]);
        for nobody in ["/callcontrollers/alice/bob", "/callcontroller", "/callcontroller//bob", "/"] {
            assert!(agents(nobody, None).is_empty(), "{nobody}");
        }
    }
}
