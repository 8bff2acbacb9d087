//! A run from its submission to its end.
use baton_ledger::*;
use baton_ledger_redis::{RedisLedger, RedisOptions};
use baton_testkit::redis::RedisServer;
use baton_workflow::{Budget, RunId, Spend, TenantId, Usd};
use futures::StreamExt;

fn ask(classes: &[Class], request: u64, wait_ms: u64) -> LeaseRequest {
    LeaseRequest {
        holder: "me".into(),
        classes: classes.to_vec(),
        max: 4,
        ttl_ms: 30_000,
        wait_ms,
        request,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_is_carried_out() {
    let server = RedisServer::start().await.unwrap();
    let ledger = RedisLedger::connect(RedisOptions::new(server.url())).await.unwrap();
    let run = RunId::new("r1").unwrap();
    let tenant = TenantId::new("t").unwrap();
    let body = Body::new(&b"hello"[..]);
    let submission = Submission {
        tenant: tenant.clone(),
        run: run.clone(),
        key: Some("k".into()),
        digest: "d".into(),
        budget: Budget {
            usd: Usd::from_pico(10u64.pow(18)),
            tokens: 1000,
            calls: 5,
            seconds: 60,
            depth: 1,
        },
        events: vec!["e1".into(), vec![0u8, 255, 10].into()],
        tasks: vec![],
        timers: vec![NewTimer { name: "x y".into(), after_ms: 0 }],
        bodies: vec![body.clone()],
        traceparent: Some("tp".into()),
        label: "l".into(),
    };
    assert_eq!(ledger.submit(submission.clone()).await.unwrap(), Submitted::New(run.clone()));
    assert_eq!(ledger.submit(submission).await.unwrap(), Submitted::Known(run.clone()));
    assert_eq!(ledger.body(&tenant, &body.name).await.unwrap(), body.bytes);
    println!("{:?}", ledger.tick(10).await.unwrap());
    let decide = ledger.lease(ask(&[Class::decide()], 1, 0)).await.unwrap();
    println!("{decide:?}");
    assert_eq!(decide, ledger.lease(ask(&[Class::decide()], 1, 0)).await.unwrap());
    let view = ledger.read(&run, 0).await.unwrap();
    println!("{view:#?}");
    let mut watch = ledger.watch(&run, 0).await.unwrap();
    for _ in 0..3 {
        println!("{:?}", watch.next().await);
    }
    let commit = |d: &Leased, len, seen, end| Commit {
        task: d.task.clone(),
        token: d.token,
        journal_len: len,
        mail_seen: seen,
        events: vec!["c".into()],
        tasks: vec![],
        timers: vec![],
        children: vec![],
        withdraw: vec![],
        withdraw_children: vec![],
        end,
        bodies: vec![],
    };
    let mut first = commit(&decide[0], 2, 1, None);
    let work = Class::from_text("work/a");
    first.tasks = vec![NewTask {
        number: 1,
        class: work.clone(),
        priority: 3,
        cost: 100,
        payload: "p".into(),
    }];
    first.children = vec![NewChild { number: 1, events: vec![], tasks: vec![], timers: vec![] }];
    let waiting = async { ledger.lease(ask(&[work.clone()], 2, 5000)).await.unwrap() };
    let (tasks, done) = tokio::join!(waiting, ledger.commit(first.clone()));
    assert_eq!(done, Ok(Recorded::Now));
    assert_eq!(ledger.commit(first).await, Ok(Recorded::AlreadyDone));
    let held = Held { task: tasks[0].task.clone(), token: tasks[0].token };
    let half =
        Spend { usd: Usd::from_pico(6 * 10u64.pow(17)), tokens_in: 10, tokens_out: 1, calls: 1 };
    ledger.reserve(&held, half).await.unwrap();
    println!("{:?}", ledger.reserve(&held, half).await);
    ledger.settle(&held, half, half).await.unwrap();
    println!("{:?}", ledger.heartbeat(&[held.clone()], 1000).await);
    let completion =
        Completion { outcome: "o".into(), spend: half, estimated: false, bodies: vec![] };
    assert_eq!(ledger.complete(&held, completion.clone()).await, Ok(Recorded::Now));
    assert_eq!(ledger.complete(&held, completion.clone()).await, Ok(Recorded::AlreadyDone));
    println!("{:?}", ledger.cancel(&run, "why").await);
    let decides = ledger.lease(ask(&[Class::decide()], 3, 0)).await.unwrap();
    println!("{decides:#?}");
    println!("{:#?}", ledger.read(&run, 1).await.unwrap());
    for d in &decides {
        let view = ledger.read(&d.task.run, 0).await.unwrap();
        let last = view.mails.last().map_or(0, |m| m.number);
        println!(
            "{:?}",
            ledger.commit(commit(d, view.journal_len, last, Some("end".into()))).await
        );
    }
    println!("{:?}", ledger.list(&tenant, 10, None).await);
    println!("{:?}", ledger.tick(10).await.unwrap());
    let rest: Vec<_> = watch.collect().await;
    println!("{rest:#?}");
}
