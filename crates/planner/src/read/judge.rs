//! Decides whether what was written is a workflow, and if not, everything against it.

use super::Plan;
use super::literal::{Fault, Literal, NESTING_MAX};
use super::scan::{Extra, Found, Slot, Written};
use crate::{Complaint, Earlier, EarlierOutput, PlanPart};
use baton_workflow::{Access, AgentId, Limits, Pool, Selection, Step, StepId, Violation, Workflow};
use std::collections::{BTreeMap, BTreeSet};

/// Most complaints listed about one reply: more would not help to repair it.
const COMPLAINTS_MAX: usize = 50;
/// What the three lists look like, for the model that did not write them.
const LISTS: &str = "model_id = [...], subtasks = [\"...\"], access_list = [...]";

/// The plan that was found, or all that keeps it from being one.
pub(super) fn judge(
    found: Found,
    pool: &Pool,
    limits: &Limits,
    earlier: Option<&Earlier<'_>>,
) -> Result<Plan, Vec<Complaint>> {
    let mut judge = Judge { pool, limits, earlier, wrong: Vec::new(), left_out: 0 };
    if let Some(close) = found.open_reasoning {
        let expected = format!("{close} and the plan behind it");
        judge.complain(PlanPart::Reply, None, "reasoning that does not end", expected);
        return Err(judge.complaints());
    }
    let broken_steps = found.broken_steps;
    match found.complete {
        Some(Written::Lists { model_id, subtasks, access_list, extra }) => {
            let drafts = judge.lists(&model_id, &subtasks, &access_list);
            judge.finish(drafts, PlanPart::AccessList, &extra)
        }
        Some(Written::Steps { steps, extra }) => {
            let drafts = judge.steps(&steps);
            judge.finish(drafts, PlanPart::StepAccess, &extra)
        }
        None => {
            let slots = [found.model_id, found.subtasks, found.access_list];
            judge.incomplete(slots, broken_steps);
            Err(judge.complaints())
        }
    }
}

/// How a step of an earlier round is named in the list of agents.
const KEEP: &str = "keep ";

/// A step as it was written, and which step of the earlier round it is, if it is kept.
struct Draft {
    step: Step,
    kept: Option<StepId>,
}

struct Judge<'a> {
    pool: &'a Pool,
    limits: &'a Limits,
    earlier: Option<&'a Earlier<'a>>,
    wrong: Vec<Complaint>,
    /// Complaints beyond [`COMPLAINTS_MAX`].
    left_out: usize,
}

