//! The connection of a shard: to one server, or to the node of a Redis Cluster that has the
//! shard's slot, wherever that is moved to.

use redis::{
    Client, Cmd, Pipeline, RedisResult, Value,
    aio::ConnectionManager,
    cluster_async::ClusterConnection,
    cluster_routing::{Route, RoutingInfo, SingleNodeRoutingInfo, SlotAddr},
};

/// How a server is reached, before a connection is made.
#[derive(Clone)]
pub(crate) enum Server {
    /// By itself.
    Alone(Client),
    /// As one of a Redis Cluster, all of whose shards share this connection. The clients are
    /// for hints, which every node passes on.
    Cluster(Vec<Client>, ClusterConnection),
}

impl Server {
    /// For hints: any of them will do.
    pub(crate) fn clients(&self) -> Vec<Client> {
        match self {
            Self::Alone(client) => vec![client.clone()],
            Self::Cluster(clients, _) => clients.clone(),
        }
    }
}

/// A cluster's connection gives errors among values.
fn answer(value: Value) -> RedisResult<Value> {
    match value {
        Value::ServerError(error) => Err(error.into()),
        value => Ok(value),
    }
}

/// A connection for commands; cheap to clone.
#[derive(Clone)]
pub(crate) enum Link {
    Alone(ConnectionManager),
    /// With the node that has this slot, whichever it is at the moment.
    Cluster(ClusterConnection, Route),
}

impl Link {
    /// Whether slots, and with them a shard's keys, may be moved to another node.
    pub(crate) fn is_of_a_cluster(&self) -> bool {
        matches!(self, Self::Cluster(..))
    }

    /// In a cluster, to the node that has this key.
    pub(crate) fn cluster(connection: ClusterConnection, key: &str) -> Self {
        Self::Cluster(connection, Route::with_key(key, SlotAddr::Master))
    }

    /// The same, for another key.
    pub(crate) fn at(&self, key: &str) -> Self {
        match self {
            Self::Alone(connection) => Self::Alone(connection.clone()),
            Self::Cluster(connection, _) => Self::cluster(connection.clone(), key),
        }
    }

    pub(crate) async fn command(&self, command: &Cmd) -> RedisResult<Value> {
        match self {
            Self::Alone(connection) => command.query_async(&mut connection.clone()).await,
            Self::Cluster(connection, route) => {
                let node = SingleNodeRoutingInfo::SpecificNode(*route);
                let routing = RoutingInfo::SingleNode(node);
                answer(connection.clone().route_command(command.clone(), routing).await?)
            }
        }
    }

    /// All of it or, where the server refuses any part, nothing.
    pub(crate) async fn at_once(&self, mut pipe: Pipeline) -> RedisResult<Vec<Value>> {
        pipe.atomic();
        match self {
            Self::Alone(connection) => pipe.query_async(&mut connection.clone()).await,
            Self::Cluster(connection, route) => {
                let node = SingleNodeRoutingInfo::SpecificNode(*route);
                // What EXEC says: before it are MULTI's answer and one for each command.
                let before = pipe.len() + 1;
                let answers = connection.clone().route_pipeline(pipe, before, 1, node).await?;
                redis::from_redis_value(answer(answers.into_iter().next().unwrap_or(Value::Nil))?)
                    .map_err(Into::into)
            }
        }
    }

    /// All of it on one connection to one server; an answer for each command.
    pub(crate) async fn pipe(&self, mut pipe: Pipeline) -> RedisResult<Vec<RedisResult<Value>>> {
        match self {
            Self::Alone(connection) => {
                pipe.ignore_errors().query_async(&mut connection.clone()).await
            }
            Self::Cluster(connection, route) => {
                let node = SingleNodeRoutingInfo::SpecificNode(*route);
                let count = pipe.len();
                let answers = connection.clone().route_pipeline(pipe, 0, count, node).await?;
                Ok(answers.into_iter().map(answer).collect())
            }
        }
    }
}
