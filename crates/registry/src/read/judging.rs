//! `[judging.AGENT]`: what was measured of an agent's judgements.

use super::{
    agent::Agents,
    faults::Faults,
    table::{Shape, Table},
};
use crate::JudgingSettings;
use baton_workflow::AgentId;
use std::collections::BTreeMap;

const JUDGING: Shape = Shape {
    required: &["passed", "passed_right", "failed", "failed_right"],
    optional: &["accept", "reject"],
};

/// All agents of whom it is said.
pub(super) fn judging(
    root: Table<'_>,
    agents: &Agents,
    faults: &mut Faults<'_>,
) -> BTreeMap<AgentId, JudgingSettings> {
    let mut judging = BTreeMap::new();
    let Some((_, named)) = root.table("judging", faults) else { return judging };
    for (name, value) in named {
        let path = format!("judging.{}", name.get_ref());
        let at = value.span().start;
        let agent = agents.ids.iter().find(|agent| agent.as_str() == name.get_ref());
        if agent.is_none() {
            faults.at(name.span().start, format!("{path}: there is no such agent"));
        }
        let Some(entries) = value.get_ref().as_table() else {
            faults.at(at, format!("{path} is not a table: write [{path}]"));
            continue;
        };
        let measured = measured(Table::open(&path, at, entries, &JUDGING, faults), faults);
        judging.extend(agent.cloned().zip(measured));
    }
    judging
}

fn measured(table: Table<'_>, faults: &mut Faults<'_>) -> Option<JudgingSettings> {
    let mut counted = |every, right| {
        let all: u32 = table.whole(every, 0..=u32::MAX, faults)?;
        let of = table.whole(right, 0..=u32::MAX, faults)?;
        if of > all {
            table.wrong(right, &format!("at most {all}, which is {every}"), faults);
        }
        Some((all, of))
    };
    let passes = counted("passed", "passed_right");
    let fails = counted("failed", "failed_right");
    let accept = share(&table, "accept", faults).unwrap_or(0.0);
    let reject = share(&table, "reject", faults).unwrap_or(1.0);
    let ((passed, passed_right), (failed, failed_right)) = passes.zip(fails)?;
    Some(JudgingSettings { passed, passed_right, failed, failed_right, accept, reject })
}

fn share(table: &Table<'_>, key: &'static str, faults: &mut Faults<'_>) -> Option<f64> {
    let share = table.number(key, faults)?;
    if !(0.0..=1.0).contains(&share) {
        table.wrong(key, "a probability, 0 to 1", faults);
    }
    Some(share)
}

#[cfg(test)]
mod tests {
    use crate::{Settings, SettingsFaults, read_settings};
    use std::path::Path;

    fn read(table: &str) -> Result<Settings, SettingsFaults> {
        let agent = "[providers.p]\nbase_url = \"http://127.0.0.1:1\"\n\n[[agents]]\nid = \"j\"\n\
                     provider = \"p\"\nmodel = \"m\"\nprice = { input = 1.0, output = 1.0 }\n\
                     context_tokens = 1000\noutput_tokens = 100\n\n";
        read_settings(&format!("{agent}{table}"), Path::new("baton.toml"), &|_| None)
    }

    #[test]
    fn what_was_measured_gives_a_probability_and_decides_beyond_it() {
        let counts = "passed = 98\npassed_right = 89\nfailed = 8\nfailed_right = 2\n";
        let settings = read(&format!("[judging.j]\n{counts}")).unwrap();
        let measured = settings.judging.values().next().unwrap();
        assert_eq!((measured.probability(true), measured.probability(false)), (0.9, 0.3));
        assert!(measured.decides(true) && measured.decides(false));
        let limits = "accept = 0.91\nreject = 0.29\n";
        let settings = read(&format!("[judging.j]\n{counts}{limits}")).unwrap();
        let measured = settings.judging.values().next().unwrap();
        assert!(!measured.decides(true) && !measured.decides(false));
    }

    #[test]
    fn what_cannot_have_been_measured_is_told() {
        for (table, expected) in [
            ("[judging.k]\n", "judging.k: there is no such agent"),
            ("[judging]\nj = 1\n", "judging.j is not a table"),
            (
                "[judging.j]\npassed = 1\npassed_right = 2\nfailed = 0\nfailed_right = 0\n",
                "is 2: expected at most 1, which is passed",
            ),
            (
                "[judging.j]\npassed = 1\npassed_right = 1\nfailed = 0\nfailed_right = 0\naccept = 2\n",
                "a probability",
            ),
            ("[judging.j]\npassed = 1\n", "passed_right"),
        ] {
            let said = read(table).unwrap_err().to_string();
            assert!(said.contains(expected), "{table}: {said}");
        }
    }
}
