//! Who has a file or a port open, as `/proc` tells: of other users' processes only root
//! learns it.

use std::{collections::BTreeSet, fs, path::Path};

/// A process.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Holder {
    pid: u32,
    name: String,
}

/// In one sentence.
pub(crate) fn words(holders: &[Holder]) -> String {
    let one = |holder: &Holder| format!("{} (process {})", holder.name, holder.pid);
    holders.iter().map(one).collect::<Vec<_>>().join(", ")
}

/// Processes that have this file open.
pub(crate) fn of_file(file: &Path) -> Vec<Holder> {
    match fs::canonicalize(file) {
        Ok(file) => whoever(|open| open == file),
        Err(_) => Vec::new(),
    }
}

/// Processes that listen on this TCP port, whatever the address.
pub(crate) fn of_port(port: u16) -> Vec<Holder> {
    let tables = ["/proc/net/tcp", "/proc/net/tcp6"].map(|table| fs::read_to_string(table).ok());
    let tables = tables.iter().flatten();
    let inodes: BTreeSet<_> = tables.flat_map(|table| listeners(table, port)).collect();
    let names: BTreeSet<_> = inodes.iter().map(|inode| format!("socket:[{inode}]")).collect();
    whoever(|open| open.to_str().is_some_and(|open| names.contains(open)))
}

/// The inodes of the sockets that listen on a port: of a line `sl local remote state … inode`
/// the local address is `ADDRESS:PORT` in hexadecimal, and state 0A is listening (proc(5)).
fn listeners(table: &str, port: u16) -> Vec<&str> {
    let inode = |line: &'_ str| -> Option<usize> {
        let fields: Vec<_> = line.split_whitespace().collect();
        let (_, found) = fields.get(1)?.rsplit_once(':')?;
        let listens = u16::from_str_radix(found, 16) == Ok(port) && fields.get(3) == Some(&"0A");
        listens.then_some(9)
    };
    let lines = table.lines().skip(1);
    lines
        .filter_map(|line| inode(line).and_then(|place| line.split_whitespace().nth(place)))
        .collect()
}

/// Processes other than this one with an open file that is wanted.
fn whoever(wanted: impl Fn(&Path) -> bool) -> Vec<Holder> {
    let mut holders = BTreeSet::new();
    for process in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Some(pid) = process.file_name().to_str().and_then(|name| name.parse::<u32>().ok())
        else {
            continue;
        };
        let open = fs::read_dir(process.path().join("fd")).into_iter().flatten().flatten();
        let mut links = open.filter_map(|open| fs::read_link(open.path()).ok());
        if pid != std::process::id() && links.any(|link| wanted(&link)) {
            let name = fs::read_to_string(process.path().join("comm")).unwrap_or_default();
            holders.insert(Holder { pid, name: name.trim().to_owned() });
        }
    }
    holders.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn listening_sockets_are_found_by_their_port() {
        let table = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n\
                     0: 0100007F:2124 00000000:0000 0A 00000000:00000000 00:00000000 00000000  0 0 4711 1\n\
                     1: 0100007F:2124 0100007F:9999 01 00000000:00000000 00:00000000 00000000  0 0 4712 1\n\
                     2: 0100007F:2125 00000000:0000 0A 00000000:00000000 00:00000000 00000000  0 0 4713 1\n";
        assert_eq!(listeners(table, 0x2124), ["4711"]);
        assert!(listeners(table, 1).is_empty() && listeners("", 1).is_empty());
    }
}
