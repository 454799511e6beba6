//! WASI 0.2 for tenants that allow it: what guests in other languages than Rust expect to be there. The types and most
//! of the interfaces come from wasmtime-wasi; what could tell one run of an event from another, or wait, is made here:
//!
//! - [`moment`]: clocks that stand still during an event, and chance from its seed;
//! - [`console`]: standard output and error, line by line into the tenant's log;
//! - [`streams`]: streams and polls that never wait.
//!
//! There are no files, sockets, names to resolve, arguments or environment variables: a guest is told so by the errors
//! that WASI has for it.

mod console;
mod moment;
mod streams;

pub(crate) use moment::Moment;

use crate::visit::Visit;
use console::Console;
use plugboard_calls::chance::Chance;
use plugboard_calls::stage::LogLine;
use wasmtime::component::{HasSelf, Linker, Resource, ResourceTable};
use wasmtime_wasi::cli::{WasiCli, WasiCliView as _};
use wasmtime_wasi::filesystem::{WasiFilesystem, WasiFilesystemView as _};
use wasmtime_wasi::p2::bindings::sockets::ip_name_lookup::{self, ResolveAddressStream};
use wasmtime_wasi::p2::bindings::sockets::network::{ErrorCode, IpAddress, IpAddressFamily};
use wasmtime_wasi::p2::bindings::{cli, clocks, filesystem, io, random, sockets, sync};
use wasmtime_wasi::p2::{DynPollable, IoError, Network, SocketError, SocketResult, UdpSocket};
use wasmtime_wasi::sockets::{WasiSockets, WasiSocketsView as _};
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};

/// The interfaces that a guest may import, each of the package `wasi:` and of any version 0.2.
const INTERFACES: [&str; 27] = [
    "cli/environment",
    "cli/exit",
    "cli/stderr",
    "cli/stdin",
    "cli/stdout",
    "cli/terminal-input",
    "cli/terminal-output",
    "cli/terminal-stderr",
    "cli/terminal-stdin",
    "cli/terminal-stdout",
    "clocks/monotonic-clock",
    "clocks/wall-clock",
    "filesystem/preopens",
    "filesystem/types",
    "io/error",
    "io/poll",
    "io/streams",
    "random/insecure",
    "random/insecure-seed",
    "random/random",
    "sockets/instance-network",
    "sockets/ip-name-lookup",
    "sockets/network",
    "sockets/tcp",
    "sockets/tcp-create-socket",
    "sockets/udp",
    "sockets/udp-create-socket",
];

/// Streams and polls that one instance may hold at once, in number.
const HANDLES_MAX: usize = 1_024;

/// Whether WASI has an import of this name.
pub(crate) fn offers(import: &str) -> bool {
    let parts = import.strip_prefix("wasi:").and_then(|rest| rest.split_once('@'));
    parts.is_some_and(|(name, version)| version.starts_with("0.2.") && INTERFACES.contains(&name))
}

/// What one instance has of WASI.
pub(crate) struct Wasi {
    context: WasiCtx,
    handles: ResourceTable,
    console: Console,
    moment: Moment,
    chance: Chance,
}

impl Wasi {
    pub(crate) fn new() -> Self {
        let mut handles = ResourceTable::new();
        handles.set_max_capacity(HANDLES_MAX);
        let mut context = WasiCtx::builder();
        context.allow_tcp(false).allow_udp(false).allow_ip_name_lookup(false);
        let moment = Moment::default();
        let chance = Chance::new(moment.seed);
        Self { context: context.build(), handles, console: Console::default(), moment, chance }
    }

    /// An export is about to be called.
    pub(crate) fn begin(&mut self, moment: Moment) {
        self.moment = moment;
        self.chance = Chance::new(moment.seed);
        self.console.clear();
    }

    /// The lines written since this was asked last; with `unfinished` also the one that has no end yet.
    pub(crate) fn lines(&mut self, unfinished: bool) -> Vec<LogLine> {
        self.console.take(unfinished)
    }

    /// What was written to standard error and not taken, as one line.
    pub(crate) fn errors(&self) -> String {
        self.console.errors()
    }
}

