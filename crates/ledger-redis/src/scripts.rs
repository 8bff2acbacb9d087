//! The scripts, as they are loaded into a server.

use redis::Script as Digest;

const FRAME: &str = include_str!("lua/frame.lua");
const QUEUE: &str = include_str!("lua/queue.lua");
const CREATE: &str = include_str!("lua/create.lua");
const ASK_TO_END: &str = include_str!("lua/ask_to_end.lua");
const READING: &str = include_str!("lua/reading.lua");
const ACCOUNT: &str = include_str!("lua/account.lua");
const EXPIRE: &str = include_str!("lua/expire.lua");
const WORD: &str = include_str!("lua/word.lua");
const CALL: &str = include_str!("lua/call.lua");
const ADOPT: &str = include_str!("lua/adopt.lua");

/// What a shard is asked for. What each operation does is said in the first line of its file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Name {
    SetTenant,
    Inventory,
    Submit,
    Lease,
    Heartbeat,
    Reserve,
    Settle,
    Complete,
    Start,
    Commit,
    Park,
    Tick,
    Reap,
    Signal,
    Cancel,
    Read,
    Watch,
    List,
    Reconcile,
    Retain,
    Stats,
}

const ALL: [Name; 21] = [
    Name::SetTenant,
    Name::Inventory,
    Name::Submit,
    Name::Lease,
    Name::Heartbeat,
    Name::Reserve,
    Name::Settle,
    Name::Complete,
    Name::Start,
    Name::Commit,
    Name::Park,
    Name::Tick,
    Name::Reap,
    Name::Signal,
    Name::Cancel,
    Name::Read,
    Name::Watch,
    Name::List,
    Name::Reconcile,
    Name::Retain,
    Name::Stats,
];

impl Name {
    /// As the script of the shards knows it, and its text.
    fn part(self) -> (&'static str, &'static str) {
        match self {
            Self::SetTenant => ("set_tenant", include_str!("lua/set_tenant.lua")),
            Self::Inventory => ("inventory", include_str!("lua/inventory.lua")),
            Self::Submit => ("submit", include_str!("lua/submit.lua")),
            Self::Lease => ("lease", include_str!("lua/lease.lua")),
            Self::Heartbeat => ("heartbeat", include_str!("lua/heartbeat.lua")),
            Self::Reserve => ("reserve", include_str!("lua/reserve.lua")),
            Self::Settle => ("settle", include_str!("lua/settle.lua")),
            Self::Complete => ("complete", include_str!("lua/complete.lua")),
            Self::Start => ("start", include_str!("lua/start.lua")),
            Self::Commit => ("commit", include_str!("lua/commit.lua")),
            Self::Park => ("park", include_str!("lua/park.lua")),
            Self::Tick => ("tick", include_str!("lua/tick.lua")),
            Self::Reap => ("reap", include_str!("lua/reap.lua")),
            Self::Signal => ("signal", include_str!("lua/signal.lua")),
            Self::Cancel => ("cancel", include_str!("lua/cancel.lua")),
            Self::Read => ("read", include_str!("lua/read.lua")),
            Self::Watch => ("watch", include_str!("lua/watch.lua")),
            Self::List => ("list", include_str!("lua/list.lua")),
            Self::Reconcile => ("reconcile", include_str!("lua/reconcile.lua")),
            Self::Retain => ("retain", include_str!("lua/retain.lua")),
            Self::Stats => ("stats", include_str!("lua/stats.lua")),
        }
    }

    pub(crate) fn text(self) -> &'static str {
        self.part().0
    }
}

/// What is loaded: all operations of a shard as one, and the two of an account, whose keys are
/// elsewhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Script {
    Shard,
    Admit,
    Release,
}

impl Script {
    const ALL: [Self; 3] = [Self::Shard, Self::Admit, Self::Release];

