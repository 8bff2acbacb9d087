//! A workflow written in any form, wrapped in prose and dirt, reads back as itself.

use super::super::{Plan, read, read_counting};
use crate::testing::pool;
use crate::write::write_access;
use crate::{write_json, write_lists};
use baton_workflow::{Access, Limits, Selection, Step, StepId, Workflow};
use proptest::prelude::*;

/// Texts with everything in them that the reader gives a meaning to.
fn subtask() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        "[ -~]{0,12}",
        "\\PC{0,6}",
        Just("model_id = [0]".to_owned()),
        Just("</think>".to_owned()),
        Just("\n\"subtasks\": [\"x".to_owned()),
        Just("it's “so” ‘nice’\\".to_owned()),
        Just("\t\r\n\u{8}\u{c}\u{0}😀".to_owned()),
        Just("\"\"\" ''' # {[(".to_owned()),
    ];
    proptest::collection::vec(piece, 1..4)
        .prop_map(|pieces| pieces.concat())
        .prop_filter("an instruction", |text| !text.trim().is_empty())
}

fn workflow() -> impl Strategy<Value = Workflow> {
    let step = (0..3usize, subtask(), 0..3u8, any::<u16>());
    proptest::collection::vec(step, 1..=5).prop_map(|drafts| {
        let pool = pool(3);
        let steps = drafts.into_iter().enumerate().map(|(place, (agent, subtask, kind, bits))| {
            let earlier = (0..place as u16).filter(|step| bits >> step & 1 == 1).map(StepId);
            let access = match kind {
                0 => Access::None,
                1 => Access::All,
                _ => Access::Some(earlier.collect()),
            };
            Step { agent: pool.agents()[agent].id.clone(), subtask, access }
        });
        Workflow::new(steps.collect(), Selection::Last, &pool, &Limits::default()).unwrap()
    })
}

/// Ways to write a plan that mean the same.
#[derive(Debug, Clone)]
struct Style {
    labels: [&'static str; 3],
    quotes: (&'static str, &'static str),
    comma: &'static str,
    trailing_comma: bool,
    doubled: bool,
    bare_all: &'static str,
    before: &'static str,
    after: &'static str,
    blank: &'static str,
}

fn style() -> impl Strategy<Value = Style> {
    let labels = prop_oneof![
        Just(["model_id = ", "subtasks = ", "access_list = "]),
        Just(["model ids: ", "Subtasks: ", "Access list: "]),
        Just(["**Model_IDs** =\n", "**SUBTASK**:", "* `access_lists`:\n```python\n"]),
        Just(["\"model_id\": ", "“subtasks” : ", "'access_list' = "]),
    ];
    let quotes = prop_oneof![
        Just(("\"", "\"")),
        Just(("'", "'")),
        Just(("“", "”")),
        Just(("‘", "’")),
        Just(("\"\"\"", "\"\"\"")),
        Just(("'''", "'''")),
    ];
    let before = prop_oneof![
        Just(""),
        Just("Let's see. The subtask: is hard, model_id: unclear.\n"),
        Just("<think>I'd take model_id = [0], subtasks = [\"</think>\n```python\n"),
        Just("so subtasks = [\"x\"] and access_list = [[]]\n</think>\n"),
        Just("model_id = [1] subtasks = ['old'] access_list = [[]] - no:\n"),
        Just("Use {0, 1} or [2] of them: subtasks: [see below]\n"),
        Just("{\"steps\": [{\"agent\": 1, \"subtask\": \"old\", \"access\": []}]}\n"),
    ];
    let after = prop_oneof![
        Just(""),
        Just("\n```\nThat's the plan: the subtask: [0] comes first."),
        Just("\n\nmodel_id = [0"),
        Just("]]\n**Done** \"here\" {x}"),
    ];
    let bare = prop_oneof![Just("[\"all\"]"), Just("\"all\""), Just("[“all”]"), Just("all")];
    let comma = prop_oneof![Just(", "), Just(","), Just(" "), Just("\n")];
    let blank = prop_oneof![Just(""), Just(" "), Just("\n  "), Just(" # a comment's end\n")];
    let flags = (any::<bool>(), any::<bool>());
    (labels, quotes, comma, flags, bare, before, after, blank).prop_map(
        |(labels, quotes, comma, (trailing_comma, doubled), bare_all, before, after, blank)| {
            Style { labels, quotes, comma, trailing_comma, doubled, bare_all, before, after, blank }
        },
    )
}

impl Style {
    fn write(&self, flow: &Workflow) -> String {
        let pool = pool(3);
        let steps = flow.steps();
        let agents = steps.iter().map(|s| pool.ordinal(&s.agent).unwrap().to_string());
        let subtasks = steps.iter().map(|s| self.quote(&s.subtask));
        let access = steps.iter().map(|s| match &s.access {
            Access::All => self.bare_all.to_owned(),
            other => write_access(other),
        });
        let [model_id, subtasks, access] = [
            self.list(agents.collect(), ", "),
            self.list(subtasks.collect(), self.comma),
            self.list(access.collect(), ", "),
        ];
        let [a, b, c] = self.labels;
        // Only a list with a list in it can be known to have doubled brackets.
        let access = if self.doubled { format!("[{access}]") } else { access };
        format!("{}{a}{model_id}\n{b}{subtasks}\n{c}{access}{}", self.before, self.after)
    }

