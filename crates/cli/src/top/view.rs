//! The live view on the screen.

use super::{
    app::{App, Mode},
    rows,
};
use ratatui::{
    Frame,
    layout::{Constraint, Layout, Rect},
    style::{Color, Style, Stylize as _},
    text::Line,
    widgets::{Paragraph, Row, Table, TableState, Wrap},
};

/// Rows that the tables of agents and of queues take at most, with their heads.
const AGENT_ROWS_MAX: u16 = 10;
const QUEUE_ROWS_MAX: u16 = 6;
/// Widths of columns, in characters; the last column of runs takes the rest.
const RUN_WIDTHS: [u16; 6] = [36, 7, 11, 5, 24, 10];

pub(super) fn draw(frame: &mut Frame<'_>, app: &App) {
    let areas =
        Layout::vertical([Constraint::Length(2), Constraint::Min(1), Constraint::Length(1)]);
    let [head, body, foot] = areas.areas(frame.area());
    let totals = Paragraph::new(rows::totals(&app.snapshot)).bold().wrap(Wrap { trim: true });
    frame.render_widget(totals, head);
    match &app.mode {
        Mode::Detail { text, above, .. } => detail(frame, body, text, *above),
        Mode::List | Mode::Filter | Mode::Confirm(_) => tables(frame, body, app),
    }
    frame.render_widget(foot_line(app), foot);
}

fn foot_line(app: &App) -> Line<'static> {
    match (&app.mode, &app.trouble, &app.said) {
        (Mode::Confirm(run), ..) => Line::from(format!("cancel {run}? y / n")).bold().yellow(),
        (Mode::Filter, ..) => Line::from(format!("filter: {}_  (Enter, Esc)", app.filter)).bold(),
        (_, Some(trouble), _) => Line::from(rows::plain(trouble)).red(),
        (_, None, Some(said)) => Line::from(rows::plain(said)).bold(),
        (Mode::Detail { .. }, ..) => Line::from("q back  ↑↓ scroll  c cancel").dim(),
        (Mode::List, ..) => {
            let filter = match app.filter.as_str() {
                "" => String::new(),
                filter => format!("  [{filter}]"),
            };
            let sort = app.sort.words();
            let keys = "q quit  ↑↓ choose  Enter detail  c cancel  / filter  s sort";
            Line::from(format!("{keys}: {sort}{filter}")).dim()
        }
    }
}

fn detail(frame: &mut Frame<'_>, area: Rect, text: &str, above: usize) {
    let text = if text.is_empty() { "reading …" } else { text };
    let lines: Vec<_> =
        text.lines().skip(above).map(|line| Line::from(rows::plain(line))).collect();
    frame.render_widget(Paragraph::new(lines).wrap(Wrap { trim: false }), area);
}

fn tables(frame: &mut Frame<'_>, area: Rect, app: &App) {
    let snapshot = &app.snapshot;
    let rows_of = |count: usize, most: u16| u16::try_from(count + 1).unwrap_or(most).min(most) + 1;
    let areas = Layout::vertical([
        Constraint::Length(rows_of(snapshot.agents.len(), AGENT_ROWS_MAX)),
        Constraint::Length(rows_of(snapshot.queues.len(), QUEUE_ROWS_MAX)),
        Constraint::Min(3),
    ]);
    let [agents, queues, runs] = areas.areas(area);
    let cells = snapshot.agents.iter().map(rows::agent);
    frame.render_widget(table(&rows::AGENT, cells, &[24, 8, 9, 8, 10, 8, 8, 12]), agents);
    let cells = snapshot.queues.iter().map(rows::queue);
    frame.render_widget(table(&rows::QUEUE, cells, &[24, 16, 9, 8, 9]), queues);
    let shown = app.runs();
    let cells = shown.iter().map(|run| rows::run(run, snapshot.now));
    let table = table(&rows::RUN, cells, &RUN_WIDTHS).row_highlight_style(Style::new().reversed());
    let mut state = TableState::default();
    state.select(app.place());
    frame.render_stateful_widget(table, runs, &mut state);
}

/// Columns beyond the given widths take what is left.
fn table<const N: usize>(
    heads: &[&'static str; N],
    cells: impl Iterator<Item = [String; N]>,
    widths: &[u16],
) -> Table<'static> {
    let width = |column: usize| match widths.get(column) {
        Some(width) => Constraint::Length(*width),
        None => Constraint::Fill(1),
    };
    let head = Row::new(*heads).style(Style::new().fg(Color::DarkGray));
    Table::new(cells.map(Row::new), (0..N).map(width)).header(head).column_spacing(1)
}
