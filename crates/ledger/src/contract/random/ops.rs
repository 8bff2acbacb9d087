//! What is done at random, and how often.

use super::ROOTS;
use proptest::prelude::*;

/// One thing to do. Bytes pick among what there is.
#[derive(Debug, Clone)]
pub(super) enum Op {
    Submit {
        root: u8,
        tasks: u32,
    },
    Lease {
        decide: bool,
        max: usize,
    },
    Heartbeat {
        pick: u8,
    },
    Complete {
        pick: u8,
        stale: bool,
        spend: u64,
    },
    Commit {
        pick: u8,
        stale: bool,
        act: Act,
    },
    Cancel {
        pick: u8,
    },
    Reserve {
        pick: u8,
        amount: u64,
    },
    Settle {
        pick: u8,
        amount: u64,
        spend: u64,
    },
    /// Lets one lease expire.
    Lose {
        pick: u8,
    },
    Start {
        pick: u8,
        stale: bool,
    },
    Signal {
        pick: u8,
        key: u8,
    },
    /// Takes back whatever one holder has.
    Reap {
        pick: u8,
    },
}

/// What a commit does besides noting.
#[derive(Debug, Clone)]
pub(super) enum Act {
    Nothing,
    Half,
    Tasks(u32),
    Child(u32),
    Withdraw,
    WithdrawChild,
    End,
    Moved,
    Invalid,
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        2 => Just(Act::Nothing),
        1 => Just(Act::Half),
        4 => (1..4_u32).prop_map(Act::Tasks),
        2 => (0..3_u32).prop_map(Act::Child),
        2 => Just(Act::Withdraw),
        1 => Just(Act::WithdrawChild),
        2 => Just(Act::End),
        1 => Just(Act::Moved),
        1 => Just(Act::Invalid),
    ]
}

pub(super) fn op() -> impl Strategy<Value = Op> {
    let pick = any::<u8>;
    let stale = || proptest::bool::weighted(0.15);
    prop_oneof![
        2 => (0..ROOTS, 0..4_u32).prop_map(|(root, tasks)| Op::Submit { root, tasks }),
        6 => (any::<bool>(), 1..4_usize).prop_map(|(decide, max)| Op::Lease { decide, max }),
        2 => pick().prop_map(|pick| Op::Heartbeat { pick }),
        5 => (pick(), stale(), 0..9_u64)
            .prop_map(|(pick, stale, spend)| Op::Complete { pick, stale, spend }),
        6 => (pick(), stale(), act()).prop_map(|(pick, stale, act)| Op::Commit { pick, stale, act }),
        1 => pick().prop_map(|pick| Op::Cancel { pick }),
        3 => (pick(), 0..30_u64).prop_map(|(pick, amount)| Op::Reserve { pick, amount }),
        2 => (pick(), 0..30_u64, 0..9_u64)
            .prop_map(|(pick, amount, spend)| Op::Settle { pick, amount, spend }),
        2 => pick().prop_map(|pick| Op::Lose { pick }),
        2 => (pick(), stale()).prop_map(|(pick, stale)| Op::Start { pick, stale }),
        2 => (pick(), 0..5_u8).prop_map(|(pick, key)| Op::Signal { pick, key }),
        1 => pick().prop_map(|pick| Op::Reap { pick }),
    ]
}