    fn list(&self, entries: Vec<String>, comma: &str) -> String {
        let end = if self.trailing_comma { "," } else { "" };
        format!("[{}{}{end}{}]", self.blank, entries.join(comma), self.blank)
    }

    fn quote(&self, text: &str) -> String {
        let (open, close) = self.quotes;
        let mut out = open.to_owned();
        for c in text.chars() {
            match c {
                '\\' | '"' | '\'' | '”' | '’' => out.extend(['\\', c]),
                '\r' => out.push_str("\\r"),
                '\n' if open.len() == 1 => out.push_str("\\n"),
                '\n' if open.chars().count() == 1 => out.push_str("\\n"),
                c if c.is_control() && c != '\n' => {
                    out.push_str(&format!("\\u{:04x}", u32::from(c)));
                }
                c => out.push(c),
            }
        }
        out + close
    }
}

/// Doubled access brackets mean something only around a list of lists.
fn can_double(flow: &Workflow, style: &Style) -> bool {
    let bracketed = style.bare_all.starts_with('[');
    flow.steps().iter().any(|s| s.access != Access::All || bracketed)
}

fn reads_back(reply: &str, flow: &Workflow) {
    let plan = read(reply, &pool(3), &Limits::default());
    assert_eq!(plan, Ok(Plan::Workflow(flow.clone())), "\n--- reply:\n{reply}\n---");
}

/// The three lists as the keys of a JSON object.
fn json_lists(flow: &Workflow) -> String {
    let lists = write_lists(flow, &pool(3)).unwrap();
    let lists = lists.replacen("model_id =", "\"model_id\":", 1);
    let lists = lists.replacen("\nsubtasks =", ", \"subtasks\":", 1);
    let (head, access) = lists.rsplit_once("\naccess_list =").unwrap();
    format!("{{{head}, \"access_list\":{access}, \"selection\": \"last\"}}")
}

proptest! {
    #[test]
    fn what_is_written_reads_back(flow in workflow()) {
        reads_back(&write_lists(&flow, &pool(3)).unwrap(), &flow);
        reads_back(&write_json(&flow), &flow);
        reads_back(&json_lists(&flow), &flow);
    }

    #[test]
    fn dirt_does_not_change_the_meaning(flow in workflow(), mut style in style()) {
        style.doubled &= can_double(&flow, &style);
        reads_back(&style.write(&flow), &flow);
    }

    #[test]
    fn json_in_prose_reads_back(flow in workflow(), style in style()) {
        let reply = format!("{}{}{}", style.before, write_json(&flow), style.after);
        reads_back(&reply, &flow);
    }

    #[test]
    fn plain_prose_around_does_not_change_the_meaning(
        flow in workflow(),
        before in "[ -Za-z,.'()!?\n]{0,200}",
        after in "[ -Za-z,.'()!?\n]{0,200}",
    ) {
        let lists = write_lists(&flow, &pool(3)).unwrap();
        reads_back(&format!("{before}\n{lists}\n{after}"), &flow);
    }

    #[test]
    fn a_majority_reads_back_from_json(flow in workflow()) {
        let steps = flow.steps().to_vec();
        let limits = Limits::default();
        let flow = Workflow::new(steps, Selection::Majority, &pool(3), &limits).unwrap();
        reads_back(&write_json(&flow), &flow);
        prop_assert!(write_lists(&flow, &pool(3)).is_err());
    }

    /// A plan cut off anywhere is never taken for a shorter one.
    #[test]
    fn a_plan_that_was_cut_off_is_refused(flow in workflow(), cut in any::<prop::sample::Index>()) {
        let forms = [write_lists(&flow, &pool(3)).unwrap(), write_json(&flow), json_lists(&flow)];
        for whole in forms {
            let end = cut.index(whole.len());
            if let Some(part) = whole.get(..end) {
                prop_assert!(read(part, &pool(3), &Limits::default()).is_err(), "{}", part);
            }
        }
    }

    #[test]
    fn no_text_makes_it_panic(reply in "\\PC{0,300}") {
        let _ = read(&reply, &pool(3), &Limits::default());
    }

    #[test]
    fn no_tangle_makes_it_panic_or_work_long(
        tokens in proptest::collection::vec(
            prop::sample::select(vec![
                "model_id", "subtasks", "access_list", "steps", "agent", " = ", ": ", "[", "]",
                "{", "}", ",", "\"", "'", "“", "”", "‘", "’", "\"\"\"", "'''", "\\", "\\u", "d8",
                "0", "1", "-", ".", "all", "x", " ", "\n", "#", "<think>", "</think>", "`", "*",
            ]),
            0..400,
        )
    ) {
        let reply = tokens.concat();
        let (_, moves) = read_counting(&reply, &pool(3), &Limits::default(), None);
        prop_assert!(moves <= 16 * reply.len() as u64 + 1024 + 16, "{} moves", moves);
    }
}
