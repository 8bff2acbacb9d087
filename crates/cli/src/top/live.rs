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
use futures::{FutureExt as _, StreamExt as _, future::BoxFuture, stream::FuturesUnordered};
use ratatui::{DefaultTerminal, Frame};
use serde_json::json;
use std::{io, process::ExitCode, time::Duration};
use tokio::{
    signal::unix::{SignalKind, signal},
    time::MissedTickBehavior,
};

/// Questions to the endpoint at the same time; further ones are left out.
const ASKED_MAX: usize = 16;

/// What was learnt from the endpoint.
enum News {
    Status(Box<Result<Snapshot, String>>),
    Run { run: String, text: String },
    Said(String),
}

/// The terminal, given back as it was however the view ends: at a panic by the hook that
/// `ratatui` sets, before the panic is told.
struct Screen(DefaultTerminal);

impl Screen {
    fn take() -> Result<Self, Failure> {
        ratatui::try_init().map(Self).map_err(unusable)
    }

    fn draw(&mut self, draw: impl FnOnce(&mut Frame<'_>)) -> Result<(), Failure> {
        self.0.draw(draw).map(drop).map_err(unusable)
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        // The hook was there before. Twice, the terminal would go back to where it was when
        // the screen was taken, and the next line would cover the panic's.
        if !std::thread::panicking() {
            // A terminal that is gone needs nothing back.
            let _gone = ratatui::try_restore();
        }
    }
}

/// Shows until it is told to end. The first look is made before the screen is taken, so
/// that a wrong address is a plain message. All of it happens in one task: whatever
/// panics, the view ends.
pub(super) async fn live(api: Api, path: String, every: Duration) -> Result<ExitCode, Failure> {
    let first = api.get(&path).await.map_err(client::failure)?;
    let mut app = App::new(Snapshot::read(first)?);
    let mut hangup = signal(SignalKind::hangup())
        .map_err(|error| Failure::other(format!("cannot listen for signals: {error}")))?;
    let mut screen = Screen::take()?;
    let mut keys = keys::read();
    let mut asked = FuturesUnordered::new();
    let mut looks = tokio::time::interval_at(tokio::time::Instant::now() + every, every);
    looks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let stop = crate::running::stop_signal();
    tokio::pin!(stop);
    loop {
        screen.draw(|frame| view::draw(frame, &app))?;
        tokio::select! {
            pressed = keys.recv() => {
                let pressed = pressed.ok_or_else(|| Failure::other("the terminal is gone"))?;
                let Some(key) = pressed.map_err(unusable)? else { continue };
                match app.key(key) {
                    None => {}
                    Some(Order::Quit) => return Ok(ExitCode::SUCCESS),
                    Some(Order::Fetch(run)) => ask(&asked, fetch(api.clone(), run)),
                    Some(Order::Cancel(run)) => ask(&asked, cancel(api.clone(), run)),
                }
            }
            _ = looks.tick() => {
                ask(&asked, look(api.clone(), path.clone()));
                if let Some(run) = app.shown() {
                    ask(&asked, fetch(api.clone(), run.to_owned()));
                }
            }
            Some(news) = asked.next() => match news {
                News::Status(status) => match *status {
                    Ok(snapshot) => {
                        app.snapshot = snapshot;
                        app.trouble = None;
                    }
                    Err(trouble) => app.trouble = Some(trouble),
                },
                News::Run { run, text } => app.detail(&run, text),
                News::Said(said) => app.said = Some(said),
            },
            stopped = &mut stop => {
                stopped?;
                return Ok(ExitCode::from(INTERRUPTED));
            }
            // The terminal is closed.
            _ = hangup.recv() => return Ok(ExitCode::from(INTERRUPTED)),
        }
    }
}

/// Asks beside the view. Where too much is asked already, the screen is behind: more will
/// come.
fn ask(
    asked: &FuturesUnordered<BoxFuture<'static, News>>,
    what: impl Future<Output = News> + Send + 'static,
) {
    if asked.len() < ASKED_MAX {
        asked.push(what.boxed());
    }
}

fn unusable(error: io::Error) -> Failure {
    Failure::other(format!("the terminal cannot be used: {error}. `--once` needs none"))
}

async fn look(api: Api, path: String) -> News {
    News::Status(Box::new(match api.get(&path).await {
        Ok(document) => Snapshot::read(document).map_err(|failure| failure.to_string()),
        Err(error) => Err(error.to_string()),
    }))
}

async fn fetch(api: Api, run: String) -> News {
    let text = match api.get(&format!("/v1/runs/{run}")).await {
        Ok(report) => anstream::adapter::strip_str(&tree::report(&report)).to_string(),
        Err(error) => error.to_string(),
    };
    News::Run { run, text }
}

async fn cancel(api: Api, run: String) -> News {
    News::Said(match api.post(&format!("/v1/runs/{run}/cancel"), &json!({})).await {
        Ok(_) => format!("{run} is cancelled"),
        Err(error) => format!("{run} is not cancelled: {error}"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use portable_pty::{CommandBuilder, PtySize, native_pty_system};
    use std::io::{Read as _, Write as _};

    const NAME: &str = "top::live::tests::a_view_that_breaks";

    #[test]
    #[ignore = "the process that the test below starts in a terminal of its own"]
    fn a_view_that_breaks() {
        let mut screen = Screen::take().unwrap();
        screen.draw(|frame| frame.render_widget("all is well", frame.area())).unwrap();
        io::stdin().read_exact(&mut [0]).unwrap();
        screen.draw(|_| panic!("a fault on purpose")).unwrap();
    }

    /// Reads what comes until this is true of the screen.
    fn until(
        parser: &mut vt100::Parser,
        output: &mut dyn io::Read,
        is: impl Fn(&vt100::Screen) -> bool,
    ) {
        let mut bytes = [0; 4096];
        while !is(parser.screen()) {
            let read = output.read(&mut bytes).unwrap_or_default();
            assert!(read > 0, "it ended with {:?}", parser.screen().contents());
            parser.process(&bytes[..read]);
        }
    }

    #[test]
    fn the_terminal_is_given_back_at_a_panic() {
        let size = PtySize { rows: 40, cols: 120, pixel_width: 0, pixel_height: 0 };
        let pair = native_pty_system().openpty(size).unwrap();
        let mut command = CommandBuilder::new(std::env::current_exe().unwrap());
        command.args([NAME, "--exact", "--ignored", "--nocapture"]);
        command.env("TERM", "xterm-256color");
        let mut child = pair.slave.spawn_command(command).unwrap();
        drop(pair.slave);
        let mut output = pair.master.try_clone_reader().unwrap();
        let mut parser = vt100::Parser::new(size.rows, size.cols, 0);
        until(&mut parser, &mut output, |screen| {
            screen.alternate_screen() && screen.contents().contains("all is well")
        });
        pair.master.take_writer().unwrap().write_all(b"x").unwrap();
        // The panic is told on the shell's own screen, and in the end there is a cursor.
        until(&mut parser, &mut output, |screen| {
            let told = screen.contents().contains("a fault on purpose");
            told && !screen.alternate_screen() && !screen.hide_cursor()
        });
        let modes = format!("{:?}", pair.master.get_termios().unwrap().local_flags);
        assert!(modes.contains("ICANON") && modes.contains("ECHO"), "left raw: {modes}");
        assert!(!child.wait().unwrap().success());
    }
}
