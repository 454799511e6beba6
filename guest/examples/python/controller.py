"""A call controller in Python: rings the calling user, refers that phone to the called user (RFC 3515), steps aside.

    POST   /callcontroller/{calling}/{called}   place the call
    GET    /callcontroller/{calling}/{called}   how it went, as JSON
    DELETE /callcontroller/{calling}/{called}   hang up

The host calls `handle` once for each event of a call, and keeps the state that it returns until the next one. What
`handle` asks for through `sip`, `timers`, `cache` and `http` happens when it returns, or not at all when it fails. So
keep nothing in global variables, and take the time from `context.now`.
"""

import json
import traceback
from urllib.parse import unquote

from componentize_py_types import Err
from wit_world import exports
from wit_world.exports.controller import Description
from wit_world.imports import auth, cache, http, sip, timers
from wit_world.imports.types import (
    Address, CallKey, Event_Ending, Event_Failure, Event_Http, Event_Request, Event_Response, Event_Timer,
    Fault_Internal, Header, HttpResponse, LegId,
)

PREFIX = "/callcontroller"
RING_MS = 60_000  # how long the calling phone may ring, and then as long again for the called one
KEEP_SECONDS = 180  # how long the story of a call is kept
# The calling phone wants something to answer until it calls the called one: one audio line on which nothing flows.
OFFER = "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nc=IN IP4 0.0.0.0\r\nt=0 0\r\nm=audio 9 RTP/AVP 0\r\na=inactive\r\n"


class Controller(exports.Controller):
    def describe(self):
        return Description("python-example", "1.0.0", PREFIX, state_schema=1)

    def route(self, domain, request):
        match request.path.removeprefix(PREFIX).split("/"):
            case ["", calling, called] if calling and called:
                return CallKey(f"{calling}/{called}")
        raise Err(answer(404, "no such resource"))

    def handle(self, context, state, event):
        try:
            call = step(context.key.value, json.loads(state) if state else None, event)
            return json.dumps(call).encode() if call else None
        except Exception as error:
            traceback.print_exc()  # goes to the tenant's log
            raise Err(Fault_Internal(repr(error)))

    def migrate(self, from_schema, state):
        return state


def step(key, call, event):
    """One event of one call: the call as it is now gives the call as it is then; None when it is over."""
    match event:
        case Event_Http(arrival):
            call, response = asked(key, call, arrival.request.method)
            http.respond(arrival.exchange, response)
            return call
        case Event_Response(response) if call:
            return answered(key, call, response)
        case Event_Request(request) if call:
            return requested(key, call, request)
        case Event_Failure(failure) if call:
            return over(key, call, f"{failure.method} {failure.reason.name}")
        case Event_Timer() if call:
            return over(key, call, "408 took too long")
        case Event_Ending(reason) if call:
            return over(key, call, reason.name)
    return call


def asked(key, call, method):
    """An HTTP request; gives the call and the answer."""
    calling, called = map(unquote, key.split("/"))
    match method:
        case "POST" if call:
            return call, answer(409, "a call between these is already up")
        case "POST":
            try:
                agent = auth.act_as(calling)  # the host knows the password, and whether this client may use it
            except Err as denied:
                return None, answer(403, type(denied.value).__name__.removeprefix("Denial_"))
            other = auth.find_user(called)
            if other is None:
                return None, answer(404, f"no user {called}")
            me = Address(agent.display_name, agent.address_of_record)
            sdp = [Header("Content-Type", "application/sdp")]
            leg = sip.call(sip.Invite(me.uri, None, me, sdp, OFFER.encode())).leg
            timers.set("patience", RING_MS)
            return {"leg": leg.value, "from": me.uri, "to": other.address_of_record, "story": []}, answer(200, "")
        case "GET" if call or cache.get(key):
            story = call["story"] if call else json.loads(cache.get(key))
            headers = [Header("content-type", "application/json")]
            return call, HttpResponse(200, headers, json.dumps(story).encode())
        case "DELETE" if call:
            return over(key, call, "487 hung up"), answer(200, "")
    return call, answer(404, "no such call")


def answered(key, call, response):
    """The phone answers our INVITE or our REFER."""
    call["story"].append(f"{response.method} {response.status} {response.reason}")
    if response.answerable:  # a challenge: the host proves who we are
        sip.answer_challenge(response.transaction)
    elif response.status >= 300:
        return over(key, call, f"{response.status} {response.reason}")
    elif response.status >= 200 and response.method == "INVITE":
        sip.ack(response.transaction, [], b"")
        refer = [Header("Refer-To", f"<{call['to']}>"), Header("Referred-By", f"<{call['from']}>")]
        sip.request(LegId(call["leg"]), "REFER", refer, b"")
        timers.set("patience", RING_MS)
    return call


def requested(key, call, request):
    """The phone asks something inside its dialog."""
    match request.method:
        case "BYE":
            sip.respond(request.transaction, 200, "OK", [], b"")
            return over(key, call, "487 hung up by the phone")
        case "NOTIFY":  # how its own call is going, as a status line (RFC 3420)
            sip.respond(request.transaction, 200, "OK", [], b"")
            line = request.body.decode(errors="replace").strip()
            call["story"].append(f"NOTIFY {line}")
            if not line.startswith("SIP/2.0 100"):  # the other phone rings or has answered: this is no more our call
                return over(key, call, line.removeprefix("SIP/2.0 "))
        case _:
            sip.respond(request.transaction, 501, "Not Implemented", [], b"")
    return call


def over(key, call, outcome):
    """Ends the call. The host sends CANCEL or BYE, whichever is due."""
    sip.release(LegId(call["leg"]), [])
    cache.put(key, json.dumps([*call["story"], f"over: {outcome}"]).encode(), KEEP_SECONDS)
    print(f"{key} is over: {outcome}")
    return None


def answer(status, text):
    return HttpResponse(status, [Header("content-type", "text/plain")], text.encode())
