//! What GET answers: the record of a call as `text/xml` in the format of the original service, or as
//! `application/json` with everything known.

use plugboard_sdk::json::{Value, json};
use plugboard_sdk::status::{Line, Status};
use plugboard_sdk::xml::Document;
use plugboard_sdk::{Fault, Header, HttpRequest, HttpResponse, header, headers, json};

use crate::record::{
    AskedBy, EndedBy, Fallback, Fallen, Leg, LegState, Mode, Outcome, Parties, Record, Role, Transfer,
};

/// The namespace of both XML forms.
const NAMESPACE: &str = "http://www.sipfoundry.org/sipX/schema/xml/call-status-00-00";

/// Answers a GET or HEAD. `phase` names what the call waits for; a call that is not known has no record.
pub(crate) fn response(request: &HttpRequest, record: Option<&Record>, phase: &str) -> Result<HttpResponse, Fault> {
    let mut response = if wants_json(&request.headers) {
        json::response(200, &as_json(record, phase)?)?
    } else {
        let headers = vec![header("content-type", "text/xml; charset=utf-8")];
        HttpResponse { status: 200, headers, body: as_xml(record)? }
    };
    if request.method == "HEAD" {
        response.body = Vec::new();
    }
    Ok(response)
}

/// RFC 9110 §12.5.1, as far as two types need it: JSON when it is named, and not valued below what XML is worth.
fn wants_json(request_headers: &[Header]) -> bool {
    let accept = headers::find(request_headers, "accept").unwrap_or_default();
    let (mut json, mut xml) = (None, 0);
    for range in accept.split(',') {
        let mut parts = range.split(';').map(str::trim);
        let media_type = parts.next().unwrap_or_default().to_ascii_lowercase();
        let quality = parts.find_map(|part| thousandths(part.strip_prefix("q=")?)).unwrap_or(1000);
        match media_type.as_str() {
            "application/json" => json = Some(quality),
            "text/xml" | "application/xml" => xml = xml.max(quality),
            _ => {}
        }
    }
    json.is_some_and(|json| json > 0 && json >= xml)
}

/// A quality value: 0 to 1 with three decimals at most.
fn thousandths(quality: &str) -> Option<u32> {
    let (whole, decimals) = quality.split_once('.').unwrap_or((quality, ""));
    let digits: String = decimals.chars().chain("000".chars()).take(3).collect();
    Some(whole.parse::<u32>().ok()?.min(1) * 1000 + digits.parse::<u32>().ok()?)
}

fn as_xml(record: Option<&Record>) -> Result<Vec<u8>, Fault> {
    match record {
        // Who asked for REFER mode gets its form, whatever came of it.
        Some(record) if record.mode == Mode::Invite && !record.changed_mode() => dialogs(record),
        record => Ok(status_lines(record)),
    }
}

fn status_lines(record: Option<&Record>) -> Vec<u8> {
    let mut document = Document::new();
    document.open("status-lines", Some(NAMESPACE));
    document.space("\n");
    if let Some(record) = record {
        record.history.before_gap().for_each(|line| status(&mut document, record, &line));
        if record.history.left_out() > 0 {
            document.comment(&format!("{} status lines left out", record.history.left_out()));
            document.space("\n");
        }
        record.history.after_gap().for_each(|line| status(&mut document, record, &line));
    }
    document.close("status-lines");
    document.space("\n");
    document.finish()
}

fn status(document: &mut Document, record: &Record, line: &Line) {
    let call_id = record.leg(line.leg).map(|leg| leg.call_id.as_str()).unwrap_or_default();
    let timestamp = line.timestamp_ms.to_string();
    let fields = [
        ("timestamp", timestamp.as_str()),
        ("call-id", call_id),
        ("method", line.method()),
        ("status-line", &line.status_line()),
    ];
    group(document, "status", &fields);
}

fn dialogs(record: &Record) -> Result<Vec<u8>, Fault> {
    let Parties { agent, .. } = record.parties.get()?;
    let mut document = Document::new();
    document.open("dialogs", Some(NAMESPACE));
    document.space("\n");
    for leg in &record.legs {
        let fields = [
            ("dialog-id", leg.call_id.as_str()),
            ("local-party", &agent.uri),
            ("remote-party", &leg.party),
            ("dialog-state", dialog_state(leg)),
        ];
        group(&mut document, "dialog", &fields);
    }
    document.close("dialogs");
    document.space("\n");
    Ok(document.finish())
}

