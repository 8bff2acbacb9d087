//! Processes of a cluster that die, stand still, and are restarted one after the other.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "helpers of tests may fail loudly and say what they saw, as tests may"
)]

use baton_testkit::{baton::Baton, cluster::Cluster, stores::LocalStores};
use baton_tests::{
    Client, Journal, ask_of, begin,
    config::{Config, agent, policy, provider},
    end_of, holder_of, report, rounds, until, worker_of,
};
use serde_json::{Value, json};
use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    sync::{
        Arc, LazyLock, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread::{scope, sleep, spawn},
    time::{Duration, Instant},
};

/// Redis and etcd of all clusters here.
static STORES: LazyLock<LocalStores> = LazyLock::new(|| LocalStores::start().unwrap());
/// What a dead process may cost a run: silence that is long enough to be believed, and the
/// step once more; far below the 30 s of a lease.
const TAKEN_UP_WITHIN: Duration = Duration::from_secs(10);

/// One cluster at a time: each has a dozen processes, and times are looked at.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

fn cluster(time_scale: &str) -> Cluster<'static> {
    Cluster::start_with(&STORES, 2, time_scale, &["--notice-seconds", "1"]).unwrap()
}

fn clients(cluster: &Cluster<'_>) -> Vec<Client> {
    cluster.gateways.iter().map(|gateway| Client::new(gateway.url())).collect()
}

fn question(number: usize) -> String {
    format!("What is the value of ({number} + 4) * 5?")
}

/// Takes the process at this address out of the list.
fn take(processes: &mut Vec<Baton>, address: &str) -> Baton {
    let place = processes.iter().position(|process| process.url() == address).unwrap();
    processes.remove(place)
}

#[test]
fn work_of_a_killed_process_is_taken_up_long_before_its_lease_ends() {
    let _alone = alone();
    let mut cluster = cluster("2");
    let client = clients(&cluster).remove(0);
    let asked = ask_of("baton/direct", &question(1), json!({}));
    let undisturbed = {
        let began = Instant::now();
        assert_eq!(client.chat(&asked).status, 200);
        began.elapsed()
    };
    let run = begin(&client, &ask_of("baton/direct", &question(2), json!({})));
    let address = worker_of(&client, &run);
    let began = Instant::now();
    take(&mut cluster.workers, &address).kill().unwrap();
    let report = end_of(&client, &run);
    let took = began.elapsed();
    println!("from kill -9 to the end: {took:?}; a run alone takes {undisturbed:?}");
    assert_eq!(report["status"], "completed", "{report}");
    assert_eq!(Journal::read(&client, &run, 0).fault(), None);
    assert!(took < undisturbed + TAKEN_UP_WITHIN, "{took:?}");
}

#[test]
fn a_process_that_stands_still_loses_its_work_and_harms_nothing_when_it_wakes() {
    let _alone = alone();
    let mut cluster = cluster("2");
    let client = clients(&cluster).remove(0);
    let run = begin(&client, &ask_of("baton/direct", &question(3), json!({})));
    let address = worker_of(&client, &run);
    let frozen = take(&mut cluster.workers, &address);
    let began = Instant::now();
    frozen.signal("STOP").unwrap();
    let ended = end_of(&client, &run);
    println!("from SIGSTOP to the run's end: {:?}", began.elapsed());
    assert_eq!(ended["status"], "completed", "{ended}");
    assert!(began.elapsed() < Duration::from_secs(25), "not before its lease ended");
    frozen.signal("CONT").unwrap();
    // It works again, and what it held is no longer its own.
    for number in 10..14 {
        let reply = client.chat(&ask_of("baton/direct", &question(number), json!({})));
        assert_eq!(reply.status, 200, "{reply:?}");
    }
    assert_eq!(report(&client, &run)["usage"], ended["usage"], "no outcome was added");
    assert_eq!(Journal::read(&client, &run, 0).fault(), None);
}

