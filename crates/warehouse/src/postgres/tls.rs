//! Encrypted connections: rustls on ring, certificates always verified.

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::settings::PostgresSettings;
use crate::WarehouseError;

/// A connector that trusts `sslrootcert`, or else the system's authorities.
pub(super) fn connector(settings: &PostgresSettings) -> Result<MakeRustlsConnect, WarehouseError> {
    let unusable = |reason: String| WarehouseError::Unusable {
        location: settings.location().to_owned(),
        reason: format!("TLS: {reason}"),
        advice: "name a PEM file of the server's authority by ?sslrootcert=FILE in warehouse.url",
    };
    let mut roots = RootCertStore::empty();
    match &settings.ca_file {
        Some(file) => {
            let certificates = CertificateDer::pem_file_iter(file)
                .and_then(Iterator::collect::<Result<Vec<_>, _>>)
                .map_err(|error| unusable(format!("{}: {error}", file.display())))?;
            for certificate in certificates {
                roots.add(certificate).map_err(|error| unusable(format!("{}: {error}", file.display())))?;
            }
        }
        None => {
            // Some of a system's certificates are often unreadable; the others do.
            let found = rustls_native_certs::load_native_certs();
            roots.add_parsable_certificates(found.certs);
        }
    }
    if roots.is_empty() {
        return Err(unusable("there is no authority to verify the server with".to_owned()));
    }
    let provider = std::sync::Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| unusable(error.to_string()))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(MakeRustlsConnect::new(config))
}
