//! JSON against a schema, and Countdown.

use crate::{Case, Draws, Kind};
use serde_json::{Value, json};

pub(crate) fn json(draws: &mut Draws) -> Vec<Case> {
    let schema = json!({
        "type": "object",
        "required": ["name", "items"],
        "additionalProperties": false,
        "properties": {
            "name": {"type": "string", "minLength": 1, "pattern": "^[a-z]+$"},
            "items": {"type": "array", "items": {"$ref": "#/$defs/item"}, "maxItems": 3},
        },
        "$defs": {"item": {
            "type": "object",
            "required": ["price"],
            "properties": {"price": {"type": "integer", "minimum": 0}, "size": {"enum": ["s", "l"]}},
        }},
    });
    let check = json!({"type": "json.schema", "schema": schema});
    let mut cases = Vec::new();
    for _ in 0..14 {
        let price = draws.int(0, 500);
        let good = json!({"name": "tea", "items": [{"price": price, "size": "s"}, {"price": 1}]});
        let mut add = |reply: String, is_right: bool, kind: Kind| {
            cases.push(Case::of(&check, reply, is_right, kind));
        };
        add(good.to_string(), true, Kind::Plain);
        add(serde_json::to_string_pretty(&good).unwrap(), true, Kind::Plain);
        add(format!("Here it is:\n```json\n{good}\n```\nAnything else?"), true, Kind::Tricky);
        add(format!("\n\n{good}\n"), true, Kind::Tricky);
        add(json!({"items": [], "name": "tea"}).to_string(), true, Kind::Tricky);
        let changed = |pointer: &str, value: Value| {
            let mut changed = good.clone();
            *changed.pointer_mut(pointer).unwrap() = value;
            changed.to_string()
        };
        add(changed("/items/0/price", json!(-1 - price)), false, Kind::Plain);
        add(changed("/items/0/price", json!(price.to_string())), false, Kind::Plain);
        add(changed("/items/1/price", json!(0.5)), false, Kind::Plain);
        add(changed("/name", json!("Tea")), false, Kind::Plain);
        add(
            changed("/items", json!([{"price": 1}, {"price": 1}, {"price": 1}, {"price": 1}])),
            false,
            Kind::Plain,
        );
        add(changed("/items/0/size", json!("m")), false, Kind::Tricky);
        add(json!({"name": "tea", "items": [], "more": 1}).to_string(), false, Kind::Tricky);
        add(json!([good.clone()]).to_string(), false, Kind::Tricky);
        // Nothing is repaired.
        add(good.to_string().replace('"', "'"), false, Kind::Tricky);
        add(good.to_string().replace("}]", "},]"), false, Kind::Tricky);
        add(good.to_string() + " // done", false, Kind::Tricky);
        add(format!("```\n{good}\n```\n```\n{good}\n```"), false, Kind::Tricky);
        add(Value::String(good.to_string()).to_string(), false, Kind::Tricky);
    }
    cases
}

pub(crate) fn expressions(draws: &mut Draws) -> Vec<Case> {
    let mut cases = Vec::new();
    for round in 0..18 {
        // Four that differ, and none of which is what stands in the cheats.
        let a = draws.int(2, 9);
        let (b, c, d) = (a + draws.int(1, 9), a + draws.int(20, 29), a + draws.int(40, 49));
        let target = (a + b) * c - d;
        let exactly = round % 2 == 0;
        let uses = if exactly { "exactly_once" } else { "at_most_once" };
        let check = json!({
            "type": "expression.check", "numbers": [d, b, c, a], "target": target, "uses": uses,
        });
        let mut add = |reply: String, is_right: bool, kind: Kind| {
            cases.push(Case::of(&check, reply, is_right, kind));
        };
        add(format!("Answer: ({a} + {b}) * {c} - {d}"), true, Kind::Plain);
        add(format!("I tried {a} * {b}.\nAnswer: {c} * ({b} + {a}) - {d}"), true, Kind::Plain);
        add(format!("\\boxed{{({a}+{b}) \\times {c} - {d} = {target}}}"), true, Kind::Tricky);
        add(format!("so\n`{c}*({a}+{b})-{d}`"), true, Kind::Tricky);
        add(format!("Answer: {a}\\cdot {c} + {b}·{c} - {d}"), false, Kind::Tricky);
        add(format!("Answer: ({a} + {b}) * {c} + {d}"), false, Kind::Plain);
        add(format!("Answer: ({a} - {b}) * {c} - {d}"), false, Kind::Plain);
        add(format!("Answer: {target}"), false, Kind::Tricky);
        add(format!("Answer: {target} = {target}"), false, Kind::Tricky);
        add(format!("Answer: ({a} + {b}) * {c} - {d} + {a} - {a}"), false, Kind::Tricky);
        add(format!("Answer: ({a} + {b}) * {c} - {d} + 0"), false, Kind::Tricky);
        add(format!("Answer: {} * {c} - {d}", a + b), false, Kind::Tricky);
        add(format!("Answer: ({a} + {b}) * {c} - {d}! / {d}!"), false, Kind::Tricky);
        add(
            format!("Answer: {a} + {b} = {}, {} * {c} - {d} = {target}", a + b, a + b),
            false,
            Kind::Tricky,
        );
        add(format!("Answer: {a}{b} / ({c} - {c}) - {d} = {target}"), false, Kind::Tricky);
        add("Answer: it cannot be done".into(), false, Kind::Tricky);
        let sum = json!({
            "type": "expression.check", "numbers": [a, b, d], "target": a + b, "uses": uses,
        });
        cases.push(Case::of(&sum, format!("Answer: {a} + {b}"), !exactly, Kind::Tricky));
    }
    cases
}
