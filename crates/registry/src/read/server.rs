//! `[server]`: where the process listens and keeps its data.

use super::{
    Context,
    faults::Faults,
    table::{Shape, Table},
};
use crate::ServerSettings;

const SERVER: Shape = Shape { required: &[], optional: &["listen", "data"] };

/// What `[server]` says; where it says nothing, the defaults.
pub(super) fn server(
    root: Table<'_>,
    context: &Context<'_>,
    faults: &mut Faults<'_>,
) -> ServerSettings {
    let default = ServerSettings::default();
    let Some((at, entries)) = root.table("server", faults) else { return default };
    let table = Table::open("server", at, entries, &SERVER, faults);
    let listen = table.text("listen", faults).map(str::parse);
    if let Some(Err(_)) = listen {
        table.wrong("listen", "an address with a port, such as 127.0.0.1:8484", faults);
    }
    // Beside the configuration, so that it does not matter where Baton is started.
    let data = table.text("data", faults).map(|data| context.folder.join(data));
    ServerSettings {
        listen: listen.and_then(Result::ok).unwrap_or(default.listen),
        data: data.unwrap_or(default.data),
    }
}
