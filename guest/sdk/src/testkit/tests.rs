//! The kit refuses what the contract refuses, and notices broken promises.

use super::*;
use crate::{
    Address, CallKey, Context, Controller, Description, Directory, Event, Fault, Host, HttpRequest, HttpResponse,
    Invite, LegId, StageError, TransactionId, header,
};

/// Does what the path of the request says, and keeps the words that describe how it went.
struct Scripted;

impl Controller for Scripted {
    type State = Vec<String>;
    const SCHEMA: u32 = 1;

    fn describe() -> Description {
        crate::describe::<Self>("scripted", "1", "/")
    }

    fn route(_: &str, _: &HttpRequest, _: &impl Directory) -> Result<CallKey, HttpResponse> {
        Ok(CallKey { value: "call".into() })
    }

    fn step(
        _: &Context,
        state: Option<Vec<String>>,
        event: Event,
        host: &mut impl Host,
    ) -> Result<Option<Vec<String>>, Fault> {
        let mut said = state.unwrap_or_default();
        let Event::Http(arrival) = event else { return Ok(Some(said)) };
        let path = arrival.request.path.clone();
        match path.as_str() {
            "/agent" => drop(host.act_as("alice")),
            "/call" => said.push(format!("{:?}", host.call(invite("sip:a@b")).is_ok())),
            "/reserved" => said.push(format!("{:?}", host.release(LegId { value: 1 }, vec![header("Via", "x")]))),
            "/unknown" => said.push(format!("{:?}", host.release(LegId { value: 9 }, Vec::new()))),
            "/early" => said.push(format!("{:?}", host.request(LegId { value: 1 }, "INFO", Vec::new(), Vec::new()))),
            "/denied" => said.push(format!("{:?}", host.act_as("nobody"))),
            "/twice" => {
                for _ in 0..2 {
                    let response = host.respond(TransactionId { value: 2 }, 200, "OK", Vec::new(), Vec::new());
                    said.push(format!("{response:?}"));
                }
            }
            "/fault" => {
                let _ = host.call(invite("sip:a@b"));
                return Err(Fault::Internal("on purpose".into()));
            }
            "/silent" => return Ok(Some(said)),
            "/end" => {
                host.respond_http(arrival.exchange, crate::text(200, "")).expect("owed");
                return Ok(None);
            }
            _ => {}
        }
        host.respond_http(arrival.exchange, crate::text(200, "")).expect("owed");
        Ok(Some(said))
    }
}

fn invite(target: &str) -> Invite {
    let from = Address { display_name: None, uri: "sip:x@y".into() };
    Invite { target: target.into(), to: None, from, headers: Vec::new(), body: Vec::new() }
}

/// A kit whose call is bound to its agent.
fn kit() -> Kit<Scripted> {
    let mut kit = Kit::new("example.com", 1);
    kit.user("alice", "", &[]);
    kit.http("POST", "/agent");
    kit
}

fn said(paths: &[&str]) -> Vec<String> {
    let mut kit = kit();
    paths.iter().for_each(|path| drop(kit.http("POST", path)));
    kit.state().expect("not ended")
}

#[test]
fn effects_are_refused_as_the_contract_says() {
    assert_eq!(said(&["/call", "/reserved"])[1], format!("{:?}", Err::<(), _>(StageError::Reserved("Via".into()))));
    assert_eq!(said(&["/unknown"])[0], "Err(StageError::Unknown)");
    assert_eq!(said(&["/call", "/early"])[1], "Err(StageError::WrongState)");
    assert_eq!(said(&["/denied"])[0], "Err(Denial::UnknownUser)");
}

#[test]
fn a_call_without_an_agent_is_refused() {
    let mut kit = Kit::<Scripted>::new("example.com", 1);
    kit.http("POST", "/call");
    assert_eq!(kit.state().expect("not ended"), ["false"]);
}

#[test]
fn a_second_final_response_is_refused() {
    let mut kit = kit();
    kit.http("POST", "/call");
    kit.respond(1, 200, b"");
    kit.request(1, "INFO", &[], b"");
    kit.http("POST", "/twice");
    assert_eq!(kit.state().expect("not ended")[1..], ["Ok(())", "Err(StageError::WrongState)"]);
}

#[test]
#[should_panic(expected = "no fault")]
fn a_fault_is_noticed() {
    said(&["/fault"]);
}

#[test]
#[should_panic(expected = "answered in its event")]
fn an_unanswered_exchange_is_noticed() {
    said(&["/silent"]);
}

#[test]
#[should_panic(expected = "leg 1 is Calling")]
fn a_leg_left_behind_is_noticed() {
    said(&["/call", "/end"]);
}

#[test]
#[should_panic(expected = "INFO 2 has no final response")]
fn an_unanswered_request_is_noticed() {
    let mut kit = kit();
    kit.http("POST", "/call");
    kit.request(1, "INFO", &[], b"");
    kit.respond(1, 486, b"");
    kit.http("POST", "/end");
}