/// Links all of WASI.
pub(crate) fn add_to_linker(linker: &mut Linker<Visit>) -> wasmtime::Result<()> {
    let l = linker;
    cli::environment::add_to_linker::<_, WasiCli>(l, Visit::cli)?;
    cli::exit::add_to_linker::<_, WasiCli>(l, Visit::cli)?;
    cli::stdin::add_to_linker::<_, WasiCli>(l, Visit::cli)?;
    cli::stdout::add_to_linker::<_, HasSelf<_>>(l, Visit::wasi)?;
    cli::stderr::add_to_linker::<_, HasSelf<_>>(l, Visit::wasi)?;
    cli::terminal_input::add_to_linker::<_, WasiCli>(l, Visit::cli)?;
    cli::terminal_output::add_to_linker::<_, WasiCli>(l, Visit::cli)?;
    cli::terminal_stdin::add_to_linker::<_, WasiCli>(l, Visit::cli)?;
    cli::terminal_stdout::add_to_linker::<_, WasiCli>(l, Visit::cli)?;
    cli::terminal_stderr::add_to_linker::<_, WasiCli>(l, Visit::cli)?;
    clocks::wall_clock::add_to_linker::<_, HasSelf<_>>(l, Visit::wasi)?;
    clocks::monotonic_clock::add_to_linker::<_, HasSelf<_>>(l, Visit::wasi)?;
    random::random::add_to_linker::<_, HasSelf<_>>(l, Visit::wasi)?;
    random::insecure::add_to_linker::<_, HasSelf<_>>(l, Visit::wasi)?;
    random::insecure_seed::add_to_linker::<_, HasSelf<_>>(l, Visit::wasi)?;
    io::error::add_to_linker::<_, HasSelf<_>>(l, |visit| &mut visit.wasi().handles)?;
    sync::io::poll::add_to_linker::<_, HasSelf<_>>(l, Visit::wasi)?;
    sync::io::streams::add_to_linker::<_, HasSelf<_>>(l, Visit::wasi)?;
    filesystem::preopens::add_to_linker::<_, WasiFilesystem>(l, Visit::filesystem)?;
    sync::filesystem::types::add_to_linker::<_, WasiFilesystem>(l, Visit::filesystem)?;
    sockets::instance_network::add_to_linker::<_, WasiSockets>(l, Visit::sockets)?;
    sockets::ip_name_lookup::add_to_linker::<_, HasSelf<_>>(l, Visit::wasi)?;
    sockets::network::add_to_linker::<_, HasSelf<_>>(l, &sockets::network::LinkOptions::default(), Visit::wasi)?;
    sockets::tcp_create_socket::add_to_linker::<_, WasiSockets>(l, Visit::sockets)?;
    sync::sockets::tcp::add_to_linker::<_, WasiSockets>(l, Visit::sockets)?;
    sync::sockets::udp_create_socket::add_to_linker::<_, HasSelf<_>>(l, Visit::wasi)?;
    sync::sockets::udp::add_to_linker::<_, WasiSockets>(l, Visit::sockets)
}

impl WasiView for Visit {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        let wasi = self.wasi();
        WasiCtxView { ctx: &mut wasi.context, table: &mut wasi.handles }
    }
}

// wasmtime-wasi makes UDP sockets and looks up names on a runtime of its own, even to refuse them.

impl sync::sockets::udp_create_socket::Host for Wasi {
    fn create_udp_socket(&mut self, _: IpAddressFamily) -> SocketResult<Resource<UdpSocket>> {
        Err(ErrorCode::AccessDenied.into())
    }
}

impl sockets::network::Host for Wasi {
    fn convert_error_code(&mut self, error: SocketError) -> wasmtime::Result<ErrorCode> {
        error.downcast()
    }

    fn network_error_code(&mut self, _: Resource<IoError>) -> wasmtime::Result<Option<ErrorCode>> {
        Ok(None)
    }
}

impl sockets::network::HostNetwork for Wasi {
    fn drop(&mut self, network: Resource<Network>) -> wasmtime::Result<()> {
        self.handles.delete(network)?;
        Ok(())
    }
}

impl ip_name_lookup::Host for Wasi {
    fn resolve_addresses(&mut self, _: Resource<Network>, _: String) -> SocketResult<Resource<ResolveAddressStream>> {
        Err(ErrorCode::PermanentResolverFailure.into())
    }
}

/// No guest ever holds one.
impl ip_name_lookup::HostResolveAddressStream for Wasi {
    fn resolve_next_address(&mut self, _: Resource<ResolveAddressStream>) -> SocketResult<Option<IpAddress>> {
        Ok(None)
    }

    fn subscribe(&mut self, addresses: Resource<ResolveAddressStream>) -> wasmtime::Result<Resource<DynPollable>> {
        wasmtime_wasi::p2::subscribe(&mut self.handles, addresses)
    }

    fn drop(&mut self, addresses: Resource<ResolveAddressStream>) -> wasmtime::Result<()> {
        self.handles.delete(addresses)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_offered_is_wasi_0_2() {
        assert!(offers("wasi:clocks/wall-clock@0.2.0"));
        assert!(offers("wasi:sockets/udp-create-socket@0.2.9"));
        assert!(!offers("wasi:clocks/wall-clock@0.3.0"));
        assert!(!offers("wasi:http/outgoing-handler@0.2.0"));
        assert!(!offers("evil:clocks/wall-clock@0.2.0"));
        assert!(!offers("wasi:clocks/wall-clock"));
    }
}