    fn text(self) -> String {
        match self {
            Self::Shard => {
                // Each is made into a function only where it is asked for: that costs as much as
                // what many of them do.
                let operations = ALL.iter().map(|operation| {
                    let (name, text) = operation.part();
                    format!(
                        "if operation == '{name}' then done, said = pcall(function()\n{text}end)\n"
                    )
                });
                let operations = operations.collect::<Vec<_>>().join("else") + "end";
                let call = CALL.replace("@OPERATIONS@", &operations);
                [FRAME, QUEUE, CREATE, ASK_TO_END, READING, EXPIRE, WORD, &call].join("\n")
            }
            Self::Admit => [ACCOUNT, include_str!("lua/admit.lua")].join("\n"),
            Self::Release => [ACCOUNT, include_str!("lua/release.lua")].join("\n"),
        }
    }
}

/// All scripts of one ledger. Its base of keys is part of their text and so of their
/// digests: a server that knows them has been adopted for this very ledger.
pub(crate) struct Scripts {
    /// Raises the epoch; sent with its text, never by digest.
    pub(crate) adopt: String,
    loaded: Vec<(Script, String, String)>,
}

/// Stands before every script in a Redis Cluster. While a slot is moved from node to node, a
/// part of its keys is here and a part there, and a script would take what is not here for
/// what is not, or fail half way: Redis sees only the keys that are named beforehand. Two keys
/// that are nowhere are refused by either node, and only then.
const UNMOVED: &str = "local whole = redis.pcall('EXISTS', '@BASE@nowhere', '@BASE@no-one')
if type(whole) == 'table' then
  return { 'Moving' }
end";

/// What takes the comparison of tokens out of the scripts: any task is held by whoever says
/// so, and one that is over keeps what another completion of it needs.
const UNFENCED: [(&str, &str); 2] = [
    (
        "local function standing(key, token)\n",
        "local function standing(key, token)\n  do return 'held' end\n",
    ),
    (
        "local function task_over(run, number, token)\n",
        "local function task_over(run, number, token)\n  do\n    call('HSET', task_key(run, \
         number), 'state', 'done')\n    call('SREM', live_key(run), number)\n    return\n  end\n",
    ),
];

impl Scripts {
    /// Those of a ledger, that do nothing while its keys are moved where they `may_move`;
    /// without the comparison of tokens where `unfenced`.
    pub(crate) fn new(base: &str, may_move: bool, unfenced: bool) -> Self {
        let before = if may_move { UNMOVED } else { "" };
        let loaded = Script::ALL.map(|script| {
            let mut text = script.text();
            if script == Script::Shard {
                text = format!("{before}\n{text}").replace("@BASE@", base);
                if unfenced {
                    text =
                        UNFENCED.iter().fold(text, |text, (fence, gap)| text.replace(fence, gap));
                }
            }
            let digest = Digest::new(&text).get_hash().to_owned();
            (script, digest, text)
        });
        Self { adopt: ADOPT.replace("@BASE@", base), loaded: loaded.into() }
    }

    /// What to call a script by, once it is loaded.
    pub(crate) fn digest(&self, script: Script) -> &str {
        let loaded = self.loaded.iter().find(|(of, _, _)| *of == script);
        loaded.map_or("", |(_, digest, _)| digest)
    }

    /// The text of a script that works on an account; nothing for those of a shard, which are
    /// loaded by an adoption alone.
    pub(crate) fn of_an_account(&self, script: Script) -> Option<&str> {
        let mut scripts = self.loaded.iter().filter(|(of, _, _)| *of != Script::Shard);
        scripts.find(|(of, _, _)| *of == script).map(|(_, _, text)| text.as_str())
    }

    /// The texts to be loaded.
    pub(crate) fn texts(&self) -> impl Iterator<Item = &str> {
        self.loaded.iter().map(|(_, _, text)| text.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_takes_the_fence_out_finds_it() {
        for (fence, _) in UNFENCED {
            assert_eq!(QUEUE.matches(fence).count(), 1, "{fence}");
        }
        let [whole, open] = [false, true].map(|unfenced| Scripts::new("b", false, unfenced));
        assert_ne!(whole.digest(Script::Shard), open.digest(Script::Shard));
    }
}