#[test]
fn a_conductor_that_dies_or_stands_still_is_left_by_the_next_call() {
    let _alone = alone();
    let mut cluster = cluster("0");
    let client = clients(&cluster).remove(0);
    let slowest_of = |calls: usize| {
        let times = (0..calls).map(|_| {
            let began = Instant::now();
            let reply = client.get("/v1/runs?limit=1");
            assert_eq!(reply.status, 200, "{reply:?}");
            began.elapsed()
        });
        times.max().unwrap()
    };
    slowest_of(4);
    let frozen = cluster.conductors.remove(0);
    frozen.signal("STOP").unwrap();
    let (first, then) = (slowest_of(4), slowest_of(20));
    println!("a conductor stands still: {first:?} at first, then {then:?}");
    assert!(first < Duration::from_secs(8) && then < Duration::from_secs(1));
    frozen.signal("CONT").unwrap();
    until("it to be asked again", || {
        frozen.signal("STOP").unwrap();
        let took = slowest_of(2);
        frozen.signal("CONT").unwrap();
        (took > Duration::from_secs(1)).then_some(())
    });
    frozen.kill().unwrap();
    let took = slowest_of(20);
    println!("a conductor is dead: {took:?}");
    assert!(took < Duration::from_secs(1), "{took:?}");
    let reply = client.chat(&ask_of("baton", &question(4), json!({})));
    assert_eq!(reply.status, 200, "{reply:?}");
    // A negative control: a death that no other conductor is there to make up for.
    cluster.conductors.remove(0).kill().unwrap();
    let reply = client.get("/v1/runs?limit=1");
    assert_eq!(reply.json["error"]["code"], "unavailable", "{reply:?}");
}

/// Between two looks of the load balancer.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Clients behind a load balancer.
struct Load {
    /// The gateways that there are.
    all: Mutex<Vec<Client>>,
    /// Those that said so when they were asked last.
    ready: Mutex<Vec<Client>>,
    stop: AtomicBool,
    asked: AtomicUsize,
    ended: AtomicUsize,
    elsewhere: AtomicUsize,
    faults: Mutex<Vec<String>>,
}

impl Load {
    /// Looks all the time who is ready.
    fn balance(&self) {
        while !self.stop.load(Ordering::Relaxed) {
            let all = self.all.lock().unwrap().clone();
            let ready = all.into_iter().filter(Client::is_ready).collect();
            *self.ready.lock().unwrap() = ready;
            sleep(LOOK_EVERY);
        }
    }

    /// Asks all the time, whole and streamed in turn.
    fn ask(&self) {
        while !self.stop.load(Ordering::Relaxed) {
            let number = self.asked.fetch_add(1, Ordering::Relaxed);
            let model = ["baton/direct", "baton/plan_execute_verify"][number % 2];
            let stream = number % 4 < 2;
            let body = ask_of(model, &question(number), json!({ "stream": stream }));
            let fault = match self.post(number, body.to_string().as_bytes()) {
                Err(error) => Some(error),
                Ok(reply) if reply.status != 200 => Some(format!("{reply:?}")),
                Ok(reply) if stream => {
                    let text = reply.json.as_str().unwrap_or_default();
                    let whole = text.trim_end().ends_with("data: [DONE]");
                    (!whole || text.contains("\"error\"")).then(|| text.to_owned())
                }
                Ok(reply) => {
                    let status = &reply.json["baton"]["status"];
                    (status != "completed").then(|| format!("{reply:?}"))
                }
            };
            self.ended.fetch_add(1, Ordering::Relaxed);
            self.faults.lock().unwrap().extend(fault.map(|fault| format!("{number}: {fault}")));
        }
    }

    /// Nothing is repeated but what was not even begun: a connection that is refused.
    fn post(&self, number: usize, body: &[u8]) -> Result<baton_tests::Reply, String> {
        let gateways = self.ready.lock().unwrap().clone();
        let mut last = String::from("there is no gateway");
        for more in 0..gateways.len() {
            let gateway = &gateways[(number + more) % gateways.len()];
            match gateway.try_post_bytes("/v1/chat/completions", body) {
                Ok(reply) => return Ok(reply),
                Err(error) if format!("{error:?}").contains("ConnectionRefused") => {
                    self.elsewhere.fetch_add(1, Ordering::Relaxed);
                    last = error.to_string();
                }
                Err(error) => return Err(format!("{error:?}")),
            }
        }
        Err(last)
    }

