//! The connection of a shard: to one server, or to the node of a Redis Cluster that has the
//! shard's slot.

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
    /// As one of a Redis Cluster, all of whose shards share this connection. The client is
    /// for hints, which every node passes on.
    Cluster(Client, ClusterConnection),
}

impl Server {
    /// For hints.
    pub(crate) fn client(&self) -> &Client {
        match self {
            Self::Alone(client) | Self::Cluster(client, _) => client,
        }
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
                connection
                    .clone()
                    .route_command(command.clone(), RoutingInfo::SingleNode(node))
                    .await
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
                let answer = |value| match value {
                    Value::ServerError(error) => Err(error.into()),
                    value => Ok(value),
                };
                Ok(answers.into_iter().map(answer).collect())
            }
        }
    }
}
