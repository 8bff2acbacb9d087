//! `baton ledger`: what operators do with a data folder.

use crate::{
    args::{Format, Ledger, LedgerCommand},
    control,
    exit::Failure,
    node::LEDGER_FILE,
    output::{BAD, GOOD, PLAIN},
};
use baton_ledger::{
    Archived, EmbeddedLedger, JournalEntry, Ledger as Port, LedgerError, Looked, backup_of, fsck,
    restore_backup, verify_backup,
};
use baton_ledger_redis::RedisLedger;
use baton_workflow::RunId;
use serde_json::{Value, json};
use std::{
    fs::{self, File},
    io::{self, Read as _, Write as _},
    path::{Path, PathBuf},
    process::ExitCode,
};

/// Largest document read from a running process, in bytes.
const STATS_BYTES_MAX: u64 = 16 * 1024 * 1024;

pub(crate) async fn ledger(args: Ledger) -> Result<ExitCode, Failure> {
    if args.redis.is_given() {
        return on_redis(&args).await;
    }
    let path = args.data.join(LEDGER_FILE);
    match &args.command {
        LedgerCommand::Stats => {
            let stats = stats(&args.data, &path).await?;
            match args.output {
                Format::Json => print(&stats),
                Format::Text => show(&stats),
            }
        }
        LedgerCommand::Fsck => return check(&path, args.output),
        LedgerCommand::Journal { run } => {
            there(&path)?;
            let ledger = EmbeddedLedger::open(&path).map_err(refused)?;
            let told = journal(&ledger, run).await;
            ledger.close().await;
            told?;
        }
        LedgerCommand::Backup { file } => {
            let archived = backup(&args.data, &path, file)?;
            done("backup written and read back", file, archived, args.output);
        }
        LedgerCommand::Restore { file } => {
            let from = File::open(file).map_err(|error| cannot("read", file, &error))?;
            fs::create_dir_all(&args.data).map_err(|error| cannot("make", &args.data, &error))?;
            let archived = restore_backup(from, &path).map_err(refused)?;
            done("ledger restored", &path, archived, args.output);
        }
    }
    Ok(ExitCode::SUCCESS)
}

async fn on_redis(args: &Ledger) -> Result<ExitCode, Failure> {
    if let LedgerCommand::Restore { file } = &args.command {
        let options = args.redis.options(&args.cluster)?;
        let prefix = options.prefix.clone();
        let restored = RedisLedger::restore(options, || File::open(file)).await;
        let place = Path::new(&prefix);
        done("ledger restored", place, restored.map_err(refused)?, args.output);
        return Ok(ExitCode::SUCCESS);
    }
    let ledger = args.redis.open(&args.cluster).await?;
    match &args.command {
        LedgerCommand::Stats => {}
        LedgerCommand::Fsck => {
            let looked = ledger.fsck().await.map_err(refused);
            ledger.close();
            return Ok(report(&looked?, args.output));
        }
        LedgerCommand::Journal { run } => {
            let told = journal(&ledger, run).await;
            ledger.close();
            return told.map(|()| ExitCode::SUCCESS);
        }
        LedgerCommand::Backup { file } => {
            let (partial, archive) = begin(file)?;
            let saved = ledger.backup(&archive).await.map_err(refused);
            ledger.close();
            let written = saved.and_then(|_| synced(&archive, &partial));
            done("backup written and read back", file, kept(written, &partial, file)?, args.output);
            return Ok(ExitCode::SUCCESS);
        }
        // Done above, without a ledger that is there.
        LedgerCommand::Restore { .. } => {}
    }
    let stats = ledger.stats().await.map_err(refused);
    ledger.close();
    let stats = serde_json::to_value(stats?).map_err(|error| Failure::other(error.to_string()))?;
    match args.output {
        Format::Json => print(&stats),
        Format::Text => show(&stats),
    }
    Ok(ExitCode::SUCCESS)
}

/// Asks the process that has the ledger open, or opens it.
async fn stats(folder: &Path, path: &Path) -> Result<Value, Failure> {
    if let Some(mut stream) = control::connect(folder) {
        let mut document = Vec::new();
        let asked = stream.write_all(b"stats\n");
        let read = asked.and_then(|()| stream.take(STATS_BYTES_MAX).read_to_end(&mut document));
        read.map_err(|error| cannot("ask the process of", folder, &error))?;
        return serde_json::from_slice(&document).map_err(|error| {
            Failure::other(format!("the running process gave no figures: {error}"))
        });
    }
    there(path)?;
    let ledger = EmbeddedLedger::open(path).map_err(refused)?;
    let stats = ledger.stats().await.map_err(refused)?;
    ledger.close().await;
    serde_json::to_value(stats).map_err(|error| Failure::other(error.to_string()))
}

fn there(path: &Path) -> Result<(), Failure> {
    if path.is_file() {
        return Ok(());
    }
    Err(Failure::usage(format!(
        "there is no ledger at {}: give the folder that `baton up --data` was given",
        path.display()
    )))
}

/// One line for each entry, as the ledger has it; what is no text is shown as such.
async fn journal(ledger: &dyn Port, run: &str) -> Result<(), Failure> {
    let run = RunId::new(run).map_err(|error| Failure::usage(error.to_string()))?;
    let mut seen = 0;
    loop {
        let view = ledger.read(&run, seen).await.map_err(refused)?;
        for JournalEntry { seq, at, event } in &view.entries {
            let event = String::from_utf8_lossy(event);
            anstream::println!("{}", json!({ "seq": seq, "at_ms": at.0, "event": event }));
            seen = *seq;
        }
        if seen >= view.journal_len || view.entries.is_empty() {
            return Ok(());
        }
    }
}

