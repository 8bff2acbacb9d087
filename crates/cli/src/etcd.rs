//! Where etcd is, as the command line and the environment say it.

use crate::exit::Failure;
use baton_codes::StartCode;
use baton_registry::RegistryError;
use baton_registry_etcd::{Credentials, EtcdOptions, Secret, Tls};
use clap::Args;
use std::{ffi::OsString, path::PathBuf};

/// Holds the password, where no file does.
const PASSWORD: &str = "BATON_ETCD_PASSWORD";

/// Where etcd is.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct EtcdArgs {
    /// Endpoints of etcd, such as http://127.0.0.1:2379, separated by commas.
    #[arg(long, env = "BATON_ETCD", value_name = "URL")]
    etcd: Option<String>,
    /// Name of the cluster, which keeps several on one etcd apart.
    #[arg(long, env = "BATON_CLUSTER", default_value = "default", value_name = "NAME")]
    cluster: String,
    /// User of etcd; the password is in BATON_ETCD_PASSWORD, or in a file.
    #[arg(long, env = "BATON_ETCD_USER", value_name = "USER")]
    etcd_user: Option<String>,
    /// File that holds the password of the user of etcd.
    #[arg(long, env = "BATON_ETCD_PASSWORD_FILE", value_name = "FILE")]
    etcd_password_file: Option<PathBuf>,
    /// File with the certificate of the CA that signed etcd's, for https endpoints.
    #[arg(long, env = "BATON_ETCD_CA", value_name = "FILE")]
    etcd_ca: Option<PathBuf>,
    /// File with the certificate that is shown to etcd.
    #[arg(long, env = "BATON_ETCD_CERT", value_name = "FILE", requires = "etcd_key")]
    etcd_cert: Option<PathBuf>,
    /// File with the key of that certificate.
    #[arg(long, env = "BATON_ETCD_KEY", value_name = "FILE", requires = "etcd_cert")]
    etcd_key: Option<PathBuf>,
}

impl EtcdArgs {
    /// Whether anybody says where etcd is.
    pub(crate) fn is_given(&self) -> bool {
        self.etcd.is_some()
    }

    /// The cluster's name.
    pub(crate) fn cluster(&self) -> &str {
        &self.cluster
    }

    /// Where it is, and how to be let in.
    pub(crate) fn options(&self) -> Result<EtcdOptions, Failure> {
        let Some(endpoints) = &self.etcd else {
            return Err(Failure::usage(
                "it is not said where etcd is: give --etcd URL, or set BATON_ETCD",
            ));
        };
        let mut options = EtcdOptions::new(endpoints);
        options.cluster.clone_from(&self.cluster);
        options.credentials = self.credentials()?;
        let client = self.etcd_cert.clone().zip(self.etcd_key.clone());
        options.tls = Tls { ca: self.etcd_ca.clone(), client, server_name: None };
        Ok(options)
    }

    /// The same on the command line of another process; a password in the environment is in
    /// its environment as well.
    pub(crate) fn words(&self) -> Vec<OsString> {
        let said = [
            ("--etcd", self.etcd.clone().map(OsString::from)),
            ("--cluster", Some(self.cluster.clone().into())),
            ("--etcd-user", self.etcd_user.clone().map(Into::into)),
            ("--etcd-password-file", self.etcd_password_file.clone().map(Into::into)),
            ("--etcd-ca", self.etcd_ca.clone().map(Into::into)),
            ("--etcd-cert", self.etcd_cert.clone().map(Into::into)),
            ("--etcd-key", self.etcd_key.clone().map(Into::into)),
        ];
        let said = said.into_iter().filter_map(|(name, value)| Some([name.into(), value?]));
        said.flatten().collect()
    }

    fn credentials(&self) -> Result<Option<Credentials>, Failure> {
        let Some(user) = self.etcd_user.clone() else { return Ok(None) };
        let password = match &self.etcd_password_file {
            Some(file) => std::fs::read_to_string(file).map_err(|error| {
                let file = file.display();
                Failure::usage(format!("cannot read the password of etcd in {file}: {error}"))
                    .named(StartCode::KeyUnreadable)
            })?,
            None => std::env::var(PASSWORD).map_err(|_| {
                Failure::usage(format!(
                    "{user} is the user of etcd, and there is no password: set {PASSWORD}, or \
                     give --etcd-password-file"
                ))
                .named(StartCode::KeyUnreadable)
            })?,
        };
        Ok(Some(Credentials { user, password: Secret::new(password.trim()) }))
    }
}

/// What a registry's error is to whoever started a command.
pub(crate) fn failure(error: &RegistryError) -> Failure {
    let code = match error {
        RegistryError::Unavailable(_) => StartCode::RegistryUnavailable,
        RegistryError::Unusable(_) => StartCode::RegistryUnusable,
        RegistryError::Invalid(_) => return Failure::usage(error.to_string()),
    };
    Failure::other(error.to_string()).named(code)
}
