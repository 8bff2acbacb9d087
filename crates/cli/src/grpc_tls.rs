//! Certificates between services: each shows its own, and takes no other than of the same
//! authority.

use crate::exit::Failure;
use baton_codes::StartCode;
use baton_proto::Dialer;
use clap::Args;
use std::path::{Path, PathBuf};
use tonic::transport::{Certificate, ClientTlsConfig, Identity, Server, ServerTlsConfig};

/// Files in PEM. Without them services talk in the clear.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct GrpcTlsArgs {
    /// File with the certificate of the authority that signed those of all services: calls
    /// between services are encrypted, and whoever shows no certificate of it is refused.
    #[arg(long, env = "BATON_GRPC_TLS_CA", value_name = "FILE",
        requires_all = ["grpc_tls_cert", "grpc_tls_key"])]
    grpc_tls_ca: Option<PathBuf>,
    /// File with this process's certificate, for servers and clients.
    #[arg(long, env = "BATON_GRPC_TLS_CERT", value_name = "FILE", requires = "grpc_tls_ca")]
    grpc_tls_cert: Option<PathBuf>,
    /// File with the key of that certificate.
    #[arg(long, env = "BATON_GRPC_TLS_KEY", value_name = "FILE", requires = "grpc_tls_ca")]
    grpc_tls_key: Option<PathBuf>,
}

/// What was in the files.
#[derive(Debug, Clone)]
pub(crate) struct GrpcTls {
    authority: Certificate,
    identity: Identity,
}

impl GrpcTlsArgs {
    /// Reads the files, if any are given, and sees whether they can be used.
    pub(crate) fn read(&self) -> Result<Option<GrpcTls>, Failure> {
        let files = (&self.grpc_tls_ca, &self.grpc_tls_cert, &self.grpc_tls_key);
        let (Some(ca), Some(cert), Some(key)) = files else { return Ok(None) };
        let tls = GrpcTls {
            authority: Certificate::from_pem(bytes(ca)?),
            identity: Identity::from_pem(bytes(cert)?, bytes(key)?),
        };
        let names = [ca, cert, key].map(|file| file.display().to_string()).join(", ");
        let unusable = |reason: String| {
            let message = format!("the certificates in {names} cannot be used: {reason}");
            Failure::usage(message).named(StartCode::KeyUnreadable)
        };
        let dialed = tls.dialer().channel("https://127.0.0.1:1");
        dialed.map_err(|error| unusable(error.to_string()))?;
        let served = Server::builder().tls_config(tls.server());
        served.map_err(|error| unusable(chain(&error)))?;
        Ok(Some(tls))
    }
}

impl GrpcTls {
    /// How others are reached.
    pub(crate) fn dialer(&self) -> Dialer {
        let tls = ClientTlsConfig::new();
        let tls = tls.ca_certificate(self.authority.clone()).identity(self.identity.clone());
        Dialer::secured(tls)
    }

    /// How this process is reached.
    pub(crate) fn server(&self) -> ServerTlsConfig {
        let tls = ServerTlsConfig::new();
        tls.identity(self.identity.clone()).client_ca_root(self.authority.clone())
    }
}

fn bytes(file: &Path) -> Result<Vec<u8>, Failure> {
    std::fs::read(file).map_err(|error| {
        Failure::usage(format!("cannot read {}: {error}", file.display()))
            .named(StartCode::KeyUnreadable)
    })
}

fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}
