//! Keys, as far as the live view knows them.

use ratatui::crossterm::event::{self, Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use std::{io, time::Duration};
use tokio::sync::mpsc;

/// Keys that may wait.
const WAITING_MAX: usize = 64;
/// How often the reader looks whether anybody still wants keys.
const LOOK_EVERY: Duration = Duration::from_millis(100);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Key {
    Up,
    Down,
    PageUp,
    PageDown,
    Enter,
    Escape,
    Backspace,
    /// Ctrl-C, which is a key like any other while the terminal is raw.
    Interrupt,
    Char(char),
}

/// What the terminal says: a key, or nothing but that it has another size.
pub(super) type Pressed = io::Result<Option<Key>>;

/// Reads the terminal in a thread of its own, until nobody listens any more.
pub(super) fn read() -> mpsc::Receiver<Pressed> {
    let (sender, keys) = mpsc::channel(WAITING_MAX);
    std::thread::spawn(move || {
        while !sender.is_closed() {
            let pressed = match event::poll(LOOK_EVERY) {
                Ok(false) => continue,
                Ok(true) => event::read().map(|event| key_of(&event)),
                Err(error) => Err(error),
            };
            let failed = pressed.is_err();
            if sender.blocking_send(pressed).is_err() || failed {
                return;
            }
        }
    });
    keys
}

fn key_of(event: &Event) -> Option<Key> {
    let Event::Key(KeyEvent { code, modifiers, kind, .. }) = event else { return None };
    if *kind == KeyEventKind::Release {
        return None;
    }
    let control = modifiers.contains(KeyModifiers::CONTROL);
    match code {
        KeyCode::Up => Some(Key::Up),
        KeyCode::Down => Some(Key::Down),
        KeyCode::PageUp => Some(Key::PageUp),
        KeyCode::PageDown => Some(Key::PageDown),
        KeyCode::Enter => Some(Key::Enter),
        KeyCode::Esc => Some(Key::Escape),
        KeyCode::Backspace => Some(Key::Backspace),
        KeyCode::Char('c') if control => Some(Key::Interrupt),
        KeyCode::Char(char) if !control => Some(Key::Char(*char)),
        _unused => None,
    }
}
