//! The simulated Conductor, asked as the planner asks and read as the planner reads.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "helpers of tests may fail loudly, as tests may"
)]

use baton_planner::{Form, Plan, RenderOptions, read, render, repair};
use baton_sim::{Ask, Difficulty, Family, Said, SimOptions, Simulator, Speaker, cards, tasks};
use baton_workflow::{Limits, Pool};

const PLANS: u64 = 400;

fn simulator(malformed_rate: Option<f64>) -> Simulator {
    Simulator::new(SimOptions { malformed_rate, ..SimOptions::default() })
}

fn tell(simulator: &Simulator, prompt: &baton_planner::Prompt) -> String {
    let said = |speaker, text: &str| Said { speaker, text: text.to_owned() };
    let messages = vec![said(Speaker::System, &prompt.system), said(Speaker::User, &prompt.user)];
    let ask = Ask {
        model: "sim-conductor".into(),
        messages,
        output_tokens_max: None,
        stop: vec![],
        seed: None,
    };
    simulator.tell(&ask).unwrap().text
}

fn pool() -> Pool {
    Pool::new("v1", cards()).unwrap()
}

fn options(form: Form) -> RenderOptions {
    RenderOptions { form, names: true, strengths: true, prices: true }
}

/// Replies for tasks of every kind, each with the prompt it answers.
fn replies(simulator: &Simulator, form: Form) -> Vec<(baton_planner::Prompt, String)> {
    let of = |seed: u64| {
        let family = Family::ALL[seed as usize % 8];
        let task = tasks::generate(family, Difficulty::ALL[seed as usize % 5], seed);
        let prompt = render(&task.prompt, &pool(), &Limits::default(), options(form), &[]);
        let reply = tell(simulator, &prompt);
        (prompt, reply)
    };
    (0..PLANS).map(of).collect()
}

#[test]
fn clean_plans_are_workflows_of_many_shapes() {
    for form in [Form::Lists, Form::Json] {
        let mut steps = [0; 6];
        for (_, reply) in replies(&simulator(Some(0.0)), form) {
            let Ok(Plan::Workflow(flow)) = read(&reply, &pool(), &Limits::default()) else {
                panic!("{reply}")
            };
            steps[flow.steps().len()] += 1;
        }
        assert!(steps[1] > 40 && steps[2] > 40 && steps[3] > 40 && steps[4] > 0, "{steps:?}");
    }
}

/// Whether a reply is a plan exactly as it was asked for, with nothing to overlook.
fn well_formed(reply: &str, form: Form) -> bool {
    if form == Form::Json {
        let plan: Result<serde_json::Value, _> = serde_json::from_str(reply);
        return plan.is_ok() && read(reply, &pool(), &Limits::default()).is_ok();
    }
    let lines: Vec<&str> = reply.lines().filter(|line| line.contains(" = [")).collect();
    let names = ["model_id = [", "subtasks = [\"", "access_list = [["];
    let in_order =
        lines.len() == 3 && names.iter().zip(&lines).all(|(name, line)| line.starts_with(name));
    // Nothing before the lists but one line that thinks, and nothing behind them.
    let bare = reply.lines().count() == 5 && reply.ends_with(lines.last().unwrap_or(&"?"));
    let lists = |line: &str| {
        let (_, list) = line.split_once(" = ").unwrap_or_default();
        serde_json::from_str::<Vec<serde_json::Value>>(list).ok()
    };
    let flat = lines
        .first()
        .and_then(|line| lists(line))
        .is_some_and(|list| list.iter().all(serde_json::Value::is_number));
    let access = lines.last().and_then(|line| lists(line));
    let nested = access.is_some_and(|list| list.iter().all(serde_json::Value::is_array));
    let quoted = lines.get(1).and_then(|line| lists(line)).is_some();
    in_order && bare && flat && nested && quoted && read(reply, &pool(), &Limits::default()).is_ok()
}

#[test]
fn a_rate_of_0_or_1_knows_no_exception() {
    let (never, always) = (simulator(Some(0.0)), simulator(Some(1.0)));
    for form in [Form::Lists, Form::Json] {
        for (_, reply) in replies(&never, form) {
            assert!(well_formed(&reply, form), "{reply}");
        }
        for (prompt, reply) in replies(&always, form) {
            assert!(!well_formed(&reply, form), "{reply}");
            if let Err(complaints) = read(&reply, &pool(), &Limits::default()) {
                let again = tell(&always, &repair(&prompt, &reply, &complaints));
                assert!(!well_formed(&again, form), "{again}");
            }
        }
    }
}

#[test]
fn malformed_plans_are_half_mended_by_the_reader_and_mostly_repaired() {
    let (all, sometimes) = (simulator(Some(1.0)), simulator(None));
    for form in [Form::Lists, Form::Json] {
        let (mut mended, mut repaired, mut refused) = (0, 0, 0);
        for (prompt, reply) in replies(&all, form) {
            let Err(complaints) = read(&reply, &pool(), &Limits::default()) else {
                mended += 1;
                continue;
            };
            refused += 1;
            let again = tell(&sometimes, &repair(&prompt, &reply, &complaints));
            repaired += u32::from(read(&again, &pool(), &Limits::default()).is_ok());
        }
        assert!((160..=260).contains(&mended), "{form:?}: {mended} of {PLANS} mended");
        assert!(repaired * 10 > refused * 8, "{form:?}: {repaired} of {refused} repaired");
    }
    let good = replies(&sometimes, Form::Lists)
        .into_iter()
        .filter(|(_, reply)| read(reply, &pool(), &Limits::default()).is_ok());
    let good = good.count() as u64;
    assert!((PLANS * 90 / 100..PLANS).contains(&good), "{good} of {PLANS} are readable");
}
