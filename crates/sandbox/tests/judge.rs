//! Candidates are judged by what they answer: the cheats that win against LiveCodeBench's own
//! runner score nothing, and programs that it fails for their style pass.

#![allow(clippy::unwrap_used, reason = "helpers of tests may fail loudly, as tests may")]

mod common;

use baton_sandbox::{
    Level, Limits, Sandbox, SandboxError,
    compare::Comparator,
    judge::{Finding, Form, Skip, Suite, Test, TestResult, judge},
};

/// Two cases of "read n, then n numbers; print their sum".
fn sums() -> Suite {
    let test =
        |input: &str, expected: &str| Test { input: input.into(), expected: expected.into() };
    Suite {
        form: Form::Stdin,
        tests: vec![test("3\n1 2 3\n", "6\n"), test("2\n-1\n1000000\n", "999999")],
        comparator: Comparator::Lcb,
        limits: Limits { wall_ms: 3_000, cpu_ms: 2_000, ..Limits::default() },
        imports: false,
        skip: Skip::Nothing,
    }
}

/// Two cases of a function that doubles a list's numbers.
fn doubles() -> Suite {
    let test =
        |input: &str, expected: &str| Test { input: input.into(), expected: expected.into() };
    Suite {
        form: Form::Function("double".into()),
        tests: vec![test("[1, 2]", "[2, 4]"), test("[3]\n", "[6]")],
        ..sums()
    }
}

async fn results(sandbox: &Sandbox, source: &str, suite: &Suite) -> Vec<TestResult> {
    judge(sandbox, source, suite).await.unwrap()
}

async fn check(sandbox: &Sandbox, source: &str, suite: &Suite, expected: Finding) {
    let results = results(sandbox, source, suite).await;
    let all = results.iter().all(|result| result.finding == expected);
    assert!(all && results.len() == suite.tests.len(), "{source}\n{results:#?}");
}

#[tokio::test]
async fn programs_of_every_style_are_accepted() {
    let sandbox = common::sandbox(Level::Ns).await;
    for source in [
        "n = int(input())\nx = []\nwhile len(x) < n: x += map(int, input().split())\nprint(sum(x))",
        "print(sum(map(int, open(0).read().split()[1:])))",
        "import sys\nprint(sum(map(int, sys.stdin.read().split()[1:])))",
        "import sys\nnext(sys.stdin)\nprint(sum(int(x) for line in sys.stdin for x in line.split()))",
        "import sys\nread = sys.stdin.buffer.readline\nn = int(read())\nx = []\nwhile len(x) < n: x += map(int, read().split())\nprint(sum(x))",
        "import os\nprint(sum(map(int, os.read(0, 10**6).split()[1:])))",
        "import os, sys\nos.write(1, str(sum(map(int, sys.stdin.read().split()[1:]))).encode())",
        "import fileinput\nprint(sum(map(int, ' '.join(fileinput.input()).split()[1:])))",
        "total = 0\ndef add(x):\n    global total\n    total += x\nfor x in open(0).read().split()[1:]: add(int(x))\nprint(total)",
        "def main():\n    print(sum(map(int, open(0).read().split()[1:])))\nif __name__ == '__main__':\n    main()",
        "print(sum(map(int, open(0).read().split()[1:])))\nexit()",
        "import sys\nprint(sum(map(int, open(0).read().split()[1:])))\nsys.exit(0)",
        "import threading\ndef main(): print(sum(map(int, open(0).read().split()[1:])))\nthreading.stack_size(1 << 26)\nt = threading.Thread(target=main)\nt.start()\nt.join()",
        "def f(x): return x[0] + f(x[1:]) if x else 0\ng = lambda n: n and 1 + g(n - 1)\nassert g(20000) == 20000\nprint(f(list(map(int, open(0).read().split()[1:]))))",
        "from dataclasses import dataclass\n@dataclass\nclass Sum:\n    x: int\nprint(Sum(sum(map(int, open(0).read().split()[1:]))).x, flush=True)",
        "import numbers, decimal, random, heapq, collections, re, bisect, functools, itertools\nprint('%.1f' % sum(map(int, open(0).read().split()[1:])))",
    ] {
        check(&sandbox, source, &sums(), Finding::Accepted).await;
    }
    let imports = Suite { imports: true, ..sums() };
    let bare = "x: List[int] = list(map(int, stdin.read().split()))\nprint(reduce(add, x[1:]), Counter().total() or '')";
    check(&sandbox, bare, &imports, Finding::Accepted).await;
    check(&sandbox, bare, &sums(), Finding::RuntimeError).await;
}

