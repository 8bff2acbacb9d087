//! Tables of figures: the median of several rounds, how far they spread, what is aimed at.

use crate::args::Format;
use serde_json::{Value, json};

/// What a figure should be.
#[derive(Debug, Clone, Copy)]
pub(super) enum Target {
    AtLeast(f64),
    AtMost(f64),
}

impl Target {
    fn is_met(self, figure: f64) -> bool {
        match self {
            Self::AtLeast(bound) => figure >= bound,
            Self::AtMost(bound) => figure <= bound,
        }
    }
}

/// One line: what was measured, once in each round.
#[derive(Debug)]
struct Row {
    what: String,
    unit: &'static str,
    figures: Vec<f64>,
    target: Option<Target>,
}

/// One subject's lines.
#[derive(Debug)]
pub(super) struct Table {
    title: String,
    rows: Vec<Row>,
}

impl Table {
    pub(super) fn new(title: impl Into<String>) -> Self {
        Self { title: title.into(), rows: Vec::new() }
    }

    /// The same, of simulated models: says by which parameters.
    pub(super) fn simulated(mut self) -> Self {
        let parameters = baton_sim::Parameters::built_in();
        self.title.push_str(&format!("; simulation {}", parameters.short_hash()));
        self
    }

    /// Adds a line.
    pub(super) fn row(&mut self, what: impl Into<String>, unit: &'static str, figures: Vec<f64>) {
        self.rows.push(Row { what: what.into(), unit, figures, target: None });
    }

    /// Adds a line with what is aimed at.
    pub(super) fn aimed(
        &mut self,
        what: impl Into<String>,
        unit: &'static str,
        figures: Vec<f64>,
        target: Target,
    ) {
        self.rows.push(Row { what: what.into(), unit, figures, target: Some(target) });
    }

    /// To standard output.
    pub(super) fn print(&self, format: Format) {
        match format {
            Format::Text => anstream::println!("{}", self.text()),
            Format::Json => anstream::println!("{}", self.json()),
        }
    }

    fn text(&self) -> String {
        let mut text = format!("{}\n\n| what | median | from | to | aim |\n", self.title);
        text.push_str("| --- | ---: | ---: | ---: | --- |\n");
        for Row { what, unit, figures, target } in &self.rows {
            let Spread { median, low, high } = Spread::of(figures);
            let aim = target.map_or(String::new(), |target| {
                let met = if target.is_met(median) { "met" } else { "MISSED" };
                match target {
                    Target::AtLeast(bound) => format!("{} or more: {met}", figure(bound)),
                    Target::AtMost(bound) => format!("{} or less: {met}", figure(bound)),
                }
            });
            let (median, low, high) = (figure(median), figure(low), figure(high));
            text.push_str(&format!("| {what} | {median} {unit} | {low} | {high} | {aim} |\n"));
        }
        text
    }

    fn json(&self) -> Value {
        let row = |row: &Row| {
            let Spread { median, low, high } = Spread::of(&row.figures);
            let aim = row.target.map(|target| match target {
                Target::AtLeast(bound) => json!({ "at_least": bound, "met": median >= bound }),
                Target::AtMost(bound) => json!({ "at_most": bound, "met": median <= bound }),
            });
            json!({
                "what": row.what, "unit": row.unit, "median": median, "low": low, "high": high,
                "rounds": row.figures, "aim": aim,
            })
        };
        json!({ "title": self.title, "rows": self.rows.iter().map(row).collect::<Vec<_>>() })
    }
}

/// Where the figures of several rounds lie.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Spread {
    median: f64,
    low: f64,
    high: f64,
}

impl Spread {
    /// Of nothing it is no number.
    fn of(figures: &[f64]) -> Self {
        let mut sorted = figures.to_vec();
        sorted.sort_unstable_by(f64::total_cmp);
        let at = |place: usize| sorted.get(place).copied().unwrap_or(f64::NAN);
        let last = sorted.len().saturating_sub(1);
        // Of an even number the mean of the two in the middle.
        let median = f64::midpoint(at(last / 2), at(sorted.len() / 2));
        Self { median, low: at(0), high: at(last) }
    }
}

/// Three digits that say something, no more.
fn figure(value: f64) -> String {
    let decimals = match value.abs() {
        size if size >= 100.0 || size == 0.0 => 0,
        size if size >= 10.0 => 1,
        size if size >= 1.0 => 2,
        _ => 3,
    };
    format!("{value:.decimals$}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_lies_in_the_middle() {
        let of = |figures: &[f64]| Spread::of(figures);
        assert_eq!(of(&[3.0, 1.0, 2.0]), Spread { median: 2.0, low: 1.0, high: 3.0 });
        assert_eq!(of(&[4.0, 1.0, 2.0, 3.0]), Spread { median: 2.5, low: 1.0, high: 4.0 });
        assert!(of(&[]).median.is_nan());
    }

    #[test]
    fn a_line_says_whether_the_aim_is_met() {
        let mut table = Table::new("Things");
        table.aimed("rate", "a second", vec![3012.4, 2800.0, 3300.0], Target::AtLeast(3000.0));
        table.aimed("CPU", "us", vec![0.31], Target::AtMost(0.3));
        table.row("bytes", "a run", vec![12.34]);
        assert_eq!(
            table.text(),
            "Things\n\n\
             | what | median | from | to | aim |\n\
             | --- | ---: | ---: | ---: | --- |\n\
             | rate | 3012 a second | 2800 | 3300 | 3000 or more: met |\n\
             | CPU | 0.310 us | 0.310 | 0.310 | 0.300 or less: MISSED |\n\
             | bytes | 12.3 a run | 12.3 | 12.3 |  |\n"
        );
        let json = table.json();
        assert_eq!(json["rows"][1]["aim"]["met"], false);
        assert_eq!(json["rows"][0]["median"], 3012.4);
    }
}
