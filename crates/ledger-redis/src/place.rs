//! Which shard a run is on: its tenant's home, or one of its lanes, written into its id.

use baton_ledger::{LedgerError, TenantTerms};
use baton_workflow::{RunId, TenantId};
use std::collections::BTreeMap;

/// What stands before the number of a shard in a run's id.
const MARK: &str = ".s";

/// Where tenants are at home.
#[derive(Debug, Clone)]
pub(crate) struct Places {
    shards: u16,
    lanes: BTreeMap<TenantId, u16>,
}

impl Places {
    /// So many shards, and the tenants that have more than one lane: at most one a shard.
    pub(crate) fn new(shards: u16, lanes: BTreeMap<TenantId, u16>) -> Self {
        let shards = shards.max(1);
        let lanes = lanes.into_iter().map(|(tenant, lanes)| (tenant, lanes.clamp(1, shards)));
        Self { shards, lanes: lanes.collect() }
    }

    /// The shard that an id names; the first one for ids that name none, or were given while
    /// there was one shard only.
    pub(crate) fn of(&self, run: &RunId) -> u16 {
        let named = run.as_str().rsplit_once(MARK).and_then(|(_, rest)| {
            // A child is named after its root: `ROOT.s3-1-2`.
            rest.split('-').next()?.parse::<u16>().ok()
        });
        named.filter(|shard| *shard < self.shards).unwrap_or(0)
    }

    /// The shards of a tenant, the first one its home.
    pub(crate) fn lanes(&self, tenant: &TenantId) -> Vec<u16> {
        let home = number(tenant.as_str(), self.shards);
        let lanes = self.lanes.get(tenant).copied().unwrap_or(1);
        (0..lanes).map(|lane| (home + lane) % self.shards).collect()
    }

    /// Where a run of this tenant goes. The key decides among lanes, so that a repeated
    /// submission finds the first.
    pub(crate) fn for_run(&self, tenant: &TenantId, key: &str) -> u16 {
        let lanes = self.lanes(tenant);
        let lane = number(key, u16::try_from(lanes.len()).unwrap_or(1));
        lanes.get(usize::from(lane)).copied().unwrap_or(0)
    }

    /// An id that names its shard, where there are several.
    pub(crate) fn name(&self, shard: u16, unique: &str) -> Result<RunId, LedgerError> {
        let name = match self.shards {
            1 => unique.to_owned(),
            _ => format!("{unique}{MARK}{shard}"),
        };
        RunId::new(name).map_err(|error| LedgerError::Invalid(error.to_string()))
    }

    /// The part of a tenant's terms that each of its lanes keeps: together they are the
    /// terms, and no lane ever gives more than its part.
    pub(crate) fn slices(&self, tenant: &TenantId, terms: TenantTerms) -> Vec<(u16, TenantTerms)> {
        let lanes = self.lanes(tenant);
        let count = lanes.len() as u64;
        let part = |whole: u64, lane: u64| whole / count + u64::from(lane < whole % count);
        let small =
            |whole: u32, lane: u64| u32::try_from(part(whole.into(), lane)).unwrap_or(u32::MAX);
        let slice = |lane: u64| TenantTerms {
            weight: small(terms.weight, lane).max(1),
            leased_max: small(terms.leased_max, lane),
            runs_max: part(terms.runs_max, lane),
        };
        lanes.iter().zip(0..).map(|(shard, lane)| (*shard, slice(lane))).collect()
    }
}

/// A number below `count` that is always the same for this text.
pub(crate) fn number(text: &str, count: u16) -> u16 {
    let hash = blake3::hash(text.as_bytes());
    let first = hash.as_bytes().first_chunk::<8>().map_or(0, |first| u64::from_le_bytes(*first));
    u16::try_from(first % u64::from(count.max(1))).unwrap_or(0)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "helpers of tests may fail loudly")]
mod tests {
    use super::*;

    fn places(shards: u16, lanes: u16) -> (Places, TenantId) {
        let tenant = TenantId::new("acme").unwrap();
        (Places::new(shards, BTreeMap::from([(tenant.clone(), lanes)])), tenant)
    }

    #[test]
    fn an_id_names_its_shard_and_its_childrens() {
        let (places, _) = places(8, 1);
        let run = places.name(5, "run_a").unwrap();
        assert_eq!(run.as_str(), "run_a.s5");
        assert_eq!(places.of(&run), 5);
        assert_eq!(places.of(&run.child(3).unwrap().child(12).unwrap()), 5);
        for old in ["run_a", "a.s9", "a.sx", "a.s", ".s3.b"] {
            assert_eq!(places.of(&RunId::new(old).unwrap()), 0, "{old}");
        }
    }

    #[test]
    fn one_shard_names_nothing() {
        let (places, tenant) = places(1, 4);
        assert_eq!(places.lanes(&tenant), [0]);
        assert_eq!(places.name(0, "run_a").unwrap().as_str(), "run_a");
    }

    #[test]
    fn lanes_are_different_shards_and_share_the_terms() {
        let (places, tenant) = places(8, 3);
        let lanes = places.lanes(&tenant);
        assert_eq!(lanes.iter().collect::<std::collections::BTreeSet<_>>().len(), 3);
        let terms = TenantTerms { weight: 100, leased_max: 10, runs_max: 2 };
        let slices: Vec<_> = places.slices(&tenant, terms).into_iter().map(|(_, s)| s).collect();
        assert_eq!(slices.iter().map(|s| s.leased_max).collect::<Vec<_>>(), [4, 3, 3]);
        assert_eq!(slices.iter().map(|s| s.runs_max).collect::<Vec<_>>(), [1, 1, 0]);
        assert_eq!(slices.iter().map(|s| s.weight).sum::<u32>(), 100);
        let used: std::collections::BTreeSet<_> =
            (0..64).map(|key| places.for_run(&tenant, &key.to_string())).collect();
        assert_eq!(used, lanes.into_iter().collect());
        assert_eq!(places.for_run(&tenant, "k"), places.for_run(&tenant, "k"));
    }
}
