//! Writing the arguments of a script: one flat list of byte strings, lists with their
//! length before them, in the order in which the script takes them.

use baton_ledger::{Body, NewTask, NewTimer, Token};
use baton_workflow::{Budget, Spend, TaskId};

/// Furthest point of time from now that the store reckons with, in milliseconds: sums
/// of times stay exact in a double.
const AHEAD_MS_MAX: u64 = 1 << 50;

/// The arguments of one call.
#[derive(Default)]
pub(crate) struct Arguments(pub(crate) Vec<Vec<u8>>);

impl Arguments {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    pub(crate) fn bytes(mut self, bytes: impl AsRef<[u8]>) -> Self {
        self.0.push(bytes.as_ref().to_vec());
        self
    }

    /// An operation of this name, with its arguments and their number before them. Where the
    /// last are 0 they are left out: so they are read.
    pub(crate) fn operation(self, name: &str, mut arguments: Self) -> Self {
        while arguments.0.last().is_some_and(|last| last == b"0") {
            arguments.0.pop();
        }
        let mut all = self.bytes(name).count(arguments.0.len());
        all.0.append(&mut arguments.0);
        all
    }

    pub(crate) fn number(self, number: u64) -> Self {
        self.bytes(number.to_string())
    }

    pub(crate) fn count(self, count: usize) -> Self {
        self.bytes(count.to_string())
    }

    pub(crate) fn flag(self, flag: bool) -> Self {
        self.bytes(if flag { "1" } else { "0" })
    }

    /// Whether there is one, and which.
    pub(crate) fn maybe(self, bytes: Option<impl AsRef<[u8]>>) -> Self {
        match bytes {
            Some(bytes) => self.flag(true).bytes(bytes),
            None => self.flag(false),
        }
    }

    /// A span of time, bounded by what the store reckons with.
    pub(crate) fn span_ms(self, ms: u64) -> Self {
        self.number(ms.min(AHEAD_MS_MAX))
    }

    pub(crate) fn spend(self, spend: &Spend) -> Self {
        self.bytes(spend_text(spend))
    }

    /// A task and the proof of holding it.
    pub(crate) fn held(self, task: &TaskId, token: &Token) -> Self {
        self.bytes(task.run.as_str()).number(task.number.into()).bytes(token_text(token))
    }

    pub(crate) fn texts(self, texts: &[impl AsRef<[u8]>]) -> Self {
        let counted = self.count(texts.len());
        texts.iter().fold(counted, |arguments, text| arguments.bytes(text))
    }

    /// What a new run, or a commit, consists of.
    pub(crate) fn run(
        self,
        events: &[impl AsRef<[u8]>],
        tasks: &[NewTask],
        timers: &[NewTimer],
    ) -> Self {
        let tasked = tasks.iter().fold(self.texts(events).count(tasks.len()), |to, task| {
            to.number(task.number.into())
                .bytes(task.class.as_str())
                .number(task.priority.into())
                .number(task.cost)
                .spend(&task.reserve)
                .bytes(&task.payload)
        });
        timers.iter().fold(tasked.count(timers.len()), |to, timer| {
            to.bytes(&timer.name).span_ms(timer.after_ms)
        })
    }

    pub(crate) fn bodies<'a>(
        self,
        bodies: impl IntoIterator<Item = &'a Body, IntoIter: ExactSizeIterator>,
    ) -> Self {
        let bodies = bodies.into_iter();
        let counted = self.count(bodies.len());
        bodies.fold(counted, |to, body| to.bytes(&*body.name.hash).bytes(&body.bytes))
    }
}

/// As the scripts keep it.
pub(crate) fn spend_text(spend: &Spend) -> String {
    let Spend { usd, tokens_in, tokens_out, calls } = spend;
    format!("{} {tokens_in} {tokens_out} {calls}", usd.pico())
}

/// As the scripts keep it.
pub(crate) fn token_text(token: &Token) -> String {
    let Token { epoch, attempt, nonce } = token;
    format!("{epoch} {attempt} {nonce}")
}

/// As the scripts keep it.
pub(crate) fn budget_text(budget: &Budget) -> String {
    let Budget { usd, tokens, calls, seconds, depth } = budget;
    format!("{} {tokens} {calls} {seconds} {depth}", usd.pico())
}
