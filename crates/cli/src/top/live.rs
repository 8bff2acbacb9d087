//! The live view's loop: keys, looks at the endpoint, and the screen.

use super::{
    app::{App, Order},
    keys,
    snapshot::Snapshot,
    view,
};
use crate::{
    client,
    exit::{Failure, INTERRUPTED},
    tree,
};
use baton_provider_http::Api;
use serde_json::json;
use std::{io, process::ExitCode, time::Duration};
use tokio::{sync::mpsc, time::MissedTickBehavior};

/// News that may wait to be shown.
const NEWS_MAX: usize = 16;

/// What was learnt from the endpoint.
enum News {
    Status(Box<Result<Snapshot, String>>),
    Run { run: String, text: String },
    Said(String),
}

/// Gives the terminal back as it was, however the view ends; a panic is caught by the
/// hook that `ratatui` sets.
struct Restored;

impl Drop for Restored {
    fn drop(&mut self) {
        ratatui::restore();
    }
}

/// Shows until it is told to end. The first look is made before the screen is taken, so
/// that a wrong address is a plain message.
pub(super) async fn live(api: Api, path: String, every: Duration) -> Result<ExitCode, Failure> {
    let first = api.get(&path).await.map_err(client::failure)?;
    let mut app = App::new(Snapshot::read(first)?);
    let mut terminal = ratatui::try_init().map_err(unusable)?;
    let _restored = Restored;
    let mut keys = keys::read();
    let (sender, mut news) = mpsc::channel(NEWS_MAX);
    let mut looks = tokio::time::interval_at(tokio::time::Instant::now() + every, every);
    looks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let stop = crate::running::stop_signal();
    tokio::pin!(stop);
    loop {
        terminal.draw(|frame| view::draw(frame, &app)).map_err(unusable)?;
        tokio::select! {
            pressed = keys.recv() => {
                let pressed = pressed.ok_or_else(|| Failure::other("the terminal is gone"))?;
                let Some(key) = pressed.map_err(unusable)? else { continue };
                match app.key(key) {
                    None => {}
                    Some(Order::Quit) => return Ok(ExitCode::SUCCESS),
                    Some(Order::Fetch(run)) => fetch(&api, &sender, run),
                    Some(Order::Cancel(run)) => cancel(&api, &sender, run),
                }
            }
            _ = looks.tick() => {
                look(&api, &sender, &path);
                if let Some(run) = app.shown() {
                    fetch(&api, &sender, run.to_owned());
                }
            }
            told = news.recv() => match told {
                Some(News::Status(status)) => match *status {
                    Ok(snapshot) => {
                        app.snapshot = snapshot;
                        app.trouble = None;
                    }
                    Err(trouble) => app.trouble = Some(trouble),
                },
                Some(News::Run { run, text }) => app.detail(&run, text),
                Some(News::Said(said)) => app.said = Some(said),
                // The sender is held here.
                None => {}
            },
            stopped = &mut stop => {
                stopped?;
                return Ok(ExitCode::from(INTERRUPTED));
            }
        }
    }
}

fn unusable(error: io::Error) -> Failure {
    Failure::other(format!("the terminal cannot be used: {error}. `--once` needs none"))
}

/// A full channel means that the screen is behind: news is dropped, more will come.
fn look(api: &Api, news: &mpsc::Sender<News>, path: &str) {
    let (api, news, path) = (api.clone(), news.clone(), path.to_owned());
    tokio::spawn(async move {
        let told = match api.get(&path).await {
            Ok(document) => Snapshot::read(document).map_err(|failure| failure.to_string()),
            Err(error) => Err(error.to_string()),
        };
        let _full = news.try_send(News::Status(Box::new(told)));
    });
}

fn fetch(api: &Api, news: &mpsc::Sender<News>, run: String) {
    let (api, news) = (api.clone(), news.clone());
    tokio::spawn(async move {
        let text = match api.get(&format!("/v1/runs/{run}")).await {
            Ok(report) => anstream::adapter::strip_str(&tree::report(&report)).to_string(),
            Err(error) => error.to_string(),
        };
        let _full = news.try_send(News::Run { run, text });
    });
}

fn cancel(api: &Api, news: &mpsc::Sender<News>, run: String) {
    let (api, news) = (api.clone(), news.clone());
    tokio::spawn(async move {
        let said = match api.post(&format!("/v1/runs/{run}/cancel"), &json!({})).await {
            Ok(_) => format!("{run} is cancelled"),
            Err(error) => format!("{run} is not cancelled: {error}"),
        };
        let _full = news.try_send(News::Said(said));
    });
}
