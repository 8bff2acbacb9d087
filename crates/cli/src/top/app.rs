//! What the live view shows, and what keys do to it. No terminal, no network.

use super::{
    keys::Key,
    rows,
    snapshot::{Run, Snapshot},
};

/// Characters of a filter.
const FILTER_CHARS_MAX: usize = 64;
/// Lines that a page key moves by.
const PAGE: usize = 10;

/// The live view.
#[derive(Debug, Default)]
pub(super) struct App {
    pub(super) snapshot: Snapshot,
    /// Why the newest look failed, if it did: what is shown is older.
    pub(super) trouble: Option<String>,
    /// What came of the last command.
    pub(super) said: Option<String>,
    pub(super) mode: Mode,
    pub(super) filter: String,
    pub(super) sort: Sort,
    /// The chosen run, by its id: rows move.
    chosen: Option<String>,
}

/// What keys are about.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) enum Mode {
    /// The list.
    #[default]
    List,
    /// A filter is typed.
    Filter,
    /// Whether to cancel this run is asked.
    Confirm(String),
    /// One run.
    Detail {
        run: String,
        text: String,
        /// Lines that are scrolled away.
        above: usize,
    },
}

/// Which run comes first.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sort {
    #[default]
    Newest,
    Longest,
    Dearest,
    State,
}

impl Sort {
    fn next(self) -> Self {
        match self {
            Self::Newest => Self::Longest,
            Self::Longest => Self::Dearest,
            Self::Dearest => Self::State,
            Self::State => Self::Newest,
        }
    }

    pub(super) fn words(self) -> &'static str {
        match self {
            Self::Newest => "newest first",
            Self::Longest => "longest first",
            Self::Dearest => "dearest first",
            Self::State => "by state",
        }
    }
}

/// What is to be done outside.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Order {
    Quit,
    /// Fetch this run.
    Fetch(String),
    /// Cancel this run.
    Cancel(String),
}

impl App {
    /// The list, as it is at first.
    pub(super) fn new(snapshot: Snapshot) -> Self {
        Self { snapshot, ..Self::default() }
    }

    /// The runs that pass the filter, in order.
    pub(super) fn runs(&self) -> Vec<&Run> {
        let now = self.snapshot.now;
        let wanted = self.filter.to_lowercase();
        let passes = |run: &&Run| {
            let agents = run.doing.as_ref().map(|doing| doing.agents.join(",")).unwrap_or_default();
            let texts = [&run.id, &run.title, &agents, &rows::state(run), &run.status];
            texts.iter().any(|text| text.to_lowercase().contains(&wanted))
        };
        let mut runs: Vec<_> = self.snapshot.runs.iter().filter(passes).collect();
        match self.sort {
            Sort::Newest => {}
            Sort::Longest => runs.sort_by_key(|run| std::cmp::Reverse(run.age_ms(now))),
            Sort::Dearest => runs.sort_by(|a, b| b.usage.usd.total_cmp(&a.usage.usd)),
            Sort::State => runs.sort_by_key(|run| rows::state(run)),
        }
        runs
    }

    /// The place of the chosen run in [`Self::runs`]; the first where none is chosen or
    /// the chosen one is gone.
    pub(super) fn place(&self) -> Option<usize> {
        let runs = self.runs();
        let chosen = runs.iter().position(|run| Some(&run.id) == self.chosen.as_ref());
        chosen.or((!runs.is_empty()).then_some(0))
    }

    /// The run that is shown alone.
    pub(super) fn shown(&self) -> Option<&str> {
        match &self.mode {
            Mode::Detail { run, .. } => Some(run),
            Mode::List | Mode::Filter | Mode::Confirm(_) => None,
        }
    }

    /// News of the run that is shown alone.
    pub(super) fn detail(&mut self, of: &str, told: String) {
        if let Mode::Detail { run, text, .. } = &mut self.mode
            && run == of
        {
            *text = told;
        }
    }

    pub(super) fn key(&mut self, key: Key) -> Option<Order> {
        if key == Key::Interrupt {
            return Some(Order::Quit);
        }
        match std::mem::take(&mut self.mode) {
            Mode::List => self.list_key(key),
            Mode::Filter => {
                self.filter_key(key);
                None
            }
            Mode::Confirm(run) => match key {
                Key::Char('y' | 'Y') => Some(Order::Cancel(run)),
                // Anything else is no consent.
                _no => {
                    self.said = Some("not cancelled".into());
                    None
                }
            },
            Mode::Detail { run, text, above } => self.detail_key(key, run, text, above),
        }
    }

    fn list_key(&mut self, key: Key) -> Option<Order> {
        self.said = None;
        match key {
            Key::Char('q') => return Some(Order::Quit),
            Key::Char('/') => self.mode = Mode::Filter,
            Key::Char('s') => self.sort = self.sort.next(),
            Key::Char('c') => match self.at(0).filter(|run| run.is_running()) {
                Some(run) => self.mode = Mode::Confirm(run.id.clone()),
                None => self.said = Some("only a run under way can be cancelled".into()),
            },
            Key::Enter => {
                let run = self.at(0)?.id.clone();
                self.mode = Mode::Detail { run: run.clone(), text: String::new(), above: 0 };
                return Some(Order::Fetch(run));
            }
            Key::Escape => self.filter.clear(),
            Key::Up | Key::Char('k') => self.choose(-1),
            Key::Down | Key::Char('j') => self.choose(1),
            Key::PageUp => self.choose(-(PAGE as isize)),
            Key::PageDown => self.choose(PAGE as isize),
            Key::Char(_) | Key::Backspace | Key::Interrupt => {}
        }
        None
    }

