//! Operations that come in while a call is under way wait for it, and then go together as
//! one call: the busier a process is, the fewer calls it makes for each operation.

use crate::{
    request::Arguments,
    scripts::{Name, Script},
    store::{Answer, Store},
};
use baton_ledger::LedgerError;
use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use tokio::{runtime::Handle, sync::oneshot, time::timeout};

/// Most operations, arguments and bytes in one call, unless one operation has more: the
/// server does nothing else meanwhile.
const OPERATIONS_MAX: usize = 64;
const ARGUMENTS_MAX: usize = 4096;
const BYTES_MAX: usize = 256 * 1024;

/// What waits for the call that is under way.
pub(crate) struct Batches {
    state: Mutex<State>,
    /// Where calls are made: an operation may be asked for where something computes for long,
    /// and heartbeats must not wait behind it.
    runtime: Handle,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<Operation>,
    under_way: bool,
}

struct Operation {
    name: Name,
    arguments: Arguments,
    asker: oneshot::Sender<Result<Answer, LedgerError>>,
}

impl Batches {
    /// None wait. Calls will be made in the runtime in which this is called.
    pub(crate) fn new() -> Self {
        Self { state: Mutex::default(), runtime: Handle::current() }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A queue is whole between any two of its operations, whoever panicked.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether nobody makes calls yet, so that somebody has to begin.
    fn join(&self, operation: Operation) -> bool {
        let mut state = self.lock();
        state.waiting.push_back(operation);
        !std::mem::replace(&mut state.under_way, true)
    }

    /// The next call; without one, none is under way from then on.
    fn next(&self) -> Vec<Operation> {
        let mut state = self.lock();
        // Nobody waits for these any more, and they have not been sent.
        state.waiting.retain(|operation| !operation.asker.is_closed());
        let (mut arguments, mut bytes) = (0, 0);
        let fits = |operation: &&Operation| {
            arguments += operation.arguments.0.len();
            bytes += operation.arguments.0.iter().map(Vec::len).sum::<usize>();
            arguments <= ARGUMENTS_MAX && bytes <= BYTES_MAX
        };
        let count = state.waiting.iter().take(OPERATIONS_MAX).take_while(fits).count();
        let count = count.max(1).min(state.waiting.len());
        state.under_way = count > 0;
        state.waiting.drain(..count).collect()
    }
}

impl Store {
    /// Has one operation of the shard done. After `Unavailable` it may have been done or not.
    pub(crate) async fn call(
        self: &Arc<Self>,
        name: Name,
        arguments: Arguments,
    ) -> Result<Answer, LedgerError> {
        let (asker, answer) = oneshot::channel();
        if self.batches.join(Operation { name, arguments, asker }) {
            self.batches.runtime.spawn(self.clone().make_calls());
        }
        match timeout(self.timeout, answer).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_gone)) => Err(LedgerError::Unavailable("the ledger is closing".into())),
            Err(_elapsed) => Err(self.unanswered()),
        }
    }

    async fn make_calls(self: Arc<Self>) {
        loop {
            let operations = self.batches.next();
            if operations.is_empty() {
                return;
            }
            let (mut all, mut askers) = (Arguments::new(), Vec::new());
            for Operation { name, arguments, asker } in operations {
                all = all.operation(name.text(), arguments);
                askers.push(asker);
            }
            let meta = format!("{}meta", self.base());
            let answers = match self.call_on(&[meta], Script::Shard, all).await {
                Ok(Answer::Ok(reply)) => reply.answers(),
                Ok(Answer::Refused(why, _)) => Err(LedgerError::Unusable(why)),
                Err(error) => Err(error),
            };
            let mut answers = answers.map(Vec::into_iter);
            for asker in askers {
                let answer = match &mut answers {
                    Ok(answers) => answers.next().unwrap_or_else(|| Err(self.unanswered())),
                    Err(error) => Err(error.clone()),
                };
                // Who does not wait any more will read again.
                let _gone = asker.send(answer);
            }
        }
    }
}
