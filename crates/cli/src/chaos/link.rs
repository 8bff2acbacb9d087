//! Links that can be cut and slowed: a TCP proxy before each server that a process reaches,
//! and before the one that others reach it by.

use crate::exit::Failure;
use std::{net::SocketAddr, time::Duration};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::watch,
    task::JoinSet,
};

/// How links are cut and slowed, for the report.
pub(super) const MADE_OF: &str = "proxies";
/// Bytes that are passed on at once.
const PIECE_BYTES: usize = 16 * 1024;
/// Before a listener is asked again that failed, such as for want of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// How links are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Weather {
    /// Everything passes at once.
    #[default]
    Fair,
    /// Everything takes so much longer, each way.
    Slow(Duration),
    /// Nothing passes, and nobody is told: what was sent arrives when this is over, as after
    /// a broken cable.
    Cut,
}

/// The links of one process; they end with it.
pub(super) struct Links {
    weather: watch::Sender<Weather>,
    serving: JoinSet<()>,
}

impl Links {
    pub(super) fn new() -> Self {
        Self { weather: watch::Sender::default(), serving: JoinSet::new() }
    }

    /// Opens another one to a server; gives where it is reached.
    pub(super) async fn to(&mut self, server: SocketAddr) -> Result<SocketAddr, Failure> {
        let failed = |error| Failure::other(format!("cannot open a link to {server}: {error}"));
        let listener = TcpListener::bind("127.0.0.1:0").await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        self.serving.spawn(serve(listener, server, self.weather.subscribe()));
        Ok(address)
    }

    pub(super) fn set(&self, weather: Weather) {
        self.weather.send_replace(weather);
    }
}

async fn serve(listener: TcpListener, server: SocketAddr, weather: watch::Receiver<Weather>) {
    let mut passing = JoinSet::new();
    loop {
        while passing.try_join_next().is_some() {}
        match listener.accept().await {
            Ok((client, _)) => {
                passing.spawn(pass(client, server, weather.clone()));
            }
            Err(error) => {
                tracing::warn!(%error, "a link takes no connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// Passes on both ways until either side ends; then ends the other.
async fn pass(client: TcpStream, server: SocketAddr, mut weather: watch::Receiver<Weather>) {
    clears(&mut weather).await;
    // A server that is not there: the client learns of it by the end of its connection.
    let Ok(server) = TcpStream::connect(server).await else { return };
    for stream in [&client, &server] {
        // Without it a small write may wait for the one before.
        let _slower = stream.set_nodelay(true);
    }
    let ((from_client, to_client), (from_server, to_server)) =
        (client.into_split(), server.into_split());
    tokio::select! {
        () = forward(from_client, to_server, weather.clone()) => {}
        () = forward(from_server, to_client, weather) => {}
    }
}

async fn forward(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    mut weather: watch::Receiver<Weather>,
) {
    let mut piece = vec![0; PIECE_BYTES];
    while let Ok(read @ 1..) = from.read(&mut piece).await {
        clears(&mut weather).await;
        if to.write_all(&piece[..read]).await.is_err() {
            return;
        }
    }
    // The end is passed on like everything else.
    clears(&mut weather).await;
}

/// Waits as long as nothing passes, and for as long as it takes to pass.
async fn clears(weather: &mut watch::Receiver<Weather>) {
    let now = match weather.wait_for(|now| *now != Weather::Cut).await {
        Ok(now) => *now,
        // The links are being dropped.
        Err(_) => return,
    };
    if let Weather::Slow(delay) = now {
        tokio::time::sleep(delay).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::time::timeout;

    #[tokio::test]
    async fn what_is_sent_through_a_cut_link_arrives_after_it() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut links = Links::new();
        let address = links.to(listener.local_addr().unwrap()).await.unwrap();
        let mut client = TcpStream::connect(address).await.unwrap();
        let (mut server, _) = listener.accept().await.unwrap();
        let mut word = [0; 4];
        client.write_all(b"fair").await.unwrap();
        server.read_exact(&mut word).await.unwrap();
        assert_eq!(&word, b"fair");

        links.set(Weather::Cut);
        client.write_all(b"late").await.unwrap();
        let silence = timeout(Duration::from_millis(50), server.read_exact(&mut word)).await;
        assert!(silence.is_err(), "{word:?}");
        links.set(Weather::Fair);
        server.read_exact(&mut word).await.unwrap();
        assert_eq!(&word, b"late");

        links.set(Weather::Slow(Duration::from_millis(30)));
        let before = std::time::Instant::now();
        server.write_all(b"slow").await.unwrap();
        client.read_exact(&mut word).await.unwrap();
        assert!(before.elapsed() >= Duration::from_millis(30));
        drop(server);
        assert_eq!(client.read(&mut word).await.unwrap(), 0, "the end passes too");
    }
}
