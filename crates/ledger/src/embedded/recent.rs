//! Rows that are not in the sorted file yet.
//!
//! They lie by the run or tenant that they belong to, so that finding one compares a key
//! with the few of its owner and not with those of all runs. Keys and values are parts of
//! the batches that went to the log: a batch is one piece of memory, not one for each row.

use super::row::head_of;
use bytes::Bytes;
use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Bound,
};

/// Rows of one owner, by their whole keys; none where the row is deleted.
type Owned = BTreeMap<Bytes, Option<Bytes>>;

/// See the module.
#[derive(Debug, Clone, Default)]
pub(super) struct Rows {
    by_owner: BTreeMap<Bytes, Owned>,
    /// First bytes of keys.
    kinds: BTreeSet<u8>,
}

/// A row with its key; none where it is deleted.
pub(super) type Row<'a> = (&'a Bytes, &'a Option<Bytes>);

/// Where the owner in a key ends: behind the kind, before the first zero. Keys without one
/// have no other owner than their own end.
fn owner_end(key: &[u8]) -> Option<usize> {
    key.iter().skip(1).position(|byte| *byte == 0).map(|at| at + 1)
}

fn owner(key: &[u8]) -> &[u8] {
    key.get(1..owner_end(key).unwrap_or(key.len())).unwrap_or_default()
}

impl Rows {
    /// A row, if it is among these.
    pub(super) fn get(&self, key: &[u8]) -> Option<&Option<Bytes>> {
        self.by_owner.get(owner(key))?.get(key)
    }

    /// In the place of what is known of the row.
    pub(super) fn put(&mut self, key: Bytes, value: Option<Bytes>) {
        let Some(kind) = key.first() else { return };
        self.kinds.insert(*kind);
        match self.by_owner.get_mut(owner(&key)) {
            Some(owned) => {
                owned.insert(key, value);
            }
            None => {
                let owner = key.slice_ref(owner(&key));
                self.by_owner.insert(owner, Owned::from([(key, value)]));
            }
        }
    }

    /// Whether this run began with these rows, so that none of it is older.
    pub(super) fn began(&self, run: &[u8]) -> bool {
        matches!(self.get(&head_of(run)), Some(Some(_)))
    }

    /// All, in the order of their keys.
    pub(super) fn iter(&self) -> impl Iterator<Item = Row<'_>> {
        self.kinds.iter().flat_map(|kind| {
            let kind = std::slice::from_ref(kind);
            self.starting_with(kind, (Bound::Included(kind), Bound::Unbounded))
        })
    }

    /// Those whose keys start with `prefix`, which holds a kind, within bounds of which the
    /// lower one is not below it; in order.
    pub(super) fn starting_with<'a>(
        &'a self,
        prefix: &'a [u8],
        bounds: (Bound<&'a [u8]>, Bound<&'a [u8]>),
    ) -> impl Iterator<Item = Row<'a>> {
        let named = owner(prefix);
        let whole = owner_end(prefix).is_some();
        let owners = self.by_owner.range::<[u8], _>((Bound::Included(named), Bound::Unbounded));
        let owners = owners.take_while(move |(owner, _)| match whole {
            true => owner.as_ref() == named,
            false => owner.starts_with(named),
        });
        owners.flat_map(move |(_, owned)| {
            owned.range::<[u8], _>(bounds).take_while(|(key, _)| key.starts_with(prefix))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn rows_lie_in_the_order_of_their_keys(
            keys in proptest::collection::vec(proptest::collection::vec(0_u8..4, 1..7), 0..40),
            prefix in proptest::collection::vec(0_u8..4, 1..4),
            from in proptest::collection::vec(0_u8..4, 0..4),
        ) {
            let mut plain = BTreeMap::new();
            let mut rows = Rows::default();
            for (number, key) in keys.into_iter().enumerate() {
                let value = (number % 3 > 0).then(|| Bytes::from(vec![number as u8]));
                rows.put(key.clone().into(), value.clone());
                plain.insert(key, value);
            }
            let all: Vec<_> = rows.iter().map(|(key, value)| (key.to_vec(), value.clone())).collect();
            prop_assert_eq!(all, plain.clone().into_iter().collect::<Vec<_>>());
            for (key, value) in &plain {
                prop_assert_eq!(rows.get(key), Some(value));
            }
            let from = [prefix.clone(), from].concat();
            let bounds = (Bound::Excluded(from.as_slice()), Bound::Unbounded);
            let found: Vec<_> =
                rows.starting_with(&prefix, bounds).map(|(key, _)| key.to_vec()).collect();
            let expected = plain.into_keys().filter(|key| key.starts_with(&prefix) && *key > from);
            prop_assert_eq!(found, expected.collect::<Vec<_>>());
        }
    }
}
