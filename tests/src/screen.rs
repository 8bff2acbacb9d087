//! A program in a real pseudo-terminal: keys go in, a screen comes out.

use crate::until;
use baton_testkit::baton::{NOBODYS_SETTINGS, VARIABLES, program};
use portable_pty::{Child, CommandBuilder, MasterPty, PtySize, native_pty_system};
use std::{
    io::{Read as _, Write},
    sync::{Arc, Mutex},
    thread::spawn,
};

/// Size of the screen, in characters.
const ROWS: u16 = 40;
const COLUMNS: u16 = 160;

/// `baton` in a terminal of its own, killed when dropped.
pub struct Screen {
    child: Box<dyn Child + Send + Sync>,
    keys: Box<dyn Write + Send>,
    parser: Arc<Mutex<vt100::Parser>>,
    terminal: Box<dyn MasterPty + Send>,
}

impl Screen {
    /// Starts it, as if nothing in the environment spoke to it.
    pub fn start(args: &[&str]) -> Self {
        let size = PtySize { rows: ROWS, cols: COLUMNS, pixel_width: 0, pixel_height: 0 };
        let pair = native_pty_system().openpty(size).unwrap();
        let mut command = CommandBuilder::new(program().unwrap());
        for name in VARIABLES {
            command.env_remove(name);
        }
        command.env("XDG_CONFIG_HOME", NOBODYS_SETTINGS);
        command.env("TERM", "xterm-256color");
        command.args(args);
        let child = pair.slave.spawn_command(command).unwrap();
        drop(pair.slave);
        let mut output = pair.master.try_clone_reader().unwrap();
        let keys = pair.master.take_writer().unwrap();
        let parser = Arc::new(Mutex::new(vt100::Parser::new(ROWS, COLUMNS, 0)));
        spawn({
            let parser = parser.clone();
            move || {
                let mut bytes = [0; 4096];
                while let Ok(read @ 1..) = output.read(&mut bytes) {
                    parser.lock().unwrap().process(&bytes[..read]);
                }
            }
        });
        Self { child, keys, parser, terminal: pair.master }
    }

    /// Presses keys, as the bytes that a terminal sends for them.
    pub fn press(&mut self, keys: &str) {
        self.keys.write_all(keys.as_bytes()).unwrap();
        self.keys.flush().unwrap();
    }

    /// All that can be read on it.
    pub fn text(&self) -> String {
        self.parser.lock().unwrap().screen().contents()
    }

    /// Waits until it shows this; gives all of it then.
    pub fn until_shown(&self, words: &str) -> String {
        self.until(words, |text| text.contains(words))
    }

    /// Waits until this is true of what it shows.
    pub fn until(&self, what: &str, is: impl Fn(&str) -> bool) -> String {
        until(&format!("{what} on the screen"), || Some(self.text()).filter(|text| is(text)))
    }

    /// Whether the program has the screen for itself.
    pub fn is_taken(&self) -> bool {
        self.parser.lock().unwrap().screen().alternate_screen()
    }

    /// Waits until the terminal is as a shell needs it: its own screen, with a cursor, and
    /// lines that are read and echoed as they are typed.
    pub fn until_given_back(&self) {
        until("the terminal to be given back", || {
            let parser = self.parser.lock().unwrap();
            let screen = parser.screen();
            let modes = format!("{:?}", self.terminal.get_termios()?.local_flags);
            let cooked = modes.contains("ICANON") && modes.contains("ECHO");
            (cooked && !screen.alternate_screen() && !screen.hide_cursor()).then_some(())
        });
    }

    /// The process.
    pub fn pid(&self) -> u32 {
        self.child.process_id().unwrap()
    }

    /// Waits until it has ended, and gives its exit code.
    pub fn ended(&mut self) -> u32 {
        until("the program to end", || self.child.try_wait().unwrap()).exit_code()
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        // An error means that it has ended.
        let _killed = self.child.kill();
        let _ended = self.child.wait();
    }
}
