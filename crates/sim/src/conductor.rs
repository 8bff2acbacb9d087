//! The simulated, UNTRAINED Conductor: three lists, sometimes badly written.
//!
//! It knows the agents only from the lines of its prompt, guesses how hard the question is
//! from its length, and chooses among workflows without knowing which of them pay.

use crate::{
    draw::Draws,
    family::Problem,
    parameters,
    reading::{Said, Speaker},
    workflows::{Form, Lists, Shape},
};

/// What a prompt says to a Conductor.
pub(crate) struct Brief {
    agents: Vec<Agent>,
    /// The number of the Conductor itself, where it is offered.
    itself: Option<usize>,
    /// The number of the verifier, where it is offered.
    verifier: Option<usize>,
    family: Option<crate::Family>,
    question_bytes: usize,
    repair: bool,
    form: Form,
    round: Round,
}

/// Whether an answer of an earlier round is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Round {
    First,
    /// It may stand: nothing was found against it.
    Again,
    /// Something was found when it was checked.
    Rejected,
}

struct Agent {
    number: usize,
    description: String,
}

/// Names of two of the three lists: a prompt that has both asks for a workflow.
const LISTS: [&str; 2] = ["model_id", "access_list"];
/// Fields of a workflow as a JSON object: the same.
const FIELDS: [&str; 2] = ["\"steps\"", "\"access\""];
/// What stands above an earlier round, and above what was found against its answer.
const EARLIER: &str = "# Round ";
const FOUND: &str = "What was found when it was checked";
/// The word by which a prompt sends a plan back.
const COMPLAINT: &str = "complaint";
/// How the line of an agent begins that is the Conductor itself.
const ITSELF: &str = " (baton)";
/// And of the verifier.
const VERIFIER: &str = " (verifier)";
/// How far off the length of a question is read, in bytes (one standard deviation).
const LENGTH_NOISE_BYTES: f64 = 40.0;

impl Brief {
    /// Reads a prompt that asks for a workflow; `None` for any other.
    pub(crate) fn find(messages: &[Said], problem: Option<&Problem>) -> Option<Self> {
        let says = |text| messages.iter().any(|message| message.text.contains(text));
        let form = if LISTS.into_iter().all(says) {
            Form::Lists
        } else if FIELDS.into_iter().all(says) {
            Form::Json
        } else {
            return None;
        };
        // Whoever asks for a workflow lists the agents in the standing instructions, where
        // no user can write.
        let system = agents(messages.iter().filter(|said| said.speaker == Speaker::System));
        let mut agents = if system.is_empty() { agents(messages.iter()) } else { system };
        let numbered = |name: &str| {
            let named = agents.iter().find(|agent| agent.description.starts_with(name));
            named.map(|agent| agent.number)
        };
        let (itself, verifier) = (numbered(ITSELF), numbered(VERIFIER));
        agents.retain(|agent| ![itself, verifier].contains(&Some(agent.number)));
        if agents.is_empty() {
            return None;
        }
        let last = messages.last()?;
        let question_bytes = problem.map_or(last.text.len(), |p| p.puzzle().prompt().len());
        let repair = last.text.to_lowercase().contains(COMPLAINT);
        let family = problem.map(Problem::family);
        let round = match (last.text.contains(EARLIER), last.text.contains(FOUND)) {
            (false, _) => Round::First,
            (true, false) => Round::Again,
            (true, true) => Round::Rejected,
        };
        Some(Self { agents, itself, verifier, family, question_bytes, repair, form, round })
    }

    /// The reply.
    pub(crate) fn plan(
        &self,
        parameters: &parameters::Conductor,
        malformed_rate: Option<f64>,
        draws: &mut Draws,
    ) -> String {
        let rate = if self.repair {
            malformed_rate.unwrap_or(parameters.malformed_again_rate)
        } else {
            malformed_rate.unwrap_or(parameters.malformed_rate)
        };
        let malformed = draws.chance(rate);
        let stands = self.round == Round::Again && draws.chance(parameters.stands_rate);
        // That nothing need be done cannot be written down badly: who would, plans instead.
        if stands && !malformed {
            return Lists::new(Vec::new(), Shape::NONE, self.form).clean();
        }
        let length = self.question_bytes as f64 + LENGTH_NOISE_BYTES * draws.normal();
        // What was wrong once is taken for hard.
        let hard = length > parameters.hard_bytes as f64 || self.round == Round::Rejected;
        let shape = Shape::draw(hard, draws);
        let agents = shape.steps().iter().map(|_| self.agent(parameters.reads_strengths, draws));
        let mut agents: Vec<usize> = agents.collect();
        if let Some(itself) = self.itself
            && hard
            && draws.chance(parameters.recursion_rate)
            && let Some(solving) = shape.solving().and_then(|step| agents.get_mut(step))
        {
            *solving = itself;
        }
        let lists = Lists::new(agents, shape, self.form);
        if !malformed {
            return lists.clean();
        }
        if draws.chance(0.5) { lists.dirty(draws) } else { lists.wrong(draws) }
    }

    /// The plan that names the Conductor itself whenever it may, or has its last agent's step
    /// verified. Shown an earlier round, it keeps that one's first step and has the rest done
    /// by the last agent.
    pub(crate) fn recursive_plan(&self, parameters: &parameters::Recursive) -> String {
        let last = self.agents.last().map_or(0, |agent| agent.number);
        if self.round != Round::First {
            return Lists::new(vec![last], Shape::FOLLOWED, self.form).behind_kept();
        }
        if let Some((verifier, by)) = self.verifier.zip(parameters.verified.as_deref()) {
            return Lists::new(vec![last, verifier], Shape::VERIFIED, self.form).by(by).clean();
        }
        let (agents, shape) = match self.itself {
            Some(itself) if parameters.wide => (vec![itself, itself, itself, last], Shape::WIDE),
            Some(itself) => (vec![last, itself], Shape::PLANNED),
            None => (vec![last], Shape::ONE),
        };
        Lists::new(agents, shape, self.form).clean()
    }

