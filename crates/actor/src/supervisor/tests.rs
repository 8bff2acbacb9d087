use super::*;
use std::{
    io,
    sync::{
        Mutex,
        atomic::{AtomicU32, Ordering::SeqCst},
    },
};

const BUDGET: RestartBudget = RestartBudget { restarts_max: 3, window_ms: 60_000 };

/// What happened, in order.
#[derive(Clone, Default)]
struct Diary(Arc<Mutex<Vec<String>>>);

impl Diary {
    fn note(&self, what: impl Into<String>) {
        self.0.lock().unwrap().push(what.into());
    }

    fn read(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }
}

/// Notes when it is dropped, which is when its task is really gone.
struct Presence(Diary, &'static str);

impl Drop for Presence {
    fn drop(&mut self) {
        self.0.note(self.1);
    }
}

/// A child that stays until told to stop.
fn stays(
    supervisor: &mut Supervisor,
    name: &'static str,
    diary: &Diary,
) -> tokio::sync::oneshot::Receiver<()> {
    let (began, beginning) = tokio::sync::oneshot::channel();
    let (diary, began) = (diary.clone(), Mutex::new(Some(began)));
    supervisor.spawn(name, move |stop| {
        let presence = Presence(diary.clone(), name);
        let began = began.lock().unwrap().take();
        async move {
            let _presence = presence;
            began.map(|began| began.send(()));
            stop.cancelled().await;
            Ok::<_, io::Error>(())
        }
    });
    beginning
}

#[tokio::test(start_paused = true)]
async fn a_child_that_fails_is_started_again_until_it_is_done() {
    let starts = Arc::new(AtomicU32::new(0));
    let mut supervisor = Supervisor::new("s", BUDGET);
    let count = starts.clone();
    supervisor.spawn("flaky", move |_| {
        let number = count.fetch_add(1, SeqCst);
        async move {
            match number {
                0 => Err(io::Error::other("not yet")),
                1 => panic!("not yet either"),
                2.. => Ok(()),
            }
        }
    });
    supervisor.run(CancellationToken::new()).await.unwrap();
    assert_eq!(starts.load(SeqCst), 3);
}

#[tokio::test(start_paused = true)]
async fn a_spent_budget_escalates_and_stops_the_siblings() {
    let (diary, starts) = (Diary::default(), Arc::new(AtomicU32::new(0)));
    let mut supervisor = Supervisor::new("conductor", BUDGET);
    let begun = stays(&mut supervisor, "sibling", &diary);
    let count = starts.clone();
    supervisor.spawn("broken", move |_| {
        count.fetch_add(1, SeqCst);
        async { Err(io::Error::other("disk full")) }
    });
    begun.await.unwrap();
    let escalation = supervisor.run(CancellationToken::new()).await.unwrap_err();
    assert_eq!(
        escalation.to_string(),
        "conductor gave up on broken: a failure after 3 restarts within 60000 ms"
    );
    assert_eq!(escalation.failure.to_string(), "disk full");
    assert_eq!(starts.load(SeqCst), 4);
    assert_eq!(diary.read(), ["sibling"]);
}

#[tokio::test]
async fn a_panic_is_caught_wherever_it_happens() {
    let none = RestartBudget { restarts_max: 0, window_ms: 1 };
    let mut supervisor = Supervisor::new("s", none);
    supervisor.spawn("task", |_| async {
        if true {
            panic!("in the {}", "task");
        }
        Ok::<_, io::Error>(())
    });
    let escalation = supervisor.run(CancellationToken::new()).await.unwrap_err();
    assert_eq!(escalation.failure.to_string(), "panicked: in the task");

    let mut supervisor = Supervisor::new("s", none);
    supervisor.spawn("factory", |_| -> std::future::Ready<Result<(), io::Error>> {
        panic!("in the factory")
    });
    let escalation = supervisor.run(CancellationToken::new()).await.unwrap_err();
    assert_eq!(escalation.failure.to_string(), "panicked: in the factory");
}

#[tokio::test(start_paused = true)]
async fn children_stop_last_first() {
    let (diary, stop) = (Diary::default(), CancellationToken::new());
    let mut supervisor = Supervisor::new("s", BUDGET);
    for name in ["server", "worker", "intake"] {
        stays(&mut supervisor, name, &diary).await.unwrap();
    }
    stop.cancel();
    supervisor.run(stop).await.unwrap();
    assert_eq!(diary.read(), ["intake", "worker", "server"]);
}

#[tokio::test(start_paused = true)]
async fn copies_stop_at_the_same_time() {
    let (stop, all_told) = (CancellationToken::new(), Arc::new(tokio::sync::Barrier::new(3)));
    let mut supervisor = Supervisor::new("s", BUDGET);
    let told = all_told.clone();
    supervisor.spawn_many("copy", 3, move |stop| {
        let told = told.clone();
        async move {
            stop.cancelled().await;
            told.wait().await;
            Ok::<_, io::Error>(())
        }
    });
    let begun = Instant::now();
    stop.cancel();
    supervisor.run(stop).await.unwrap();
    assert_eq!(begun.elapsed(), Duration::ZERO, "one of them waited for the others in vain");
}

#[tokio::test(start_paused = true)]
async fn a_child_that_does_not_stop_is_aborted_after_the_drain() {
    let (diary, stop) = (Diary::default(), CancellationToken::new());
    let mut supervisor = Supervisor::new("s", BUDGET).drain_ms(5_000);
    stays(&mut supervisor, "polite", &diary).await.unwrap();
    let stubborn = diary.clone();
    supervisor.spawn("stubborn", move |_| {
        let presence = Presence(stubborn.clone(), "stubborn");
        async move {
            let _presence = presence;
            std::future::pending::<Result<(), io::Error>>().await
        }
    });
    let begun = Instant::now();
    stop.cancel();
    supervisor.run(stop).await.unwrap();
    assert_eq!(begun.elapsed().as_millis(), 5_000);
    assert_eq!(diary.read(), ["stubborn", "polite"]);
}

#[tokio::test(start_paused = true)]
async fn nothing_is_started_again_once_stop_was_asked() {
    let (stop, starts) = (CancellationToken::new(), Arc::new(AtomicU32::new(0)));
    let mut supervisor = Supervisor::new("s", BUDGET);
    let count = starts.clone();
    supervisor.spawn("fails-on-stop", move |stop| {
        count.fetch_add(1, SeqCst);
        async move {
            stop.cancelled().await;
            Err(io::Error::other("the last flush failed"))
        }
    });
    tokio::task::yield_now().await;
    stop.cancel();
    supervisor.run(stop).await.unwrap();
    assert_eq!(starts.load(SeqCst), 1);
}

#[tokio::test(start_paused = true)]
async fn dropping_a_supervisor_ends_its_children() {
    let diary = Diary::default();
    let mut supervisor = Supervisor::new("s", BUDGET);
    stays(&mut supervisor, "child", &diary).await.unwrap();
    drop(supervisor);
    while diary.read().is_empty() {
        tokio::task::yield_now().await;
    }
    assert_eq!(diary.read(), ["child"]);
}

#[tokio::test(start_paused = true)]
async fn a_mailbox_outlives_the_failure_of_its_actor() {
    let (address, mailbox) = crate::mailbox::<crate::Reply<u32>>(4);
    let starts = Arc::new(AtomicU32::new(0));
    let mut supervisor = Supervisor::new("s", BUDGET);
    supervisor.spawn("counter", move |_| {
        let (mailbox, number) = (mailbox.clone(), starts.fetch_add(1, SeqCst));
        async move {
            let Some(reply) = mailbox.next().await else { return Ok(()) };
            reply.send(number).map_err(|_| io::Error::other("nobody listens"))?;
            Err(io::Error::other("fails after every answer"))
        }
    });
    let asking = tokio::spawn(async move {
        let first = address.ask(|reply| reply).await;
        let second = address.ask(|reply| reply).await;
        (first, second)
    });
    supervisor.run(CancellationToken::new()).await.unwrap();
    assert_eq!(asking.await.unwrap(), (Ok(0), Ok(1)));
}