impl Judge<'_> {
    fn complain(
        &mut self,
        part: PlanPart,
        entry: Option<usize>,
        found: impl Into<String>,
        expected: impl Into<String>,
    ) {
        if self.wrong.len() == COMPLAINTS_MAX {
            self.left_out += 1;
            return;
        }
        let (found, expected) = (found.into(), expected.into());
        self.wrong.push(Complaint { part, entry, found, expected });
    }

    /// All complaints; a last one says how many are not listed.
    fn complaints(mut self) -> Vec<Complaint> {
        if self.left_out > 0 {
            let (found, expected) = (format!("{} more faults", self.left_out), "none".into());
            self.wrong.push(Complaint { part: PlanPart::Plan, entry: None, found, expected });
        }
        self.wrong
    }

    /// Some of the three lists are missing or broken; the others are judged all the same.
    fn incomplete(&mut self, slots: [Slot; 3], broken_steps: bool) {
        if slots.iter().all(Option::is_none) {
            if broken_steps {
                let expected = "a JSON object that ends: {\"steps\": [...]}";
                self.complain(PlanPart::Steps, None, "a list that cannot be read", expected);
            } else {
                self.complain(PlanPart::Reply, None, "no plan", LISTS);
            }
            return;
        }
        let [agents, subtasks, access] = &slots;
        let agents = self.slot(PlanPart::ModelId, agents);
        let subtasks = self.slot(PlanPart::Subtasks, subtasks);
        let access = self.slot(PlanPart::AccessList, access);
        self.drafts(agents, subtasks, access);
    }

    fn slot<'l>(&mut self, part: PlanPart, slot: &'l Slot) -> &'l [Literal] {
        let (found, expected) = match slot {
            Some(Ok(list)) => return self.entries(part, list),
            Some(Err(Fault::NotClosed)) => ("a list that does not end", "a closing bracket".into()),
            Some(Err(Fault::TooDeep)) => {
                let expected = format!("brackets nested at most {NESTING_MAX} deep");
                ("too many opening brackets", expected)
            }
            None => ("no such list", format!("{part} = [...]")),
        };
        self.complain(part, None, found, expected);
        &[]
    }

    fn lists(&mut self, model_id: &Literal, subtasks: &Literal, access: &Literal) -> Vec<Draft> {
        let agents = self.entries(PlanPart::ModelId, model_id);
        let subtasks = self.entries(PlanPart::Subtasks, subtasks);
        let access = self.entries(PlanPart::AccessList, access);
        let lengths = [agents.len(), subtasks.len(), access.len()];
        let most = lengths.into_iter().max().unwrap_or(0);
        if lengths.iter().any(|length| *length != most) {
            let [agents, subtasks, access] = lengths;
            let found = format!(
                "{agents} entries in model_id, {subtasks} in subtasks, {access} in access_list"
            );
            self.complain(PlanPart::Plan, None, found, "one entry for each step in every list");
        }
        self.count(most);
        self.drafts(agents, subtasks, access)
    }

    /// The steps that can be made; every one that cannot leaves a complaint.
    fn drafts(
        &mut self,
        agents: &[Literal],
        subtasks: &[Literal],
        access: &[Literal],
    ) -> Vec<Draft> {
        let most = agents.len().max(subtasks.len()).max(access.len());
        let mut steps = Vec::new();
        for place in 0..most {
            if let Some(position) = agents.get(place).and_then(kept_position) {
                let rest = (subtasks.get(place), access.get(place));
                steps.extend(self.kept_in_lists(place, position, rest));
                continue;
            }
            let agent = agents.get(place).and_then(|e| self.agent(PlanPart::ModelId, place, e));
            let subtask = subtasks
                .get(place)
                .and_then(|e| self.subtask(PlanPart::Subtasks, place, e, agent.as_ref()));
            let access =
                access.get(place).and_then(|e| self.access(PlanPart::AccessList, place, e));
            if let (Some(agent), Some(subtask), Some(access)) = (agent, subtask, access) {
                steps.push(Draft { step: Step { agent, subtask, access }, kept: None });
            }
        }
        steps
    }

    fn steps(&mut self, steps: &Literal) -> Vec<Draft> {
        let entries = match steps {
            Literal::List(entries) => entries.as_slice(),
            other => {
                self.complain(PlanPart::Steps, None, other.shown(), "a list of objects");
                return Vec::new();
            }
        };
        self.count(entries.len());
        let steps = entries.iter().enumerate();
        steps.filter_map(|(place, entry)| self.step(place, entry)).collect()
    }

    /// A kept step in the three lists: its agent's entry says all there is to say.
    fn kept_in_lists(
        &mut self,
        place: usize,
        position: &str,
        (subtask, access): (Option<&Literal>, Option<&Literal>),
    ) -> Option<Draft> {
        let kept = self.kept(PlanPart::ModelId, place, position, format!("\"{KEEP}{position}\""));
        let mut empty = true;
        if let Some(found) = subtask.filter(|text| **text != Literal::Text(String::new())) {
            empty = false;
            let expected = "\"\", because a kept step has its subtask";
            self.complain(PlanPart::Subtasks, Some(place), found.shown(), expected);
        }
        if let Some(found) = access.filter(|list| !matches!(list, Literal::List(l) if l.is_empty()))
        {
            empty = false;
            let expected = "[], because a kept step has seen what it saw";
            self.complain(PlanPart::AccessList, Some(place), found.shown(), expected);
        }
        kept.filter(|_| empty)
    }

    /// The step of the earlier round at a position.
    fn kept(
        &mut self,
        part: PlanPart,
        place: usize,
        position: &str,
        found: String,
    ) -> Option<Draft> {
        let Some(earlier) = self.earlier else {
            let expected = "the number of an agent: there is no earlier round to keep steps of";
            self.complain(part, Some(place), found, expected);
            return None;
        };
        // What the verifier said is of what it saw then.
        let has_output = |step: &usize| {
            matches!(earlier.outputs.get(*step), Some(EarlierOutput::Text(_)))
                && earlier.workflow.steps().get(*step).is_some_and(|s| !s.agent.is_verifier())
        };
        let Some(step) = ordinal(position).filter(has_output) else {
            let there = (0..earlier.workflow.steps().len()).filter(has_output);
            let there: Vec<_> = there.map(|step| step.to_string()).collect();
            let expected = match there.as_slice() {
                [] => "no kept step: no step of the last round has an output".to_owned(),
                there => format!(
                    "the position of a step of the last round that has an output: {}",
                    there.join(", ")
                ),
            };
            self.complain(part, Some(place), found, expected);
            return None;
        };
        let Step { agent, subtask, .. } = earlier.workflow.steps().get(step)?.clone();
        // What it saw was of its own round.
        let step_kept = u16::try_from(step).ok().map(StepId);
        Some(Draft { step: Step { agent, subtask, access: Access::None }, kept: step_kept })
    }

    fn step(&mut self, place: usize, entry: &Literal) -> Option<Draft> {
        let Literal::Object(pairs) = entry else {
            let expected = "an object with agent, subtask and access";
            self.complain(PlanPart::Steps, Some(place), entry.shown(), expected);
            return None;
        };
        if let [(key, position)] = pairs.as_slice()
            && key == "keep"
        {
            let word = match position {
                Literal::Word(word) => word.as_str(),
                Literal::Text(_)
                | Literal::BadText(_)
                | Literal::List(_)
                | Literal::Object(_)
                | Literal::Nothing => "",
            };
            return self.kept(PlanPart::StepKeep, place, word, position.shown());
        }
        let known = ["agent", "subtask", "access"];
        let mut values = [None, None, None];
        for (key, value) in pairs {
            let slot = known.iter().position(|name| name == key).and_then(|i| values.get_mut(i));
            match slot {
                Some(slot @ None) => *slot = Some(value),
                Some(Some(_)) => {
                    let found = format!("the key {key} twice");
                    self.complain(PlanPart::Steps, Some(place), found, "every key once");
                }
                None => {
                    let found = format!("the key {}", Literal::Text(key.clone()).shown());
                    let expected = "only agent, subtask and access, or keep alone";
                    self.complain(PlanPart::Steps, Some(place), found, expected);
                }
            }
        }
        let [agent, subtask, access] = values.map(|value| value.unwrap_or(&Literal::Nothing));
        let agent = self.agent(PlanPart::StepAgent, place, agent);
        let subtask = self.subtask(PlanPart::StepSubtask, place, subtask, agent.as_ref());
        let access = self.access(PlanPart::StepAccess, place, access);
        let step = Step { agent: agent?, subtask: subtask?, access: access? };
        Some(Draft { step, kept: None })
    }

    /// The entries of a list; of its one entry, where the brackets are doubled.
    fn entries<'l>(&mut self, part: PlanPart, list: &'l Literal) -> &'l [Literal] {
        let Literal::List(entries) = list else {
            self.complain(part, None, list.shown(), "a list");
            return &[];
        };
        match entries.as_slice() {
            // In an access list `[["all"]]` is one step's entry; only a list of lists
            // inside can have been meant as the whole.
            [Literal::List(inner)]
                if part != PlanPart::AccessList
                    || inner.iter().any(|entry| matches!(entry, Literal::List(_))) =>
            {
                inner
            }
            entries => entries,
        }
    }

    fn count(&mut self, steps: usize) {
        let max = self.limits.steps_max;
        if steps > usize::from(max) {
            let expected = format!("1 to {max}");
            self.complain(PlanPart::Plan, None, format!("{steps} steps"), expected);
        }
    }

    fn agent(&mut self, part: PlanPart, place: usize, entry: &Literal) -> Option<AgentId> {
        let agents = self.pool.agents();
        let agent = match entry {
            Literal::Word(word) => ordinal(word).and_then(|ordinal| agents.get(ordinal)),
            Literal::Text(id) => AgentId::new(id).ok().and_then(|id| self.pool.get(&id)),
            Literal::List(_) | Literal::Object(_) | Literal::BadText(_) | Literal::Nothing => None,
        };
        if agent.is_none() {
            let last = agents.len().saturating_sub(1);
            let expected = match last {
                0 => "the number of an agent, which can only be 0".to_owned(),
                last => format!("the number of an agent, 0 to {last}"),
            };
            self.complain(part, Some(place), entry.shown(), expected);
        }
        agent.map(|agent| agent.id.clone())
    }

    /// The verifier's may be empty: then it has the run's own check.
    fn subtask(
        &mut self,
        part: PlanPart,
        place: usize,
        entry: &Literal,
        agent: Option<&AgentId>,
    ) -> Option<String> {
        let Literal::Text(text) = entry else {
            self.complain(part, Some(place), entry.shown(), "an instruction in quotes");
            return None;
        };
        let max = self.limits.subtask_bytes_max;
        if text.trim().is_empty() && !agent.is_some_and(AgentId::is_verifier) {
            self.complain(part, Some(place), "an empty text", "an instruction");
            return None;
        }
        if text.len() > max as usize {
            let found = format!("{} bytes", text.len());
            self.complain(part, Some(place), found, format!("at most {max}"));
            return None;
        }
        Some(text.clone())
    }

    fn access(&mut self, part: PlanPart, place: usize, entry: &Literal) -> Option<Access> {
        let positions = match entry {
            all if is_all(all) => return Some(Access::All),
            Literal::List(entries) => match entries.as_slice() {
                [] => return Some(Access::None),
                [all] if is_all(all) => return Some(Access::All),
                positions => positions,
            },
            Literal::Object(_)
            | Literal::Text(_)
            | Literal::BadText(_)
            | Literal::Word(_)
            | Literal::Nothing => {
                let expected = "[], [\"all\"] or a list of earlier positions";
                self.complain(part, Some(place), entry.shown(), expected);
                return None;
            }
        };
        let mut seen = BTreeSet::new();
        let mut all_earlier = true;
        for position in positions {
            match earlier(position, place) {
                Some(step) => {
                    seen.insert(step);
                }
                None => {
                    all_earlier = false;
                    let found = position.shown();
                    self.complain(part, Some(place), found, positions_before(place));
                }
            }
        }
        all_earlier.then_some(Access::Some(seen))
    }

    /// A verifier needs something to look at. Only where all steps could be read is it known
    /// what it sees.
    fn verifiers(&mut self, drafts: &[Draft], part: PlanPart) {
        let names_verifier =
            |place: usize| drafts.get(place).is_some_and(|draft| draft.step.agent.is_verifier());
        for place in (0..drafts.len()).filter(|place| names_verifier(*place)) {
            let seen =
                drafts.get(place).map(|draft| draft.step.access.visible(StepId(place as u16)));
            if seen.unwrap_or_default().iter().all(|seen| names_verifier(seen.index())) {
                let expected = "the positions of the verifier's candidates: agents' steps";
                self.complain(part, Some(place), "no step that an agent does", expected);
            }
        }
    }

    fn finish(
        mut self,
        drafts: Vec<Draft>,
        access: PlanPart,
        extra: &Extra,
    ) -> Result<Plan, Vec<Complaint>> {
        if extra.open {
            self.complain(PlanPart::Plan, None, "an object that does not end", "a closing brace");
        }
        for key in &extra.strange {
            let found = format!("the key {} too much", Literal::Text(key.clone()).shown());
            let expected = "either steps, or model_id, subtasks and access_list, each once";
            self.complain(PlanPart::Plan, None, found, expected);
        }
        let selection = self.selection(extra.selection.as_ref());
        if self.wrong.is_empty() {
            self.verifiers(&drafts, access);
        }
        if !self.wrong.is_empty() {
            return Err(self.complaints());
        }
        // Nothing was wrong, so nothing was left out: there was no step to begin with.
        if drafts.is_empty() {
            return Ok(Plan::Stands);
        }
        let places = (0..).map(StepId).zip(&drafts);
        let kept: BTreeMap<_, _> =
            places.filter_map(|(place, draft)| Some((place, draft.kept?))).collect();
        let steps = drafts.into_iter().map(|draft| draft.step).collect();
        let workflow = Workflow::new(steps, selection, self.pool, self.limits);
        workflow
            .map(|flow| Plan::Workflow(flow.keeping(kept)))
            .map_err(|wrong| wrong.iter().map(complaint).collect())
    }

    fn selection(&mut self, written: Option<&Literal>) -> Selection {
        match written {
            None => return Selection::Last,
            Some(Literal::Text(text)) if text == "last" => return Selection::Last,
            Some(Literal::Text(text)) if text == "majority" => return Selection::Majority,
            Some(other) => {
                let expected = "\"last\" or \"majority\"";
                self.complain(PlanPart::Selection, None, other.shown(), expected);
            }
        }
        Selection::Last
    }
}

