//! The simulated models on thousands of tasks: who is better, what lasts, what helps.
//!
//! Every mechanism is tested against itself without it: the same measurement on parameters
//! that take it away must come out differently.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "helpers of tests may fail loudly, as tests may"
)]

mod bench;

use baton_sim::{Control, Family, tasks};
use bench::{Bench, QUICK, set, step};
use std::collections::{BTreeMap, BTreeSet};

const SOLVE: &str = "Solve the question.";
const CHECK: &str = "Check the earlier answer.";

#[test]
fn models_are_on_average_what_the_table_says() {
    let bench = Bench::new(Control::Off);
    for (model, family, level, chance) in [
        ("sim-swift", Family::Modular, 3, 0.50),
        ("sim-arith", Family::Arithmetic, 5, 0.70),
        ("sim-sage", Family::Numbers, 4, 0.74),
        ("sim-coder", Family::Lists, 4, 0.82),
        ("sim-critic", Family::Strings, 5, 0.30),
        ("sim-swift", Family::Choice, 5, 0.45),
    ] {
        let tasks = set(&[family], level, 1_000);
        let found = bench.score(&tasks, |bench, task| bench.tell(model, &task.prompt));
        // Four standard errors of 1,000 tasks.
        assert!((found - 100.0 * chance).abs() < 6.3, "{model} {family} {level}: {found}");
    }
}

#[test]
fn the_same_prompt_has_the_same_reply_and_another_one_mostly_the_same_answer() {
    let (bench, again) = (Bench::new(Control::Off), Bench::new(Control::Off));
    let tasks = set(&Family::ALL, 3, 40);
    let mut changed = 0;
    for task in &tasks {
        let first = bench.tell("sim-swift", &task.prompt);
        assert_eq!(first, again.tell("sim-swift", &task.prompt));
        let other = bench.tell("sim-swift", &format!("Hello!\n{}", task.prompt));
        changed += usize::from(tasks::grade(task, &first) != tasks::grade(task, &other));
    }
    assert!((1..tasks.len() / 5).contains(&changed), "{changed} of {} changed", tasks.len());
    let other_seed = Bench::seeded(2, Control::Off, &[]);
    let differs = |task: &&baton_sim::Task| {
        bench.tell("sim-swift", &task.prompt) != other_seed.tell("sim-swift", &task.prompt)
    };
    assert!(tasks.iter().filter(differs).count() > tasks.len() / 5);
}

/// What five repeats of one model gain by their majority over a single one, in points.
fn gained_by_asking_again(bench: &Bench) -> f64 {
    let tasks = set(&QUICK, 3, 200);
    let asked = |bench: &Bench, task: &baton_sim::Task, times: usize| {
        let reply = |at| bench.tell("sim-critic", &format!("{} (attempt {at})", task.prompt));
        let replies: Vec<String> = (0..times).map(reply).collect();
        let mut votes: BTreeMap<Option<String>, (usize, usize)> = BTreeMap::new();
        for (at, reply) in replies.iter().enumerate() {
            votes.entry(task.check.read(reply)).or_insert((0, usize::MAX - at)).0 += 1;
        }
        let most = votes.into_iter().max_by_key(|(_, votes)| *votes).unwrap().0;
        format!("Answer: {}", most.unwrap_or_default())
    };
    let once = bench.score(&tasks, |bench, task| asked(bench, task, 1));
    let often = bench.score(&tasks, |bench, task| asked(bench, task, 5));
    often - once
}

#[test]
fn asking_again_is_no_free_lunch() {
    let gained = gained_by_asking_again(&Bench::new(Control::Off));
    assert!((-1.0..4.0).contains(&gained), "{gained}");
    // Without anything that lasts, every call is another throw of the dice.
    let forgetful = ["difficulty = 4.0 -> difficulty = 0.0", "affinity = 2.5 -> affinity = 0.0"];
    let gained = gained_by_asking_again(&Bench::changed(&forgetful));
    assert!(gained > 8.0, "{gained}");
}

/// How much more often two models agree in right and wrong than if they were independent,
/// as a correlation.
fn correlation(bench: &Bench, one: &str, other: &str) -> f64 {
    let tasks = set(&QUICK, 3, 300);
    let right = |model: &str| {
        let right = tasks.iter().map(|task| tasks::grade(task, &bench.tell(model, &task.prompt)));
        right.map(|right| f64::from(u8::from(right))).collect::<Vec<f64>>()
    };
    let (one, other) = (right(one), right(other));
    let mean = |of: &[f64]| of.iter().sum::<f64>() / of.len() as f64;
    let (a, b) = (mean(&one), mean(&other));
    let both = mean(&one.iter().zip(&other).map(|(x, y)| x * y).collect::<Vec<_>>());
    (both - a * b) / (a * (1.0 - a) * b * (1.0 - b)).sqrt()
}

