//! Smaller header values: Max-Forwards, Replaces (RFC 3891), Session-Expires and Min-SE (RFC 4028), RSeq and RAck (RFC
//! 3262), Reason (RFC 3326).

use std::fmt;

use crate::cseq::CSeq;
use crate::params::{Params, quote, unquote};
use crate::text::{Text, Token};

/// A header value that breaks its grammar. The fault of whoever made it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("malformed value")]
pub struct InvalidValue;

/// Max-Forwards (RFC 3261 §20.22): how many hops a request may still take.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct MaxForwards(pub u8);

impl MaxForwards {
    /// What a new request starts with (RFC 3261 §8.1.1.6).
    pub const DEFAULT: MaxForwards = MaxForwards(70);

    /// Parses the value.
    ///
    /// # Errors
    /// When it is not a number from 0 to 255.
    pub fn parse(text: &Text) -> Result<MaxForwards, InvalidValue> {
        MaxForwards::read(text).ok_or(InvalidValue)
    }

    /// As [`MaxForwards::parse`].
    pub(crate) fn read(text: &str) -> Option<MaxForwards> {
        parse_number(text).and_then(|number| u8::try_from(number).ok()).map(MaxForwards)
    }
}

impl fmt::Display for MaxForwards {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// Replaces (RFC 3891 §6.1): the dialog that a new one takes the place of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replaces {
    /// The Call-ID of that dialog.
    pub call_id: Text,
    /// Its To tag, as the receiver of the INVITE sees it: its own.
    pub to_tag: Text,
    /// Its From tag.
    pub from_tag: Text,
    /// Whether only an early dialog may be replaced.
    pub early_only: bool,
}

impl Replaces {
    /// Parses the value.
    ///
    /// # Errors
    /// When it is malformed or lacks a tag.
    pub fn parse(text: &Text) -> Result<Replaces, InvalidValue> {
        let (call_id, params) = split_params(text)?;
        let tag = |name| params.get(name).cloned().ok_or(InvalidValue);
        if call_id.is_empty() || call_id.contains([' ', '\t']) {
            return Err(InvalidValue);
        }
        Ok(Replaces {
            call_id: text.slice_of(call_id),
            to_tag: tag("to-tag")?,
            from_tag: tag("from-tag")?,
            early_only: params.contains("early-only"),
        })
    }
}

impl fmt::Display for Replaces {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{};to-tag={};from-tag={}", self.call_id, self.to_tag, self.from_tag)?;
        if self.early_only { f.write_str(";early-only") } else { Ok(()) }
    }
}

/// Who refreshes a session (RFC 4028 §4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refresher {
    /// Whoever sent the request.
    Uac,
    /// Whoever answers it.
    Uas,
}

/// Session-Expires (RFC 4028 §4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionExpires {
    /// Seconds.
    pub interval: u32,
    /// Who refreshes, when it is said.
    pub refresher: Option<Refresher>,
}

impl SessionExpires {
    /// Parses the value.
    ///
    /// # Errors
    /// When the interval is no number or the refresher is neither `uac` nor `uas`.
    pub fn parse(text: &Text) -> Result<SessionExpires, InvalidValue> {
        let (interval, params) = split_params(text)?;
        let refresher = match params.get("refresher") {
            None => None,
            Some(side) if side.eq_ignore_ascii_case("uac") => Some(Refresher::Uac),
            Some(side) if side.eq_ignore_ascii_case("uas") => Some(Refresher::Uas),
            Some(_) => return Err(InvalidValue),
        };
        Ok(SessionExpires { interval: parse_number(interval).ok_or(InvalidValue)?, refresher })
    }
}

impl fmt::Display for SessionExpires {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.refresher {
            None => write!(f, "{}", self.interval),
            Some(Refresher::Uac) => write!(f, "{};refresher=uac", self.interval),
            Some(Refresher::Uas) => write!(f, "{};refresher=uas", self.interval),
        }
    }
}

/// Min-SE (RFC 4028 §5): the smallest session interval, in seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MinSe(pub u32);

impl MinSe {
    /// Parses the value. Its parameters mean nothing.
    ///
    /// # Errors
    /// When it is no number.
    pub fn parse(text: &Text) -> Result<MinSe, InvalidValue> {
        let (seconds, _) = split_params(text)?;
        parse_number(seconds).map(MinSe).ok_or(InvalidValue)
    }
}

impl fmt::Display for MinSe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// RSeq (RFC 3262 §7.1): the number of a reliable provisional response, never 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RSeq(pub u32);

impl RSeq {
    /// Parses the value.
    ///
    /// # Errors
    /// When it is no number from 1 to 2^32 - 1.
    pub fn parse(text: &Text) -> Result<RSeq, InvalidValue> {
        parse_number(text).filter(|number| *number > 0).map(RSeq).ok_or(InvalidValue)
    }
}