    /// What the requests came to that are sent while something is done to the cluster.
    fn during(cluster: &mut Cluster<'_>, act: impl FnOnce(&mut Cluster<'_>, &Self)) -> Vec<String> {
        let load = Self {
            all: Mutex::new(clients(cluster)),
            ready: Mutex::new(clients(cluster)),
            stop: AtomicBool::new(false),
            asked: AtomicUsize::new(0),
            ended: AtomicUsize::new(0),
            elsewhere: AtomicUsize::new(0),
            faults: Mutex::default(),
        };
        scope(|threads| {
            threads.spawn(|| load.balance());
            for _ in 0..6 {
                threads.spawn(|| load.ask());
            }
            let _stops = Stops(&load);
            load.more(12);
            act(cluster, &load);
        });
        let faults = load.faults.into_inner().unwrap();
        let (ended, elsewhere) = (load.ended.into_inner(), load.elsewhere.into_inner());
        println!(
            "{ended} requests, {elsewhere} sent to the other gateway, {} failed",
            faults.len()
        );
        faults
    }

    fn more(&self, count: usize) {
        let goal = self.ended.load(Ordering::Relaxed) + count;
        until("more requests to end", || {
            (self.ended.load(Ordering::Relaxed) >= goal).then_some(())
        });
    }
}

/// Ends the load however the test ends.
struct Stops<'a>(&'a Load);

impl Drop for Stops<'_> {
    fn drop(&mut self) {
        self.0.stop.store(true, Ordering::Relaxed);
    }
}

fn stopped(process: Baton) -> Duration {
    let began = Instant::now();
    process.signal("TERM").unwrap();
    let (status, stderr) = process.wait(Duration::from_secs(29)).unwrap();
    assert!(status.success(), "{status}: {stderr}");
    began.elapsed()
}

#[test]
fn a_rolling_restart_under_load_fails_no_request() {
    let _alone = alone();
    let mut cluster = cluster("0.1");
    let faults = Load::during(&mut cluster, |cluster, load| {
        for service in ["verifier", "worker-agent", "conductor", "gateway"] {
            for _ in 0..2 {
                let took = stopped(processes(cluster, service).remove(0));
                println!("{service} stopped within {took:?}");
                let mut new = cluster.serve(service).unwrap();
                if service == "gateway" {
                    new.until_ready().unwrap();
                }
                processes(cluster, service).push(new);
                *load.all.lock().unwrap() = clients(cluster);
                load.more(12);
            }
        }
    });
    assert_eq!(faults, Vec::<String>::new());
    // A negative control: a gateway that stops in no order, with requests under way.
    let faults = Load::during(&mut cluster, |cluster, load| {
        cluster.gateways.remove(0).kill().unwrap();
        load.more(12);
    });
    assert_ne!(faults, Vec::<String>::new(), "requests that were broken off are not seen");
}

fn processes<'a>(cluster: &'a mut Cluster<'_>, service: &str) -> &'a mut Vec<Baton> {
    match service {
        "verifier" => &mut cluster.verifiers,
        "worker-agent" => &mut cluster.workers,
        "conductor" => &mut cluster.conductors,
        _gateway => &mut cluster.gateways,
    }
}

/// A task whose program the simulated pool writes well, and a check that takes seconds and was
/// never made before: else the verifier would know its report.
fn slow_check(seconds: u32) -> Value {
    static CHECKS: AtomicUsize = AtomicUsize::new(0);
    let first = 1000 * CHECKS.fetch_add(1, Ordering::Relaxed);
    let question = "Write a Python function `solve(xs)` that takes a list of integers and does \
                    these steps in order:\n1. multiply every number by 2\n2. return the list\n\
                    End with the whole function in a ```python block.";
    let test = |number: usize| json!({ "input": format!("[{number}]"), "expected": format!("[{}]", 2 * number) });
    let tests: Vec<_> = (first..first + 100).map(test).collect();
    let verify = json!({ "type": "code.tests", "function": "solve", "tests": tests });
    let budget = json!({ "seconds": seconds });
    ask_of("baton/direct", question, json!({ "baton": { "verify": verify, "budget": budget } }))
}

/// The last verdict of a run that has ended, and whether the client is told that the answer is
/// verified.
fn verdict(report: &Value) -> (Value, bool) {
    let checks = rounds(report).last().unwrap()["checks"].as_array();
    let check = checks.and_then(|checks| checks.last()).cloned().unwrap_or_default();
    (check["verdict"].clone(), report["verified"].as_bool().unwrap())
}