#[test]
fn what_is_hard_for_one_model_is_hard_for_others_and_suits_some() {
    let bench = Bench::new(Control::Off);
    let found = correlation(&bench, "sim-swift", "sim-critic");
    assert!((0.3..0.8).contains(&found), "{found}");
    let both = found;
    let nothing_shared = Bench::changed(&["difficulty = 4.0 -> difficulty = 0.0"]);
    let found = correlation(&nothing_shared, "sim-swift", "sim-critic");
    assert!(found.abs() < 0.12, "{found}");
    let nothing_own = Bench::changed(&["affinity = 2.5 -> affinity = 0.0"]);
    let found = correlation(&nothing_own, "sim-swift", "sim-critic");
    assert!(found > both + 0.03, "{found} without, {both} with affinity");
}

#[test]
fn plans_and_checks_last() {
    let bench = Bench::new(Control::Off);
    for task in set(&QUICK, 3, 40) {
        let plan = |how: &str| bench.tell("sim-swift", &bench::with(&task, &[], how));
        assert_eq!(plan("Plan the solution."), plan("Plan it once more, better."));
        let answer = bench.tell("sim-arith", &task.prompt);
        let verdict = |how: &str| {
            let asked = bench::judging(&task, &format!("{answer}\n{how}"));
            bench.tell("sim-swift", &asked).lines().last().unwrap().to_owned()
        };
        assert_eq!(verdict(""), verdict("Look again."));
    }
}

#[test]
fn good_plans_help_and_bad_ones_harm() {
    let family = [Family::Modular, Family::Numbers];
    let scores = |bench: &Bench| {
        let tasks = set(&family, 4, 500);
        let planned = |good: bool| {
            bench.score(&tasks, |bench, task| {
                let plan = bench.plan(task, good);
                let steps = [step(0, "a", "Plan the solution.", &plan)];
                bench.tell("sim-coder", &bench::with(task, &steps, SOLVE))
            })
        };
        let alone = bench.score(&tasks, |bench, task| bench.tell("sim-coder", &task.prompt));
        (alone, planned(true), planned(false))
    };
    let (alone, good, bad) = scores(&Bench::new(Control::Off));
    assert!(good > alone + 5.0 && bad < alone - 2.0, "{alone} {good} {bad}");
    let (alone, good, bad) = scores(&Bench::changed(&[
        "plan = 1.4 -> plan = 0.0",
        "guess = 0.0\nplan = 1.2\n\n[family.strings] -> guess = 0.0\nplan = 0.0\n\n[family.strings]",
        "plan = 1.4 -> plan = 0.0",
    ]));
    assert!((good - alone).abs() < 2.5 && (bad - alone).abs() < 2.5, "{alone} {good} {bad}");
}

/// Right answers of a model that sees these, in percent: alone, with each.
fn shown(bench: &Bench, answers: &[&[bool]]) -> Vec<f64> {
    let tasks = set(&QUICK, 4, 160);
    let seeing = |answers: &[bool]| {
        bench.score(&tasks, |bench, task| {
            let answer = |(at, right): (usize, &bool)| {
                let text = if *right { task.answer.clone() } else { bench.wrong(task) };
                step(at, "someone", SOLVE, &format!("Answer: {text}"))
            };
            let steps: Vec<String> = answers.iter().enumerate().map(answer).collect();
            bench.tell("sim-critic", &bench::with(task, &steps, SOLVE))
        })
    };
    answers.iter().map(|answers| seeing(answers)).collect()
}

#[test]
fn what_is_seen_pulls_both_ways_and_a_majority_pulls_more() {
    let cases: [&[bool]; 6] =
        [&[], &[true], &[false], &[true, true], &[false, false], &[true, false, false]];
    let found = shown(&Bench::new(Control::Off), &cases);
    let [alone, right, wrong, both, neither, outvoted] = found[..] else { panic!("six") };
    assert!(right > alone + 4.0 && both > right + 5.0, "{found:?}");
    assert!(wrong < alone - 4.0 && neither < wrong - 5.0, "{found:?}");
    assert!(outvoted < alone - 3.0, "{found:?}");
    let blind = shown(
        &Bench::changed(&[
            "herd_right = 1.0 -> herd_right = 0.0",
            "herd_wrong = -1.2 -> herd_wrong = 0.0",
            "majority = 0.8 -> majority = 0.0",
        ]),
        &cases,
    );
    assert!(blind.iter().all(|score| (score - blind[0]).abs() < 3.0), "{blind:?}");
}

