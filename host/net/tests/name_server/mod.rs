//! A name server on the loopback that says what it is told to, over UDP. Tests of other crates use it, too.

#![allow(dead_code)] // each of them uses a part of it

use hickory_resolver::proto::op::{Message, ResponseCode};
use hickory_resolver::proto::rr::rdata::{A, NAPTR, SRV};
use hickory_resolver::proto::rr::{Name, RData, Record};
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

/// How often the server looks whether it should stop.
const LOOK_EVERY: Duration = Duration::from_millis(50);
const TTL_SECONDS: u32 = 60;

/// The server; it stops when it is dropped.
pub struct NameServer {
    pub address: SocketAddr,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    records: Mutex<Vec<Record>>,
    /// Says nothing.
    silent: AtomicBool,
    /// Answers with what is no DNS.
    garbage: AtomicBool,
    stop: AtomicBool,
    asked: AtomicUsize,
}

impl NameServer {
    pub fn start() -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").expect("a port");
        socket.set_read_timeout(Some(LOOK_EVERY)).expect("a time-out");
        let address = socket.local_addr().expect("bound");
        let shared = Arc::new(Shared::default());
        let its = shared.clone();
        Self { address, shared, thread: Some(std::thread::spawn(move || serve(&socket, &its))) }
    }

    pub fn naptr(&self, name: &str, preference: u16, service: &str, replacement: &str) {
        let (flags, services) = (Box::from(*b"s"), service.as_bytes().into());
        let data = NAPTR::new(10, preference, flags, services, Box::default(), self::name(replacement));
        self.add(name, RData::NAPTR(data));
    }

    pub fn srv(&self, name: &str, priority: u16, weight: u16, port: u16, target: &str) {
        self.add(name, RData::SRV(SRV::new(priority, weight, port, self::name(target))));
    }

    pub fn a(&self, name: &str, address: Ipv4Addr) {
        self.add(name, RData::A(A(address)));
    }

    fn add(&self, name: &str, data: RData) {
        let record = Record::from_rdata(self::name(name), TTL_SECONDS, data);
        self.shared.records.lock().unwrap_or_else(PoisonError::into_inner).push(record);
    }

    /// Whether it says nothing from now on.
    pub fn silent(&self, silent: bool) {
        self.shared.silent.store(silent, Ordering::Relaxed);
    }

    /// Answers with what is no DNS from now on.
    pub fn garbage(&self) {
        self.shared.garbage.store(true, Ordering::Relaxed);
    }

    /// Questions so far, in number.
    pub fn asked(&self) -> usize {
        self.shared.asked.load(Ordering::Relaxed)
    }
}

impl Drop for NameServer {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn name(text: &str) -> Name {
    Name::from_ascii(format!("{}.", text.trim_end_matches('.'))).expect("a name")
}

fn serve(socket: &UdpSocket, shared: &Shared) {
    let mut buffer = [0; 4_096];
    while !shared.stop.load(Ordering::Relaxed) {
        let Ok((length, peer)) = socket.recv_from(&mut buffer) else { continue };
        shared.asked.fetch_add(1, Ordering::Relaxed);
        if shared.silent.load(Ordering::Relaxed) {
            continue;
        }
        let Ok(question) = Message::from_vec(&buffer[..length]) else { continue };
        let answer = if shared.garbage.load(Ordering::Relaxed) {
            let id = question.metadata.id.to_be_bytes();
            [&id[..], b"\x81\x80 this is no answer"].concat()
        } else {
            let records = shared.records.lock().unwrap_or_else(PoisonError::into_inner);
            answer(&question, &records).to_vec().expect("encodes")
        };
        let _ = socket.send_to(&answer, peer);
    }
}

fn answer(question: &Message, records: &[Record]) -> Message {
    let mut answer = Message::response(question.metadata.id, question.metadata.op_code);
    answer.metadata.recursion_desired = true;
    answer.metadata.recursion_available = true;
    answer.add_queries(question.queries.iter().cloned());
    let Some(query) = question.queries.first() else { return answer };
    let of_name: Vec<&Record> = records.iter().filter(|record| record.name == *query.name()).collect();
    let fitting = of_name.iter().filter(|record| record.record_type() == query.query_type());
    answer.add_answers(fitting.map(|record| Record::clone(record)));
    if of_name.is_empty() {
        answer.metadata.response_code = ResponseCode::NXDomain;
    }
    answer
}
