//! Log messages to the host's syslog: one datagram per message, in the format of RFC 3164.

use std::io::{self, Write};
#[cfg(unix)]
use std::os::unix::net::UnixDatagram as Socket;
use std::sync::Arc;

use tracing_subscriber::fmt::MakeWriter;

use super::levels::severity;
use crate::output::journal;

/// The socket of syslog daemons and journald.
pub(crate) const SOCKET: &str = "/dev/log";

/// A connection to the syslog daemon.
#[derive(Debug, Clone)]
pub(super) struct Syslog(Arc<Socket>);

impl Syslog {
    /// Connects to the daemon that listens on `socket`.
    pub(super) fn connect(socket: &str) -> io::Result<Self> {
        let connection = Socket::unbound()?;
        connection.connect(socket)?;
        Ok(Self(Arc::new(connection)))
    }

    fn message(&self, severity: u8) -> Message {
        let head = format!("<{}>glance-replicator[{}]: ", USER + severity, std::process::id());
        Message { syslog: self.clone(), text: head.into_bytes() }
    }
}

impl<'a> MakeWriter<'a> for Syslog {
    type Writer = Message;

    fn make_writer(&'a self) -> Message {
        self.message(journal::INFORMATIONAL)
    }

    fn make_writer_for(&'a self, event: &tracing::Metadata<'_>) -> Message {
        self.message(severity(*event.level()))
    }
}

/// One message, sent when it is dropped.
#[derive(Debug)]
pub(super) struct Message {
    syslog: Syslog,
    text: Vec<u8>,
}

impl Write for Message {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.text.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Message {
    fn drop(&mut self) {
        // A failure to log must not stop a copy.
        let _ = self.syslog.0.send(self.text.trim_ascii_end());
    }
}

/// The facility "user" (1), times eight.
const USER: u8 = 8;

/// Windows has no syslog: no such socket can be made.
#[cfg(not(unix))]
#[derive(Debug)]
enum Socket {}

#[cfg(not(unix))]
impl Socket {
    fn unbound() -> io::Result<Self> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn connect(&self, _: &str) -> io::Result<()> {
        match *self {}
    }

    fn send(&self, _: &[u8]) -> io::Result<usize> {
        match *self {}
    }
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::net::UnixDatagram;

    use super::*;

    #[test]
    fn a_message_is_one_datagram_with_its_priority() {
        let directory = std::env::temp_dir().join(format!("syslog-{}", std::process::id()));
        let _ = std::fs::remove_file(&directory);
        let daemon = UnixDatagram::bind(&directory).unwrap();
        let syslog = Syslog::connect(directory.to_str().unwrap()).unwrap();
        let mut message = syslog.message(4);
        message.write_all(b"  WARN one\n").unwrap();
        drop(message);
        let mut got = [0; 200];
        let length = daemon.recv(&mut got).unwrap();
        let expected = format!("<12>glance-replicator[{}]:   WARN one", std::process::id());
        assert_eq!(String::from_utf8_lossy(&got[..length]), expected);
        std::fs::remove_file(&directory).unwrap();
    }
}
