//! Finds the plan in a reply: the last complete set of lists outside any reasoning.

use super::cursor::Cursor;
use super::label::{self, Label};
use super::literal::{self, Fault, Literal};

/// How models mark reasoning that is not part of the reply.
const REASONING: [(&str, &str); 2] = [("<think>", "</think>"), ("<thinking>", "</thinking>")];

/// A plan as it was written, before anybody asked whether it makes sense.
#[derive(Debug)]
pub(super) enum Written {
    /// Three lists.
    Lists { model_id: Literal, subtasks: Literal, access_list: Literal, extra: Extra },
    /// A JSON object with a list of steps.
    Steps { steps: Literal, extra: Extra },
}

/// What else the object says that holds the plan.
#[derive(Debug, Default)]
pub(super) struct Extra {
    pub(super) selection: Option<Literal>,
    /// Keys that a plan does not have, or has twice.
    pub(super) strange: Vec<String>,
    /// The object does not end, so nobody knows what else it was to say.
    pub(super) open: bool,
}

/// A list as far as it was found.
pub(super) type Slot = Option<Result<Literal, Fault>>;

/// What the reply holds.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// The last complete plan.
    pub(super) complete: Option<Written>,
    /// Lists that do not make a plan, the newest of each kind.
    pub(super) model_id: Slot,
    pub(super) subtasks: Slot,
    pub(super) access_list: Slot,
    /// These lists stand in an object that does not end.
    in_open_object: bool,
    /// A JSON plan began and did not end.
    pub(super) broken_steps: bool,
    /// Reasoning began and did not end.
    pub(super) open_reasoning: Option<&'static str>,
}

/// Reads the reply once from front to back. What was read as a literal is not looked
/// at again, so a plan quoted inside an instruction is never taken for the plan.
pub(super) fn scan(cursor: &mut Cursor<'_>) -> Found {
    let mut found = Found::default();
    while let Some(next) = cursor.peek() {
        match next {
            '<' => {
                reasoning(cursor, &mut found);
                if found.open_reasoning.is_some() {
                    break;
                }
            }
            '{' => object(cursor, &mut found),
            'm' | 'M' | 'a' | 'A' | 's' | 'S' => labelled(cursor, &mut found),
            '"' => found.broken_steps |= quoted_steps(cursor),
            _ => {
                cursor.bump();
            }
        }
    }
    found
}

/// Nothing that was written before the end of the reasoning counts.
fn reasoning(cursor: &mut Cursor<'_>, found: &mut Found) {
    for (open, close) in REASONING {
        if cursor.eat(open) {
            if cursor.skip_past(close) {
                *found = Found::default();
            } else {
                found.open_reasoning = Some(close);
            }
            return;
        }
        // Some chat templates begin the reasoning themselves: only its end is seen.
        if cursor.eat(close) {
            *found = Found::default();
            return;
        }
    }
    cursor.bump();
}

fn labelled(cursor: &mut Cursor<'_>, found: &mut Found) {
    let Some(label) = label::eat(cursor) else {
        cursor.bump();
        return;
    };
    let start = cursor.at();
    let list = literal::list(cursor, 1);
    if list.is_err() {
        // The real list may begin inside what looked like one.
        cursor.set(start + 1);
    }
    found.put(label, list);
}

/// An object that could not be read as a whole but has the key of a JSON plan.
fn quoted_steps(cursor: &mut Cursor<'_>) -> bool {
    cursor.bump();
    cursor.eat("steps\"") && label::gap(cursor)
}

fn object(cursor: &mut Cursor<'_>, found: &mut Found) {
    let start = cursor.at();
    let mut entries = Vec::new();
    let read = literal::object(cursor, 1, &mut entries);
    let plan = is_plan(&entries);
    if read.is_ok() && plan {
        found.take(entries);
        return;
    }
    // Braces in prose, or an object that went wrong: the lists in it are found one by one.
    cursor.set(start + 1);
    found.in_open_object |= plan;
}

fn is_plan(entries: &[(String, Literal)]) -> bool {
    entries.iter().any(|(key, value)| {
        matches!(value, Literal::List(_)) && (key == "steps" || label::of_key(key).is_some())
    })
}

impl Found {
    /// The newest list of a kind replaces an earlier one: prose that mentions a list
    /// comes before the list itself.
    fn put(&mut self, label: Label, list: Result<Literal, Fault>) {
        let before = self.slot(label).replace(list);
        // Said again: this is no longer the set that began in the open object.
        self.in_open_object &= before.is_none();
        let open = self.in_open_object;
        self.complete_with(Extra { open, ..Extra::default() });
    }

    fn slot(&mut self, label: Label) -> &mut Slot {
        match label {
            Label::ModelId => &mut self.model_id,
            Label::Subtasks => &mut self.subtasks,
            Label::AccessList => &mut self.access_list,
        }
    }

    /// Makes a plan of the three lists, if all three are there.
    fn complete_with(&mut self, extra: Extra) {
        match (self.model_id.take(), self.subtasks.take(), self.access_list.take()) {
            (Some(Ok(model_id)), Some(Ok(subtasks)), Some(Ok(access_list))) => {
                let lists = Written::Lists { model_id, subtasks, access_list, extra };
                self.complete = Some(lists);
                self.in_open_object = false;
            }
            (model_id, subtasks, access_list) => {
                (self.model_id, self.subtasks, self.access_list) =
                    (model_id, subtasks, access_list);
            }
        }
    }

    /// Takes an object that has the keys of a plan.
    fn take(&mut self, entries: Vec<(String, Literal)>) {
        let mut extra = Extra::default();
        let mut steps = None;
        let mut labels = Vec::new();
        let mut names = Vec::new();
        for (key, value) in entries {
            match (key.as_str(), label::of_key(&key)) {
                ("steps", None) if steps.is_none() => steps = Some(value),
                ("selection", None) if extra.selection.is_none() => {
                    extra.selection = Some(value);
                }
                // Where a model thinks aloud when it may only write JSON.
                ("reasoning", None) => {}
                (_, Some(label)) if !labels.contains(&label) => {
                    labels.push(label);
                    names.push(key);
                    *self.slot(label) = Some(Ok(value));
                }
                _ => extra.strange.push(key),
            }
        }
        match steps {
            Some(steps) => {
                extra.strange.extend(names);
                self.complete = Some(Written::Steps { steps, extra });
            }
            None => self.complete_with(extra),
        }
    }
}
