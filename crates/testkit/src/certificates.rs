//! A certificate authority of the tests' own, with a server's and a client's certificate.

use rcgen::{
    BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};
use std::{
    io::{Error, Result},
    path::PathBuf,
};
use tempfile::TempDir;

/// Files in PEM, in a folder that goes with this value.
pub struct Certificates {
    folder: TempDir,
}

impl Certificates {
    /// New ones: a CA, a server's certificate for 127.0.0.1 and `localhost`, a client's.
    pub fn new() -> Result<Self> {
        Self::make().map_err(Error::other)
    }

    fn make() -> std::result::Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        let folder = tempfile::Builder::new().prefix("baton-certificates-").tempdir()?;
        let key = KeyPair::generate()?;
        let mut authority = CertificateParams::new(Vec::new())?;
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        authority.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let certificate = authority.self_signed(&key)?;
        let write = |name: &str, text: String| std::fs::write(folder.path().join(name), text);
        write("ca.pem", certificate.pem())?;
        let issuer = Issuer::new(authority, key);
        for (name, usage) in [
            ("server", ExtendedKeyUsagePurpose::ServerAuth),
            ("client", ExtendedKeyUsagePurpose::ClientAuth),
        ] {
            let key = KeyPair::generate()?;
            let names = vec!["127.0.0.1".to_owned(), "localhost".to_owned()];
            let mut params = CertificateParams::new(names)?;
            // etcd calls itself with its server's certificate.
            params.extended_key_usages = match name {
                "server" => vec![usage, ExtendedKeyUsagePurpose::ClientAuth],
                _ => vec![usage],
            };
            params.key_usages =
                vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::KeyEncipherment];
            let certificate = params.signed_by(&key, &issuer)?;
            write(&format!("{name}.pem"), certificate.pem())?;
            write(&format!("{name}.key"), key.serialize_pem())?;
        }
        Ok(Self { folder })
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The authority's certificate.
    pub fn ca(&self) -> PathBuf {
        self.file("ca.pem")
    }

    /// The server's certificate.
    pub fn server(&self) -> PathBuf {
        self.file("server.pem")
    }

    /// The server's key.
    pub fn server_key(&self) -> PathBuf {
        self.file("server.key")
    }

    /// The client's certificate.
    pub fn client(&self) -> PathBuf {
        self.file("client.pem")
    }

    /// The client's key.
    pub fn client_key(&self) -> PathBuf {
        self.file("client.key")
    }
}
