//! Everything that is wrong with a configuration, said at once.

use std::fmt;

/// One thing that is wrong, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Complaint {
    /// The line of the file, from 1; nothing where the fault is not in a file.
    pub line: Option<usize>,
    /// The column of that line, in characters from 1.
    pub column: Option<usize>,
    /// What was wrong, with the value, and what was expected.
    pub reason: String,
}

/// Why settings were refused: every reason, in the order of the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SettingsFaults {
    source: String,
    complaints: Vec<Complaint>,
}

impl SettingsFaults {
    /// One complaint about `source` as a whole.
    pub fn about(source: impl Into<String>, reason: impl Into<String>) -> Self {
        let complaint = Complaint { line: None, column: None, reason: reason.into() };
        Self { source: source.into(), complaints: vec![complaint] }
    }

    /// Complaints about `source` that no reading of its text can come to, at least one.
    pub fn new(source: impl Into<String>, complaints: Vec<Complaint>) -> Self {
        Self { source: source.into(), complaints }
    }

    /// What they are about: the name of a file, or `environment`.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// All of them; never empty.
    pub fn complaints(&self) -> &[Complaint] {
        &self.complaints
    }
}

impl std::error::Error for SettingsFaults {}

impl fmt::Display for SettingsFaults {
    /// One line a complaint, as compilers print them: `baton.toml:12: ...`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, Complaint { line, reason, .. }) in self.complaints.iter().enumerate() {
            let end = if number == 0 { "" } else { "\n" };
            match line {
                Some(line) => write!(f, "{end}{}:{line}: {reason}", self.source)?,
                None => write!(f, "{end}{}: {reason}", self.source)?,
            }
        }
        Ok(())
    }
}

/// Gathers complaints while a source is read.
#[derive(Debug)]
pub(crate) struct Faults<'a> {
    text: &'a str,
    complaints: Vec<Complaint>,
}

impl<'a> Faults<'a> {
    /// None yet about this text.
    pub(crate) fn new(text: &'a str) -> Self {
        Self { text, complaints: Vec::new() }
    }

    /// Complains about what stands at this byte of the text.
    pub(crate) fn at(&mut self, offset: usize, reason: impl Into<String>) {
        let (line, column) = (Some(self.line(offset)), Some(self.column(offset)));
        self.complaints.push(Complaint { line, column, reason: reason.into() });
    }

    /// Complains about what stands in no line.
    pub(crate) fn anywhere(&mut self, reason: impl Into<String>) {
        self.complaints.push(Complaint { line: None, column: None, reason: reason.into() });
    }

    /// The line of this byte. The end of the text belongs to its last line, so that an
    /// editor can go there.
    pub(crate) fn line(&self, offset: usize) -> usize {
        let before = self.text.as_bytes().get(..offset).unwrap_or(self.text.as_bytes());
        let breaks = before.iter().filter(|byte| **byte == b'\n').count();
        (breaks + 1).min(self.text.lines().count().max(1))
    }

    /// The column of this byte.
    fn column(&self, offset: usize) -> usize {
        let before = self.text.as_bytes().get(..offset).unwrap_or(self.text.as_bytes());
        let begin = before.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        let before = before.get(begin..).unwrap_or_default();
        // Every character but its continuation bytes.
        before.iter().filter(|byte| **byte & 0xC0 != 0x80).count() + 1
    }

    /// Whether anything was wrong.
    pub(crate) fn any(&self) -> bool {
        !self.complaints.is_empty()
    }

    /// What was wrong with `source`.
    pub(crate) fn into_settings_faults(mut self, source: String) -> SettingsFaults {
        self.complaints.sort_by_key(|complaint| complaint.line);
        SettingsFaults { source, complaints: self.complaints }
    }
}