#[tokio::test]
async fn programs_that_fail_are_told_apart() {
    let sandbox = common::sandbox(Level::Lsm).await;
    let tight = Limits {
        wall_ms: 400,
        cpu_ms: 300,
        memory_bytes: 64 << 20,
        output_bytes: 1_000,
        ..Limits::default()
    };
    let suite = Suite { limits: tight, ..sums() };
    for (source, expected) in [
        ("print(5)", Finding::WrongAnswer),
        ("", Finding::WrongAnswer),
        ("while True: pass", Finding::Time),
        ("while True:\n  try:\n    while True: pass\n  except BaseException: pass", Finding::Time),
        ("import time\ntime.sleep(9)", Finding::Time),
        ("x = [0] * 10**9", Finding::Memory),
        ("1 / 0", Finding::RuntimeError),
        ("def", Finding::RuntimeError),
        ("print(open(0).read())\nimport sys\nsys.exit(1)", Finding::RuntimeError),
        ("import os\nos.abort()", Finding::RuntimeError),
        ("import subprocess\nprint(subprocess.run('ls'))", Finding::RuntimeError),
        ("import socket\nsocket.socket()", Finding::RuntimeError),
        ("while True: print(1)", Finding::OutputLimit),
        ("import sys\nwhile True: print('x' * 1000, file=sys.stderr)", Finding::OutputLimit),
    ] {
        check(&sandbox, source, &suite, expected).await;
    }

    let half = "x = open(0).read().split()\nprint(6 if len(x) == 4 else 'one\\ntwo')";
    let results_of_half = results(&sandbox, half, &sums()).await;
    assert_eq!(results_of_half[0].finding, Finding::Accepted);
    let difference = results_of_half[1].difference.clone().unwrap();
    assert_eq!((difference.place.as_str(), difference.got.as_str()), ("line 1", "one"));
    let error = results(&sandbox, "1 / 0", &Suite { skip: Skip::AfterAny, ..sums() }).await;
    assert_eq!(error[0].finding, Finding::RuntimeError);
    let told = "Traceback (most recent call last):\n  File \"candidate.py\", line 1, in <module>\n";
    assert!(error[0].stderr_tail.starts_with(told), "{}", error[0].stderr_tail);
    assert!(error[0].stderr_tail.ends_with("ZeroDivisionError: division by zero\n"));
    assert_eq!((error[1].finding, error[1].end), (Finding::Skipped, None));

    let limits = Limits { cpu_ms: 200, ..Limits::default() };
    let patient = Suite { skip: Skip::AfterTime, limits, ..sums() };
    for (source, findings) in [
        ("while True: pass", [Finding::Time, Finding::Skipped]),
        ("1 / 0", [Finding::RuntimeError, Finding::RuntimeError]),
    ] {
        let found = results(&sandbox, source, &patient).await;
        assert_eq!([found[0].finding, found[1].finding], findings, "{source}");
    }
}

#[tokio::test]
async fn functions_are_called_and_their_values_compared_outside() {
    let sandbox = common::sandbox(Level::Ns).await;
    for source in [
        "def double(x): return [2 * y for y in x]",
        "class Solution:\n    def double(self, x): return tuple(2 * y for y in x)",
        "class Numbers(list): pass\ndef double(x): return Numbers(2.0 * y for y in x)",
        "print('noise on standard output')\ndouble = lambda x: [y + y for y in x]",
    ] {
        check(&sandbox, source, &doubles(), Finding::Accepted).await;
    }
    for (source, expected) in [
        ("def double(x): return [0]", Finding::WrongAnswer),
        ("def double(x): return [[1]]", Finding::WrongAnswer),
        ("def double(x): return {1: 2}", Finding::WrongAnswer),
        ("def double(x): return float('nan')", Finding::WrongAnswer),
        ("def double(x): return object()", Finding::WrongAnswer),
        ("def treble(x): return x", Finding::RuntimeError),
        ("def double(x, y): return x", Finding::RuntimeError),
    ] {
        check(&sandbox, source, &doubles(), expected).await;
    }
    let big = Suite {
        tests: vec![Test {
            input: "[590295810358705651712]".into(),
            expected: "[1180591620717411303424]".into(),
        }],
        ..doubles()
    };
    check(&sandbox, "def double(x): return [2 * y for y in x]", &big, Finding::Accepted).await;
    check(&sandbox, "def double(x): return [2 * y + 1 for y in x]", &big, Finding::WrongAnswer)
        .await;
    let name = Suite { form: Form::Function("a; import os".into()), ..doubles() };
    let error = judge(&sandbox, "", &name).await.unwrap_err();
    assert!(matches!(error, SandboxError::Config(_)), "{error}");
}

