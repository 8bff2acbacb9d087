//! Serves until told to stop, and stops in order.

use crate::{Gateway, limits::CUT};
use axum::serve::ListenerExt;
use std::{future::IntoFuture, io};
use tokio::{
    net::TcpListener,
    pin,
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;

impl Gateway {
    /// Serves this listener until `stop`: then says that it is not ready, serves for the time
    /// of notice all the same, takes nothing new, lets what is under way
    /// end within the drain limit, cuts the rest (whose runs go on), and makes sure that runs whose
    /// clients left are cancelled before it returns.
    pub async fn serve(self, listener: TcpListener, stop: CancellationToken) -> io::Result<()> {
        // Tokens are small, and wanted at once.
        let listener = listener.tap_io(|connection| {
            if let Err(error) = connection.set_nodelay(true) {
                tracing::debug!(%error, "a connection keeps small packets back");
            }
        });
        let (stopping, closing) = (self.shared.stopping.clone(), self.shared.closing.clone());
        let quiet = stopping.clone().cancelled_owned();
        let served = axum::serve(listener, self.router()).with_graceful_shutdown(quiet);
        let served = served.into_future();
        pin!(served);
        tokio::select! {
            result = &mut served => return result,
            () = stop.cancelled() => self.shared.unready.cancel(),
        }
        tokio::select! {
            result = &mut served => return result,
            () = sleep(self.notice) => stopping.cancel(),
        }
        let drained = match timeout(self.drain, &mut served).await {
            Ok(result) => result,
            Err(_elapsed) => {
                tracing::warn!("requests still under way are cut; their runs go on");
                closing.cancel();
                timeout(CUT, &mut served).await.unwrap_or(Ok(()))
            }
        };
        closing.cancel();
        self.shared.tasks.close();
        if timeout(CUT, self.shared.tasks.wait()).await.is_err() {
            tracing::warn!("some runs whose clients left are not cancelled");
        }
        drained
    }
}
