//! Timeouts for servers that send nothing.

use tokio::net::TcpListener;

use crate::support::common::replicator_with;

/// Starts a server that accepts connections and sends nothing. Returns its port.
async fn silent() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        let mut open = Vec::new();
        while let Ok((connection, _)) = listener.accept().await {
            open.push(connection);
        }
    });
    port
}

#[tokio::test(flavor = "multi_thread")]
async fn the_limits_on_waiting_are_those_that_are_said() {
    let port = silent().await;
    for (scheme, option, said, attempts) in [
        ("https", "--connect-timeout", "no connection within 1 s", "0"),
        ("http", "--idle-timeout", "no data for 1 s", "0"),
        ("http", "--idle-timeout", "no data for 1 s (tried 2 times)", "1"),
    ] {
        let url = format!("{scheme}://127.0.0.1:{port}");
        let run = tokio::task::spawn_blocking(move || {
            let line = ["size", &url, option, "1s", "--low-level-retries", attempts];
            replicator_with(&line, &[])
        });
        let run = run.await.unwrap().exits(4);
        assert!(run.stderr.contains(said), "{}", run.stderr);
    }
}
