//! Who is known, as etcd tells it and as this process knows of itself: a value that is
//! changed by what happens, with the time given.

use baton_registry::{Member, Members, Stranger};
use std::collections::BTreeMap;
use tokio::time::Instant;

/// Who is known.
#[derive(Debug, Default)]
pub(crate) struct Known {
    /// The processes announced here. They are alive, whatever etcd says.
    own: BTreeMap<String, Member>,
    /// What etcd holds, by its keys.
    registered: BTreeMap<String, Registered>,
}

#[derive(Debug)]
struct Registered {
    what: Result<Member, Stranger>,
    /// Gone from etcd, and kept until then: it may be about to register again.
    missing_until: Option<Instant>,
}

impl Registered {
    fn holder(&self) -> Option<&str> {
        self.what.as_ref().ok().map(|member| member.holder.as_str())
    }
}

impl Known {
    /// A process of this one is announced.
    pub(crate) fn announce(&mut self, member: Member) {
        self.own.insert(member.holder.clone(), member);
    }

    /// A process of this one is taken back. It is nobody's any more, at once.
    pub(crate) fn withdraw(&mut self, holder: &str) {
        self.own.remove(holder);
        self.registered.retain(|_, registered| registered.holder() != Some(holder));
    }

    /// Whether this changed anything.
    pub(crate) fn set_load(&mut self, holder: &str, load: u32) -> bool {
        match self.own.get_mut(holder) {
            Some(member) if member.load != load => {
                member.load = load;
                true
            }
            Some(_) | None => false,
        }
    }

    /// The processes announced here.
    pub(crate) fn own(&self) -> impl Iterator<Item = &Member> {
        self.own.values()
    }

    /// etcd holds exactly this. What it held before and has lost is kept until `until`,
    /// where one is given.
    pub(crate) fn listed(
        &mut self,
        listed: BTreeMap<String, Result<Member, Stranger>>,
        until: Option<Instant>,
    ) {
        let before = std::mem::take(&mut self.registered);
        for (key, registered) in before {
            if let Some(until) = until.filter(|_| !listed.contains_key(&key)) {
                let missing_until = Some(until);
                self.registered.insert(key, Registered { missing_until, ..registered });
            }
        }
        for (key, what) in listed {
            self.put(key, what);
        }
    }

    /// This stands at a key now. Gives whether nothing stood there before.
    pub(crate) fn put(&mut self, key: String, what: Result<Member, Stranger>) -> bool {
        if let Ok(member) = &what {
            // Under another kind it would be kept as missing.
            self.registered.retain(|_, other| {
                other.missing_until.is_none() || other.holder() != Some(&member.holder)
            });
        }
        self.registered.insert(key, Registered { what, missing_until: None }).is_none()
    }

    /// Nothing stands at a key any more. It is kept until `until`, where one is given.
    pub(crate) fn deleted(&mut self, key: &str, until: Option<Instant>) {
        let Some(gone) = self.registered.get(key) else { return };
        let holder = gone.holder().map(str::to_owned);
        let elsewhere = self.registered.iter().any(|(other, registered)| {
            other != key && holder.is_some() && registered.holder() == holder.as_deref()
        });
        match until.filter(|_| !elsewhere) {
            None => drop(self.registered.remove(key)),
            Some(until) => {
                if let Some(gone) = self.registered.get_mut(key) {
                    gone.missing_until = Some(until);
                }
            }
        }
    }

    /// When the next that is missing is to be forgotten.
    pub(crate) fn next_end(&self) -> Option<Instant> {
        self.registered.values().filter_map(|registered| registered.missing_until).min()
    }

    /// Forgets those that were missing for too long.
    pub(crate) fn forget(&mut self, now: Instant) {
        let stays = |registered: &Registered| registered.missing_until.is_none_or(|end| end > now);
        self.registered.retain(|_, registered| stays(registered));
    }

    /// What whoever asks is shown.
    pub(crate) fn members(&self) -> Members {
        let (mut alive, mut strangers) = (BTreeMap::new(), Vec::new());
        for registered in self.registered.values() {
            match &registered.what {
                Ok(member) => drop(alive.insert(member.holder.clone(), member.clone())),
                Err(stranger) => strangers.push(stranger.clone()),
            }
        }
        alive.extend(self.own.clone());
        Members::new(alive, strangers)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use baton_registry::Kind;
    use std::time::Duration;

    fn member(holder: &str, kind: Kind) -> Member {
        Member::new(holder, kind, "x")
    }

    fn put(known: &mut Known, holder: &str) {
        known.put(format!("verifier/{holder}"), Ok(member(holder, Kind::Verifier)));
    }

    /// Who is shown, as `kind/holder`.
    fn shown(known: &Known) -> String {
        let name = |member: &Member| format!("{}/{}", member.kind.name(), member.holder);
        known.members().all().map(name).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn who_is_gone_is_forgotten_at_once_while_etcd_is_in_order() {
        let mut known = Known::default();
        put(&mut known, "a");
        put(&mut known, "b");
        known.deleted("verifier/a", None);
        known.deleted("verifier/c", None);
        assert_eq!(shown(&known), "verifier/b");
        known.listed(BTreeMap::new(), None);
        assert_eq!(shown(&known), "");
    }

    #[test]
    fn who_is_gone_after_etcd_was_away_has_time_to_come_back() {
        let mut known = Known::default();
        let until = Instant::now() + Duration::from_secs(10);
        ["a", "b", "c"].iter().for_each(|holder| put(&mut known, holder));
        known.listed(BTreeMap::new(), Some(until));
        assert_eq!(shown(&known), "verifier/a verifier/b verifier/c");
        put(&mut known, "a");
        assert_eq!(known.next_end(), Some(until));
        known.deleted("verifier/a", Some(until + Duration::from_secs(1)));
        put(&mut known, "b");
        known.forget(until);
        assert_eq!(shown(&known), "verifier/a verifier/b");
        known.forget(until + Duration::from_secs(1));
        assert_eq!(shown(&known), "verifier/b");
    }

    #[test]
    fn a_holder_has_one_kind_in_whatever_order_etcd_tells_it() {
        let until = Some(Instant::now());
        for until in [None, until] {
            let mut known = Known::default();
            let other = || Ok(member("a", Kind::Gateway));
            put(&mut known, "a");
            known.put("gateway/a".into(), other());
            known.deleted("verifier/a", until);
            assert_eq!(shown(&known), "gateway/a");
            assert_eq!(known.next_end(), None);
            put(&mut known, "b");
            known.deleted("verifier/b", until);
            known.put("gateway/b".into(), Ok(member("b", Kind::Gateway)));
            assert_eq!(shown(&known), "gateway/a gateway/b");
            assert_eq!(known.next_end(), None);
        }
    }

    #[test]
    fn a_process_knows_that_it_is_alive_itself() {
        let mut known = Known::default();
        known.announce(member("me", Kind::Conductor));
        known.put("conductor/me".into(), Ok(member("me", Kind::Conductor)));
        assert!(known.set_load("me", 3));
        assert!(!known.set_load("me", 3));
        assert!(!known.set_load("you", 3));
        known.deleted("conductor/me", None);
        assert_eq!(known.members().get("me").unwrap().load, 3);
        known.put("conductor/me".into(), Ok(member("me", Kind::Conductor)));
        known.withdraw("me");
        assert_eq!(shown(&known), "");
    }
}
