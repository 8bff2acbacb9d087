//! Whatever a model replies, reading it neither panics nor changes the plan: what was
//! read, written again in either form, reads as the same workflow.
//!
//! `cargo +nightly fuzz run read_plan -- -dict=fuzz/read_plan.dict -max_len=4096`

#![no_main]

use baton_planner::{Plan, read, write_json, write_lists};
use baton_workflow::{AgentCard, AgentId, Limits, Pool, Price};
use libfuzzer_sys::fuzz_target;
use std::collections::BTreeSet;
use std::sync::LazyLock;

static POOL: LazyLock<Pool> = LazyLock::new(|| {
    let card = |id: &str| AgentCard {
        id: AgentId::new(id).expect("an id"),
        provider: "none".into(),
        model: id.into(),
        strengths: String::new(),
        price: Price::default(),
        context_tokens: 8192,
        output_tokens: 1024,
        concurrency: 1,
        images: false,
        abilities: Default::default(),
        tags: BTreeSet::new(),
    };
    Pool::new("v1", ["a", "b", "c"].map(card).into()).expect("a pool")
});

fuzz_target!(|reply: &str| {
    let limits = Limits::default();
    match read(reply, &POOL, &limits) {
        Ok(Plan::Stands) => {}
        Ok(Plan::Workflow(flow)) => {
            let json = write_json(&flow);
            assert_eq!(read(&json, &POOL, &limits), Ok(Plan::Workflow(flow.clone())), "{json}");
            if let Ok(lists) = write_lists(&flow, &POOL) {
                assert_eq!(read(&lists, &POOL, &limits), Ok(Plan::Workflow(flow)), "{lists}");
            }
        }
        Err(complaints) => {
            assert!(!complaints.is_empty());
            for complaint in &complaints {
                assert!(complaint.to_string().len() < 1024, "{complaint}");
            }
        }
    }
});
