//! What went wrong with etcd, in words that say what to do.

use crate::options::EtcdOptions;
use baton_registry::RegistryError;
use std::error::Error;
use tonic::{Code, Status};

/// The oldest version of etcd that has all that is used here.
const VERSION_MIN: (u32, u32) = (3, 4);

/// What etcd's own messages are recognised by, and what to do.
const REFUSALS: [(&str, &str); 4] = [
    (
        "invalid user ID or password",
        "it does not accept the user and password that it is given: correct them",
    ),
    ("user name is empty", "it asks for a user and a password: give them"),
    (
        "authentication is not enabled",
        "a user and password are given, and its authentication is switched off: enable it, or \
         leave them out",
    ),
    ("permission denied", "its user may not do this: give it reading and writing of"),
];

/// What rustls and servers say, and what to do.
const TLS: [(&str, &str); 7] = [
    ("InvalidContentType", "it answers without TLS: begin its address with http://"),
    ("UnknownIssuer", "its certificate is signed by nobody that is trusted: give its CA's file"),
    ("BadSignature", "its certificate is signed by nobody that is trusted: give its CA's file"),
    ("NotValidForName", "its certificate is for another name: connect by that name, or give it"),
    ("not valid for name", "its certificate is for another name: connect by that name, or give it"),
    ("CertificateRequired", "it asks for a client's certificate: give one and its key"),
    ("BadCertificate", "it does not accept the client's certificate: give one of its CA, or any"),
];

/// Why a call came to nothing.
pub(crate) fn of_call(status: &Status, endpoint: &str, options: &EtcdOptions) -> RegistryError {
    let said = status.message();
    if let Some((_, advice)) = REFUSALS.iter().find(|(words, _)| said.contains(words)) {
        let what = match said.contains("permission denied") {
            true => format!(" /baton/{}/", options.cluster),
            false => String::new(),
        };
        return RegistryError::Unusable(format!("etcd at {endpoint}: {advice}{what}"));
    }
    match status.code() {
        Code::Unimplemented => RegistryError::Unusable(format!(
            "what answers at {endpoint} does not know the calls of etcd 3.4 and later: {said}"
        )),
        Code::Unauthenticated => {
            RegistryError::Unavailable(format!("etcd at {endpoint} wants to know us again: {said}"))
        }
        _ => of_transport(status, endpoint, said),
    }
}

/// Why there is no connection.
pub(crate) fn of_transport(error: &dyn Error, endpoint: &str, said: &str) -> RegistryError {
    let why = chain(error, said);
    if let Some((_, advice)) = TLS.iter().find(|(words, _)| why.contains(words)) {
        return RegistryError::Unusable(format!("etcd at {endpoint}: {advice} ({why})"));
    }
    let hint = match endpoint.starts_with("http://") {
        true if is_cut(&why) => "; if it asks for TLS, its address begins with https://",
        false if why.contains("handshake eof") => {
            "; if it answers without TLS, its address begins with http://"
        }
        false if is_cut(&why) => {
            "; if it asks for a client's certificate, give one that its CA signed"
        }
        true | false => "",
    };
    RegistryError::Unavailable(format!("no answer from etcd at {endpoint}: {why}{hint}"))
}

/// Whether the other side closed a connection rather than refusing it.
fn is_cut(why: &str) -> bool {
    ["connection closed", "broken pipe", "reset", "h2 protocol error", "http2 error", "BrokenPipe"]
        .iter()
        .any(|words| why.contains(words))
}

/// An error with what caused it.
fn chain(error: &dyn Error, said: &str) -> String {
    let mut words = match said.is_empty() {
        true => error.to_string(),
        false => said.to_owned(),
    };
    let mut cause = error.source();
    while let Some(error) = cause {
        let more = error.to_string();
        if !words.contains(&more) {
            words = format!("{words}: {more}");
        }
        cause = error.source();
    }
    words
}

/// Whether this version of etcd is recent enough.
pub(crate) fn check_version(version: &str, endpoint: &str) -> Result<(), RegistryError> {
    let mut numbers = version.split(['.', '-', '+']).map(str::parse::<u32>);
    let number = match (numbers.next(), numbers.next()) {
        (Some(Ok(major)), Some(Ok(minor))) => Some((major, minor)),
        (_, _) => None,
    };
    match number {
        Some(number) if number >= VERSION_MIN => Ok(()),
        Some(_) => Err(RegistryError::Unusable(format!(
            "etcd at {endpoint} has version {version}: expected 3.4 or later"
        ))),
        None => Err(RegistryError::Unusable(format!(
            "what answers at {endpoint} says that its version is {version:?}: expected etcd 3.4 \
             or later"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_servers_are_refused() {
        for good in ["3.4.0", "3.4.23", "3.5.16", "3.6.0-rc.1", "4.0.0"] {
            assert_eq!(check_version(good, "x"), Ok(()), "{good}");
        }
        for (bad, said) in [("3.3.27", "3.3.27: expected 3.4"), ("2.3.8", "2.3.8"), ("", "\"\"")] {
            let error = check_version(bad, "x").unwrap_err();
            assert!(error.to_string().contains(said), "{error}");
            assert!(!error.is_retryable());
        }
    }

    #[test]
    fn refusals_say_what_to_do() {
        let options = EtcdOptions::new("http://a:1");
        let said = |status: Status| of_call(&status, "http://a:1", &options);
        let denied = said(Status::permission_denied("etcdserver: permission denied"));
        assert!(denied.to_string().ends_with("writing of /baton/default/"), "{denied}");
        let away = said(Status::unavailable("etcdserver: no leader"));
        assert!(away.is_retryable(), "{away}");
        assert!(!said(Status::unimplemented("unknown service")).is_retryable());
    }
}