/// The three that win against the stock runner, the two that get past its guard, and others of
/// their kind. None may be accepted on any case.
#[tokio::test]
async fn cheats_score_nothing() {
    let sandbox = common::sandbox(Level::Ns).await;
    let always = "class Always:\n    def __eq__(self, other): return True\n    def __ne__(self, other): return False\n    __hash__ = None\n";
    let always_list = "class Always(list):\n    def __eq__(self, other): return True\n    def __iter__(self): return iter([2, 4])\n    def __len__(self): return 2\n";
    let search = "import sys, gc\nfound = []\nframe = sys._getframe()\nwhile frame:\n    found += [v for k, v in frame.f_locals.items() if k in ('gt_out', 'gt_outs', 'expected', 'all_outputs', 'in_outs', 'sample')]\n    frame = frame.f_back\nfound += [o for o in gc.get_objects() if isinstance(o, dict) and 'expected' in o]\n";
    let patched =
        "import json, os\njson.dumps = lambda *a, **k: '{\"value\": [2, 4]}' * 2\nos._exit(0)\n";
    let functions = [
        format!("{always}def double(x): return Always()"),
        format!("{always_list}def double(x): return Always()"),
        format!("{search}def double(x): return found[0]"),
        "import sys\ndef double(x): return sys._getframe(1).f_locals['gt_out']".into(),
        format!("{patched}def double(x): return x"),
        "import os\nos._exit(0)".into(),
        "import os\ndef double(x): os._exit(0)".into(),
        "import os\nos.write(3, b'{\"value\": [2, 4]}{\"value\": []}')\ndef double(x): return 0".into(),
        "import importlib, os, posix\nimportlib.reload(os)\ndef double(x): return [2, 4] if os.system('true') == 0 or posix.system('true') == 0 else None".into(),
        "import ctypes\ndef double(x): ctypes.string_at(0)".into(),
    ];
    for source in &functions {
        let results = results(&sandbox, source, &doubles()).await;
        let accepted = results.iter().filter(|result| result.finding == Finding::Accepted).count();
        assert_eq!(accepted, 0, "{source}: {results:?}");
    }
    let programs = [
        format!("{search}print(found[0])"),
        "import sys\nframe = sys._getframe()\nwhile frame.f_back: frame = frame.f_back\nprint(frame.f_locals.get('gt_outs', frame.f_globals.get('expected')))".into(),
        "import importlib, os\nimportlib.reload(os)\nos.system('cat expected* ../expected*')\nprint(*os.listdir('.'), *[open(f).read() for f in os.listdir('.')])".into(),
        "import glob\nfor path in glob.glob('/**/*', recursive=True)[:1000]: print(path)".into(),
        "print(*open(0).read())".into(),
        "import os\nos._exit(0)".into(),
        "import sys\nsys.stdout = None".into(),
    ];
    for source in &programs {
        let results = results(&sandbox, source, &sums()).await;
        let accepted = results.iter().filter(|result| result.finding == Finding::Accepted).count();
        assert_eq!(accepted, 0, "{source}: {results:?}");
    }
}

/// Nothing inside depends on what is expected: with other expectations a candidate that prints
/// all that it can find prints the same.
#[tokio::test]
async fn what_is_expected_is_nowhere_inside() {
    let sandbox = common::sandbox(Level::Lsm).await;
    let spy = "
import gc, os, sys
files = {name: open(name).read() for name in sorted(os.listdir('.'))}
print(len(files), sum(map(len, files.values())), sys.argv, dict(os.environ) | {'HOME': ''})
print(sorted({type(o).__name__ for o in gc.get_objects()}))
1 / 0";
    let mut seen = Vec::new();
    for expected in ["6", "NOISE1 and much more than there was before"] {
        let test = Test { input: "3\n1 2 3\n".into(), expected: expected.into() };
        let suite = Suite { tests: vec![test], ..sums() };
        let results = results(&sandbox, spy, &suite).await;
        assert!(results[0].stderr_tail.contains("ZeroDivisionError"), "{results:?}");
        seen.push(results[0].difference.clone());
    }
    assert_eq!(seen[0], seen[1]);
}
