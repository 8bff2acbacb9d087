//! The registry's contract, on a real etcd.

use crate::support::{Started, options};
use baton_registry::contract;
use baton_testkit::etcd::EtcdServer;

#[tokio::test]
async fn etcd_keeps_the_contract() {
    let server = EtcdServer::shared().await.unwrap();
    contract::suite(&contract::settings(), async |settings| {
        Started::with(options(&server.url()), settings).await
    })
    .await;
}
