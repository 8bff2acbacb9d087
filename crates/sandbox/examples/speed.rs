//! Quick check.
use baton_sandbox::*;
use std::{process::ExitCode, time::Instant};
fn main() -> ExitCode {
    if let Some(code) = launched() { return code; }
    let rt = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    rt.block_on(async {
        for level in [Level::Ns, Level::Lsm] {
            let s = Sandbox::probe(Config { at_least: level, at_most: level, ..Config::default() }).await.unwrap();
            eprintln!("{:?}", s.isolation());
            let e = s.run(&Program::python("import os\nprint(open(0).read(), os.listdir('.'), os.getpid(), os.getuid())").with_stdin("hello"), &Limits::default()).await.unwrap();
            eprintln!("{:?} {} {}", e, String::from_utf8_lossy(&e.stdout), String::from_utf8_lossy(&e.stderr));
            let mut v = vec![];
            for _ in 0..60 { let t = Instant::now(); let e = s.run(&Program::python("print(1)"), &Limits::default()).await.unwrap(); assert_eq!(e.stdout, b"1\n"); v.push(t.elapsed()); }
            v.sort(); eprintln!("{level:?} median {:?}", v[30]);
        }
    });
    let mut v = vec![];
    for _ in 0..60 { let t = Instant::now(); std::process::Command::new("/usr/bin/python3").args(["-I","-S","-c","print(1)"]).output().unwrap(); v.push(t.elapsed()); }
    v.sort(); eprintln!("bare median {:?}", v[30]);
    ExitCode::SUCCESS
}
