//! A cluster to ask: the one at an endpoint, or one started here for as long as it takes.
