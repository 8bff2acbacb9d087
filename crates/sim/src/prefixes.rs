//! What a provider's cache of prompts remembers: which prefixes each model has read lately.

use crate::{parameters::Cache, reading::Said, tokens};
use std::{
    collections::{HashMap, VecDeque},
    time::{Duration, Instant},
};

/// Prefixes that are remembered for all models together; the oldest give way.
const PREFIXES_MAX: usize = 262_144;

/// Name of a prefix: a hash over the model and all text up to its end.
type Name = [u8; 16];

/// The prefixes that were read.
#[derive(Debug, Default)]
pub(crate) struct Prefixes {
    read: HashMap<Name, Instant>,
    /// In the order in which they were last read; an entry that was read again is stale.
    order: VecDeque<(Name, Instant)>,
}

/// The prefixes of a conversation that end with a block, shortest first.
pub(crate) fn prefixes(model: &str, messages: &[Said], cache: &Cache) -> Vec<Name> {
    let mut hasher = blake3::Hasher::new();
    hasher.update(model.as_bytes());
    let block = tokens::bytes(cache.block_tokens);
    let (mut names, mut left) = (Vec::new(), block);
    for message in messages {
        hasher.update(&[0, message.speaker as u8]);
        let mut text = message.text.as_bytes();
        while text.len() >= left {
            let (head, tail) = text.split_at(left);
            hasher.update(head);
            let mut name = Name::default();
            name.copy_from_slice(&hasher.finalize().as_bytes()[..16]);
            names.push(name);
            (text, left) = (tail, block);
        }
        hasher.update(text);
        left -= text.len();
    }
    names
}

impl Prefixes {
    /// How many tokens of these prefixes are in the cache; after that, all of them are.
    pub(crate) fn read(&mut self, names: &[Name], cache: &Cache, now: Instant) -> u64 {
        let window = Duration::from_secs(cache.window_s);
        let known = |name: &&Name| {
            self.read.get(*name).is_some_and(|last| now.duration_since(*last) <= window)
        };
        let blocks = names.iter().take_while(known).count() as u64;
        for name in names {
            self.read.insert(*name, now);
            self.order.push_back((*name, now));
        }
        while self.order.len() > PREFIXES_MAX {
            let Some((name, read)) = self.order.pop_front() else { break };
            if self.read.get(&name) == Some(&read) {
                self.read.remove(&name);
            }
        }
        let tokens = blocks * u64::from(cache.block_tokens);
        if tokens < u64::from(cache.least_tokens) { 0 } else { tokens }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reading::Speaker;

    const CACHE: Cache = Cache { block_tokens: 8, least_tokens: 16, window_s: 60 };

    fn said(text: &str) -> Vec<Said> {
        vec![Said { speaker: Speaker::User, text: text.into() }]
    }

    #[test]
    fn a_prefix_counts_once_it_was_read_and_while_it_is_fresh() {
        let (mut seen, start) = (Prefixes::default(), Instant::now());
        let mut read = |model: &str, text: String, seconds| {
            let names = prefixes(model, &said(&text), &CACHE);
            seen.read(&names, &CACHE, start + Duration::from_secs(seconds))
        };
        let long = "x".repeat(4 * 100);
        assert_eq!(read("a", long.clone(), 0), 0);
        assert_eq!(read("a", long.clone(), 1), 96, "whole blocks of it");
        assert_eq!(read("b", long.clone(), 1), 0, "another model has another cache");
        assert_eq!(read("a", format!("{long}{}", "y".repeat(400)), 2), 96);
        assert_eq!(read("a", format!("y{long}"), 2), 0, "it differs from the first byte on");
        assert_eq!(read("a", long[..4 * 10].into(), 3), 0, "too short to be worth it");
        assert_eq!(read("a", long.clone(), 62), 96, "reading it keeps it fresh");
        assert_eq!(read("a", long, 123), 0, "the window is over");
    }

    #[test]
    fn who_says_it_belongs_to_a_prefix() {
        let text = "x".repeat(200);
        let mut other = said(&text);
        other[0].speaker = Speaker::System;
        assert_ne!(prefixes("a", &said(&text), &CACHE), prefixes("a", &other, &CACHE));
    }
}
