//! Settings as a document in the shape of the configuration file, every default in it.
//!
//! It is made by serialising the settings, so that a field that is added to them is in it
//! without a word here. What is said here is where the file differs from the settings:
//! money is in dollars, and the policy's table holds the fallback and the judge as well.
//! Secrets are not in it, because settings only name the places where they are.

use crate::{AccountSettings, Auth, SecretRef, Settings};
use baton_workflow::Pool;
use serde::{Serialize as _, Serializer, ser::SerializeMap as _};
use serde_json::{Map, Value};

/// What a card says of an agent that a model which only plans has no use for.
const AGENTS_ONLY: [&str; 4] = ["id", "images", "strengths", "tags"];
/// Microdollars, in which prices are kept, to the dollar.
const MICRO: f64 = 1e6;
/// Picodollars, in which budgets are kept, to the dollar.
const PICO: f64 = 1e12;

impl Settings {
    /// The file that would say all of this, as JSON: what is not set is not in it.
    pub fn document(&self) -> Value {
        // Settings are plain data, which always has a JSON form.
        let mut document = serde_json::to_value(self).unwrap_or_default();
        if let Some(root) = document.as_object_mut() {
            reshape(root);
        }
        document
    }
}

/// A bound; the file says 0 for none.
pub(crate) fn or_zero<T, S: Serializer>(bound: &Option<T>, to: S) -> Result<S::Ok, S::Error>
where
    T: Copy + Default + serde::Serialize,
{
    bound.unwrap_or_default().serialize(to)
}

fn reshape(root: &mut Map<String, Value>) {
    let (fallback, judge) = (root.remove("fallback"), root.remove("judge"));
    let (hedge, single_flight) = (root.remove("hedge"), root.remove("single_flight"));
    let recursion = root.remove("recursion");
    let (review, verifier) = (root.remove("review"), root.remove("verifier"));
    if let Some(Value::Object(policy)) = root.get_mut("policy") {
        AGENTS_ONLY.iter().for_each(|key| drop(policy.remove(*key)));
        in_dollars(policy.get_mut("price"), MICRO);
        let mut fallback = fallback.unwrap_or_default();
        policy.insert("fallback".into(), fallback["strategy"].take());
        policy.insert("fallback_parameters".into(), fallback["parameters"].take());
        policy.insert("judge".into(), judge.unwrap_or_default());
        policy.insert("hedge".into(), hedge.unwrap_or_default());
        policy.insert("single_flight".into(), single_flight.unwrap_or_default());
        policy.insert("recursion".into(), recursion.unwrap_or_default());
        policy.insert("review".into(), review.unwrap_or_default());
        policy.insert("verifier".into(), verifier.unwrap_or_default());
    }
    for agent in root.get_mut("agents").and_then(Value::as_array_mut).into_iter().flatten() {
        in_dollars(agent.get_mut("price"), MICRO);
        // The file has no empty texts: what is not said is left out.
        if let Some(card) = agent.as_object_mut().filter(|card| card["strengths"] == "") {
            card.remove("strengths");
        }
    }
    let tenants = root.get_mut("tenants").and_then(Value::as_object_mut);
    for terms in tenants.into_iter().flat_map(Map::values_mut) {
        in_dollars(terms.get_mut("worth_usd"), PICO);
    }
    in_dollars(root.get_mut("budget").and_then(|budget| budget.get_mut("usd")), PICO);
    root.values_mut().for_each(without_nulls);
    root.retain(|_, part| !part.is_null() && part.as_object().is_none_or(|map| !map.is_empty()));
}

/// Turns whole parts of a dollar, or all of a table of them, into dollars.
fn in_dollars(amount: Option<&mut Value>, parts: f64) {
    match amount {
        Some(Value::Object(amounts)) => {
            amounts.values_mut().for_each(|amount| in_dollars(Some(amount), parts));
        }
        Some(amount) => {
            if let Some(whole) = amount.as_u64() {
                *amount = Value::from(whole as f64 / parts);
            }
        }
        None => {}
    }
}

fn without_nulls(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.retain(|_, field| !field.is_null());
            fields.values_mut().for_each(without_nulls);
        }
        Value::Array(entries) => entries.iter_mut().for_each(without_nulls),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// The cards alone: the version of a pool is made from them.
pub(crate) fn agents<S: Serializer>(pool: &Pool, to: S) -> Result<S::Ok, S::Error> {
    pool.agents().serialize(to)
}

/// `[[keys]]`; nothing where everybody may call.
pub(crate) fn keys<S: Serializer>(auth: &Auth, to: S) -> Result<S::Ok, S::Error> {
    match auth {
        Auth::Open(_) => to.serialize_none(),
        Auth::Keys(keys) => keys.serialize(to),
    }
}

/// Providers name the place of their key in fields of their own.
pub(crate) fn provider_key<S: Serializer>(
    key: &Option<SecretRef>,
    to: S,
) -> Result<S::Ok, S::Error> {
    let mut fields = to.serialize_map(None)?;
    match key {
        Some(SecretRef::Env(name)) => fields.serialize_entry("key_env", name)?,
        Some(SecretRef::File(path)) => fields.serialize_entry("key_file", path)?,
        None => {}
    }
    fields.end()
}

/// The keys of an account, in the table of its provider; none where it is not shared,
/// because with any of them it would be.
pub(crate) fn account<S: Serializer>(account: &AccountSettings, to: S) -> Result<S::Ok, S::Error> {
    let mut fields = to.serialize_map(None)?;
    if account.shared {
        let terms = account.terms;
        fields.serialize_entry("requests_per_minute", &terms.requests_per_minute)?;
        fields.serialize_entry("tokens_per_minute", &terms.tokens_per_minute)?;
        fields.serialize_entry("concurrency", &terms.concurrency)?;
        match terms.breaker {
            Some(breaker) => fields.serialize_entry("breaker", &breaker)?,
            None => fields.serialize_entry("breaker", &serde_json::json!({ "enabled": false }))?,
        }
    }
    fields.end()
}