#[test]
fn programs_are_checked_whoever_dies_and_never_accepted_unchecked() {
    let _alone = alone();
    let mut cluster = cluster("0");
    let client = clients(&cluster).remove(0);
    // One that cannot run programs stands beside those that can.
    let none = Config::new(&["[sandbox]\npython = \"/nowhere/python3\"\n".into()]);
    let mut command = cluster.command("verifier").unwrap();
    command.arg("--config").arg(none.path());
    let without = Baton::serve(command).unwrap();
    until("all to have tried their sandboxes", || {
        let members = client.get("/v1/status?runs=0").json["members"].clone();
        let tried =
            members.as_array().unwrap().iter().filter(|member| !member["programs"].is_null());
        let isolated = tried.clone().filter(|member| !member["programs"]["isolated"].is_null());
        (tried.count() == 3 && isolated.count() == 2).then_some(())
    });

    // The one that checks is killed in the middle: the other one checks.
    let run = begin(&client, &slow_check(60));
    let address = holder_of(&client, &run, "verify/code");
    let began = Instant::now();
    take(&mut cluster.verifiers, &address).kill().unwrap();
    let report = end_of(&client, &run);
    println!("from kill -9 to the end: {:?}", began.elapsed());
    assert_eq!(report["reason"]["code"], "accepted", "{report}");
    let (told, verified) = verdict(&report);
    assert!(verified && told["isolation"].is_string(), "{told}");

    // One that takes longer than its run.
    let late = client.chat(&slow_check(1));
    let report = end_of(&client, late.header("x-request-id").unwrap());
    assert_eq!(report["reason"]["code"], "deadline_passed", "{report}");
    assert!(!verdict(&report).1, "{report}");

    // With the last one that can dies the check: who cannot says so, and nothing is accepted.
    let run = begin(&client, &slow_check(60));
    let address = holder_of(&client, &run, "verify/code");
    let began = Instant::now();
    take(&mut cluster.verifiers, &address).kill().unwrap();
    let report = end_of(&client, &run);
    println!("from the last one's kill -9 to the end: {:?}", began.elapsed());
    assert_eq!(report["reason"]["code"], "unchecked", "{report}");
    let (told, verified) = verdict(&report);
    assert_eq!((verified, &told["code"]), (false, &json!("sandbox_unavailable")), "{told}");
    assert!(told["feedback"].as_str().unwrap().contains("/nowhere/python3"), "{told}");
    let reply = client.chat(&slow_check(60));
    assert_eq!(reply.json["baton"]["verified"], false, "{reply:?}");

    // With nobody left to say so, the run's time ends it.
    without.kill().unwrap();
    let late = client.chat(&slow_check(1));
    let report = end_of(&client, late.header("x-request-id").unwrap());
    assert_eq!(report["reason"]["code"], "deadline_passed", "{report}");
    assert!(!verdict(&report).1, "{report}");

    // One whose sandbox does not hold ends, and says what got out.
    let mut command = cluster.command("verifier").unwrap();
    command.env("BATON_SANDBOX_WITHOUT", "seccomp");
    let (status, stderr) = Baton::serve(command).unwrap().wait(Duration::from_secs(60)).unwrap();
    assert!(!status.success() && stderr.contains("does not hold"), "{status}: {stderr}");
}

#[test]
fn a_step_that_outlasts_the_drain_is_handed_back_at_once() {
    let _alone = alone();
    let mut cluster = cluster("1000");
    let client = clients(&cluster).remove(0);
    let run = begin(&client, &ask_of("baton/direct", &question(5), json!({})));
    let address = worker_of(&client, &run);
    let took = stopped(take(&mut cluster.workers, &address));
    let began = Instant::now();
    let next = worker_of(&client, &run);
    println!("stopped within {took:?}, taken up {:?} later", began.elapsed());
    assert_eq!(next, cluster.workers[0].url());
    assert!(began.elapsed() < Duration::from_secs(3), "not handed back");
}

/// A provider that never says the same twice: each call counts on from its own number.
fn moody() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let calls = Arc::new(AtomicUsize::new(0));
    spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let number = calls.fetch_add(1, Ordering::Relaxed) + 1;
            // A caller that is gone ends the call.
            spawn(move || drop(speak(stream, number)));
        }
    });
    url
}