    /// Anybody, or somebody whose description names what the question is about.
    fn agent(&self, reads_strengths: f64, draws: &mut Draws) -> usize {
        let fitting: Vec<&Agent> = self.agents.iter().filter(|agent| self.fits(agent)).collect();
        if !fitting.is_empty() && draws.chance(reads_strengths) {
            return draws.pick(&fitting).number;
        }
        draws.pick(&self.agents).number
    }

    fn fits(&self, agent: &Agent) -> bool {
        let Some(family) = self.family else { return false };
        let words: &[&str] = match family {
            crate::Family::Arithmetic => &["arithmetic", "math", "everything"],
            crate::Family::Modular => &["modular", "math", "everything"],
            crate::Family::Countdown => &["countdown", "search", "puzzle", "everything"],
            crate::Family::Program => &["programming in", "python", "code", "everything"],
            crate::Family::Numbers => &["number theory", "math", "everything"],
            crate::Family::Strings => &["strings", "everything"],
            crate::Family::Lists => &["lists", "everything"],
            crate::Family::Choice => &["facts", "easy questions", "everything"],
        };
        words.iter().any(|word| agent.description.contains(word))
    }
}

/// Lines such as `Model 0: …` or `- Agent 0 …`. Examples come with agents of their own: a
/// number that does not rise begins another list, and the last list counts.
fn agents<'a>(messages: impl Iterator<Item = &'a Said>) -> Vec<Agent> {
    let mut agents: Vec<Agent> = Vec::new();
    for line in messages.flat_map(|message| message.text.lines()) {
        let Some(agent) = agent(line) else { continue };
        if agents.last().is_some_and(|last| last.number >= agent.number) {
            agents.clear();
        }
        agents.push(agent);
    }
    agents
}

fn agent(line: &str) -> Option<Agent> {
    let lower = line.trim_start_matches(['-', '*', '#', ' ', '\t', '`']).to_lowercase();
    let rest = lower.strip_prefix("model ").or_else(|| lower.strip_prefix("agent "))?;
    let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
    let number = rest[..digits].parse().ok()?;
    Some(Agent { number, description: rest[digits..].to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Difficulty, Family, Parameters, tasks::generate};

    fn brief(question: &str, more: &str) -> Option<Brief> {
        let text = format!(
            "Example:\nAgent 0\nAgent 7\n\nReply with model_id, subtasks and access_list.\n- Model 0: cheap\n- Model 1: arithmetic\n- Model 2: python code\n\n{question}{more}"
        );
        let said = [Said { speaker: Speaker::User, text }];
        Brief::find(&said, Problem::find(question).as_ref())
    }

    #[test]
    fn only_a_prompt_with_agents_and_lists_asks_for_a_workflow() {
        let question = generate(Family::Arithmetic, Difficulty::ALL[0], 0).prompt;
        let found = brief(&question, "").unwrap();
        let numbers: Vec<usize> = found.agents.iter().map(|agent| agent.number).collect();
        assert_eq!(numbers, [0, 1, 2]);
        assert!(found.fits(&found.agents[1]) && !found.fits(&found.agents[2]));
        assert!(!found.repair);
        assert!(brief(&question, "\nComplaints: step 3").unwrap().repair);
        let said = [Said { speaker: Speaker::User, text: question }];
        assert!(Brief::find(&said, None).is_none());
    }

    #[test]
    fn the_conductor_itself_is_named_where_it_is_offered() {
        let question = generate(Family::Program, Difficulty::ALL[4], 0).prompt;
        let offered = "\n- Model 3 (baton): leads a team of its own";
        let found = brief(&question, offered).unwrap();
        assert_eq!(found.itself, Some(3));
        assert_eq!(found.agents.len(), 3, "it is no agent like the others");
        let parameters = Parameters::built_in();
        let plan = |brief: &Brief, wide| {
            let model = parameters.recursive().model.clone();
            brief.recursive_plan(&parameters::Recursive { model, wide, verified: None })
        };
        assert!(plan(&found, false).contains("model_id = [2, 3]"), "{}", plan(&found, false));
        assert!(plan(&found, true).contains("model_id = [3, 3, 3, 2]"), "{}", plan(&found, true));
        let conductor = parameters.conductor();
        let named = |brief: &Brief| {
            let plans = (0..200).map(|seed| {
                let mut draws = Draws::of(&["test", &seed.to_string()]);
                brief.plan(conductor, Some(0.0), &mut draws)
            });
            let agents = plans.map(|plan| plan.split("subtasks").next().unwrap().to_owned());
            agents.filter(|agents| agents.contains('3')).count()
        };
        let share = named(&found) as f64 / 200.0;
        assert!((share - conductor.recursion_rate).abs() < 0.1, "{share}");
        let alone = brief(&question, "").unwrap();
        assert_eq!((alone.itself, named(&alone)), (None, 0));
        assert!(plan(&alone, true).contains("model_id = [2]"));
    }

    #[test]
    fn plans_are_clean_when_nothing_is_malformed() {
        let found = brief("Why?", "").unwrap();
        let parameters = Parameters::built_in();
        for seed in 0..200 {
            let mut draws = Draws::of(&["test", &seed.to_string()]);
            let plan = found.plan(parameters.conductor(), Some(0.0), &mut draws);
            for list in ["model_id = [", "subtasks = [\"", "access_list = [["] {
                assert_eq!(plan.matches(list).count(), 1, "{plan}");
            }
        }
    }
}
