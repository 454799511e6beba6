//! A phone that is always busy: a call to it is over as soon as it was placed, and costs next to nothing.

use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::thread;

use crate::place::Place;

/// Answers every INVITE with 486; lives as long as the process.
#[derive(Debug)]
pub struct BusyPhone {
    /// Where it is.
    pub address: SocketAddr,
    acknowledged: Arc<AtomicUsize>,
}

impl BusyPhone {
    /// A phone on a port of its own.
    pub fn start(place: &Place) -> Self {
        let socket = UdpSocket::bind(place.port()).expect("the port is free");
        let address = socket.local_addr().expect("it is bound");
        let acknowledged = Arc::new(AtomicUsize::new(0));
        let counter = acknowledged.clone();
        thread::spawn(move || {
            let mut buffer = [0; 65_535];
            while let Ok((length, from)) = socket.recv_from(&mut buffer) {
                let message = String::from_utf8_lossy(&buffer[..length]);
                if message.starts_with("INVITE ") {
                    let _ = socket.send_to(refusal(&message).as_bytes(), from);
                } else if message.starts_with("ACK ") {
                    counter.fetch_add(1, Relaxed);
                }
            }
        });
        Self { address, acknowledged }
    }

    /// Calls that came and were over in order, in number: each with its INVITE, its 486 and its ACK.
    pub fn calls(&self) -> usize {
        self.acknowledged.load(Relaxed)
    }
}

fn refusal(invite: &str) -> String {
    let field = |line: &str| match line.split(':').next() {
        Some("Via" | "From" | "Call-ID" | "CSeq") => Some(format!("{line}\r\n")),
        Some("To") => Some(format!("{line};tag=busy\r\n")),
        _ => None,
    };
    let fields: String = invite.lines().take_while(|line| !line.is_empty()).filter_map(field).collect();
    format!("SIP/2.0 486 Busy Here\r\n{fields}Content-Length: 0\r\n\r\n")
}
