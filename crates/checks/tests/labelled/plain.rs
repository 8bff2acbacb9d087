//! Letters, texts, patterns and plain numbers.

use crate::{Case, Draws, Kind};
use serde_json::json;

const CITIES: [&str; 8] = ["Oslo", "Rome", "Paris", "Lima", "Cairo", "Quito", "New York", "Bern"];

pub(crate) fn letters(draws: &mut Draws) -> Vec<Case> {
    let mut cases = Vec::new();
    for round in 0..14 {
        let start = draws.int(0, 4) as usize;
        let options = &CITIES[start..start + 4];
        let place = draws.int(0, 3) as usize;
        let other = (place + draws.int(1, 3) as usize) % 4;
        let (right, wrong) = (letter(place), letter(other));
        let mut check = json!({"type": "choice.letter", "expected": right.to_string()});
        if round % 2 == 0 {
            check["options"] = json!(options);
        }
        let mut add = |reply: String, is_right: bool, kind: Kind| {
            cases.push(Case::of(&check, reply, is_right, kind));
        };
        for (said, is_right, beside) in [(right, true, place), (wrong, false, other)] {
            let forms = [
                format!("Answer: {said}"),
                format!("I think.\n\n**Answer:** ({said})"),
                format!("\\boxed{{{said}}}"),
            ];
            forms.into_iter().for_each(|reply| add(reply, is_right, Kind::Plain));
            let forms = [
                format!("It might be {wrong} or {right}.\nThe final answer is {said}."),
                format!("Answer: {}\nno.\nAnswer: {said}", if is_right { wrong } else { right }),
                format!("$\\boxed{{\\textbf{{({said})}}}}$"),
                format!("So it is this one:\n**{said}**"),
                format!("Answer: {said}) {}", options[beside]),
            ];
            forms.into_iter().for_each(|reply| add(reply, is_right, Kind::Tricky));
        }
        // Hedges and cheats.
        for reply in [
            format!("Answer: {right} or {wrong}"),
            format!("Answer: {right}/{wrong}"),
            format!("\\boxed{{{right}}} \\boxed{{{wrong}}}"),
            "Answer: A, B, C, D".into(),
            "Answer: all of them".into(),
            "Answer: Z".into(),
            "A thing I do not know".into(),
            String::new(),
        ] {
            add(reply, false, Kind::Tricky);
        }
        if round % 2 == 0 {
            add(format!("Answer: {}", options[place].to_uppercase()), true, Kind::Tricky);
            add(format!("Answer: {}.", options[other]), false, Kind::Tricky);
            add(format!("Answer: {right}) {}", options[other]), false, Kind::Tricky);
        }
    }
    cases
}

fn letter(place: usize) -> char {
    (b'A' + place as u8) as char
}

pub(crate) fn exact(draws: &mut Draws) -> Vec<Case> {
    let mut cases = Vec::new();
    for place in 0..24 {
        let (right, wrong) = (CITIES[place % 8], CITIES[(place + 1 + place / 8) % 8]);
        let check = json!({"type": "text.exact", "expected": right});
        let mut add = |reply: String, is_right: bool, kind: Kind| {
            cases.push(Case::of(&check, reply, is_right, kind));
        };
        add(draws.marked(right), true, Kind::Plain);
        add(draws.marked(wrong), false, Kind::Plain);
        add(right.into(), true, Kind::Plain);
        add(wrong.into(), false, Kind::Plain);
        add(format!("Answer: **{}**.", right.to_lowercase()), true, Kind::Tricky);
        add(format!("answer:   \"{}\"", right.to_uppercase()), true, Kind::Tricky);
        add(format!("\\boxed{{\\text{{{right}}}}}"), true, Kind::Tricky);
        add(format!("Answer: not {right}"), false, Kind::Tricky);
        add(format!("Answer: {right} or {wrong}"), false, Kind::Tricky);
        add(format!("{right}, I mean\nAnswer: {wrong}"), false, Kind::Tricky);
        add(format!("Answer: {}", &right[1..]), false, Kind::Tricky);
    }
    cases
}

