//! baresip as a phone: it answers by itself, plays a tone of its own, keeps what it hears in a file, and does what is
//! typed on its console.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpStream};
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use crate::place::{Place, tail};
use crate::program::{Running, peer};
use crate::wait::{SOON, until};

/// Samples a second of what a phone hears (G.711).
const RATE: f64 = 8_000.0;
/// Samples by which a tone is recognised: an eighth of a second.
const SAMPLES: usize = 1_000;
/// Samples of one RTP packet: 20 ms.
const PACKET_SAMPLES: usize = 160;
/// What stands before the samples in a WAV file, in bytes.
const WAV_HEADER_BYTES: usize = 44;

/// A phone that is running; ended when dropped.
#[derive(Debug)]
pub struct Baresip {
    running: Running,
    address: SocketAddr,
    console: SocketAddr,
    folder: PathBuf,
    log: PathBuf,
    rtp_ports: RangeInclusive<u16>,
}

impl Baresip {
    /// Starts a phone of this user that plays a tone of `hertz` when it talks; its RTP comes from one of these ports.
    pub fn start(place: &Place, user: &str, hertz: u32, rtp_ports: RangeInclusive<u16>) -> Self {
        let (address, console) = (place.port(), place.port());
        let folder = place.folder().join(format!("baresip-{user}"));
        fs::create_dir_all(&folder).expect("the folder can be written");
        let config = format!(
            "poll_method epoll\nsip_listen {address}\nnet_interface {ip}\nrtp_ports {first}-{last}\nrtp_stats yes\n\
             audio_source ausine,{hertz}\nausrc_srate 48000\nausrc_channels 2\n\
             module_path /usr/lib/baresip/modules\nmodule cons.so\nmodule g711.so\nmodule ausine.so\nmodule sndfile.so\n\
             module_tmp uuid.so\nmodule_tmp account.so\nmodule_app menu.so\n\
             cons_listen {console}\nsnd_path {folder}\nmenu_bell no\n",
            ip = address.ip(),
            first = rtp_ports.start(),
            last = rtp_ports.end(),
            folder = folder.display(),
        );
        fs::write(folder.join("config"), config).expect("the folder can be written");
        let account = format!("<sip:{user}@{address}>;regint=0;answermode=auto;audio_codecs=PCMU/8000/1\n");
        fs::write(folder.join("accounts"), account).expect("the folder can be written");
        let log = place.folder().join(format!("baresip-{user}.log"));
        let mut command = peer("baresip", "baresip-core");
        command.args(["-4", "-s", "-f"]).arg(&folder);
        let mut running = Running::start(command, &log);
        until("baresip to be ready", SOON, || {
            assert!(running.ended().is_none(), "baresip does not start:\n{}", tail(&log, 30));
            fs::read_to_string(&log).is_ok_and(|log| log.contains("baresip is ready")).then_some(())
        });
        Self { running, address, console, folder, log, rtp_ports }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its user, `name@ip:port`.
    pub fn user(&self, name: &str) -> String {
        format!("{name}@{}", self.address)
    }

    /// Types a command on its console, such as `/hold`.
    pub fn type_in(&self, command: &str) {
        let mut console = TcpStream::connect(self.console).expect("its console listens");
        console.set_read_timeout(Some(Duration::from_secs(5))).expect("a time is given");
        console.write_all(format!("{command}\n").as_bytes()).expect("it reads");
        // Its console belongs to the last one who typed: hang on until it has echoed the command.
        let mut echo = Vec::new();
        let _ = BufReader::new(console).read_until(b'\n', &mut echo);
    }

    /// Everything that it said and, with its trace, sent and received.
    pub fn log(&self) -> String {
        fs::read(&self.log).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
    }

    /// Waits until its log has this text.
    pub fn says(&mut self, text: &str) {
        until(&format!("{text:?} of baresip"), SOON, || {
            assert!(self.running.ended().is_none(), "baresip has ended:\n{}", tail(&self.log, 60));
            self.log().contains(text).then_some(())
        });
    }

    /// Waits until what it heard last is a tone of `hertz`.
    pub fn hears(&self, hertz: u32) {
        until(&format!("a tone of {hertz} Hz at {}", self.address), SOON, || {
            let heard = self.heard();
            let last = heard.get(heard.len().checked_sub(SAMPLES)?..)?;
            is_tone(last, f64::from(hertz)).then_some(())
        });
    }

    /// Waits until it has had its tone to say for so much longer, whether it sent it or not.
    pub fn goes_on_for(&self, seconds: usize) {
        let wanted = self.samples("-enc.wav") + seconds * RATE as usize;
        until("a phone to go on", SOON * 2, || (self.samples("-enc.wav") >= wanted).then_some(()));
    }

    /// The RTP packets of its call until now that it has had to say, in number.
    pub fn packets_made(&self) -> usize {
        self.samples("-enc.wav") / PACKET_SAMPLES
    }

    /// The RTP packets that it has made sound of until now, in number. It makes none any more after a hold.
    pub fn packets_heard(&self) -> usize {
        self.samples("-dec.wav") / PACKET_SAMPLES
    }

    /// The RTP packets that it sent and received in its call, in number, once that is over.
    pub fn packets(&mut self) -> (usize, usize) {
        self.says("packets: ");
        let log = self.log();
        let line = log.rsplit_once("packets: ").and_then(|(_, rest)| rest.lines().next()).unwrap_or_default();
        let mut numbers = line.split_whitespace().filter_map(|number| number.parse().ok());
        numbers.next().zip(numbers.next()).expect("two numbers")
    }

    /// What is in its recordings of this kind, in samples.
    fn samples(&self, kind: &str) -> usize {
        let of = |recording: &Vec<u8>| recording.len().saturating_sub(WAV_HEADER_BYTES) / 2;
        self.recordings(kind).iter().map(of).sum()
    }

    /// Asserts that what it hears comes from one of these ports: those of the other phone.
    pub fn hears_directly(&self, other: &Baresip) {
        let log = self.log();
        let from = log.rsplit_once("receiving from ").map(|(_, rest)| rest.lines().next().unwrap_or_default());
        let from = from.and_then(|address| address.trim().parse::<SocketAddr>().ok());
        assert!(
            from.is_some_and(|from| other.rtp_ports.contains(&from.port())),
            "RTP comes from {from:?}, and the other phone has {:?}",
            other.rtp_ports
        );
    }

    /// What it heard in its last call.
    fn heard(&self) -> Vec<i16> {
        let last = self.recordings("-dec.wav").pop().unwrap_or_default();
        let samples = last.get(WAV_HEADER_BYTES..).unwrap_or_default().chunks_exact(2);
        samples.map(|sample| i16::from_le_bytes([sample[0], sample[1]])).collect()
    }

    /// The files of what it heard, or said, by their time.
    fn recordings(&self, kind: &str) -> Vec<Vec<u8>> {
        let entries = fs::read_dir(&self.folder).expect("its folder is there");
        let mut files: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
        files.retain(|file| file.to_string_lossy().ends_with(kind));
        files.sort();
        files.iter().filter_map(|file| fs::read(file).ok()).collect()
    }
}

/// Whether most of the energy of these samples is at one frequency (Goertzel's algorithm).
fn is_tone(samples: &[i16], hertz: f64) -> bool {
    let turn = 2.0 * std::f64::consts::PI * hertz / RATE;
    let (mut one, mut two, mut energy) = (0.0_f64, 0.0_f64, 0.0_f64);
    for sample in samples {
        let sample = f64::from(*sample);
        energy += sample * sample;
        (one, two) = (sample + 2.0 * turn.cos() * one - two, one);
    }
    let power = one * one + two * two - 2.0 * turn.cos() * one * two;
    energy > 0.0 && power / (energy * samples.len() as f64 / 2.0) > 0.5
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tone_is_told_from_another_and_from_silence() {
        let tone = |hertz: f64| -> Vec<i16> {
            let sample = |n: usize| (10_000.0 * (2.0 * std::f64::consts::PI * hertz * n as f64 / RATE).sin()) as i16;
            (0..SAMPLES).map(sample).collect()
        };
        assert!(is_tone(&tone(440.0), 440.0) && is_tone(&tone(1_000.0), 1_000.0));
        assert!(!is_tone(&tone(440.0), 1_000.0) && !is_tone(&tone(1_000.0), 440.0));
        assert!(!is_tone(&[0; SAMPLES], 440.0));
    }
}
