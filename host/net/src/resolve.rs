//! From a host name to addresses: A and AAAA (RFC 3263 §4.2 without SRV and NAPTR). The lookups have their own time
//! limit, because resolvers hang.

use hickory_resolver::TokioResolver;
use std::net::IpAddr;
use std::sync::OnceLock;
use std::time::Duration;

/// Longest time one name may take, in all.
pub const LOOKUP_TIME_MAX: Duration = Duration::from_secs(4);

/// Looks names up with the machine's resolver configuration, `/etc/hosts` included. Answers are cached for their TTL.
#[derive(Default)]
pub struct Resolver {
    /// Made at the first lookup, so that a machine without a resolver configuration can serve IP addresses.
    inner: OnceLock<Result<TokioResolver, String>>,
}

/// Why a name has no address.
#[derive(Debug, thiserror::Error)]
pub enum ResolveError {
    /// The machine's resolver configuration cannot be used.
    #[error("the resolver configuration of this machine cannot be used: {0}")]
    Configuration(String),
    /// The name servers say no, or do not answer sensibly.
    #[error("{host} could not be resolved: {reason}")]
    Failed {
        /// The name.
        host: String,
        /// What the resolver said.
        reason: String,
    },
    /// No answer in time.
    #[error("{0} could not be resolved within {LOOKUP_TIME_MAX:?}")]
    TimedOut(String),
}

impl Resolver {
    /// The addresses of a host name, in the order the resolver gave them; at least one.
    pub async fn lookup(&self, host: &str) -> Result<Vec<IpAddr>, ResolveError> {
        let resolver = self
            .inner
            .get_or_init(|| TokioResolver::builder_tokio().and_then(|b| b.build()).map_err(|e| e.to_string()))
            .as_ref()
            .map_err(|reason| ResolveError::Configuration(reason.clone()))?;
        let failed = |reason: String| ResolveError::Failed { host: host.to_owned(), reason };
        match tokio::time::timeout(LOOKUP_TIME_MAX, resolver.lookup_ip(host)).await {
            Err(_) => Err(ResolveError::TimedOut(host.to_owned())),
            Ok(Err(error)) => Err(failed(error.to_string())),
            Ok(Ok(found)) => {
                let addresses: Vec<IpAddr> = found.iter().collect();
                if addresses.is_empty() { Err(failed("no addresses".to_owned())) } else { Ok(addresses) }
            }
        }
    }
}
