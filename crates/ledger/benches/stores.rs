//! What a store may cost: batches like the ledger's, written durably, one after the other.
//!
//! In one run, on one disk: a bare loop that appends the same bytes to a file and syncs
//! it, and each store that could be the ledger's. `cargo bench -p baton-ledger --bench
//! stores`.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a bench talks and may fail")]

use redb::{Database, TableDefinition};
use std::{
    fs::File,
    io::Write,
    path::Path,
    time::{Duration, Instant},
};

const ROWS: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("rows");
/// Operations in one batch: as many as are in flight.
const OPS: usize = 64;
/// Rows that an operation writes.
const ROWS_PER_OP: usize = 4;
/// Bytes in a row.
const ROW_BYTES: usize = 300;
/// How long each store is written to.
const SPAN: Duration = Duration::from_secs(4);

type Row = (Vec<u8>, Vec<u8>);

/// The batches of a busy ledger: runs come in order, and each has rows that are written
/// once and rows that are written again and again.
struct Batches {
    next: u64,
}

impl Batches {
    fn batch(&mut self) -> Vec<Row> {
        let mut rows = Vec::with_capacity(OPS * ROWS_PER_OP);
        for op in 0..OPS as u64 {
            // 64 runs are under way; each lasts 24 operations.
            let run = self.next / 24 * 64 + op;
            let id = blake3::hash(&run.to_be_bytes()).to_hex();
            for row in 0..ROWS_PER_OP as u64 {
                let place = if row < 2 { row } else { self.next * 4 + row };
                let mut key = format!("t0199{run:09}-{}", &id[..24]).into_bytes();
                key.extend_from_slice(&place.to_be_bytes());
                rows.push((key, vec![b'x'; ROW_BYTES]));
            }
        }
        self.next += 1;
        rows
    }
}

fn measure(name: &str, mut write: impl FnMut(&[Row])) {
    let mut batches = Batches { next: 0 };
    let (start, cpu) = (Instant::now(), cpu());
    let mut count = 0;
    let mut slowest = Duration::ZERO;
    while start.elapsed() < SPAN {
        let batch = batches.batch();
        let begun = Instant::now();
        write(&batch);
        slowest = slowest.max(begun.elapsed());
        count += 1;
    }
    let spent = start.elapsed().as_secs_f64();
    let ops = count * OPS;
    println!(
        "| {name} | {:.0} | {:.2} | {:.1} | {:.1} |",
        ops as f64 / spent,
        spent * 1e3 / count as f64,
        slowest.as_secs_f64() * 1e3,
        (self::cpu() - cpu) * 1e6 / ops as f64,
    );
}

/// Seconds of processor time that this process has used, by Linux' account.
fn cpu() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
    let ticks: f64 = fields.skip(11).take(2).filter_map(|f| f.parse::<f64>().ok()).sum();
    ticks / 100.0
}

fn record(batch: &[Row]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(OPS * ROWS_PER_OP * (ROW_BYTES + 60));
    for (key, value) in batch {
        bytes.extend_from_slice(&(key.len() as u32).to_le_bytes());
        bytes.extend_from_slice(&(value.len() as u32).to_le_bytes());
        bytes.extend_from_slice(key);
        bytes.extend_from_slice(value);
    }
    bytes
}

fn bare(folder: &Path) {
    let mut file = File::create(folder.join("bare")).unwrap();
    measure("bare append and fdatasync", |batch| {
        file.write_all(&record(batch)).unwrap();
        file.sync_data().unwrap();
    });
}

fn bare_in_place(folder: &Path) {
    use std::os::unix::fs::FileExt;
    let file = File::create(folder.join("place")).unwrap();
    let zeros = vec![0; 1 << 20];
    for mb in 0..512 {
        file.write_all_at(&zeros, mb << 20).unwrap();
    }
    file.sync_all().unwrap();
    let mut at = 0;
    measure("bare write into allocated space and fdatasync", |batch| {
        let bytes = record(batch);
        file.write_all_at(&bytes, at).unwrap();
        file.sync_data().unwrap();
        at = (at + bytes.len() as u64) % (500 << 20);
    });
}

fn redb(folder: &Path) {
    let db = Database::create(folder.join("redb")).unwrap();
    measure("redb", |batch| {
        let write = db.begin_write().unwrap();
        {
            let mut table = write.open_table(ROWS).unwrap();
            for (key, value) in batch {
                table.insert(key.as_slice(), value.as_slice()).unwrap();
            }
        }
        write.commit().unwrap();
    });
}

/// A log, and redb behind it: what was logged goes there in large transactions, every
/// row once.
fn log_and_redb(folder: &Path) {
    let db = Database::create(folder.join("base")).unwrap();
    let mut log = File::create(folder.join("log")).unwrap();
    let mut recent = std::collections::BTreeMap::new();
    let mut bytes = 0;
    measure("log with redb behind it", |batch| {
        let record = record(batch);
        bytes += record.len();
        log.write_all(&record).unwrap();
        log.sync_data().unwrap();
        recent.extend(batch.iter().cloned());
        if bytes > 32 << 20 {
            bytes = 0;
            let write = db.begin_write().unwrap();
            {
                let mut table = write.open_table(ROWS).unwrap();
                for (key, value) in std::mem::take(&mut recent) {
                    table.insert(key.as_slice(), value.as_slice()).unwrap();
                }
            }
            write.commit().unwrap();
            log = File::create(folder.join("log")).unwrap();
        }
    });
}

fn main() {
    let folder = tempfile::tempdir_in(".").unwrap();
    println!("{OPS} operations of {ROWS_PER_OP} rows of {ROW_BYTES} bytes in a batch\n");
    println!("| store | operations/s | ms a batch | slowest ms | CPU µs an operation |");
    println!("| --- | --- | --- | --- | --- |");
    for _ in 0..2 {
        bare(folder.path());
        bare_in_place(folder.path());
        redb(folder.path());
        log_and_redb(folder.path());
        for name in ["redb", "base"] {
            std::fs::remove_file(folder.path().join(name)).unwrap();
        }
    }
}
