//! The simulated models as one function from a request to a reply. No IO, no clock.

use crate::{
    Faults, Parameters, conductor,
    draw::Draws,
    parameters::Model,
    reading::{Reading, Said},
    tokens,
    worker::Work,
};
use std::str::FromStr;

/// What is switched off, to see what a result is due to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Control {
    /// Nothing.
    #[default]
    Off,
    /// Every model has the same skill: choosing well cannot pay.
    FlatSkills,
    /// Plans, checks, corrections and merging have no effect: only choosing can pay.
    NoRoles,
}

/// Why a text names no control.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no control: expected off, flat-skills or no-roles")]
pub struct ControlError(String);

impl Control {
    /// Its name, as on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::FlatSkills => "flat-skills",
            Self::NoRoles => "no-roles",
        }
    }
}

impl FromStr for Control {
    type Err = ControlError;
    fn from_str(text: &str) -> Result<Self, ControlError> {
        match text {
            "off" => Ok(Self::Off),
            "flat-skills" => Ok(Self::FlatSkills),
            "no-roles" => Ok(Self::NoRoles),
            _ => Err(ControlError(text.chars().take(64).collect())),
        }
    }
}

/// What a simulation is told once.
#[derive(Debug, Clone)]
pub struct SimOptions {
    /// Seed of all lots.
    pub seed: u64,
    /// Scale of all waiting: 1 is the speed in the parameters, 0 is no waiting at all.
    pub time_scale: f64,
    /// What is switched off.
    pub control: Control,
    /// Share of the Conductor's plans that are malformed, 0 to 1; the parameters' if `None`.
    pub malformed_rate: Option<f64>,
    /// What goes wrong on purpose.
    pub faults: Faults,
    /// How the models behave.
    pub parameters: Parameters,
}

impl Default for SimOptions {
    fn default() -> Self {
        Self {
            seed: 0,
            time_scale: 1.0,
            control: Control::default(),
            malformed_rate: None,
            faults: Faults::default(),
            parameters: Parameters::built_in(),
        }
    }
}

/// One call to a simulated model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ask {
    /// The model's name.
    pub model: String,
    /// The conversation.
    pub messages: Vec<Said>,
    /// Most tokens to write; the model's own limit if `None`.
    pub output_tokens_max: Option<u32>,
    /// Texts that end the answer.
    pub stop: Vec<String>,
    /// The request's own seed: another one is another prompt.
    pub seed: Option<i64>,
}

impl Ask {
    /// Hash of everything that is said and of the request's own seed: all lots of one
    /// prompt hang on it.
    pub(crate) fn hash(&self) -> String {
        let mut hasher = blake3::Hasher::new();
        for message in &self.messages {
            hasher.update(&[message.speaker as u8]);
            hasher.update(&(message.text.len() as u64).to_le_bytes());
            hasher.update(message.text.as_bytes());
        }
        hasher.update(format!("{:?}", self.seed).as_bytes());
        hasher.finalize().to_hex().to_string()
    }
}

/// Why a simulated model stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    /// It was done, or met a text that ends the answer.
    Done,
    /// It reached its limit of tokens.
    Length,
    /// It refuses: what it says are the words of the refusal.
    Refused,
    /// A filter stopped it.
    Filtered,
}

/// What a simulated model says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    /// The text.
    pub text: String,
    /// Why it ends.
    pub stop: Stop,
    /// Tokens read.
    pub tokens_in: u64,
    /// Tokens written.
    pub tokens_out: u64,
}

/// Why a simulated model says nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AskError {
    /// There is no such model.
    #[error("the model {0:?} does not exist: GET /v1/models lists those that do")]
    UnknownModel(String),
    /// Nothing is asked.
    #[error("messages is empty: expected at least one message with text")]
    Nothing,
    /// The prompt is longer than the model can read.
    #[error("the prompt has {found} tokens: {model} reads at most {max}")]
    TooLong {
        /// The model.
        model: String,
        /// Tokens in the prompt.
        found: u64,
        /// Most tokens it reads.
        max: u32,
    },
}

/// The simulated models.
#[derive(Debug, Clone)]
pub struct Simulator {
    options: SimOptions,
    seed: String,
}

impl Simulator {
    /// Makes the models.
    pub fn new(options: SimOptions) -> Self {
        let seed = options.seed.to_string();
        Self { options, seed }
    }

    /// How the models behave.
    pub fn parameters(&self) -> &Parameters {
        &self.options.parameters
    }

    pub(crate) fn options(&self) -> &SimOptions {
        &self.options
    }

    /// The seed of all lots, as text.
    pub(crate) fn seed(&self) -> &str {
        &self.seed
    }

    /// The reply: the same one whenever the same is asked.
    pub fn tell(&self, ask: &Ask) -> Result<Told, AskError> {
        let model = self.parameters().model(&ask.model);
        let model = model.ok_or_else(|| AskError::UnknownModel(ask.model.clone()))?;
        if ask.messages.iter().all(|message| message.text.trim().is_empty()) {
            return Err(AskError::Nothing);
        }
        let tokens_in = ask.messages.iter().map(|message| tokens::of_message(&message.text)).sum();
        if tokens_in > u64::from(model.context_tokens) {
            let (model, max) = (model.name.clone(), model.context_tokens);
            return Err(AskError::TooLong { model, found: tokens_in, max });
        }
        let mut text = self.text(model, ask);
        for stop in ask.stop.iter().filter(|stop| !stop.is_empty()) {
            if let Some(at) = text.find(stop.as_str()) {
                text.truncate(at);
            }
        }
        let max = ask.output_tokens_max.unwrap_or(model.output_tokens).min(model.output_tokens);
        let (text, stop) = match tokens::first(&text, max) {
            Some(cut) => (cut.to_owned(), Stop::Length),
            None => (text, Stop::Done),
        };
        let tokens_out = tokens::of(&text);
        Ok(Told { text, stop, tokens_in, tokens_out })
    }

    fn text(&self, model: &Model, ask: &Ask) -> String {
        let parameters = self.parameters();
        if model.name == parameters.echo().model {
            return parameters.echo().text.clone();
        }
        let prompt_hash = ask.hash();
        let reading = Reading::of(&ask.messages);
        let plans = [&parameters.conductor().model, &parameters.recursive().model];
        if plans.contains(&&model.name)
            && let Some(brief) = conductor::Brief::find(&ask.messages, reading.problem.as_ref())
        {
            if model.name == parameters.recursive().model {
                return brief.recursive_plan(parameters.recursive());
            }
            let mut draws = Draws::of(&["workflow", &self.seed, &prompt_hash]);
            return brief.plan(parameters.conductor(), self.options.malformed_rate, &mut draws);
        }
        let Some(problem) = &reading.problem else { return no_task(model, &reading) };
        let task = problem.puzzle().prompt();
        let work = Work {
            parameters,
            control: self.options.control,
            model,
            seed: &self.seed,
            prompt_hash: &prompt_hash,
            reading: &reading,
            problem,
            task: &task,
        };
        work.reply()
    }
}

/// A simulated model says what it is rather than make something up.
fn no_task(model: &Model, reading: &Reading) -> String {
    if reading.judging {
        return "There is no task here that a simulated model can solve.\nVerdict: fail".into();
    }
    format!(
        "I am {}, a SIMULATED model. I only solve generated tasks (see `baton tasks`) and sums such as `What is 2 * (3 + 4)?`.\nAnswer: unknown",
        model.name
    )
}
