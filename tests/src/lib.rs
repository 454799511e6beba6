//! The harness of the end-to-end tests: it runs the real `plugboard` program against real peers on loopback.
//!
//! Each test takes a [`place::Place`], which is a loopback address and a folder of its own, so that tests run side
//! by side; starts a [`server::Server`] there, phones ([`sipp::Phone`]) and, where it needs one, a
//! [`kamailio::Kamailio`]; and asks over HTTP ([`http`], [`curl`]). Nothing here sleeps for a fixed time: what has to
//! happen is awaited with a deadline ([`wait::until`]). What is started is ended by its own process id when its
//! handle is dropped; the logs of a test that fails stay in its folder and their ends are printed.
//!
//! A peer program that is not installed fails the test and names the Debian package.

pub mod baresip;
pub mod busy;
pub mod by_hand;
pub mod curl;
pub mod deploys;
pub mod http;
pub mod kamailio;
pub mod place;
pub mod program;
pub mod relay;
pub mod server;
pub mod sipp;
pub mod status;
pub mod wait;
