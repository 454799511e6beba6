//! A soft phone: it registers, answers after a short ring, does what a REFER asks by really calling the target through
//! its proxy, and tells how that went by NOTIFY (RFC 3515). It has no audio; its SDP is honest about that port.

mod call;
mod incoming;
mod line;
mod referral;
mod sdp;

use crate::demo::wire::Wire;
pub(super) use line::Line;
use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::time::Duration;

/// Who a phone is and how it behaves.
#[derive(Clone, Debug)]
pub struct PhoneConfig {
    /// User part of its address.
    pub user: String,
    /// Its SIP domain.
    pub domain: String,
    /// Answers 401 and 407.
    pub password: String,
    /// Registrar and outbound proxy.
    pub proxy: SocketAddr,
    /// The address it listens on, at a port that the system chooses.
    pub bind: IpAddr,
    /// How long it rings before it answers.
    pub ring: Duration,
}

/// A running phone; it falls silent when dropped.
pub struct Phone {
    wire: Wire<Line>,
    address: SocketAddr,
    user: String,
}

impl Phone {
    /// A phone that is ready to be called. It does not register by itself.
    ///
    /// # Errors
    /// When it gets no socket or thread.
    pub fn start(config: PhoneConfig) -> io::Result<Self> {
        let socket = UdpSocket::bind((config.bind, 0))?;
        let address = socket.local_addr()?;
        let user = config.user.clone();
        let wire = Wire::start(socket, Line::new(config, address))?;
        Ok(Self { wire, address, user })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// User part of its address.
    pub fn user(&self) -> &str {
        &self.user
    }

    /// Registers with the proxy; [`is_registered`](Self::is_registered) tells when that worked.
    pub fn register(&self) {
        self.wire.with(|line, now, out| line.register(now, out));
    }

    /// Whether the registrar accepted it.
    pub fn is_registered(&self) -> bool {
        self.wire.with(|line, _, _| line.is_registered())
    }

    /// How many calls it is in: answered, and not yet ended.
    pub fn calls(&self) -> usize {
        self.wire.with(|line, _, _| line.calls_up())
    }

    /// Sends BYE on every call that it is in.
    pub fn hang_up(&self) {
        self.wire.with(|line, now, out| line.hang_up(now, out));
    }

    /// The requests that reached it since this was last asked, without retransmissions, in order: `INVITE`, `ACK`,
    /// `BYE` and so on. An INVITE inside a dialog is a `re-INVITE`.
    pub fn heard(&self) -> Vec<String> {
        self.wire.with(|line, _, _| std::mem::take(&mut line.heard))
    }
}
