//! A snapshot in words: the same cells for the live view and for the printed one.

use super::snapshot::{Agent, Member, Queue, Run, Snapshot};
use crate::output::dollars;
use baton_registry::Programs;

/// Heads of the tables.
pub(super) const AGENT: [&str; 8] =
    ["AGENT", "BUSY", "CALLS", "ERRORS", "TOKENS/S", "P50", "P99", "COST"];
pub(super) const QUEUE: [&str; 5] = ["QUEUE", "TENANT", "WAITING", "LEASED", "OLDEST"];
pub(super) const RUN: [&str; 7] = ["RUN", "AGE", "STATE", "STEPS", "AGENTS", "COST", "QUESTION"];

pub(super) const NODE: [&str; 6] = ["KIND", "HOLDER", "ADDRESS", "BUSY", "VERSION", "SERVES"];

/// Characters of a question.
const QUESTION_CHARS_MAX: usize = 80;

pub(super) fn totals(snapshot: &Snapshot) -> String {
    let Snapshot { version, tenant, agents, runs, queues, .. } = snapshot;
    let running = runs.iter().filter(|run| run.is_running()).count() as u64;
    let (unfinished, finished) = match &snapshot.ledger {
        Some(sums) => (sums.unfinished, format!(", {} finished", sums.finished)),
        None => (running, String::new()),
    };
    let waiting: u64 = queues.iter().map(|queue| queue.queued).sum();
    let calls: u64 = agents.iter().map(|agent| agent.calls).sum();
    let errors: u64 = agents.iter().map(|agent| agent.errors).sum();
    let busy: u32 = agents.iter().map(|agent| agent.in_flight).sum();
    let rate: f64 = agents.iter().map(|agent| agent.tokens_a_second).sum();
    let usd: f64 = agents.iter().map(|agent| agent.usd).sum();
    format!(
        "baton {version} · {tenant} · {unfinished} runs under way{finished} · {waiting} tasks wait \
         · {busy} calls under way, {calls} made, {errors} failed · {rate:.1} tokens/s · {} since \
         the start",
        dollars(usd)
    )
}

pub(super) fn node(member: &Member) -> [String; 6] {
    let busy = match member.capacity {
        0 => "-".to_owned(),
        most => format!("{}/{most}", member.load),
    };
    let agents = (!member.agents.is_empty()).then(|| member.agents.join(","));
    let programs = member.programs.as_ref().map(|programs| match programs {
        Programs::Isolated(level) => format!("programs in a sandbox of level {level}"),
        Programs::Missing(what) => format!("no programs: {what}"),
    });
    let serves = agents.or(programs).unwrap_or_else(|| "-".into());
    [
        plain(&member.kind),
        plain(&member.holder),
        plain(&member.address),
        busy,
        plain(&member.version),
        plain(&serves),
    ]
}

pub(super) fn agent(agent: &Agent) -> [String; 8] {
    let busy = match agent.concurrency {
        Some(most) => format!("{}/{most}", agent.in_flight),
        None => agent.in_flight.to_string(),
    };
    let ms = |ms: Option<u32>| ms.map_or_else(|| "-".into(), |ms| time(u64::from(ms)));
    [
        plain(&agent.id),
        busy,
        agent.calls.to_string(),
        agent.errors.to_string(),
        format!("{:.1}", agent.tokens_a_second),
        ms(agent.p50_ms),
        ms(agent.p99_ms),
        dollars(agent.usd),
    ]
}

pub(super) fn queue(queue: &Queue) -> [String; 5] {
    [
        plain(&queue.class),
        plain(&queue.tenant),
        queue.queued.to_string(),
        queue.leased.to_string(),
        if queue.queued == 0 { "-".into() } else { time(queue.oldest_ms) },
    ]
}

pub(super) fn run(run: &Run, now: u64) -> [String; 7] {
    let (steps, agents) = match &run.doing {
        Some(doing) => (format!("{}/{}", doing.steps_done, doing.steps), doing.agents.join(",")),
        None => ("-".into(), "-".into()),
    };
    [
        plain(&run.id),
        time(run.age_ms(now)),
        state(run),
        steps,
        plain(&agents),
        dollars(run.usage.usd),
        plain(&run.title).chars().take(QUESTION_CHARS_MAX).collect(),
    ]
}

/// What a run does, or how it ended.
pub(super) fn state(run: &Run) -> String {
    match &run.doing {
        Some(doing) if doing.round > 0 => plain(&format!("{} #{}", doing.stage, doing.round + 1)),
        Some(doing) => plain(&doing.stage),
        None => plain(&run.status),
    }
}

/// A time in the largest unit that does not hide it.
pub(super) fn time(ms: u64) -> String {
    match ms {
        0..1_000 => format!("{ms}ms"),
        1_000..60_000 => format!("{:.1}s", ms as f64 / 1000.0),
        60_000..3_600_000 => format!("{}m{:02}s", ms / 60_000, ms / 1000 % 60),
        3_600_000..86_400_000 => format!("{}h{:02}m", ms / 3_600_000, ms / 60_000 % 60),
        _days => format!("{}d{:02}h", ms / 86_400_000, ms / 3_600_000 % 24),
    }
}

/// Texts are users' and providers': nothing of them may steer the terminal.
pub(super) fn plain(text: &str) -> String {
    text.chars().map(|char| if char.is_control() { ' ' } else { char }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_short_and_texts_are_harmless() {
        let check = |ms, expected: &str| assert_eq!(time(ms), expected);
        check(999, "999ms");
        check(1_500, "1.5s");
        check(61_000, "1m01s");
        check(3_660_000, "1h01m");
        check(90_000_000, "1d01h");
        assert_eq!(plain("a\u{1b}[2Jb\nc"), "a [2Jb c");
    }
}
