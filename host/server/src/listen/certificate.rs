//! The certificates of the HTTPS listener and of SIP over TLS: the operator's, or a self-signed one that is made once
//! and kept.

use crate::config::{CertificateFiles, SipConfig};
use crate::state_dir::{self, StateDir};
use plugboard_net::tls::{Tls, TlsError, TlsMaterial};
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use sha2::{Digest as _, Sha256};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Why there is no certificate to serve with. The operator's to correct.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    /// A file is missing or not PEM.
    #[error("{}: {reason}", file.display())]
    File {
        /// Which.
        file: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// Certificate and key do not go together, or are of a kind that cannot be served.
    #[error("the certificate cannot be used: {0}")]
    Pair(#[from] rustls::Error),
    /// Certificates that SIP over TLS cannot use.
    #[error(transparent)]
    Sip(#[from] TlsError),
    /// A self-signed pair could not be made.
    #[error("a self-signed certificate could not be made: {0}")]
    Make(#[from] rcgen::Error),
    /// A self-signed pair could not be kept.
    #[error("a self-signed certificate could not be kept: {0}")]
    Keep(#[from] std::io::Error),
}

/// What was made of certificates and keys, and how to tell it from what others make.
pub struct Certified<T> {
    /// It.
    pub tls: T,
    /// The same for the same certificates and keys.
    pub fingerprint: Fingerprint,
}

/// SHA-256 over certificates and keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fingerprint([u8; 32]);

/// TLS 1.2 and 1.3 with the operator's certificate, or the self-signed one in the state folder, made for `names` if
/// there is none yet. Offers HTTP/2 and HTTP/1.1.
///
/// # Errors
/// When there is no certificate to serve with.
pub fn server_tls(
    files: Option<&CertificateFiles>,
    state_dir: &StateDir,
    names: Vec<String>,
) -> Result<Certified<Arc<ServerConfig>>, CertificateError> {
    let (chain, key) = pair(files, state_dir, names)?;
    let fingerprint = fingerprint(&[&chain], &key);
    let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain, key)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Certified { tls: Arc::new(config), fingerprint })
}

/// TLS for SIP, with the pair as in [`server_tls`].
///
/// # Errors
/// When there is no certificate to use, or a file of authorities cannot be used.
pub fn sip_tls(sip: &SipConfig, state_dir: &StateDir, names: Vec<String>) -> Result<Certified<Tls>, CertificateError> {
    let (chain, key) = pair(sip.certificate.as_ref(), state_dir, names)?;
    let authorities = |file: &Option<PathBuf>| file.as_deref().map(read_chain).transpose();
    let (authorities, client_authorities) = (authorities(&sip.ca)?, authorities(&sip.client_ca)?);
    let trusted = |authorities: &Option<Vec<_>>| authorities.clone().unwrap_or_default();
    let fingerprint = fingerprint(&[&chain, &trusted(&authorities), &trusted(&client_authorities)], &key);
    let tls = Tls::new(TlsMaterial { chain, key, authorities, client_authorities })?;
    Ok(Certified { tls, fingerprint })
}

fn fingerprint(lists: &[&[CertificateDer<'static>]], key: &PrivateKeyDer<'static>) -> Fingerprint {
    let mut hash = Sha256::new_with_prefix(Sha256::digest(key.secret_der()));
    for list in lists {
        hash.update(list.len().to_le_bytes());
        list.iter().for_each(|certificate| hash.update(Sha256::digest(certificate)));
    }
    Fingerprint(hash.finalize().into())
}

type Pair = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

fn pair(files: Option<&CertificateFiles>, state_dir: &StateDir, names: Vec<String>) -> Result<Pair, CertificateError> {
    let files = match files {
        Some(files) => files.clone(),
        None => self_signed(state_dir, names)?,
    };
    let key = PrivateKeyDer::from_pem_file(&files.key).map_err(|error| unreadable(&files.key, &error))?;
    Ok((read_chain(&files.certificate)?, key))
}

fn read_chain(file: &Path) -> Result<Vec<CertificateDer<'static>>, CertificateError> {
    let chain: Result<Vec<_>, _> = CertificateDer::pem_file_iter(file).and_then(Iterator::collect);
    let chain = chain.map_err(|error| unreadable(file, &error))?;
    if chain.is_empty() {
        let reason = "holds no certificate: write it as PEM, the server's own first".to_owned();
        return Err(CertificateError::File { file: file.to_owned(), reason });
    }
    Ok(chain)
}

fn self_signed(state_dir: &StateDir, names: Vec<String>) -> Result<CertificateFiles, CertificateError> {
    let (certificate, key) = (state_dir.path("self-signed.pem"), state_dir.path("self-signed.key"));
    if !(certificate.exists() && key.exists()) {
        let pair = rcgen::generate_simple_self_signed(names)?;
        state_dir::write(&key, pair.signing_key.serialize_pem().as_bytes())?;
        state_dir::write(&certificate, pair.cert.pem().as_bytes())?;
        tracing::info!(certificate = %certificate.display(), "made a self-signed certificate");
    }
    Ok(CertificateFiles { certificate, key })
}

fn unreadable(file: &Path, error: &rustls::pki_types::pem::Error) -> CertificateError {
    CertificateError::File { file: file.to_owned(), reason: error.to_string() }
}
