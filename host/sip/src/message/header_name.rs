//! Names of header fields (RFC 3261 §7.3.1, §20). They match in any case; known ones print in their usual long form.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::mem;
use std::ops::Range;

use bytes::Bytes;

use crate::text::{Text, Token, is_token};

/// The longest name that is known here, in bytes.
const LONGEST_KNOWN_NAME: usize = 32;

macro_rules! header_names {
    ($($variant:ident $name:literal $lower:literal $($compact:literal)?,)*) => {
        /// The name of a header field. One that is not known here is carried as it came.
        #[derive(Clone, Debug)]
        pub enum HeaderName {
            $(#[doc = concat!("`", $name, "`")] $variant,)*
            /// Any other. Matches in any case. Boxed, as most are known and lists of fields are moved about a lot.
            Other(Box<Token>),
        }

        impl HeaderName {
            /// The name as it is printed: the long form of a known one.
            pub fn as_str(&self) -> &str {
                match self {
                    $(HeaderName::$variant => $name,)*
                    HeaderName::Other(token) => token.as_str(),
                }
            }

            /// The known name, long or compact (RFC 3261 §7.3.3), in any case.
            fn known(name: &[u8]) -> Option<HeaderName> {
                let mut buffer = [0; LONGEST_KNOWN_NAME];
                let lower = buffer.get_mut(..name.len())?;
                lower.copy_from_slice(name);
                lower.make_ascii_lowercase();
                match &*lower {
                    $($lower $(| $compact)? => Some(HeaderName::$variant),)*
                    _ => None,
                }
            }

            #[cfg(test)]
            pub(crate) const KNOWN: &'static [(&'static str, &'static [u8])] = &[$(($name, $lower),)*];
        }
    };
}

header_names! {
    Accept "Accept" b"accept",
    AcceptEncoding "Accept-Encoding" b"accept-encoding",
    AcceptLanguage "Accept-Language" b"accept-language",
    AlertInfo "Alert-Info" b"alert-info",
    Allow "Allow" b"allow",
    AllowEvents "Allow-Events" b"allow-events" b"u",
    AuthenticationInfo "Authentication-Info" b"authentication-info",
    Authorization "Authorization" b"authorization",
    CallId "Call-ID" b"call-id" b"i",
    CallInfo "Call-Info" b"call-info",
    Contact "Contact" b"contact" b"m",
    ContentDisposition "Content-Disposition" b"content-disposition",
    ContentEncoding "Content-Encoding" b"content-encoding" b"e",
    ContentLanguage "Content-Language" b"content-language",
    ContentLength "Content-Length" b"content-length" b"l",
    ContentType "Content-Type" b"content-type" b"c",
    CSeq "CSeq" b"cseq",
    Date "Date" b"date",
    ErrorInfo "Error-Info" b"error-info",
    Event "Event" b"event" b"o",
    Expires "Expires" b"expires",
    From "From" b"from" b"f",
    InReplyTo "In-Reply-To" b"in-reply-to",
    MaxForwards "Max-Forwards" b"max-forwards",
    MimeVersion "MIME-Version" b"mime-version",
    MinExpires "Min-Expires" b"min-expires",
    MinSe "Min-SE" b"min-se",
    Organization "Organization" b"organization",
    PAssertedIdentity "P-Asserted-Identity" b"p-asserted-identity",
    PPreferredIdentity "P-Preferred-Identity" b"p-preferred-identity",
    Path "Path" b"path",
    Priority "Priority" b"priority",
    Privacy "Privacy" b"privacy",
    ProxyAuthenticate "Proxy-Authenticate" b"proxy-authenticate",
    ProxyAuthorization "Proxy-Authorization" b"proxy-authorization",
    ProxyRequire "Proxy-Require" b"proxy-require",
    RAck "RAck" b"rack",
    Reason "Reason" b"reason",
    RecordRoute "Record-Route" b"record-route",
    ReferSub "Refer-Sub" b"refer-sub",
    ReferTo "Refer-To" b"refer-to" b"r",
    ReferredBy "Referred-By" b"referred-by" b"b",
    Replaces "Replaces" b"replaces",
    ReplyTo "Reply-To" b"reply-to",
    RequestDisposition "Request-Disposition" b"request-disposition" b"d",
    AcceptContact "Accept-Contact" b"accept-contact" b"a",
    RejectContact "Reject-Contact" b"reject-contact" b"j",
    Identity "Identity" b"identity" b"y",
    Require "Require" b"require",
    RetryAfter "Retry-After" b"retry-after",
    Route "Route" b"route",
    RSeq "RSeq" b"rseq",
    Server "Server" b"server",
    ServiceRoute "Service-Route" b"service-route",
    SessionExpires "Session-Expires" b"session-expires" b"x",
    SipEtag "SIP-ETag" b"sip-etag",
    SipIfMatch "SIP-If-Match" b"sip-if-match",
    Subject "Subject" b"subject" b"s",
    SubscriptionState "Subscription-State" b"subscription-state",
    Supported "Supported" b"supported" b"k",
    TargetDialog "Target-Dialog" b"target-dialog",
    Timestamp "Timestamp" b"timestamp",
    To "To" b"to" b"t",
    Unsupported "Unsupported" b"unsupported",
    UserAgent "User-Agent" b"user-agent",
    Via "Via" b"via" b"v",
    Warning "Warning" b"warning",
    WwwAuthenticate "WWW-Authenticate" b"www-authenticate",
}

impl HeaderName {
    /// The name of these bytes, long or compact, in any case; none when they are not a token. What is not known shares
    /// the buffer.
    pub fn parse(name: Bytes) -> Option<HeaderName> {
        if let Some(known) = HeaderName::known(&name) {
            return Some(known);
        }
        if !is_token(&name) {
            return None;
        }
        Token::new(Text::from_utf8(name)?).map(HeaderName::other)
    }

    /// As [`HeaderName::parse`], of a part of a message.
    pub(crate) fn within(message: &Bytes, name: Range<usize>) -> Option<HeaderName> {
        HeaderName::known(message.get(name.clone())?).or_else(|| HeaderName::parse(message.slice(name)))
    }

    /// The name of this text; none when it is not a token.
    pub fn new(name: &str) -> Option<HeaderName> {
        HeaderName::known(name.as_bytes()).or_else(|| Token::new(name).map(HeaderName::other))
    }

    fn other(token: Token) -> HeaderName {
        HeaderName::Other(Box::new(token))
    }

    /// Whether one field may hold several values, separated by commas (RFC 3261 §7.3.1).
    pub fn is_list(&self) -> bool {
        use HeaderName::*;
        matches!(
            self,
            Accept
                | AcceptContact
                | AcceptEncoding
                | AcceptLanguage
                | AlertInfo
                | Allow
                | AllowEvents
                | CallInfo
                | Contact
                | ContentEncoding
                | ContentLanguage
                | ErrorInfo
                | InReplyTo
                | PAssertedIdentity
                | PPreferredIdentity
                | Path
                | ProxyRequire
                | Reason
                | RecordRoute
                | RejectContact
                | RequestDisposition
                | Require
                | Route
                | ServiceRoute
                | Supported
                | Unsupported
                | Via
                | Warning
        )
    }
}

impl PartialEq for HeaderName {
    #[inline]
    fn eq(&self, other: &HeaderName) -> bool {
        match (self, other) {
            (HeaderName::Other(one), HeaderName::Other(two)) => one.as_str().eq_ignore_ascii_case(two.as_str()),
            _ => mem::discriminant(self) == mem::discriminant(other),
        }
    }
}

impl Eq for HeaderName {}

impl Hash for HeaderName {
    fn hash<H: Hasher>(&self, state: &mut H) {
        mem::discriminant(self).hash(state);
        if let HeaderName::Other(token) = self {
            token.as_str().bytes().for_each(|byte| state.write_u8(byte.to_ascii_lowercase()));
        }
    }
}

impl fmt::Display for HeaderName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_agrees_with_itself() {
        for (name, lower) in HeaderName::KNOWN {
            assert_eq!(name.to_ascii_lowercase().as_bytes(), *lower, "{name}");
            let parsed = HeaderName::new(&name.to_ascii_uppercase()).expect("a token");
            assert_eq!(parsed.as_str(), *name);
        }
    }

    #[test]
    fn compact_and_unknown_names() {
        assert_eq!(HeaderName::new("v"), Some(HeaderName::Via));
        assert_eq!(HeaderName::new("L"), Some(HeaderName::ContentLength));
        assert_eq!(HeaderName::new("X-ConfPin"), HeaderName::new("x-confpin"));
        assert_ne!(HeaderName::new("X-ConfPin"), HeaderName::new("X-Other"));
        assert_eq!(HeaderName::new("X-ConfPin").map(|name| name.to_string()).as_deref(), Some("X-ConfPin"));
        assert_eq!(HeaderName::new("No Token"), None);
        assert_eq!(HeaderName::new(&"x".repeat(LONGEST_KNOWN_NAME + 1)).map(|name| name.is_list()), Some(false));
    }
}
