//! Reading the answer of a script: a status, then a flat list of byte strings.

use crate::request::spend_text;
use crate::store::{Answer, failed};
use baton_ledger::{Class, JournalEntry, LedgerError, Mail, MailEntry, Observation, Token};
use baton_workflow::{Budget, RunId, Spend, TenantId, Timestamp, Usd};
use bytes::Bytes;
use redis::Value;
use std::str::FromStr;

/// What a script answered, to be taken in the order in which it was put.
pub(crate) struct Reply {
    parts: std::vec::IntoIter<Value>,
}

/// The store holds, or answers, what this program never writes.
fn strange(what: &str, found: &str) -> LedgerError {
    LedgerError::Unusable(format!(
        "the store answered {found:?} where {what} was expected: another program, or another \
         version of this one, has written under the same prefix; use a prefix of its own"
    ))
}

impl Reply {
    pub(crate) fn new(value: Value) -> Result<Self, LedgerError> {
        match value {
            Value::Array(parts) => Ok(Self { parts: parts.into_iter() }),
            other => Err(strange("a list", &format!("{other:?}"))),
        }
    }

    /// The answers of several operations, each of which is an answer by itself.
    pub(crate) fn answers(self) -> Result<Vec<Result<Answer, LedgerError>>, LedgerError> {
        self.parts.map(|answer| Reply::new(answer)?.answer()).map(Ok).collect()
    }

    /// What an operation, or a script, said.
    pub(crate) fn answer(mut self) -> Result<Answer, LedgerError> {
        match self.text()?.as_str() {
            "Ok" => Ok(Answer::Ok(self)),
            "Failed" => {
                let text = self.text()?;
                Err(failed(text.split(' ').next(), text.clone()))
            }
            other => Ok(Answer::Refused(other.to_owned(), self)),
        }
    }

    /// One field that a script wrote.
    pub(crate) fn of(field: Bytes) -> Self {
        Self { parts: vec![Value::BulkString(field.into())].into_iter() }
    }

    pub(crate) fn bytes(&mut self) -> Result<Bytes, LedgerError> {
        match self.parts.next() {
            Some(Value::BulkString(bytes)) => Ok(bytes.into()),
            other => Err(strange("a text", &format!("{other:?}"))),
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.parts.len() == 0
    }

    pub(crate) fn text(&mut self) -> Result<String, LedgerError> {
        text_of(self.bytes()?.to_vec())
    }

    /// A number or an identifier.
    pub(crate) fn parse<T: FromStr>(&mut self, what: &str) -> Result<T, LedgerError> {
        parse(what, &self.text()?)
    }

    pub(crate) fn flag(&mut self) -> Result<bool, LedgerError> {
        Ok(self.text()? == "1")
    }

    /// Whether there is one, and which.
    pub(crate) fn maybe(&mut self) -> Result<Option<Bytes>, LedgerError> {
        let there = self.flag()?;
        let bytes = self.bytes()?;
        Ok(there.then_some(bytes))
    }

    pub(crate) fn maybe_text(&mut self) -> Result<Option<String>, LedgerError> {
        self.maybe()?.map(|bytes| text_of(bytes.to_vec())).transpose()
    }

    pub(crate) fn run(&mut self) -> Result<RunId, LedgerError> {
        self.parse("a run id")
    }

    pub(crate) fn tenant(&mut self) -> Result<TenantId, LedgerError> {
        self.parse("a tenant id")
    }

    pub(crate) fn time(&mut self) -> Result<Timestamp, LedgerError> {
        Ok(Timestamp(self.parse("a time")?))
    }

    pub(crate) fn spend(&mut self) -> Result<Spend, LedgerError> {
        let text = self.text()?;
        spend_of(&mut text.split(' '))
    }

    pub(crate) fn token(&mut self) -> Result<Token, LedgerError> {
        let text = self.text()?;
        let mut words = text.split(' ');
        Ok(Token {
            epoch: word("an epoch", &mut words)?,
            attempt: word("an attempt", &mut words)?,
            nonce: word("a nonce", &mut words)?,
        })
    }

    pub(crate) fn budget(&mut self) -> Result<Budget, LedgerError> {
        let text = self.text()?;
        let mut words = text.split(' ');
        Ok(Budget {
            usd: Usd::from_pico(word("an amount", &mut words)?),
            tokens: word("tokens", &mut words)?,
            calls: word("calls", &mut words)?,
            seconds: word("seconds", &mut words)?,
            depth: word("a depth", &mut words)?,
        })
    }

    /// As many of something as the answer says.
    pub(crate) fn list<T>(
        &mut self,
        mut one: impl FnMut(&mut Self) -> Result<T, LedgerError>,
    ) -> Result<Vec<T>, LedgerError> {
        let count: usize = self.parse("a count")?;
        (0..count).map(|_| one(self)).collect()
    }

    pub(crate) fn entry(&mut self) -> Result<JournalEntry, LedgerError> {
        let seq = self.parse("a position")?;
        Ok(JournalEntry { seq, at: self.time()?, event: self.bytes()? })
    }

    /// `NUMBER AT KIND ...`, and behind the line's end whatever text it carries.
    pub(crate) fn mail(&mut self) -> Result<MailEntry, LedgerError> {
        let (head, rest) = split(&self.bytes()?)?;
        let mut words = head.split(' ');
        let number = word("a mail's number", &mut words)?;
        let at = Timestamp(word("a time", &mut words)?);
        let mail = match words.next().unwrap_or_default() {
            "Outcome" => {
                let task = word("a task", &mut words)?;
                let estimated = words.next() == Some("1");
                Mail::Outcome { task, outcome: rest, spend: spend_of(&mut words)?, estimated }
            }
            "Lost" => Mail::Lost {
                task: word("a task", &mut words)?,
                dropped: words.next() == Some("1"),
                spend: spend_of(&mut words)?,
            },
            "Timer" => Mail::Timer { name: text_of(rest.to_vec())? },
            "Cancel" => Mail::Cancel { reason: text_of(rest.to_vec())? },
            "ChildEnded" => {
                let child = word("a child", &mut words)?;
                Mail::ChildEnded { child, end: rest, spend: spend_of(&mut words)? }
            }
            "Signal" => {
                let came = words.next() == Some("1");
                let length = word::<usize>("a length", &mut words)?.min(rest.len());
                let key = text_of(rest.slice(..length).to_vec())?;
                Mail::Signal { key, event: came.then(|| rest.slice(length..)) }
            }
            "Interrupted" => Mail::Interrupted {
                task: word("a task", &mut words)?,
                spend: spend_of(&mut words)?,
            },
            other => return Err(strange("a kind of mail", other)),
        };
        Ok(MailEntry { number, at, mail })
    }

    /// `KIND TASK ATTEMPT LENGTH`, and behind the line's end the class, of that length,
    /// and the holder.
    pub(crate) fn observation(&mut self) -> Result<Observation, LedgerError> {
        let (head, rest) = split(&self.bytes()?)?;
        let mut words = head.split(' ');
        let kind = words.next().unwrap_or_default();
        let task = word("a task", &mut words)?;
        let attempt = word("an attempt", &mut words)?;
        let length: usize = word("a length", &mut words)?;
        match kind {
            "Leased" => {
                let length = length.min(rest.len());
                let class = Class::from_text(&text_of(rest.slice(..length).to_vec())?);
                let holder = text_of(rest.slice(length..).to_vec())?;
                Ok(Observation::Leased { task, class, attempt, holder })
            }
            "Expired" => Ok(Observation::Expired { task, attempt }),
            other => Err(strange("an observation", other)),
        }
    }
}

fn parse<T: FromStr>(what: &str, text: &str) -> Result<T, LedgerError> {
    text.parse().map_err(|_| strange(what, text))
}

fn text_of(bytes: Vec<u8>) -> Result<String, LedgerError> {
    String::from_utf8(bytes).map_err(|wrong| strange("a text", &wrong.to_string()))
}

fn word<'a, T: FromStr>(
    what: &str,
    words: &mut impl Iterator<Item = &'a str>,
) -> Result<T, LedgerError> {
    parse(what, words.next().unwrap_or_default())
}