fn speak(mut stream: TcpStream, number: usize) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut length = 0;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let line = line.trim().to_ascii_lowercase();
        if let Some(value) = line.strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
        if line.is_empty() {
            break;
        }
    }
    reader.take(length).read_to_end(&mut Vec::new())?;
    stream.write_all(
        b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n",
    )?;
    let mut say = |delta: Value, finish: Value| {
        let chunk = json!({ "id": "x", "object": "chat.completion.chunk", "created": 1,
            "model": "moody", "choices": [{ "index": 0, "delta": delta,
            "finish_reason": finish }] });
        stream.write_all(format!("data: {chunk}\n\n").as_bytes())
    };
    for word in 0..20 {
        say(json!({ "content": format!("call {number} word {word}. ") }), Value::Null)?;
        sleep(Duration::from_millis(100));
    }
    say(json!({}), json!("stop"))?;
    stream.write_all(b"data: [DONE]\n\n")
}

/// Reads a streamed answer, and kills the worker-agent that writes it after its first words.
fn stream_and_kill(cluster: &mut Cluster<'_>, body: &Value) -> (String, String, Value) {
    let client = clients(cluster).remove(0);
    let events = client.stream("/v1/chat/completions", body);
    let run = events.header("x-request-id").unwrap().to_owned();
    let (mut text, mut last, mut killed) = (String::new(), Value::Null, false);
    for event in events {
        if event.data == "[DONE]" {
            break;
        }
        let chunk = event.json();
        text.push_str(chunk["choices"][0]["delta"]["content"].as_str().unwrap_or(""));
        if !text.is_empty() && !killed {
            let address = worker_of(&client, &run);
            take(&mut cluster.workers, &address).kill().unwrap();
            killed = true;
        }
        last = chunk;
    }
    assert!(killed);
    (run, text, last)
}

#[test]
fn a_stream_whose_writer_dies_goes_on_with_the_same_words_or_ends_with_an_error() {
    let _alone = alone();
    let mut cluster = cluster("3");
    let client = clients(&cluster).remove(0);
    // A model that says the same again: the text goes on where it stood.
    let body = ask_of("baton/direct", &question(6), json!({ "stream": true }));
    let (run, text, last) = stream_and_kill(&mut cluster, &body);
    let ended = end_of(&client, &run);
    println!("{text:?}\n{last}");
    assert_eq!(ended["answer"], text, "{ended}");
    let tasks = &rounds(&ended)[0]["steps"][0]["tasks"];
    println!("{tasks}");

    // One that does not: what was sent is void, and the answer can be fetched.
    let words = [
        provider("moody", &moody()),
        agent("moody", "moody", "moody"),
        provider("sim", &cluster.sim.url()),
        policy("sim"),
    ];
    let config = Config::new(&words);
    let mut command = baton_testkit::baton::command(["config", "push"]).unwrap();
    command.arg(config.path()).args(["--etcd", &STORES.etcd_url(), "--cluster", cluster.name()]);
    let pushed = baton_tests::ended(command, "");
    assert_eq!(pushed.code, Some(0), "{pushed:?}");
    cluster.workers.push(cluster.serve("worker-agent").unwrap());
    until("the configuration to be in force everywhere", || {
        let told = |process: &Baton| process.stderr().contains("agents.moody added");
        let old = cluster.gateways.iter().chain(&cluster.conductors).chain(&cluster.workers[..1]);
        old.into_iter().all(told).then_some(())
    });
    let (run, text, last) = stream_and_kill(&mut cluster, &body);
    println!("{text:?}\n{last}");
    assert_eq!(last["error"]["code"], "stream_interrupted", "{last}");
    assert!(last["error"]["message"].as_str().unwrap().contains(&run), "{last}");
    let said = |text: &str, number: usize| text.matches(&format!("call {number} word")).count();
    let ended = end_of(&client, &run);
    let answer = ended["answer"].as_str().unwrap();
    assert_eq!(ended["status"], "completed", "{ended}");
    assert_eq!((said(answer, 1), said(answer, 2)), (0, 20), "{answer}");
    assert!(said(&text, 1) > 0 && said(&text, 2) == 0, "{text}");
    assert_eq!(text.matches("word 0.").count(), 1, "{text}");
}
