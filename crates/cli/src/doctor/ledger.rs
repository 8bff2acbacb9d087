//! Can the ledger be opened, and if not, who has it?

use super::{check::Check, holders};
use crate::node::LEDGER_FILE;
use baton_ledger::EmbeddedLedger;
use std::path::Path;

pub(crate) fn check(data: &Path) -> Check {
    let check = Check::ok("ledger");
    let file = data.join(LEDGER_FILE);
    let place = file.display();
    if !file.exists() {
        return check.found(format!("none at {place}: the first `baton up` makes it"));
    }
    let holders = holders::of_file(&file);
    if !holders.is_empty() {
        return check.found(format!("{place} is open in {}", holders::words(&holders)));
    }
    match EmbeddedLedger::format_of(&file) {
        Ok(Some(format)) => check.found(format!("{place} can be opened, format {format}")),
        Ok(None) => check.found(format!(
            "{place} was not closed; the next start reads its logs again, and loses nothing"
        )),
        Err(error) => check.fail(error.to_string()).advise("see `baton explain ledger_unusable`"),
    }
}
