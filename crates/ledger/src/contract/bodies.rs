//! Texts, kept beside the journal.

use super::given::*;
use crate::{BATCH_MAX, BODY_BYTES_MAX, Body, Commit, Completion, LedgerError, Submission};
use baton_workflow::{BodyRef, Spend};
use bytes::Bytes;

fn body(of: &str) -> Body {
    Body::new(text(of))
}

async fn read(l: &L, of: &str) -> Result<Bytes, LedgerError> {
    l.body(&tenant("t"), &body(of).name).await
}

fn none(of: &str) -> Result<Bytes, LedgerError> {
    Err(LedgerError::NoSuchBody(body(of).name.hash.to_string()))
}

pub async fn bodies_come_with_every_write(l: L) {
    assert_eq!(read(&l, "one").await, none("one"));
    let bodies = vec![body("one"), body(""), body("one")];
    submit(&l, Submission { bodies, ..with_tasks("a", [1]) }).await;
    let worker = lease_work(&l).await;
    let done = Completion { bodies: vec![body("two")], ..completion("o", Spend::ZERO) };
    l.complete(&held(&worker), done).await.unwrap();
    let decide = lease_decide(&l).await;
    let last =
        Commit { bodies: vec![body("three")], end: Some(text("done")), ..seen(&l, &decide).await };
    l.commit(last).await.unwrap();
    for of in ["one", "two", "three", ""] {
        assert_eq!(read(&l, of).await, Ok(text(of)));
    }
}

pub async fn a_body_belongs_to_its_tenant(l: L) {
    submit(&l, Submission { bodies: vec![body("mine")], ..submission("a") }).await;
    assert_eq!(read(&l, "mine").await, Ok(text("mine")));
    let theirs = l.body(&tenant("u"), &body("mine").name).await;
    assert_eq!(theirs, none("mine"));
    let bodies = vec![body("mine")];
    submit(&l, Submission { tenant: tenant("u"), bodies, ..submission("b") }).await;
    assert_eq!(l.body(&tenant("u"), &body("mine").name).await, Ok(text("mine")));
}

pub async fn bodies_have_bounds(l: L) {
    let large = Body::new(vec![b'x'; BODY_BYTES_MAX + 1]);
    let false_name = Body { name: body("other").name, bytes: text("this") };
    for bodies in [vec![large], vec![false_name], vec![body("x"); BATCH_MAX + 1]] {
        let refused = l.submit(Submission { bodies, ..submission("a") }).await;
        assert!(matches!(refused, Err(LedgerError::Invalid(_))), "{refused:?}");
    }
    let most = Body::new(vec![b'x'; BODY_BYTES_MAX]);
    submit(&l, Submission { bodies: vec![most.clone()], ..submission("a") }).await;
    assert_eq!(l.body(&tenant("t"), &most.name).await, Ok(most.bytes));
    let name = BodyRef { len: 1, ..most.name };
    assert!(matches!(l.body(&tenant("t"), &name).await, Err(LedgerError::NoSuchBody(_))));
}