impl fmt::Display for RSeq {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// RAck (RFC 3262 §7.2): which reliable provisional response a PRACK acknowledges.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RAck {
    /// The number of the response.
    pub rseq: RSeq,
    /// The CSeq of the request that it answers.
    pub cseq: CSeq,
}

impl RAck {
    /// Parses the value.
    ///
    /// # Errors
    /// When it is not two numbers and a method.
    pub fn parse(text: &Text) -> Result<RAck, InvalidValue> {
        let (rseq, cseq) = text.split_once([' ', '\t']).ok_or(InvalidValue)?;
        let cseq = CSeq::parse(&text.slice_of(cseq.trim_ascii_start())).map_err(|_| InvalidValue)?;
        Ok(RAck { rseq: RSeq::parse(&text.slice_of(rseq))?, cseq })
    }
}

impl fmt::Display for RAck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.rseq, self.cseq)
    }
}

/// One Reason value (RFC 3326 §2): why a request was sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reason {
    /// Whose codes: `SIP`, `Q.850` or another.
    pub protocol: Token,
    /// The code.
    pub cause: Option<u32>,
    /// The words, without quotes and escapes.
    pub text: Option<Text>,
}

impl Reason {
    /// Parses the value.
    ///
    /// # Errors
    /// When the protocol is no token or the cause no number.
    pub fn parse(text: &Text) -> Result<Reason, InvalidValue> {
        let (protocol, params) = split_params(text)?;
        let cause = params.get("cause").map(|cause| parse_number(cause).ok_or(InvalidValue)).transpose()?;
        Ok(Reason {
            protocol: Token::new(protocol).ok_or(InvalidValue)?,
            cause,
            text: params.get("text").map(|words| Text::from(unquote(words))),
        })
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.protocol)?;
        if let Some(cause) = self.cause {
            write!(f, ";cause={cause}")?;
        }
        match &self.text {
            Some(text) => write!(f, ";text={}", quote(text)),
            None => Ok(()),
        }
    }
}

/// A value and the parameters behind it.
fn split_params(text: &Text) -> Result<(&str, Params), InvalidValue> {
    let (value, params) = text.split_at(text.find(';').unwrap_or(text.len()));
    let params = Params::parse_part(text, params).map_err(|_| InvalidValue)?;
    Ok((value.trim_ascii(), params))
}

/// A number of digits only; none when it is something else or too large.
pub(crate) fn parse_number(text: &str) -> Option<u32> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if digits { text.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hops_up_to_255() {
        assert_eq!(MaxForwards::parse(&"0068".into()), Ok(MaxForwards(68)));
        assert_eq!(MaxForwards::parse(&"255".into()), Ok(MaxForwards(255)));
        for bad in ["256", "300", "-1", "", "7 0"] {
            assert_eq!(MaxForwards::parse(&bad.into()), Err(InvalidValue), "{bad}");
        }
    }

    #[test]
    fn each_prints_as_it_came() {
        let replaces = "425928@bobster.example.org;to-tag=7743;from-tag=6472;early-only";
        assert_eq!(Replaces::parse(&replaces.into()).map(|value| value.to_string()).as_deref(), Ok(replaces));
        assert_eq!(Replaces::parse(&"a@b;to-tag=1".into()), Err(InvalidValue));
        for expires in ["1800", "90;refresher=uac", "90;refresher=uas"] {
            assert_eq!(SessionExpires::parse(&expires.into()).map(|value| value.to_string()).as_deref(), Ok(expires));
        }
        assert_eq!(SessionExpires::parse(&"90;refresher=me".into()), Err(InvalidValue));
        assert_eq!(MinSe::parse(&"90 ;x".into()), Ok(MinSe(90)));
        assert_eq!(MinSe::parse(&"soon".into()), Err(InvalidValue));
        let rack = "776656 1 INVITE";
        assert_eq!(RAck::parse(&rack.into()).map(|value| value.to_string()).as_deref(), Ok(rack));
        for bad in ["", "1", "1 1", "x 1 INVITE", "0 1 INVITE", "1  INVITE"] {
            assert_eq!(RAck::parse(&bad.into()), Err(InvalidValue), "{bad}");
        }
        assert_eq!(
            (RSeq::parse(&"0".into()), RSeq::parse(&"4294967296".into())),
            (Err(InvalidValue), Err(InvalidValue))
        );
        let reason = "SIP;cause=200;text=\"Call completed \\\"elsewhere\\\"\"";
        assert_eq!(Reason::parse(&reason.into()).map(|value| value.to_string()).as_deref(), Ok(reason));
        assert_eq!(
            Reason::parse(&"Q.850 ;cause=16".into()).map(|value| value.to_string()).as_deref(),
            Ok("Q.850;cause=16")
        );
    }
}
