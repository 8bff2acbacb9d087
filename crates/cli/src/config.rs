//! `baton config`: check, show and compare configurations, and change the one that the
//! processes of a cluster share.

mod check;
mod diff;
mod shared;
mod show;
mod status;
mod write;

use crate::{
    args::{EndpointArgs, Format, PoolArgs},
    etcd::EtcdArgs,
    exit::Failure,
};
use clap::{Args, Subcommand};
use std::{path::PathBuf, process::ExitCode};

#[derive(Debug, Args)]
pub(crate) struct Config {
    #[command(subcommand)]
    command: Command,
    /// Form of what is printed.
    #[arg(short, long, value_enum, default_value = "text", global = true)]
    output: Format,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Say everything that is wrong with a configuration, with line and column.
    Check {
        /// The file; else the one of --config, else the environment.
        file: Option<PathBuf>,
        #[command(flatten)]
        pool: PoolArgs,
    },
    /// Print the configuration with every default, as a configuration.
    Show {
        /// The file; else what the cluster shares, where --etcd says where that is; else
        /// the one of --config, else the environment.
        file: Option<PathBuf>,
        /// Say of each value where it comes from.
        #[arg(long)]
        origin: bool,
        #[command(flatten)]
        pool: PoolArgs,
        #[command(flatten)]
        etcd: EtcdArgs,
    },
    /// Say what would change if a file took effect.
    Diff {
        /// The file; else the one of --config, else the environment.
        file: Option<PathBuf>,
        /// Compare the first file with this one, and not with a running endpoint.
        other: Option<PathBuf>,
        #[command(flatten)]
        pool: PoolArgs,
        #[command(flatten)]
        endpoint: EndpointArgs,
    },
    /// Give a configuration to all processes of a cluster that share one in etcd.
    Push {
        /// The file.
        file: PathBuf,
        #[command(flatten)]
        change: shared::Change,
        #[command(flatten)]
        etcd: EtcdArgs,
    },
    /// List the configurations that a cluster has shared, the newest first.
    History {
        #[command(flatten)]
        etcd: EtcdArgs,
    },
    /// Give an earlier configuration to all processes again, as a new revision.
    Rollback {
        /// The revision.
        revision: u64,
        #[command(flatten)]
        change: shared::Change,
        #[command(flatten)]
        etcd: EtcdArgs,
    },
    /// Show which version is in force at an endpoint, and what it refused.
    Status {
        #[command(flatten)]
        endpoint: EndpointArgs,
    },
}

pub(crate) async fn config(args: Config) -> Result<ExitCode, Failure> {
    let json = args.output == Format::Json;
    match args.command {
        Command::Check { file, pool } => check::check(&of(file, pool), json),
        Command::Show { file: None, origin, etcd, .. } if etcd.is_given() => {
            show::show_shared(&shared::current(&etcd).await?, origin, json)
        }
        Command::Show { file, origin, pool, .. } => show::show(&of(file, pool), origin, json),
        Command::Push { file, change, etcd } => shared::push(&file, &change, &etcd, json).await,
        Command::History { etcd } => shared::history(&etcd, json).await,
        Command::Rollback { revision, change, etcd } => {
            shared::rollback(revision, &change, &etcd, json).await
        }
        Command::Diff { file, other, pool, endpoint } => {
            diff::diff(&of(file, pool), other, &endpoint, json).await
        }
        Command::Status { endpoint } => status::status(&endpoint, json).await,
    }
}

/// A file that is named alone goes before one that is named otherwise.
fn of(file: Option<PathBuf>, pool: PoolArgs) -> PoolArgs {
    PoolArgs { config: file.or(pool.config), ..pool }
}

/// What a configuration is called.
fn name(pool: &PoolArgs) -> String {
    pool.config.as_ref().map_or_else(|| "environment".to_owned(), |f| f.display().to_string())
}
