//! The proxy and registrar in front of the demo's phones. It wants credentials for every REGISTER and for every INVITE
//! that opens a call, routes by what was registered, and stays in the path (RFC 3261 §16, §10.3, §22.3).
//!
//! It keeps no transactions (RFC 3261 §16.11): the phones and the server retransmit, and a CANCEL or ACK takes the way
//! of its INVITE because the branch is a function of the branch that it came with. Unlike a real stateless proxy it
//! says 100 Trying, as the proxies do that the service's users have.

use super::wire::{Datagrams, Element, Wire, address_of};
use plugboard_sip::digest::{Authorization, Secret, verify};
use plugboard_sip::message::{Headers, Request, Response};
use plugboard_sip::name_addr::NameAddr;
use plugboard_sip::uri::Uri;
use plugboard_sip::values::MaxForwards;
use plugboard_sip::{
    Destination, HeaderName, Host, Message, Method, SipUri, Status, Text, Time, Transport, Value, Via,
};
use std::collections::BTreeMap;
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};

/// A running proxy; it goes when dropped.
pub struct Proxy {
    _wire: Wire<Router>,
    address: SocketAddr,
}

impl Proxy {
    /// A proxy for `domain` whose users have these passwords, at a port that the system chooses.
    ///
    /// # Errors
    /// When it gets no socket or thread.
    pub fn start(bind: IpAddr, domain: &str, users: impl IntoIterator<Item = (String, String)>) -> io::Result<Self> {
        let socket = UdpSocket::bind((bind, 0))?;
        let address = socket.local_addr()?;
        Ok(Self { _wire: Wire::start(socket, Router::new(address, domain, users))?, address })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

/// What the proxy does with each message.
pub(super) struct Router {
    address: SocketAddr,
    domain: String,
    passwords: BTreeMap<String, String>,
    bindings: BTreeMap<String, SocketAddr>,
    challenged: usize,
    hasher: RandomState,
}

/// The To tag of the proxy's own answers: an ACK with it is for the proxy.
const OWN_TAG: &str = "proxy";

impl Element for Router {
    fn receive(&mut self, _: Time, message: Message, source: Destination, out: &mut Datagrams) {
        match message {
            Message::Request(request) => self.on_request(request, source.remote, out),
            Message::Response(response) => self.on_response(response, out),
        }
    }

    fn poll(&mut self, _: Time, _: &mut Datagrams) {}
}

impl Router {
    /// A proxy at `address` with nobody registered.
    pub(super) fn new(address: SocketAddr, domain: &str, users: impl IntoIterator<Item = (String, String)>) -> Self {
        Self {
            address,
            domain: domain.to_owned(),
            passwords: users.into_iter().collect(),
            bindings: BTreeMap::new(),
            challenged: 0,
            hasher: RandomState::new(),
        }
    }

    /// How many requests it asked for credentials.
    #[cfg(test)]
    pub(super) fn challenged(&self) -> usize {
        self.challenged
    }

    fn on_request(&mut self, mut request: Request, source: SocketAddr, out: &mut Datagrams) {
        let Ok(mut via) = request.headers.top_via() else { return };
        via.stamp(source);
        let others = request.headers.list(&HeaderName::Via).skip(1);
        let vias = std::iter::once(Value::from(via.to_string())).chain(others).collect();
        set_vias(&mut request.headers, vias);
        if request.method == Method::Ack && request.headers.to_tag().is_some_and(|tag| tag == OWN_TAG) {
            return;
        }
        let opens_dialog = request.headers.to_tag().is_none();
        let answer = match request.method {
            Method::Register => self.on_register(&request),
            Method::Invite if opens_dialog && !self.is_proven(&request, &HeaderName::ProxyAuthorization) => {
                out.push((source, reply(&request, Status::TRYING).to_bytes()));
                self.challenge(&request, Status::PROXY_AUTHENTICATION_REQUIRED, HeaderName::ProxyAuthenticate)
            }
            _ => match self.forward(request.clone(), &via) {
                Ok(forwarded) => {
                    if request.method == Method::Invite {
                        out.push((source, reply(&request, Status::TRYING).to_bytes()));
                    }
                    out.push(forwarded);
                    return;
                }
                Err(status) => reply(&request, status),
            },
        };
        if request.method != Method::Ack {
            out.push((source, answer.to_bytes()));
        }
    }

    /// The request as it goes on, and where (RFC 3261 §16.6).
    fn forward(&self, mut request: Request, came_with: &Via) -> Result<(SocketAddr, bytes::Bytes), Status> {
        let hops = request.headers.max_forwards().unwrap_or(MaxForwards::DEFAULT).0;
        let hops = hops.checked_sub(1).ok_or(Status::TOO_MANY_HOPS)?;
        request.headers.set(HeaderName::MaxForwards, hops.to_string());
        let mut routes = request.headers.addresses(&HeaderName::Route).map_err(|_| Status::BAD_REQUEST)?;
        request.headers.remove_all(&HeaderName::Route);
        if routes.first().and_then(|route| route.uri.as_sip()).and_then(address_of) == Some(self.address) {
            routes.remove(0);
        }
        for route in &routes {
            request.headers.push(HeaderName::Route, route.to_string());
        }
        let uri = Uri::parse(&request.uri).map_err(|_| Status::BAD_REQUEST)?;
        let next = routes.first().map_or(&uri, |route| &route.uri);
        let next = self.locate(next.as_sip().ok_or(Status::UNSUPPORTED_URI_SCHEME)?).ok_or(Status::NOT_FOUND)?;
        request.headers.remove_all(&HeaderName::ProxyAuthorization);
        if request.method == Method::Invite {
            request.headers.insert_first(HeaderName::RecordRoute, format!("<sip:{};lr>", self.address));
        }
        let branch = self.hasher.hash_one(came_with.branch().map_or("", Text::as_str));
        let branch = format!("{}{branch:016x}", plugboard_sip::via::BRANCH_COOKIE);
        let via = Via::new(Transport::Udp, Host::from(self.address.ip()), Some(self.address.port()), &branch);
        request.headers.insert_first(HeaderName::Via, via.to_string());
        Ok((next, request.to_bytes()))
    }

    fn locate(&self, uri: &SipUri) -> Option<SocketAddr> {
        if uri.host.to_string().eq_ignore_ascii_case(&self.domain) {
            return self.bindings.get(uri.user.as_ref()?.as_str()).copied();
        }
        address_of(uri)
    }

    fn on_register(&mut self, request: &Request) -> Response {
        if !self.is_proven(request, &HeaderName::Authorization) {
            return self.challenge(request, Status::UNAUTHORIZED, HeaderName::WwwAuthenticate);
        }
        let user = request.headers.to_header().ok().and_then(|to| to.uri.as_sip()?.user.clone());
        let contact = request.headers.addresses(&HeaderName::Contact).ok().and_then(|list| list.into_iter().next());
        let address = contact.as_ref().and_then(|contact| address_of(contact.uri.as_sip()?));
        let (Some(user), Some(address)) = (user, address) else { return reply(request, Status::BAD_REQUEST) };
        self.bindings.insert(user.to_string(), address);
        let mut response = reply(request, Status::OK);
        if let Some(contact) = request.headers.get(&HeaderName::Contact) {
            response.headers.push(HeaderName::Contact, contact.clone());
        }
        response
    }

    /// Whether the request has the credentials of the user in From.
    fn is_proven(&self, request: &Request, header: &HeaderName) -> bool {
        let Some(Ok(credentials)) = request.headers.get_str(header).map(Authorization::parse) else { return false };
        let from = request.headers.from_header().ok().and_then(|from: NameAddr| from.uri.as_sip()?.user.clone());
        let password = self.passwords.get(&credentials.username);
        from.is_some_and(|from| from == credentials.username.as_str())
            && credentials.realm == self.domain
            && password.is_some_and(|password| {
                verify(&credentials, &Secret::password(password.clone()), request.method.as_str(), &request.body)
            })
    }

    fn challenge(&mut self, request: &Request, status: Status, header: HeaderName) -> Response {
        self.challenged += 1;
        let nonce = self.hasher.hash_one(self.challenged);
        let value =
            format!("Digest realm=\"{}\", nonce=\"{nonce:016x}\", algorithm=SHA-256, qop=\"auth\"", self.domain);
        let mut response = reply(request, status);
        response.headers.push(header, value);
        response
    }

    /// Sends a response back the way its request came (RFC 3261 §16.7, RFC 3581 §4).
    fn on_response(&self, mut response: Response, out: &mut Datagrams) {
        let mut vias: Vec<Value> = response.headers.list(&HeaderName::Via).collect();
        let parse = |value: &Value| Via::parse(&value.to_text()?).ok();
        let own = vias.first().and_then(parse).and_then(|via| Some((via.host.address()?, via.port?)));
        let Some(next) = vias.get(1).and_then(parse) else { return };
        if own != Some((self.address.ip(), self.address.port())) {
            return;
        }
        vias.remove(0);
        set_vias(&mut response.headers, vias);
        let port = next.rport().or(next.port).unwrap_or(Transport::Udp.default_port());
        if let Some(ip) = next.received().or_else(|| next.host.address()) {
            out.push(((ip, port).into(), response.to_bytes()));
        }
    }
}

fn set_vias(headers: &mut Headers, vias: Vec<Value>) {
    headers.remove_all(&HeaderName::Via);
    for via in vias.into_iter().rev() {
        headers.insert_first(HeaderName::Via, via);
    }
}

fn reply(request: &Request, status: Status) -> Response {
    Response::to(request, status, status.default_reason(), OWN_TAG)
}
