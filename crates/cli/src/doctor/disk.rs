//! Can the ledger's folder be written, how fast is it durable, and how much room is left?

use super::check::Check;
use std::{
    fs::{File, OpenOptions},
    io::{self, Write as _},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

/// Less room than this is soon used up.
const ROOM_WARNING_BYTES: u64 = 5 << 30;
/// Less room than this does not hold a day of work.
const ROOM_FAILED_BYTES: u64 = 512 << 20;
/// Durable writes in the measurement, and the bytes of each: a small batch of a ledger.
const WRITES: usize = 20;
const WRITE_BYTES: usize = 4096;
/// A slower disk makes every run wait; disks of servers take a few milliseconds.
const SLOW: Duration = Duration::from_millis(20);

/// Kinds of file system that matter, by the number that the kernel gives them
/// (`statfs(2)`), with what to know of them.
const KINDS: [(u64, &str, Option<&str>); 8] = [
    (0xEF53, "ext4", None),
    (0x5846_5342, "xfs", None),
    (0x9123_683E, "btrfs", None),
    (0x2FC1_2FC1, "zfs", None),
    (0x0102_1994, "tmpfs", Some("it is memory: nothing survives a restart of the machine")),
    (0x6969, "nfs", Some("locks and durability depend on the server: use a local disk")),
    (0xFF53_4D42, "cifs", Some("locks and durability depend on the server: use a local disk")),
    (0x794C_7630, "overlayfs", Some("it goes with its container: use a volume")),
];

/// Of the folder, or where it would be made: room, and durability.
pub(crate) fn check(data: &Path) -> Vec<Check> {
    let Some(folder) = existing(data) else {
        let found = format!("no folder above {} exists", data.display());
        return vec![Check::ok("disk").fail(found).advise("give another with --data")];
    };
    vec![room(&folder), durability(&folder, data)]
}

/// The folder itself, or the nearest one above that is there.
fn existing(data: &Path) -> Option<PathBuf> {
    let whole = std::path::absolute(data).ok()?;
    whole.ancestors().find(|folder| folder.is_dir()).map(Path::to_path_buf)
}

fn room(folder: &Path) -> Check {
    let check = Check::ok("disk");
    let place = folder.display();
    let room = match rustix::fs::statvfs(folder) {
        Ok(room) => room,
        Err(error) => return check.fail(format!("{place}: {error}")),
    };
    let free = room.f_bavail.saturating_mul(room.f_frsize);
    let whole = room.f_blocks.saturating_mul(room.f_frsize);
    let gib = |bytes: u64| bytes as f64 / f64::from(1 << 30);
    let kind = kind(folder);
    let name = kind.map_or("another file system", |(name, _)| name);
    let found = format!("{:.1} of {:.1} GiB free at {place} ({name})", gib(free), gib(whole));
    let advice = "make room, or give another folder with --data";
    match (free, kind.and_then(|(_, about)| about)) {
        (0..ROOM_FAILED_BYTES, _) => check.fail(found).advise(advice),
        (ROOM_FAILED_BYTES..ROOM_WARNING_BYTES, _) => check.warn(found).advise(advice),
        (_enough, Some(about)) => check.warn(found).advise(about),
        (_enough, None) => check.found(found),
    }
}

fn kind(folder: &Path) -> Option<(&'static str, Option<&'static str>)> {
    let found = u64::try_from(rustix::fs::statfs(folder).ok()?.f_type).ok()?;
    let known = KINDS.iter().find(|(number, ..)| *number == found & 0xFFFF_FFFF);
    known.map(|(_, name, about)| (*name, *about))
}

fn durability(folder: &Path, data: &Path) -> Check {
    let check = Check::ok("durable writes");
    let took = match measure(folder) {
        Ok(took) => took,
        Err(error) => {
            let found = format!("{} cannot be written: {error}", folder.display());
            return check.fail(found).advise("see `baton explain data_folder`");
        }
    };
    let (median, slowest) = (took[WRITES / 2], took[WRITES - 1]);
    let ms = |took: Duration| took.as_secs_f64() * 1000.0;
    let found = format!(
        "{:.2} ms each, {:.2} ms the slowest, of {WRITES} writes for {}",
        ms(median),
        ms(slowest),
        data.display()
    );
    if median > SLOW {
        check.warn(found).advise("every step waits for some of these: use a faster disk")
    } else {
        check.found(found)
    }
}

/// How long each write took, the shortest first. What is written is removed.
fn measure(folder: &Path) -> io::Result<[Duration; WRITES]> {
    let path = folder.join(format!(".baton-doctor-{}", std::process::id()));
    let file = OpenOptions::new().create_new(true).append(true).open(&path)?;
    let measured = write(file);
    std::fs::remove_file(&path)?;
    measured
}

fn write(mut file: File) -> io::Result<[Duration; WRITES]> {
    let record = [b'x'; WRITE_BYTES];
    let mut took = [Duration::ZERO; WRITES];
    for one in &mut took {
        let began = Instant::now();
        file.write_all(&record)?;
        file.sync_data()?;
        *one = began.elapsed();
    }
    took.sort_unstable();
    Ok(took)
}