/// Of the wrong answers of `author`, how many `checker` finds wrong, in percent. The judge
/// is not told who wrote them.
fn found_out(bench: &Bench, author: &str, checker: &str) -> f64 {
    let (mut found, mut all) = (0, 0);
    for task in set(&QUICK, 4, 400) {
        let answer = bench.tell(author, &task.prompt);
        if tasks::grade(&task, &answer) {
            continue;
        }
        all += 1;
        let said = bench.tell(checker, &bench::judging(&task, &answer));
        found += usize::from(said.ends_with("Verdict: fail"));
    }
    assert!(all > 300, "{all}");
    100.0 * found as f64 / all as f64
}

#[test]
fn nobody_sees_their_own_mistakes_well() {
    let bench = Bench::new(Control::Off);
    let (own, others) = (
        found_out(&bench, "sim-critic", "sim-critic"),
        found_out(&bench, "sim-coder", "sim-critic"),
    );
    assert!(own < others - 8.0, "own {own}, others' {others}");
    let seeing = Bench::changed(&["blindness = -1.6 -> blindness = 0.0"]);
    let (own, others) = (
        found_out(&seeing, "sim-critic", "sim-critic"),
        found_out(&seeing, "sim-coder", "sim-critic"),
    );
    assert!((own - others).abs() < 6.0, "own {own}, others' {others}");
}

#[test]
fn a_good_checker_tells_right_from_wrong() {
    let bench = Bench::new(Control::Off);
    let tasks = set(&QUICK, 3, 150);
    let agrees = |checker: &str| {
        let hits = tasks.iter().filter(|task| {
            let answer = bench.tell("sim-swift", &task.prompt);
            let said = bench.tell(checker, &bench::judging(task, &answer));
            let last = said.lines().last().unwrap();
            assert!(["Verdict: pass", "Verdict: fail"].contains(&last), "{said}");
            (last == "Verdict: pass") == tasks::grade(task, &answer)
        });
        100.0 * hits.count() as f64 / tasks.len() as f64
    };
    let (critic, swift) = (agrees("sim-critic"), agrees("sim-swift"));
    assert!(critic > 80.0 && critic > swift + 10.0, "critic {critic}, swift {swift}");
}

#[test]
fn models_make_the_same_mistakes_more_often_than_chance() {
    let shared = |bench: &Bench| {
        let (mut same, mut both) = (0, 0);
        for task in set(&QUICK, 4, 300) {
            let read = |model| task.check.read(&bench.tell(model, &task.prompt));
            let (one, other) = (read("sim-swift"), read("sim-coder"));
            let wrong = |answer: &Option<String>| {
                answer.as_ref().is_some_and(|answer| !task.check.accepts(answer))
            };
            if wrong(&one) && wrong(&other) {
                both += 1;
                same += usize::from(one == other);
            }
        }
        100.0 * same as f64 / both as f64
    };
    let with = shared(&Bench::new(Control::Off));
    let without = shared(&Bench::changed(&["common = 0.35 -> common = 0.0"]));
    assert!(with > without + 3.0, "{with} {without}");
}

#[test]
fn flat_skills_make_all_models_alike() {
    let bench = Bench::new(Control::FlatSkills);
    let tasks = set(&QUICK, 4, 500);
    let scores: Vec<f64> = ["sim-swift", "sim-arith", "sim-search", "sim-coder", "sim-sage"]
        .map(|model| bench.score(&tasks, |bench, task| bench.tell(model, &task.prompt)))
        .to_vec();
    let (low, high) = scores
        .iter()
        .fold((100.0_f64, 0.0_f64), |(low, high), score| (low.min(*score), high.max(*score)));
    // Four standard errors of a difference of 2,500 tasks each.
    assert!(high - low < 5.6, "{scores:?}");
    // And nobody is better at checking.
    let checks = |checker| found_out(&bench, "sim-arith", checker);
    let (swift, critic) = (checks("sim-swift"), checks("sim-critic"));
    assert!((swift - critic).abs() < 7.0, "{swift} {critic}");
    let normal = Bench::new(Control::Off);
    let alone = |model| normal.score(&tasks, |bench, task| bench.tell(model, &task.prompt));
    assert!(alone("sim-sage") > alone("sim-swift") + 20.0);
}

