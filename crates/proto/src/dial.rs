//! How services reach each other: one connection to an address, looked after, with a deadline
//! on each call.

use std::time::Duration;
use tonic::{
    Request, Status,
    service::{Interceptor, interceptor::InterceptedService},
    transport::{Channel, ClientTlsConfig, Endpoint},
};

/// Time for a connection to another service.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// How often a connection is tried while calls wait on it, so that a peer that stands still
/// is noticed.
const PING_EVERY: Duration = Duration::from_secs(1);
/// How long the answer may take: a busy machine is no dead one.
const PING_PATIENCE: Duration = Duration::from_secs(3);

/// Makes connections to other services.
#[derive(Debug, Clone, Default)]
pub struct Dialer {
    tls: Option<ClientTlsConfig>,
}

impl Dialer {
    /// With TLS, to `https` addresses only.
    pub fn secured(tls: ClientTlsConfig) -> Self {
        Self { tls: Some(tls) }
    }

    /// A connection to an address such as `http://127.0.0.1:4317`, made with the first call
    /// and again whenever it broke.
    ///
    /// # Errors
    /// Where the address is none, or is one without TLS where there must be TLS.
    pub fn channel(&self, address: &str) -> Result<Channel, DialError> {
        let refuse = |reason: String| DialError { address: address.to_owned(), reason };
        let endpoint = Endpoint::from_shared(address.to_owned());
        let mut endpoint = endpoint.map_err(|error| refuse(error.to_string()))?;
        match (&self.tls, address.starts_with("https://")) {
            (Some(tls), true) => {
                let secured = endpoint.tls_config(tls.clone());
                endpoint = secured.map_err(|error| refuse(error.to_string()))?;
            }
            (None, false) => {}
            (Some(_), false) => {
                let reason = "it is without TLS, and this process was given --grpc-tls-ca";
                return Err(refuse(reason.to_owned()));
            }
            (None, true) => {
                let reason = "it asks for TLS, and this process was not given --grpc-tls-ca";
                return Err(refuse(reason.to_owned()));
            }
        }
        let channel = endpoint
            .connect_timeout(CONNECT_TIMEOUT)
            .http2_keep_alive_interval(PING_EVERY)
            .keep_alive_timeout(PING_PATIENCE)
            .tcp_nodelay(true)
            .connect_lazy();
        Ok(channel)
    }
}

/// An address that cannot be called.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{address} cannot be called: {reason}")]
pub struct DialError {
    address: String,
    reason: String,
}

/// A connection whose calls have a deadline, which the other side is told.
pub type Bounded = InterceptedService<Channel, Deadline>;

/// Puts a deadline on each call: until its answer, or the head of its stream, is there.
#[derive(Debug, Clone, Copy)]
pub struct Deadline(pub Duration);

impl Interceptor for Deadline {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        if request.metadata().get("grpc-timeout").is_none() {
            request.set_timeout(self.0);
        }
        Ok(request)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn addresses_that_cannot_be_called_are_named() {
        let said = |dialer: &Dialer, address| dialer.channel(address).unwrap_err().to_string();
        let (open, secured) = (Dialer::default(), Dialer::secured(ClientTlsConfig::new()));
        assert!(open.channel("http://127.0.0.1:1").is_ok());
        assert!(said(&open, "https://h:1").contains("https://h:1 cannot be called: it asks"));
        assert!(said(&open, "not an address").contains("not an address"));
        assert!(said(&secured, "http://h:1").contains("without TLS"));
    }
}
