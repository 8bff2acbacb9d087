//! `[server]`: where the process listens and keeps its data.

use super::{
    Context,
    faults::Faults,
    table::{Shape, Table},
};
use crate::ServerSettings;
use std::net::SocketAddr;

const SERVER: Shape = Shape { required: &[], optional: &["listen", "data", "metrics_listen"] };

/// What `[server]` says; where it says nothing, the defaults.
pub(super) fn server(
    root: Table<'_>,
    context: &Context<'_>,
    faults: &mut Faults<'_>,
) -> ServerSettings {
    let default = ServerSettings::default();
    let Some((at, entries)) = root.table("server", faults) else { return default };
    let table = Table::open("server", at, entries, &SERVER, faults);
    let listen = address(&table, "listen", "127.0.0.1:8484", faults);
    let metrics_listen = address(&table, "metrics_listen", "127.0.0.1:9484", faults);
    // Beside the configuration, so that it does not matter where Baton is started.
    let data = table.text("data", faults).map(|data| context.folder.join(data));
    ServerSettings {
        listen: listen.unwrap_or(default.listen),
        data: data.unwrap_or(default.data),
        metrics_listen,
    }
}

fn address(
    table: &Table<'_>,
    name: &'static str,
    example: &str,
    faults: &mut Faults<'_>,
) -> Option<SocketAddr> {
    let address = table.text(name, faults)?.parse();
    if address.is_err() {
        table.wrong(name, &format!("an address with a port, such as {example}"), faults);
    }
    address.ok()
}