    fn filter_key(&mut self, key: Key) {
        self.mode = Mode::Filter;
        match key {
            Key::Char(char) if self.filter.chars().count() < FILTER_CHARS_MAX => {
                self.filter.push(char);
            }
            Key::Backspace => {
                self.filter.pop();
            }
            Key::Enter => self.mode = Mode::List,
            Key::Escape => {
                self.filter.clear();
                self.mode = Mode::List;
            }
            Key::Char(_) | Key::Up | Key::Down | Key::PageUp | Key::PageDown | Key::Interrupt => {}
        }
    }

    fn detail_key(&mut self, key: Key, run: String, text: String, above: usize) -> Option<Order> {
        let most = text.lines().count().saturating_sub(1);
        let above = match key {
            Key::Char('q') | Key::Escape | Key::Enter => return None,
            Key::Char('c') => {
                self.mode = Mode::Confirm(run);
                return None;
            }
            Key::Up | Key::Char('k') => above.saturating_sub(1),
            Key::Down | Key::Char('j') => above + 1,
            Key::PageUp => above.saturating_sub(PAGE),
            Key::PageDown => above + PAGE,
            Key::Char(_) | Key::Backspace | Key::Interrupt => above,
        };
        self.mode = Mode::Detail { run, text, above: above.min(most) };
        None
    }

    /// The run so many rows away from the chosen one, within the list.
    fn at(&self, by: isize) -> Option<&Run> {
        let runs = self.runs();
        let place = self.place()?.saturating_add_signed(by).min(runs.len() - 1);
        runs.get(place).copied()
    }

    fn choose(&mut self, by: isize) {
        self.chosen = self.at(by).map(|run| run.id.clone());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::top::snapshot::{Doing, Usage};

    fn app() -> App {
        let run = |id: &str, usd: f64, ended_at| Run {
            id: id.into(),
            status: if ended_at == Some(9) { "completed".into() } else { "running".into() },
            usage: Usage { usd },
            submitted_at: 5,
            ended_at,
            doing: ended_at.is_none().then(|| Doing {
                stage: "working".into(),
                agents: vec!["fast".into()],
                ..Doing::default()
            }),
            ..Run::default()
        };
        let runs = vec![run("c", 0.1, None), run("b", 0.3, Some(9)), run("a", 0.2, None)];
        let snapshot = Snapshot { now: 10, runs, ..Snapshot::default() };
        App::new(snapshot)
    }

    fn ids(app: &App) -> String {
        app.runs().iter().map(|run| run.id.as_str()).collect()
    }

    fn type_in(app: &mut App, keys: &str) {
        for char in keys.chars() {
            assert_eq!(app.key(Key::Char(char)), None);
        }
    }

    #[test]
    fn runs_are_sorted_and_filtered() {
        let mut app = app();
        assert_eq!(ids(&app), "cba");
        type_in(&mut app, "ss");
        assert_eq!((ids(&app).as_str(), app.sort), ("bac", Sort::Dearest));
        type_in(&mut app, "/FAST");
        assert_eq!(ids(&app), "ac");
        app.key(Key::Enter);
        assert_eq!((&app.mode, ids(&app).as_str()), (&Mode::List, "ac"));
        app.key(Key::Escape);
        assert_eq!(ids(&app), "bac");
    }

    #[test]
    fn the_chosen_run_stays_chosen_when_rows_move() {
        let mut app = app();
        app.key(Key::Down);
        app.key(Key::Down);
        app.key(Key::Down);
        assert_eq!(app.place(), Some(2));
        app.key(Key::Char('s'));
        app.key(Key::Char('s'));
        assert_eq!(app.place(), Some(1));
        app.snapshot.runs.retain(|run| run.id != "a");
        assert_eq!(app.place(), Some(0));
        app.snapshot.runs.clear();
        assert_eq!((app.place(), app.key(Key::Down)), (None, None));
    }

    #[test]
    fn cancelling_takes_consent_and_a_run_under_way() {
        let mut app = app();
        assert_eq!(app.key(Key::Char('c')), None);
        assert_eq!(app.key(Key::Char('n')), None);
        assert_eq!(app.said.as_deref(), Some("not cancelled"));
        app.key(Key::Char('c'));
        assert_eq!(app.key(Key::Char('y')), Some(Order::Cancel("c".into())));
        app.key(Key::Down);
        assert_eq!(app.key(Key::Char('c')), None);
        assert_eq!(app.mode, Mode::List);
        assert_eq!(app.key(Key::Enter), Some(Order::Fetch("b".into())));
        app.detail("b", "one\ntwo".into());
        app.detail("c", "another".into());
        app.key(Key::PageDown);
        let (run, text) = ("b".into(), "one\ntwo".into());
        assert_eq!(app.mode, Mode::Detail { run, text, above: 1 });
        assert_eq!(app.key(Key::Char('q')), None);
        assert_eq!(app.mode, Mode::List);
        assert_eq!(app.key(Key::Char('q')), Some(Order::Quit));
    }
}
