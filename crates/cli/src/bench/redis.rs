//! What Redis servers have done, by their own account.

use super::cpu::Account;
use crate::{chaos::stores::Store, exit::Failure};
use std::time::Duration;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};

/// How long Redis may take to tell of itself.
const ASK_LIMIT: Duration = Duration::from_secs(5);
/// Commands with which one server is asked here: `INFO` and `QUIT`, and both come too late to
/// be counted in their own answer.
const ASKED: f64 = 4.0;

/// What the servers of a ledger have done so far, together.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Done {
    pub(super) scripts: f64,
    /// Those that scripts give, too, but none that is asked here.
    pub(super) commands: f64,
    /// Received, in bytes: what had to be written.
    pub(super) bytes_in: f64,
    pub(super) bytes_out: f64,
    pub(super) cpu: Duration,
}

impl Done {
    pub(super) async fn of(stores: &[Store]) -> Result<Self, Failure> {
        let mut sum = Self::default();
        for store in stores {
            let scripts = info(store, "commandstats").await?;
            let scripts = scripts.lines().filter_map(|line| line.strip_prefix("cmdstat_evalsha:"));
            sum.scripts += scripts.map(|rest| number(rest, "calls=")).sum::<f64>();
            let stats = info(store, "stats").await?;
            sum.commands += number(&stats, "total_commands_processed:");
            sum.bytes_in += number(&stats, "total_net_input_bytes:");
            sum.bytes_out += number(&stats, "total_net_output_bytes:");
            let pid = store.pid().ok_or_else(|| Failure::other("Redis is gone"))?;
            sum.cpu += Account::of(pid).cpu()?;
        }
        Ok(sum)
    }

    /// What was done between then and now, on one server.
    pub(super) fn since(self, before: Self) -> Self {
        Self {
            scripts: self.scripts - before.scripts,
            commands: self.commands - before.commands - ASKED,
            bytes_in: self.bytes_in - before.bytes_in,
            bytes_out: self.bytes_out - before.bytes_out,
            cpu: self.cpu.saturating_sub(before.cpu),
        }
    }
}

/// What a server says of itself.
async fn info(store: &Store, section: &str) -> Result<String, Failure> {
    let failed = |error: std::io::Error| Failure::other(format!("Redis: {error}"));
    let asking = async {
        let mut stream = TcpStream::connect(store.address).await?;
        stream.write_all(format!("INFO {section}\r\nQUIT\r\n").as_bytes()).await?;
        let mut said = String::new();
        stream.read_to_string(&mut said).await?;
        Ok(said)
    };
    let late = |_| Failure::other("Redis does not tell of itself");
    timeout(ASK_LIMIT, asking).await.map_err(late)?.map_err(failed)
}

/// The number behind a name; 0 where there is none.
fn number(text: &str, name: &str) -> f64 {
    let rest = text.find(name).and_then(|at| text.get(at + name.len()..)).unwrap_or_default();
    let end = rest.find(|char: char| !char.is_ascii_digit()).unwrap_or(rest.len());
    rest.get(..end).and_then(|digits| digits.parse().ok()).unwrap_or(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_stand_behind_their_names() {
        let text = "cmdstat_evalsha:calls=12,usec=7\r\ntotal_net_input_bytes:345\r\n";
        assert_eq!(number(text, "calls="), 12.0);
        assert_eq!(number(text, "total_net_input_bytes:"), 345.0);
        assert_eq!(number(text, "nothing:"), 0.0);
    }
}
