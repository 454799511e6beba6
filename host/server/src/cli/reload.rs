//! `reload`.

use super::client::Client;
use super::show::{print, print_json};
use super::{Failure, Output, Place};
use crate::admin::views::ReloadedView;
use http::Method;

pub(super) const HELP: &str = "\
Example:
  plugboard reload --config /etc/plugboard/plugboard.toml

Where `[http] admin` is what has changed, the server is still at the old address: send it SIGHUP, or name that address
with --admin.";

/// `plugboard reload`
pub(super) async fn reload(place: &Place, output: Output) -> Result<(), Failure> {
    let client = Client::of(place)?;
    let reloaded: ReloadedView = client.send(Method::POST, "/v1/reload", Vec::new()).await?.json()?;
    if output.json {
        return print_json(&reloaded);
    }
    if reloaded.changes.is_empty() {
        print("nothing was different");
    }
    reloaded.changes.iter().for_each(|change| print(&format!("{} {}", change.what, change.key)));
    Ok(())
}
