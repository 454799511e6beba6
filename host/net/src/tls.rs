//! TLS for SIP (RFC 3261 §26.3.1): what we present, whom we trust, and whether a peer is the domain that was meant
//! (RFC 5922).

use arc_swap::ArcSwap;
use plugboard_sip::host::Host;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{verify_server_cert_signed_by_trust_anchor, verify_server_name};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, DnsName, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::{ParsedCertificate, WebPkiClientVerifier};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, ServerConfig, SignatureScheme,
};
use std::sync::Arc;
use tokio_rustls::{TlsAcceptor, TlsConnector};

/// Both sides of TLS. Copies are one and the same: what one is replaced by all of them use.
#[derive(Clone)]
pub struct Tls(Arc<ArcSwap<Sides>>);

struct Sides {
    acceptor: TlsAcceptor,
    connector: TlsConnector,
}

/// Why there can be no TLS. The operator's to correct.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// Certificate and key do not go together, or are of a kind that cannot be used.
    #[error("the certificate cannot be used: {0}")]
    Certificate(#[from] Error),
    /// A certificate authority that cannot be used.
    #[error("the certificate authority cannot be used: {0}")]
    Authority(Error),
    /// The certificate authorities of peers that connect to us cannot be used.
    #[error("client_ca cannot be used: {0}")]
    ClientAuthority(String),
}

/// What [`Tls`] is made of.
pub struct TlsMaterial {
    /// Ours, the own certificate first. Presented to who connects to us, and to whom we connect when asked for it.
    pub chain: Vec<CertificateDer<'static>>,
    /// The key of the first.
    pub key: PrivateKeyDer<'static>,
    /// Who vouches for the peers that we connect to; none: those whom this machine trusts.
    pub authorities: Option<Vec<CertificateDer<'static>>>,
    /// Who vouches for the peers that connect to us; none: they need no certificate.
    pub client_authorities: Option<Vec<CertificateDer<'static>>>,
}

impl Tls {
    /// TLS 1.2 and 1.3.
    ///
    /// # Errors
    /// When the material cannot be used.
    pub fn new(material: TlsMaterial) -> Result<Tls, TlsError> {
        let TlsMaterial { chain, key, authorities, client_authorities } = material;
        let provider = Arc::new(ring::default_provider());
        let verifier = SipVerifier { roots: roots(authorities)?, provider: provider.clone() };
        let client = ClientConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()?
            .dangerous() // what rustls calls a verifier of one's own; this one is stricter than its own
            .with_custom_certificate_verifier(Arc::new(verifier))
            .with_client_auth_cert(chain.clone(), key.clone_key())?;
        let server = ServerConfig::builder_with_provider(provider.clone()).with_safe_default_protocol_versions()?;
        let server = match client_authorities {
            None => server.with_no_client_auth(),
            Some(authorities) => {
                let roots = Arc::new(roots(Some(authorities))?);
                let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider).build();
                let verifier = verifier.map_err(|error| TlsError::ClientAuthority(error.to_string()))?;
                server.with_client_cert_verifier(verifier)
            }
        };
        let server = server.with_single_cert(chain, key)?;
        let (acceptor, connector) = (TlsAcceptor::from(Arc::new(server)), TlsConnector::from(Arc::new(client)));
        Ok(Tls(Arc::new(ArcSwap::from_pointee(Sides { acceptor, connector }))))
    }

    /// From now on shows and trusts what `other` does. Connections that are up go on.
    pub fn replace_by(&self, other: &Tls) {
        self.0.store(other.0.load_full());
    }

    pub(crate) fn acceptor(&self) -> TlsAcceptor {
        self.0.load().acceptor.clone()
    }

    pub(crate) fn connector(&self) -> TlsConnector {
        self.0.load().connector.clone()
    }
}

impl std::fmt::Debug for Tls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Tls")
    }
}

/// The name that a peer must prove; none when the host can be no name of a certificate.
pub(crate) fn server_name(domain: &Host) -> Option<ServerName<'static>> {
    match domain {
        Host::Name(name) => DnsName::try_from(name.trim_end_matches('.').to_owned()).ok().map(ServerName::DnsName),
        Host::V4(address) => Some(ServerName::from(std::net::IpAddr::from(*address))),
        Host::V6(address) => Some(ServerName::from(std::net::IpAddr::from(*address))),
    }
}

