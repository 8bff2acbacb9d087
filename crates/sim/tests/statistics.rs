//! The simulated models on a few hundred tasks: who is better, what helps, what repeats.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "helpers of tests may fail loudly, as tests may"
)]

use baton_sim::{
    Ask, Control, Difficulty, Family, Said, SimOptions, Simulator, Speaker, Task, tasks,
};

fn simulator(control: Control) -> Simulator {
    Simulator::new(SimOptions { seed: 1, control, ..SimOptions::default() })
}

fn tell(simulator: &Simulator, model: &str, text: &str) -> String {
    let said = Said { speaker: Speaker::User, text: text.into() };
    let ask = Ask {
        model: model.into(),
        messages: vec![said],
        output_tokens_max: None,
        stop: vec![],
        seed: None,
    };
    simulator.tell(&ask).unwrap().text
}

fn set(families: &[Family], count: u64) -> Vec<Task> {
    let of = |family: &Family| {
        let family = *family;
        (0..count).map(move |seed| tasks::generate(family, Difficulty::ALL[3], seed))
    };
    families.iter().flat_map(of).collect()
}

/// Share of right answers, in percent.
fn score(tasks: &[Task], answer: impl Fn(&Task) -> String) -> f64 {
    let right = tasks.iter().filter(|task| tasks::grade(task, &answer(task))).count();
    100.0 * right as f64 / tasks.len() as f64
}

fn step(number: usize, agent: &str, subtask: &str, response: &str) -> String {
    format!(
        "<step number=\"{number}\" agent=\"{agent}\">\n<subtask>{subtask}</subtask>\n<response>{response}</response>\n</step>"
    )
}

fn with(task: &Task, steps: &[String], subtask: &str) -> String {
    format!("{}\n\n{}\n\nYour subtask: {subtask}", task.prompt, steps.join("\n"))
}

#[test]
fn models_are_good_at_what_their_cards_say() {
    let sim = simulator(Control::Off);
    for (family, specialist) in [
        (Family::Arithmetic, "sim-arith"),
        (Family::Modular, "sim-arith"),
        (Family::Countdown, "sim-search"),
        (Family::Program, "sim-coder"),
    ] {
        let tasks = set(&[family], 200);
        let alone = |model| score(&tasks, |task| tell(&sim, model, &task.prompt));
        let (swift, sage, special) = (alone("sim-swift"), alone("sim-sage"), alone(specialist));
        assert!(sage > swift + 15.0, "{family}: sage {sage}, swift {swift}");
        assert!(special > swift + 20.0, "{family}: {specialist} {special}, swift {swift}");
        assert!(special < 95.0 && swift > 5.0, "{family}: {special} {swift}");
    }
}

#[test]
fn the_same_prompt_has_the_same_reply_and_another_one_mostly_the_same_answer() {
    let (sim, again) = (simulator(Control::Off), simulator(Control::Off));
    let tasks = set(&Family::ALL, 100);
    let mut changed = 0;
    for task in &tasks {
        let first = tell(&sim, "sim-swift", &task.prompt);
        assert_eq!(first, tell(&again, "sim-swift", &task.prompt));
        let other = tell(&sim, "sim-swift", &format!("Hello!\n{}", task.prompt));
        changed += usize::from(tasks::grade(task, &first) != tasks::grade(task, &other));
    }
    assert!((1..100).contains(&changed), "{changed} of {} changed", tasks.len());
    let other_seed = Simulator::new(SimOptions { seed: 2, ..SimOptions::default() });
    let differs = |task: &&Task| {
        tell(&sim, "sim-swift", &task.prompt) != tell(&other_seed, "sim-swift", &task.prompt)
    };
    assert!(tasks.iter().filter(differs).count() > 50);
}

#[test]
fn help_that_is_seen_helps_and_bad_help_misleads() {
    let sim = simulator(Control::Off);
    let tasks = set(&Family::ALL, 100);
    let alone = score(&tasks, |task| tell(&sim, "sim-swift", &task.prompt));
    let merged = |response: &dyn Fn(&Task) -> String| {
        score(&tasks, |task| {
            let steps = [step(0, "a", "Solve the question.", &response(task))];
            tell(&sim, "sim-swift", &with(task, &steps, "Solve the question."))
        })
    };
    let right = merged(&|task| match task.family {
        Family::Program => format!("```python\n{}\n```", task.answer),
        Family::Arithmetic | Family::Modular | Family::Countdown => {
            format!("Answer: {}", task.answer)
        }
    });
    let wrong = merged(&|_| "Answer: 1".into());
    assert!(right > alone + 10.0, "alone {alone}, shown the answer {right}");
    assert!(wrong < alone - 3.0, "alone {alone}, shown nonsense {wrong}");
}