fn spend_of<'a>(words: &mut impl Iterator<Item = &'a str>) -> Result<Spend, LedgerError> {
    Ok(Spend {
        usd: Usd::from_pico(word("an amount", words)?),
        tokens_in: word("tokens read", words)?,
        tokens_out: word("tokens written", words)?,
        calls: word("calls", words)?,
    })
}

/// The first line, and what is behind it.
fn split(bytes: &Bytes) -> Result<(String, Bytes), LedgerError> {
    let end = bytes.iter().position(|&b| b == b'\n').unwrap_or(bytes.len());
    let rest = bytes.slice((end + 1).min(bytes.len())..);
    Ok((text_of(bytes.slice(..end).to_vec())?, rest))
}

/// The inverse of [`Reply::mail`].
pub(crate) fn mail_text(entry: &MailEntry) -> Vec<u8> {
    let (head, text) = match &entry.mail {
        Mail::Outcome { task, outcome, spend, estimated } => {
            let estimated = u8::from(*estimated);
            let spend = spend_text(spend);
            (format!("Outcome {task} {estimated} {spend}"), outcome.to_vec())
        }
        Mail::Lost { task, dropped, spend } => {
            let dropped = u8::from(*dropped);
            (format!("Lost {task} {dropped} {}", spend_text(spend)), Vec::new())
        }
        Mail::Interrupted { task, spend } => {
            (format!("Interrupted {task} {}", spend_text(spend)), Vec::new())
        }
        Mail::Timer { name } => ("Timer".to_owned(), name.clone().into_bytes()),
        Mail::Cancel { reason } => ("Cancel".to_owned(), reason.clone().into_bytes()),
        Mail::ChildEnded { child, end, spend } => {
            (format!("ChildEnded {child} {}", spend_text(spend)), end.to_vec())
        }
        Mail::Signal { key, event } => {
            let came = u8::from(event.is_some());
            let text = [key.as_bytes(), event.as_deref().unwrap_or_default()].concat();
            (format!("Signal {came} {}", key.len()), text)
        }
    };
    let mut out = format!("{} {} {head}\n", entry.number, entry.at.0).into_bytes();
    out.extend_from_slice(&text);
    out
}