#[test]
fn without_roles_no_help_helps_and_none_harms() {
    let scores = |bench: &Bench, count: u64| {
        let tasks = set(&QUICK, 4, count);
        let alone = bench.score(&tasks, |bench, task| bench.tell("sim-critic", &task.prompt));
        let planned = bench.score(&tasks, |bench, task| {
            let steps = [step(0, "a", "Plan the solution.", &bench.plan(task, true))];
            bench.tell("sim-critic", &bench::with(task, &steps, SOLVE))
        });
        let told = |subtask: &str, right: bool| {
            bench.score(&tasks, |bench, task| {
                let text = if right { task.answer.clone() } else { bench.wrong(task) };
                let answer = |at| step(at, "a", SOLVE, &format!("Answer: {text}"));
                let steps = [answer(0), answer(1)];
                bench.tell("sim-critic", &bench::with(task, &steps, subtask))
            })
        };
        let merge = "Merge the earlier answers.";
        let wrong_checked = told(CHECK, false);
        let [solved, misled] = [true, false].map(|right| told(SOLVE, right));
        let [merged, mismerged] = [true, false].map(|right| told(merge, right));
        [alone, wrong_checked, planned, solved, misled, merged, mismerged, told(CHECK, true)]
    };
    let null = scores(&Bench::new(Control::NoRoles), 400);
    // Some three standard errors: the lots of one task are mostly the same in all of these.
    assert!(null.iter().all(|score| (score - null[0]).abs() < 3.0), "{null:?}");
    // Who finds a wrong answer wrong solves the task as if alone: that may come out alike.
    let normal = scores(&Bench::new(Control::Off), 100);
    assert!(normal[2..].iter().all(|score| (score - normal[0]).abs() > 4.0), "{normal:?}");
}

#[test]
fn no_word_tells_right_from_wrong() {
    let bench = Bench::new(Control::Off);
    for family in QUICK.into_iter().chain([Family::Choice]) {
        let mut words = [BTreeSet::new(), BTreeSet::new()];
        let mut counts = [0; 2];
        let mut lengths = [0_usize; 2];
        for task in set(&[family], 4, 600) {
            let reply = bench.tell("sim-critic", &task.prompt);
            let right = usize::from(tasks::grade(&task, &reply));
            counts[right] += 1;
            lengths[right] += reply.len();
            // Numbers and the words that are worked on are what the answer is about.
            let own: BTreeSet<&str> = task.prompt.split(|c: char| !c.is_alphabetic()).collect();
            let said = reply.split(|c: char| !c.is_alphabetic());
            let plain = said.filter(|word| !own.contains(word) && word.len() > 1);
            if family != Family::Strings {
                words[right].extend(plain.map(str::to_owned));
            }
        }
        assert!(counts[0] > 100 && counts[1] > 100, "{family}: {counts:?}");
        assert_eq!(words[0], words[1], "{family}");
        let mean = |at: usize| lengths[at] as f64 / counts[at] as f64;
        assert!((mean(0) / mean(1) - 1.0).abs() < 0.12, "{family}: {} {}", mean(0), mean(1));
    }
}

/// What the Conductor says may hang on the question and on nothing that lasts beneath it.
#[test]
fn the_conductor_knows_nothing_of_what_is_hidden() {
    let honest = Bench::new(Control::Off);
    let others = [
        Bench::changed(&[
            "difficulty = 4.0 -> difficulty = 0.0",
            "affinity = 2.5 -> affinity = 9.0",
        ]),
        Bench::changed(&["skill.choice = [0.95 -> skill.choice = [0.30"]),
    ];
    let asked = |task: &baton_sim::Task| {
        format!(
            "Reply with model_id, subtasks and access_list.\nModel 0: cheap\nModel 1: arithmetic\nModel 2: python code\n\n{}",
            task.prompt
        )
    };
    for task in set(&Family::ALL, 3, 20) {
        let plan = honest.tell("sim-conductor", &asked(&task));
        assert!(!plan.contains(&format!("Answer: {}", task.answer)), "{plan}");
        for other in &others {
            assert_eq!(plan, other.tell("sim-conductor", &asked(&task)));
        }
    }
}

#[test]
fn a_question_that_is_no_task_is_answered_honestly() {
    let bench = Bench::new(Control::Off);
    assert!(bench.tell("sim-sage", "Who are you?").contains("SIMULATED"));
    assert!(bench.tell("sim-sage", "What is 2 * (3 + 4)?").ends_with("Answer: 14"));
}