#[test]
fn planning_checking_and_merging_can_pay() {
    let sim = simulator(Control::Off);
    let tasks = set(&Family::ALL, 100);
    let solve = |model: &str, task: &Task| tell(&sim, model, &task.prompt);
    let alone = score(&tasks, |task| solve("sim-coder", task));
    let planned = score(&tasks, |task| {
        let plan = tell(&sim, "sim-sage", &with(task, &[], "Plan the solution."));
        let steps = [step(0, "sim-sage", "Plan the solution.", &plan)];
        tell(&sim, "sim-coder", &with(task, &steps, "Solve the question with the plan."))
    });
    let checked = score(&tasks, |task| {
        let steps = [step(0, "sim-coder", "Solve it.", &solve("sim-coder", task))];
        tell(&sim, "sim-critic", &with(task, &steps, "Check the earlier answer."))
    });
    let merged = score(&tasks, |task| {
        let steps = [
            step(0, "sim-coder", "Solve it.", &solve("sim-coder", task)),
            step(1, "sim-arith", "Solve it.", &solve("sim-arith", task)),
            step(2, "sim-search", "Solve it.", &solve("sim-search", task)),
        ];
        tell(&sim, "sim-critic", &with(task, &steps, "Merge the earlier answers."))
    });
    eprintln!("alone {alone}, planned {planned}, checked {checked}, merged {merged}");
    assert!(planned > alone + 5.0, "planned {planned}, alone {alone}");
    assert!(checked > alone + 3.0, "checked {checked}, alone {alone}");
    assert!(merged > alone + 3.0, "merged {merged}, alone {alone}");
}

#[test]
fn a_good_checker_tells_right_from_wrong() {
    let sim = simulator(Control::Off);
    let tasks = set(&[Family::Arithmetic, Family::Countdown, Family::Program], 100);
    let agrees = |checker: &str| {
        let hits = tasks.iter().filter(|task| {
            let answer = tell(&sim, "sim-swift", &task.prompt);
            let judge = format!(
                "{}\n<candidate>{answer}</candidate>\nEnd with `Verdict: pass` or `Verdict: fail`.",
                task.prompt
            );
            let said = tell(&sim, checker, &judge);
            let last = said.lines().last().unwrap();
            assert!(["Verdict: pass", "Verdict: fail"].contains(&last), "{said}");
            (last == "Verdict: pass") == tasks::grade(task, &answer)
        });
        100.0 * hits.count() as f64 / tasks.len() as f64
    };
    let (critic, swift) = (agrees("sim-critic"), agrees("sim-swift"));
    assert!(critic > 85.0 && critic > swift + 15.0, "critic {critic}, swift {swift}");
}

#[test]
fn controls_switch_off_what_they_say() {
    let tasks = set(&Family::ALL, 100);
    let flat = simulator(Control::FlatSkills);
    let alone = |model| score(&tasks, |task| tell(&flat, model, &task.prompt));
    let (swift, sage) = (alone("sim-swift"), alone("sim-sage"));
    assert!((swift - sage).abs() < 10.0, "swift {swift}, sage {sage}");

    let null = simulator(Control::NoRoles);
    let alone = score(&tasks, |task| tell(&null, "sim-coder", &task.prompt));
    let planned = score(&tasks, |task| {
        let plan = tell(&null, "sim-sage", &with(task, &[], "Plan the solution."));
        let steps = [step(0, "sim-sage", "Plan the solution.", &plan)];
        tell(&null, "sim-coder", &with(task, &steps, "Solve the question with the plan."))
    });
    assert!((planned - alone).abs() < 8.0, "planned {planned}, alone {alone}");
}

#[test]
fn a_plan_does_not_give_the_answer_away_by_a_label() {
    let sim = simulator(Control::Off);
    for task in set(&Family::ALL, 25) {
        let plan = tell(&sim, "sim-swift", &with(&task, &[], "Plan the solution."));
        for label in ["good", "bad", "right", "wrong", "sound"] {
            assert!(!plan.to_lowercase().contains(label), "{plan}");
        }
    }
}

#[test]
fn a_question_that_is_no_task_is_answered_honestly() {
    let sim = simulator(Control::Off);
    assert!(tell(&sim, "sim-sage", "Who are you?").contains("SIMULATED"));
    assert!(tell(&sim, "sim-sage", "What is 2 * (3 + 4)?").ends_with("Answer: 14"));
}
