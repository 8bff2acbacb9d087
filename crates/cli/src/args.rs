//! What can be said on the command line.

use crate::{
    bench::Bench,
    chaos::Chaos,
    cluster::Cluster,
    complete::{Completions, Man},
    doctor::Doctor,
    explain::Explain,
    profile::ProfileArgs,
    redis::RedisArgs,
    serve::Serve,
    top::Top,
};
use baton_sim::{Control, Difficulty, Family, Faults};
use clap::{Args as ClapArgs, Parser, Subcommand, ValueEnum};
use serde::Deserialize;
use std::{net::SocketAddr, path::PathBuf};

/// An open, self-hosted Conductor: teams of language models behind one OpenAI endpoint.
#[derive(Debug, Parser)]
#[command(
    name = "baton",
    version,
    after_help = "Exit codes: 0 done · 1 error · 2 wrong usage or configuration · 3 the run ended \
                  without an answer · 4 not authorised · 5 an answer, but not accepted or cut \
                  short · 6 warnings of doctor · 130 interrupted.\nLogs go to stderr; BATON_LOG sets what is logged."
)]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) command: Command,
    /// Form of the logs.
    #[arg(long, global = true, value_enum, default_value = "text")]
    pub(crate) log_format: LogFormat,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    Text,
    Json,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Start the whole cluster in this process.
    #[command(after_help = "Example: baton up --listen 127.0.0.1:8484 --data ./baton-data")]
    Up(Up),
    /// Serve one service, as a process of a cluster over Redis and etcd.
    #[command(
        after_help = "Example: baton serve conductor --redis redis://127.0.0.1:6379 --etcd http://127.0.0.1:2379"
    )]
    Serve(Box<Serve>),
    /// Start several nodes on this machine, or look at the nodes of a cluster.
    Cluster(Cluster),
    /// Ask a question; the answer goes to stdout, the team's steps to stderr.
    #[command(after_help = "Example: baton run \"What is (3 + 4) * 5?\"")]
    Run(Run),
    /// Show the team and the cost that a question would get, without carrying it out.
    #[command(after_help = "Example: baton plan \"What is (3 + 4) * 5?\"")]
    Plan(Plan),
    /// List, show, watch and cancel runs.
    Runs(Runs),
    /// Check, show and compare configurations, and share one among processes.
    Config(crate::config::Config),
    /// Serve the SIMULATED pool of models over HTTP.
    Sim(Sim),
    /// Print generated tasks with their answers, one JSON object a line, or grade replies.
    Tasks(Tasks),
    /// Measure this machine: speed, with the bound beside it.
    Bench(Bench),
    /// Break a cluster of this machine on purpose, under load, and check that nothing was lost
    /// or done twice.
    #[command(
        after_help = "Example: baton chaos --seconds 60 --seed 7\nNeeds redis-server and etcd. Exit codes: 0 nothing was found, 1 something was: it is named, and the seed repeats the faults."
    )]
    Chaos(Chaos),
    /// Look at, check, save and restore the ledger of a data folder.
    Ledger(Ledger),
    /// Look at a cluster at work: runs, queues, agents, cost.
    #[command(after_help = "Example: baton top --endpoint http://127.0.0.1:8484")]
    Top(Top),
    /// Look for what keeps a cluster from working here.
    #[command(
        after_help = "Example: baton doctor --config baton.toml --data baton-data\nExit codes: 0 all is well, 6 there are warnings, 1 a check failed. Each provider is tried with one call of one token, unless --no-calls is given."
    )]
    Doctor(Doctor),
    /// Keep named endpoints, with where their keys are.
    Profile(ProfileArgs),
    /// Say what an error code means, why it happens and what to do.
    #[command(after_help = "Example: baton explain queue_full")]
    Explain(Explain),
    /// Print a script that completes command lines in a shell.
    #[command(after_help = "Example: source <(baton completions bash)")]
    Completions(Completions),
    /// Print the manual page, or write those of all commands into a folder.
    #[command(after_help = "Example: baton man --out ~/.local/share/man/man1")]
    Man(Man),
}

