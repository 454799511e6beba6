//! The server of Plugboard: listeners, login, admin API, configuration, command line, and the wiring between them and
//! the calls core.
//!
//! An HTTP request passes [`listen`] (bounds), [`tenants`] (whose it is), [`auth`] (who asks) and [`api`], and goes to
//! the tenant's live call logic ([`deploy`]) by way of the [`switch`], where calls live.

pub mod admin;
pub mod answer;
pub mod api;
pub mod auth;
pub mod cli;
pub mod config;
pub mod demo;
pub mod deploy;
pub mod journal;
pub mod listen;
pub mod logs;
pub mod reload;
pub mod secret;
pub mod serve;
pub mod state_dir;
pub mod switch;
pub mod tenants;
pub mod watch;
