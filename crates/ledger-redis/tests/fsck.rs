//! Looking over what is on Redis: nothing is found where nothing is wrong, and each damage is.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may fail loudly, its helpers too")]

use baton_ledger::{Body, Class, Damage, LeaseRequest, Ledger, NewTask, Submission};
use baton_ledger_redis::{RedisLedger, RedisOptions};
use baton_testkit::redis::RedisServer;
use baton_workflow::{Budget, RunId, Spend, TenantId, Usd};
use bytes::Bytes;

fn submission(run: &str) -> Submission {
    let task = |number| NewTask {
        number,
        class: Class::from_text("work/a"),
        priority: 5,
        cost: 10,
        reserve: Spend::ZERO,
        payload: Bytes::new(),
    };
    Submission {
        tenant: TenantId::new("t").unwrap(),
        run: RunId::new(run).unwrap(),
        key: Some(format!("key-{run}")),
        digest: String::new(),
        budget: Budget { usd: Usd::from_pico(1), tokens: 1000, calls: 100, seconds: 1, depth: 3 },
        events: vec![Bytes::from_static(b"submitted"), Bytes::from_static(b"decided")],
        tasks: (1..=3).map(task).collect(),
        timers: vec![],
        bodies: vec![Body::new(format!("body of {run}"))],
        traceparent: None,
        label: Bytes::new(),
    }
}

#[tokio::test]
async fn every_damage_is_found() {
    let server = RedisServer::start().await.unwrap();
    let ledger = RedisLedger::connect(RedisOptions::new(server.url())).await.unwrap();
    for run in ["a", "b", "c"] {
        ledger.submit(submission(run)).await.unwrap();
    }
    let request = LeaseRequest {
        holder: "h".into(),
        classes: vec![Class::from_text("work/a")],
        max: 2,
        ttl_ms: 600_000,
        wait_ms: 0,
        request: 1,
    };
    assert_eq!(ledger.lease(request).await.unwrap().len(), 2);
    let looked = ledger.fsck().await.unwrap();
    assert_eq!(
        (looked.found.clone(), looked.runs, looked.unfinished, looked.bodies),
        (vec![], 3, 3, 3)
    );
    let client = redis::Client::open(server.url()).unwrap();
    let mut plain = client.get_multiplexed_async_connection().await.unwrap();
    let hash = Body::new("body of a").name.hash;
    let body = format!("baton:{{s0}}:body:t:{hash}");
    for (damage, command) in [
        (Damage::JournalGap, vec!["XDEL", "baton:{s0}:journal:a", "1-0"]),
        (Damage::Spend, vec!["HSET", "baton:{s0}:task:a:1", "spent", "5 0 0 1"]),
        (Damage::Body, vec!["APPEND", &body, "x"]),
        (Damage::BodyMissing, vec!["DEL", &body]),
        (Damage::Index, vec!["HSET", "baton:{s0}:task:c:3", "state", "done"]),
        (Damage::Index, vec!["ZADD", "baton:{s0}:runs:t", "9", "nowhere"]),
        (Damage::Orphan, vec!["RPUSH", "baton:{s0}:mail:nowhere", "x"]),
        (Damage::Count, vec!["HINCRBY", "baton:{s0}:meta", "finished", "1"]),
        (Damage::Row, vec!["HDEL", "baton:{s0}:run:b", "tenant"]),
    ] {
        let before = ledger.fsck().await.unwrap().found.len();
        let mut telling = redis::cmd(command[0]);
        telling.arg(&command[1..]);
        telling.exec_async(&mut plain).await.unwrap();
        let found = ledger.fsck().await.unwrap().found;
        assert!(found.iter().any(|finding| finding.damage == damage), "{damage:?}: {found:?}");
        if damage != Damage::BodyMissing {
            assert!(found.len() > before, "{damage:?}: {found:?}");
        }
    }
}