#[derive(Debug, Clone, ClapArgs)]
pub(crate) struct Up {
    /// Address of the HTTP endpoint. Beyond loopback, keys must be configured. [default:
    /// server.listen of the configuration, else 127.0.0.1:8484]
    #[arg(long)]
    pub(crate) listen: Option<SocketAddr>,
    /// Folder of the ledger; made if missing. [default: server.data of the configuration,
    /// else baton-data]
    #[arg(long, value_name = "DIR")]
    pub(crate) data: Option<PathBuf>,
    /// Address for GET /metrics, for Prometheus; without a key, so keep it private.
    /// [default: server.metrics_listen of the configuration, else none]
    #[arg(long, env = "BATON_METRICS_LISTEN", value_name = "ADDRESS")]
    pub(crate) metrics_listen: Option<SocketAddr>,
    #[command(flatten)]
    pub(crate) pool: PoolArgs,
}

/// Which agents there are.
#[derive(Debug, Clone, Default, ClapArgs)]
pub(crate) struct PoolArgs {
    /// Configuration: agents, prices, policy, limits. Without one: OPENAI_API_KEY or
    /// OPENAI_BASE_URL, else the simulated pool.
    #[arg(long, env = "BATON_CONFIG", value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Use the simulated pool whatever the environment says.
    #[arg(long, conflicts_with = "config")]
    pub(crate) simulated: bool,
    /// Speed of the simulated pool: 1 as configured, 0 without any waiting.
    #[arg(long, default_value_t = 1.0, value_name = "SCALE")]
    pub(crate) sim_time_scale: f64,
    /// Seed of the simulated pool.
    #[arg(long, default_value_t = 0, value_name = "SEED")]
    pub(crate) sim_seed: u64,
}

/// Which cluster to talk to.
#[derive(Debug, Clone, Default, ClapArgs)]
pub(crate) struct EndpointArgs {
    /// The endpoint, such as http://127.0.0.1:8484.
    #[arg(long, env = "BATON_ENDPOINT", value_name = "URL", global = true)]
    pub(crate) endpoint: Option<String>,
    /// Environment variable that holds the key; BATON_API_KEY unless said.
    #[arg(long, value_name = "NAME", global = true)]
    pub(crate) key_env: Option<String>,
    /// The profile, which says what is not said here; see `baton profile`.
    #[arg(long, env = "BATON_PROFILE", value_name = "NAME", global = true)]
    pub(crate) profile: Option<String>,
}