pub(crate) fn patterns(draws: &mut Draws) -> Vec<Case> {
    let mut cases = Vec::new();
    for _ in 0..34 {
        let (year, month, day) = (draws.int(1900, 2099), draws.int(1, 12), draws.int(1, 28));
        let date = json!({"type": "text.regex", "pattern": r"^\d{4}-(0[1-9]|1[0-2])-\d{2}$"});
        let mut add = |reply: String, is_right: bool, kind: Kind| {
            cases.push(Case::of(&date, reply, is_right, kind));
        };
        add(format!("{year}-{month:02}-{day:02}"), true, Kind::Plain);
        add(format!("{day}.{month}.{year}"), false, Kind::Plain);
        add(format!("{year}-{:02}-{day:02}", month + 12), false, Kind::Tricky);
        add(format!("{year}-{month:02}-{day:02}\nor so"), false, Kind::Tricky);
        add(format!("x{year}-{month:02}-{day:02}"), false, Kind::Tricky);
        let slow = json!({"type": "text.regex", "pattern": "^(a+)+$"});
        let count = draws.int(100, 4_000) as usize;
        cases.push(Case::of(&slow, "a".repeat(count), true, Kind::Tricky));
        cases.push(Case::of(&slow, "a".repeat(count) + "b", false, Kind::Tricky));
    }
    cases
}

pub(crate) fn numeric(draws: &mut Draws) -> Vec<Case> {
    let mut cases = Vec::new();
    for _ in 0..14 {
        let n = draws.int(1_000, 99_999);
        let cents = draws.int(1, 98);
        let check = json!({"type": "text.numeric", "expected": n});
        let mut add = |reply: String, is_right: bool, kind: Kind| {
            cases.push(Case::of(&check, reply, is_right, kind));
        };
        let split = format!("{},{:03}", n / 1000, n % 1000);
        add(draws.marked(&n.to_string()), true, Kind::Plain);
        add(draws.marked(&(n + 1).to_string()), false, Kind::Plain);
        add(draws.marked(&(-n).to_string()), false, Kind::Plain);
        add(format!("Answer: {split}.0"), true, Kind::Tricky);
        add(format!("Answer: about {n} apples"), true, Kind::Tricky);
        add(format!("so 2 * {} = {}\nwhich gives x = {n}.", n, 2 * n), true, Kind::Tricky);
        add(format!("Answer: {} + 1 = {n}", n - 1), true, Kind::Tricky);
        add(format!("Answer: {n} or {}", n + 1), false, Kind::Tricky);
        add(format!("Answer: not {n}"), false, Kind::Tricky);
        add(format!("Answer: between {n} and {n}0"), false, Kind::Tricky);
        add(format!("Answer: {n}%"), false, Kind::Tricky);
        add(format!("{n} is wrong, hence\nAnswer: {}", n + 7), false, Kind::Tricky);
        add(format!("Answer: {n}.0000000001"), false, Kind::Tricky);
        add("Answer: a number".into(), false, Kind::Tricky);
        // With a tolerance, and ten percent against a tenth.
        let check =
            json!({"type": "text.numeric", "expected": format!("0.{cents:02}"), "absolute": 0.005});
        let mut add = |reply: String, is_right: bool, kind: Kind| {
            cases.push(Case::of(&check, reply, is_right, kind));
        };
        add(format!("Answer: 0.{cents:02}4"), true, Kind::Tricky);
        add(format!("Answer: 0.{cents:02}5"), true, Kind::Tricky);
        add(format!("Answer: 0.{cents:02}6"), false, Kind::Tricky);
        add(format!("Answer: {cents} %"), true, Kind::Tricky);
        add(format!("Answer: {cents}"), false, Kind::Tricky);
    }
    cases
}
