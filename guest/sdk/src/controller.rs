//! The trait that a call controller implements, and the glue that makes a component of it.

use core::marker::PhantomData;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::bindings::exports::plugboard::call_control::controller::Guest;
use crate::{CallKey, Context, Description, Directory, Event, Fault, Host, HttpRequest, HttpResponse, Imports, codec};

/// Call logic: a pure step from one state and one event to the next state.
pub trait Controller {
    /// What a call remembers between two events.
    type State: Serialize + DeserializeOwned;
    /// The number of the encoding of [`Controller::State`]; raise it when an old state can no longer be read.
    const SCHEMA: u32;

    /// Says what this controller is; see [`describe`](crate::describe()).
    fn describe() -> Description;

    /// Says which call a request is about, or answers it outright (400, 404, 405). Stages nothing.
    fn route(domain: &str, request: &HttpRequest, users: &impl Directory) -> Result<CallKey, HttpResponse>;

    /// Decides what one event means for one call. `state` is none for a call that is not known; a returned none ends
    /// the call.
    ///
    /// # Errors
    /// After a [`Fault`] nothing that was staged happens and the call keeps its last state.
    fn step(
        context: &Context,
        state: Option<Self::State>,
        event: Event,
        host: &mut impl Host,
    ) -> Result<Option<Self::State>, Fault>;

    /// Looks into what a state holds encoded ([`Kept`](crate::Kept)), for `migrate`; nothing, unless a controller has such.
    ///
    /// # Errors
    /// [`Fault::BadState`] when it cannot be read.
    fn check(_state: &Self::State) -> Result<(), Fault> {
        Ok(())
    }

    /// Re-encodes a state that another version wrote. Unless a controller knows older schemas, it takes its own only,
    /// after reading it to be sure.
    ///
    /// # Errors
    /// [`Fault::Unsupported`] for another schema, [`Fault::BadState`] for a state that cannot be read.
    fn migrate(from_schema: u32, state: Vec<u8>) -> Result<Vec<u8>, Fault> {
        if from_schema != Self::SCHEMA {
            return Err(Fault::Unsupported(format!("state schema {from_schema}, this is {}", Self::SCHEMA)));
        }
        Self::check(&codec::decode(Self::SCHEMA, &state)?)?;
        Ok(state)
    }
}

/// The description of a controller: its name, version and HTTP prefix, with the schema of its state.
pub fn describe<C: Controller>(name: &str, version: &str, http_prefix: &str) -> Description {
    Description { name: name.into(), version: version.into(), http_prefix: http_prefix.into(), state_schema: C::SCHEMA }
}

/// Makes a component of a [`Controller`]: `plugboard_sdk::export!(MyController);`, once, in a `cdylib`.
///
/// On targets other than wasm it checks the type and exports nothing.
#[macro_export]
macro_rules! export {
    ($controller:ty) => {
        #[allow(unsafe_code, missing_docs)]
        const _: () = {
            type Exported = $crate::Component<$controller>;
            #[cfg(target_family = "wasm")]
    $crate::bindings::export!(Exported with_types_in $crate::bindings);
            #[cfg(not(target_family = "wasm"))]
            const _: core::marker::PhantomData<Exported> = core::marker::PhantomData;
        };
    };
}

/// Joins a [`Controller`] to the generated exports. Named by [`export!`](crate::export) only.
#[derive(Debug)]
pub struct Component<C: Controller>(PhantomData<C>);

impl<C: Controller> Guest for Component<C> {
    fn describe() -> Description {
        C::describe()
    }

    fn route(domain: String, request: HttpRequest) -> Result<CallKey, HttpResponse> {
        C::route(&domain, &request, &Imports)
    }

    fn handle(context: Context, state: Option<Vec<u8>>, event: Event) -> Result<Option<Vec<u8>>, Fault> {
        handle::<C>(&context, state.as_deref(), event, &mut Imports)
    }

    fn migrate(from_schema: u32, state: Vec<u8>) -> Result<Vec<u8>, Fault> {
        C::migrate(from_schema, state)
    }
}

/// One event on encoded state, as the host asks for it.
pub(crate) fn handle<C: Controller>(
    context: &Context,
    state: Option<&[u8]>,
    event: Event,
    host: &mut impl Host,
) -> Result<Option<Vec<u8>>, Fault> {
    let state = state.map(|bytes| codec::decode(C::SCHEMA, bytes)).transpose()?;
    C::step(context, state, event, host)?.map(|next| codec::encode(C::SCHEMA, &next)).transpose()
}