/// What a run may be told.
#[derive(Debug, Clone, Default, ClapArgs)]
pub(crate) struct AskArgs {
    /// baton, baton-ultra, or baton/STRATEGY.
    #[arg(long, default_value = "baton")]
    pub(crate) model: String,
    /// Most dollars to spend.
    #[arg(long, value_name = "USD")]
    pub(crate) budget: Option<f64>,
    /// Seconds to finish in.
    #[arg(long, value_name = "SECONDS")]
    pub(crate) deadline: Option<u32>,
    /// Use only these agents.
    #[arg(long, value_name = "AGENT")]
    pub(crate) allow: Vec<String>,
    /// Use none of these agents.
    #[arg(long, value_name = "AGENT")]
    pub(crate) deny: Vec<String>,
    /// Have the answer judged; name an agent, or leave it to the configured judge.
    #[arg(long, value_name = "AGENT", num_args = 0..=1, default_missing_value = "")]
    pub(crate) judge: Option<String>,
    /// Most workflows: the first and its corrections.
    #[arg(long)]
    pub(crate) rounds: Option<u32>,
    /// For models that can repeat an answer.
    #[arg(long)]
    pub(crate) seed: Option<i64>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Format {
    /// For people.
    #[default]
    Text,
    /// One JSON document.
    Json,
}

impl Format {
    /// As it is said.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Json => "json",
        }
    }
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Run {
    /// The question; `-` reads it from standard input.
    pub(crate) question: String,
    #[command(flatten)]
    pub(crate) ask: AskArgs,
    #[command(flatten)]
    pub(crate) endpoint: EndpointArgs,
    #[command(flatten)]
    pub(crate) pool: PoolArgs,
    /// Form of the answer.
    #[arg(short, long, value_enum, env = "BATON_OUTPUT")]
    pub(crate) output: Option<Format>,
    /// Only the answer, nothing on stderr.
    #[arg(short, long)]
    pub(crate) quiet: bool,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Plan {
    /// The question; `-` reads it from standard input.
    pub(crate) question: String,
    #[command(flatten)]
    pub(crate) ask: AskArgs,
    #[command(flatten)]
    pub(crate) endpoint: EndpointArgs,
    #[command(flatten)]
    pub(crate) pool: PoolArgs,
    /// Form of the plan.
    #[arg(short, long, value_enum, env = "BATON_OUTPUT")]
    pub(crate) output: Option<Format>,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Runs {
    #[command(subcommand)]
    pub(crate) command: RunsCommand,
    #[command(flatten)]
    pub(crate) endpoint: EndpointArgs,
    /// Form of what is printed.
    #[arg(short, long, value_enum, env = "BATON_OUTPUT", global = true)]
    pub(crate) output: Option<Format>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum RunsCommand {
    /// The newest runs.
    List {
        /// How many.
        #[arg(long, default_value_t = 20)]
        limit: u32,
        /// Only runs older than this one.
        #[arg(long)]
        before: Option<String>,
    },
    /// One run, step by step.
    Get {
        /// Its id.
        run: String,
    },
    /// What happens to a run, until it ends.
    Watch {
        /// Its id.
        run: String,
    },
    /// End a run.
    Cancel {
        /// Its id.
        run: String,
    },
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Sim {
    /// Where to listen.
    #[arg(long, default_value = "127.0.0.1:8485")]
    pub(crate) listen: SocketAddr,
    /// Seed of all lots.
    #[arg(long, default_value_t = 0)]
    pub(crate) seed: u64,
    /// Speed: 1 as configured, 0 without any waiting.
    #[arg(long, default_value_t = 1.0, value_name = "SCALE")]
    pub(crate) time_scale: f64,
    /// Share of malformed plans, 0 to 1.
    #[arg(long)]
    pub(crate) malformed_rate: Option<f64>,
    /// What is switched off, for controls: off, flat-skills or no-roles.
    #[arg(long, default_value = "off")]
    pub(crate) control: Control,
    /// Shares of calls that go wrong, such as 429=0.02,cut=0.01: 429, 500, 503, stall-first,
    /// stall, cut, empty, garbage, usage, refusal, filter.
    #[arg(long, default_value = "")]
    pub(crate) faults: Faults,
    /// How the models behave, in the form of crates/sim/parameters.toml; the one that is
    /// compiled in unless said.
    #[arg(long, value_name = "FILE")]
    pub(crate) parameters: Option<PathBuf>,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Tasks {
    /// Families to draw from; all unless said.
    #[arg(long, value_name = "FAMILY")]
    pub(crate) family: Vec<Family>,
    /// Difficulties to draw from, 1 to 5; all unless said.
    #[arg(long, value_name = "1-5")]
    pub(crate) difficulty: Vec<Difficulty>,
    /// How many tasks.
    #[arg(long, default_value_t = 20)]
    pub(crate) count: u64,
    /// Another seed, other tasks.
    #[arg(long, default_value_t = 0)]
    pub(crate) seed: u64,
    /// Instead of printing tasks: read lines of {"task": …, "reply": "…"} from standard
    /// input, and print each task's id and whether the reply is right.
    #[arg(long)]
    pub(crate) grade: bool,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Ledger {
    #[command(subcommand)]
    pub(crate) command: LedgerCommand,
    /// Folder of the ledger, as given to `baton up`.
    #[arg(long, default_value = "baton-data", value_name = "DIR", global = true)]
    pub(crate) data: PathBuf,
    #[command(flatten)]
    pub(crate) redis: RedisArgs,
    /// Name of the cluster whose ledger is on Redis.
    #[arg(
        long,
        global = true,
        env = "BATON_CLUSTER",
        default_value = "default",
        value_name = "NAME"
    )]
    pub(crate) cluster: String,
    /// Form of what is printed.
    #[arg(short, long, value_enum, default_value = "text", global = true)]
    pub(crate) output: Format,
}

#[derive(Debug, Subcommand)]
pub(crate) enum LedgerCommand {
    /// What the ledger holds, in numbers; also while `baton up` has it open.
    Stats,
    /// Read everything, tell what is damaged, what it means and what to do. Stop `baton up` before.
    Fsck,
    /// The journal of a run as it is kept, also where nobody can read it. Stop `baton up` before.
    Journal {
        /// The run.
        run: String,
    },
    /// Write one checksummed file, and read it back; also while `baton up` has it open.
    Backup {
        /// The file to write; it must not be there yet.
        file: PathBuf,
    },
    /// Make a ledger of a backup, in a folder that has none.
    Restore {
        /// A file that `backup` wrote.
        file: PathBuf,
    },
}