fn show(stats: &Value) {
    let figure = |name: &str| stats[name].as_u64().unwrap_or(0);
    let (unfinished, finished) = (figure("unfinished"), figure("finished"));
    anstream::println!("runs     {unfinished} unfinished, {finished} finished");
    anstream::println!("timers   {}", figure("timers"));
    anstream::println!("bodies   {}, {}", figure("bodies"), size(figure("body_bytes")));
    for file in stats["files"].as_array().into_iter().flatten() {
        let bytes = size(file["bytes"].as_u64().unwrap_or(0));
        anstream::println!("file     {} {bytes}", file["name"].as_str().unwrap_or_default());
    }
    for queue in stats["queues"].as_array().into_iter().flatten() {
        anstream::println!(
            "queue    {} of {}: {} wait, the oldest for {} ms; {} leased",
            queue["class"].as_str().unwrap_or_default(),
            queue["tenant"].as_str().unwrap_or_default(),
            queue["queued"],
            queue["oldest_ms"],
            queue["leased"],
        );
    }
    let others = &stats["other_queues"];
    if others["queues"] != 0 {
        let (queues, queued, leased) = (&others["queues"], &others["queued"], &others["leased"]);
        anstream::println!("queues   {queues} more: {queued} wait, {leased} leased");
    }
}

/// Exit code 1 where something is damaged.
fn check(path: &Path, output: Format) -> Result<ExitCode, Failure> {
    let looked = fsck(path).map_err(refused)?;
    Ok(report(&looked, output))
}

fn report(looked: &Looked, output: Format) -> ExitCode {
    match output {
        Format::Json => print(&serde_json::to_value(looked).unwrap_or_default()),
        Format::Text => tell(looked),
    }
    if looked.found.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(1) }
}

fn tell(looked: &Looked) {
    for found in &looked.found {
        anstream::println!("{BAD}{:?}{PLAIN}: {}", found.damage, found.what);
        anstream::println!("  {}", found.damage.meaning());
    }
    if looked.more > 0 {
        anstream::println!("and {} more", looked.more);
    }
    let sound = looked.found.is_empty();
    let (style, word) = if sound { (GOOD, "sound") } else { (BAD, "damaged") };
    let Looked { rows, runs, unfinished, bodies, .. } = looked;
    anstream::println!(
        "{style}{word}{PLAIN}: {rows} rows, {runs} runs ({unfinished} unfinished), {bodies} bodies"
    );
}

fn backup(folder: &Path, path: &Path, file: &Path) -> Result<Archived, Failure> {
    let (partial, mut archive) = begin(file)?;
    let written = match control::connect(folder) {
        Some(mut stream) => {
            let asked = stream.write_all(b"backup\n");
            let copied = asked.and_then(|()| io::copy(&mut stream, &mut archive));
            copied.map(|_| ()).map_err(|error| cannot("write", &partial, &error))
        }
        None => backup_of(path, &mut archive).map(|_| ()).map_err(refused),
    };
    kept(written.and_then(|()| synced(&archive, &partial)), &partial, file)
}

/// A backup is written under another name, read back, and only then given its own.
fn begin(file: &Path) -> Result<(PathBuf, File), Failure> {
    if file.exists() {
        let file = file.display();
        return Err(Failure::usage(format!("{file} is there already: name a new file")));
    }
    let mut name = file.file_name().unwrap_or_default().to_owned();
    name.push(".partial");
    let partial = file.with_file_name(name);
    let archive = File::create(&partial).map_err(|error| cannot("write", &partial, &error))?;
    Ok((partial, archive))
}

fn synced(archive: &File, partial: &Path) -> Result<(), Failure> {
    archive.sync_all().map_err(|error| cannot("write", partial, &error))
}

fn kept(written: Result<(), Failure>, partial: &Path, file: &Path) -> Result<Archived, Failure> {
    let read = written.and_then(|()| {
        let archive = File::open(partial).map_err(|error| cannot("read", partial, &error))?;
        verify_backup(archive).map_err(refused)
    });
    let archived = read.inspect_err(|_| {
        // The error that is told is the first.
        let _ = fs::remove_file(partial);
    })?;
    fs::rename(partial, file).map_err(|error| cannot("write", file, &error))?;
    Ok(archived)
}

fn done(what: &str, place: &Path, archived: Archived, output: Format) {
    let Archived { rows, bytes } = archived;
    match output {
        Format::Json => print(&json!({ "file": place, "rows": rows, "bytes": bytes })),
        Format::Text => {
            anstream::println!("{what}: {}, {rows} rows, {}", place.display(), size(bytes));
        }
    }
}

fn print(document: &Value) {
    anstream::println!("{document:#}");
}

fn size(bytes: u64) -> String {
    const KIB: u64 = 1024;
    const MIB: u64 = 1024 * KIB;
    match bytes {
        0..KIB => format!("{bytes} bytes"),
        KIB..MIB => format!("{} KiB", bytes / KIB),
        MIB.. => format!("{} MiB", bytes / MIB),
    }
}

fn cannot(what: &str, path: &Path, error: &io::Error) -> Failure {
    Failure::other(format!("cannot {what} {}: {error}", path.display()))
}

fn refused(error: LedgerError) -> Failure {
    Failure::other(error.to_string())
}