fn group(document: &mut Document, name: &str, fields: &[(&str, &str)]) {
    document.open(name, None);
    document.space("\n");
    for (field, text) in fields {
        document.space("        ");
        document.element(field, text);
        document.space("\n");
    }
    document.close(name);
    document.space("\n");
}

/// The words of RFC 4235 §3.7.1.
fn dialog_state(leg: &Leg) -> &'static str {
    match leg.state {
        LegState::Calling => "trying",
        LegState::Ringing => "early",
        LegState::Up => "confirmed",
        LegState::Releasing | LegState::Over => "terminated",
    }
}

fn as_json(record: Option<&Record>, phase: &str) -> Result<Value, Fault> {
    let Some(record) = record else { return Ok(json!({ "phase": "unknown", "lines": [] })) };
    let Parties { agent, calling, called } = record.parties.get()?;
    let lines: Vec<Value> =
        record.history.before_gap().chain(record.history.after_gap()).map(|line| line_json(record, &line)).collect();
    Ok(json!({
        "mode": match record.mode { Mode::Refer => "REFER", Mode::Invite => "INVITE" },
        "phase": phase,
        "agent": agent.uri,
        "calling": calling.uri,
        "called": called.uri,
        "subject": record.options.subject,
        "started_ms": record.started_ms,
        "ended_ms": record.ended_ms,
        "outcome": record.outcome.as_ref().map(outcome_json),
        "legs": record.legs.iter().map(leg_json).collect::<Vec<_>>(),
        "transfers": record.transfers.iter().map(transfer_json).collect::<Vec<_>>(),
        "fallbacks": record.fallbacks.iter().map(fallback_json).collect::<Vec<_>>(),
        "lines": lines,
        "lines_left_out": record.history.left_out(),
    }))
}

fn outcome_json(outcome: &Outcome) -> Value {
    let ended_by = match outcome.ended_by {
        EndedBy::Calling => "calling",
        EndedBy::Called => "called",
        EndedBy::HandedOver => "handed-over",
        EndedBy::Request => "request",
        EndedBy::Timeout => "timeout",
        EndedBy::Host => "host",
    };
    json!({ "code": outcome.status.code, "reason": outcome.status.reason(), "ended_by": ended_by })
}

fn leg_json(leg: &Leg) -> Value {
    let role = match leg.role {
        Role::Calling => "calling",
        Role::Called => "called",
        Role::Target => "target",
    };
    let state = match leg.state {
        LegState::Calling => "calling",
        LegState::Ringing => "ringing",
        LegState::Up => "up",
        LegState::Releasing => "releasing",
        LegState::Over => "over",
    };
    let outcome = leg.status.as_ref().map(status_json);
    json!({
        "leg": leg.id, "role": role, "party": leg.party, "call_id": leg.call_id, "state": state, "outcome": outcome,
    })
}

fn transfer_json(transfer: &Transfer) -> Value {
    let asked_by = match transfer.asked_by {
        AskedBy::Request => "request",
        AskedBy::Calling => "calling",
        AskedBy::Called => "called",
    };
    json!({
        "target": transfer.target.uri,
        "asked_by": asked_by,
        "attended": transfer.attended,
        "started_ms": transfer.started_ms,
        "outcome": transfer.outcome.as_ref().map(status_json),
    })
}

fn fallback_json(fallen: &Fallen) -> Value {
    let to = match fallen.to {
        Fallback::InviteMode => "invite-mode",
        Fallback::NoMediaOffer => "offer-without-media",
        Fallback::HeldOffer => "offer-on-hold",
    };
    json!({ "timestamp": fallen.timestamp_ms, "to": to, "because": status_json(&fallen.because) })
}

fn status_json(status: &Status) -> Value {
    json!({ "code": status.code, "reason": status.reason() })
}

fn line_json(record: &Record, line: &Line) -> Value {
    json!({
        "timestamp": line.timestamp_ms,
        "call_id": record.leg(line.leg).map(|leg| leg.call_id.as_str()),
        "method": line.method(),
        "status_line": line.status_line(),
    })
}
