//! Is the address free, or who listens there?

use super::{Endpoint, check::Check, holders};
use std::{
    io::ErrorKind,
    net::{SocketAddr, TcpListener},
};

pub(crate) fn check(listen: SocketAddr, endpoint: &Endpoint) -> Check {
    let check = Check::ok("port");
    let error = match TcpListener::bind(listen) {
        Ok(_) => return check.found(format!("{listen} is free")),
        Err(error) => error,
    };
    if error.kind() != ErrorKind::AddrInUse {
        let found = format!("{listen} cannot be listened on: {error}");
        return check.fail(found).advise("see `baton explain cannot_listen`");
    }
    let holders = holders::of_port(listen.port());
    let who = match holders.as_slice() {
        [] => "a process that this user cannot see".to_owned(),
        holders => holders::words(holders),
    };
    let found = format!("{listen} is in use by {who}");
    let own = match endpoint {
        Endpoint::Runs(api, _) | Endpoint::Refuses(api, _) => {
            api.url("").ends_with(&format!(":{}", listen.port()))
        }
        Endpoint::Away(..) => false,
    };
    if own {
        check.found(format!("{found}, which is the endpoint"))
    } else {
        check.warn(found).advise("stop it, or choose another address with --listen")
    }
}
