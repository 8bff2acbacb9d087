//! A server that says exactly the bytes it is told, and nothing else.

use std::{net::SocketAddr, sync::Arc};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::mpsc,
};

/// One thing that the server does, after it has read the whole request.
#[derive(Debug, Clone)]
pub(crate) enum Act {
    /// Sends these bytes.
    Send(Vec<u8>),
    /// Sends nothing more until the client hangs up.
    Wait,
    /// Breaks the connection at once, unsent bytes and all.
    Reset,
}

/// A server that answers every connection alike.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    /// Requests as they came.
    pub(crate) requests: mpsc::UnboundedReceiver<String>,
    /// A note for each client that hung up while the server waited.
    pub(crate) hung_up: mpsc::UnboundedReceiver<()>,
}

pub(crate) async fn serve(script: Vec<Act>) -> Server {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (seen, requests) = mpsc::unbounded_channel();
    let (gone, hung_up) = mpsc::unbounded_channel();
    let script = Arc::new(script);
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            tokio::spawn(answer(socket, script.clone(), seen.clone(), gone.clone()));
        }
    });
    Server { address, requests, hung_up }
}

async fn answer(
    mut socket: TcpStream,
    script: Arc<Vec<Act>>,
    seen: mpsc::UnboundedSender<String>,
    gone: mpsc::UnboundedSender<()>,
) {
    let _ = seen.send(read_request(&mut socket).await);
    for act in script.iter() {
        match act {
            Act::Send(bytes) => {
                // The client may have had enough and be gone.
                if socket.write_all(bytes).await.is_err() {
                    return;
                }
            }
            Act::Wait => {
                while socket.read(&mut [0; 64]).await.is_ok_and(|read| read > 0) {}
                let _ = gone.send(());
                return;
            }
            Act::Reset => {
                let _ = socket.set_zero_linger();
                return;
            }
        }
    }
    let _ = socket.shutdown().await;
}

async fn read_request(socket: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&bytes).to_string();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.lines().find_map(|line| {
                line.to_ascii_lowercase().strip_prefix("content-length: ")?.parse().ok()
            });
            if body.len() >= length.unwrap_or(0) {
                return text;
            }
        }
        let mut some = [0; 4096];
        match socket.read(&mut some).await {
            Ok(0) | Err(_) => return text,
            Ok(read) => bytes.extend_from_slice(&some[..read]),
        }
    }
}