/// The position in an entry such as `"keep 2"`.
fn kept_position(entry: &Literal) -> Option<&str> {
    match entry {
        Literal::Text(text) => text.strip_prefix(KEEP).map(str::trim),
        Literal::Word(_)
        | Literal::BadText(_)
        | Literal::List(_)
        | Literal::Object(_)
        | Literal::Nothing => None,
    }
}

/// A whole number written plainly: no sign, point, exponent or leading zero.
fn ordinal(word: &str) -> Option<usize> {
    let digits = word.bytes().all(|b| b.is_ascii_digit());
    let plain = digits && (word == "0" || !word.starts_with('0'));
    if plain { word.parse().ok() } else { None }
}

fn earlier(position: &Literal, place: usize) -> Option<StepId> {
    let Literal::Word(word) = position else { return None };
    let step = ordinal(word).filter(|step| *step < place)?;
    u16::try_from(step).ok().map(StepId)
}

fn positions_before(place: usize) -> String {
    match place {
        0 => "[] or [\"all\"], because no step comes before step 0".into(),
        1 => "the position of an earlier step, which can only be 0".into(),
        _ => format!("the position of an earlier step, 0 to {}", place - 1),
    }
}

fn is_all(entry: &Literal) -> bool {
    match entry {
        Literal::Text(text) | Literal::Word(text) => text.trim().eq_ignore_ascii_case("all"),
        Literal::List(_) | Literal::Object(_) | Literal::BadText(_) | Literal::Nothing => false,
    }
}

/// The workflow's own checks have the last word, should these ever fall behind them.
fn complaint(violation: &Violation) -> Complaint {
    let (part, entry) = match violation {
        Violation::NoSteps { .. } | Violation::TooManySteps { .. } => (PlanPart::Plan, None),
        Violation::UnknownAgent { step, .. } => (PlanPart::ModelId, Some(*step)),
        Violation::EmptySubtask { step } | Violation::LongSubtask { step, .. } => {
            (PlanPart::Subtasks, Some(*step))
        }
        Violation::NotEarlier { step, .. } | Violation::BlindVerifier { step } => {
            (PlanPart::AccessList, Some(*step))
        }
    };
    let (found, expected) = (violation.to_string(), "a workflow that can be run".into());
    Complaint { part, entry, found, expected }
}