fn roots(authorities: Option<Vec<CertificateDer<'static>>>) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    match authorities {
        Some(authorities) => {
            for authority in authorities {
                roots.add(authority).map_err(TlsError::Authority)?;
            }
        }
        None => {
            let found = rustls_native_certs::load_native_certs();
            for error in &found.errors {
                tracing::warn!(%error, "certificate authorities of this machine could not be read");
            }
            roots.add_parsable_certificates(found.certs);
        }
    }
    Ok(roots)
}

/// Trusts a certificate that an authority vouches for when it is of the domain that was meant.
#[derive(Debug)]
struct SipVerifier {
    roots: RootCertStore,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for SipVerifier {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        domain: &ServerName<'_>,
        _ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let parsed = ParsedCertificate::try_from(certificate)?;
        let algorithms = self.provider.signature_verification_algorithms.all;
        verify_server_cert_signed_by_trust_anchor(&parsed, &self.roots, intermediates, now, algorithms)?;
        let ServerName::DnsName(name) = domain else {
            verify_server_name(&parsed, domain)?;
            return Ok(ServerCertVerified::assertion());
        };
        let names = webpki::EndEntityCert::try_from(certificate)
            .map_err(|_| Error::InvalidCertificate(CertificateError::BadEncoding))?;
        if is_of_domain(name.as_ref(), names.valid_uri_names(), names.valid_dns_names()) {
            Ok(ServerCertVerified::assertion())
        } else {
            Err(Error::InvalidCertificate(CertificateError::NotValidForName))
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signed, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signed, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

/// Whether a certificate with these names is of a SIP domain (RFC 5922 §7.1, §7.2): a SIP URI in it counts before any
/// DNS name, a URI with a user part is no domain, and there are no wildcards.
fn is_of_domain<'n>(domain: &str, uris: impl Iterator<Item = &'n str>, names: impl Iterator<Item = &'n str>) -> bool {
    let mut sip = uris
        .filter_map(|uri| uri.split_once(':').filter(|(scheme, _)| scheme.eq_ignore_ascii_case("sip")))
        .map(|(_, host)| host)
        .peekable();
    let is_it = |name: &str| name.trim_end_matches('.').eq_ignore_ascii_case(domain.trim_end_matches('.'));
    if sip.peek().is_some() { sip.any(is_it) } else { { names }.any(is_it) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(domain: &str, uris: &[&str], names: &[&str]) -> bool {
        is_of_domain(domain, uris.iter().copied(), names.iter().copied())
    }

    #[test]
    fn a_sip_uri_in_the_certificate_counts_before_any_name() {
        assert!(of("example.com", &["sip:Example.com"], &[]));
        assert!(of("example.com", &["https://example.net", "sip:example.com"], &["other.example"]));
        assert!(!of("example.com", &["sip:example.net"], &["example.com"]));
        assert!(!of("example.com", &["sip:alice@example.com"], &["example.com"]), "of a user");
    }

    #[test]
    fn without_one_a_dns_name_counts_as_a_whole() {
        assert!(of("example.com", &[], &["other.example", "EXAMPLE.com"]));
        assert!(of("example.com", &["https://example.net"], &["example.com"]));
        for name in ["*.example.com", "sip.example.com", "com", ""] {
            assert!(!of("example.com", &[], &[name]), "{name}");
            assert!(!of("a.example.com", &[], &[name]), "{name}");
        }
    }

    #[test]
    fn hosts_that_certificates_can_name() {
        let named = |text: &str| {
            server_name(&Host::parse(&text.into()).expect("a host")).map(|name| name.to_str().into_owned())
        };
        assert_eq!(named("example.com."), Some("example.com".to_owned()));
        assert_eq!(named("192.0.2.1"), Some("192.0.2.1".to_owned()));
        assert_eq!(named("[2001:db8::1]"), Some("2001:db8::1".to_owned()));
    }
}
