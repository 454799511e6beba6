//! Request methods (RFC 3261 §7.1). They are case-sensitive.

use std::fmt;

use crate::text::{Text, Token};

macro_rules! methods {
    ($($variant:ident $name:literal $rfc:literal,)*) => {
        /// A request method. One that has no name here is carried as it came.
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Method {
            $(#[doc = concat!($name, " (", $rfc, ").")] $variant,)*
            /// Any other. Boxed, as it is rare and methods are kept in large numbers.
            Other(Box<Token>),
        }

        impl Method {
            /// The method of this name; none when the text is not a token.
            pub fn parse(name: &Text) -> Option<Method> {
                Method::named(name)
            }

            /// As [`Method::parse`]; shares no buffer.
            pub fn named(name: &str) -> Option<Method> {
                match name {
                    $($name => Some(Method::$variant),)*
                    _ => Token::new(name).map(|token| Method::Other(Box::new(token))),
                }
            }

            /// As it stands on the wire.
            pub fn as_str(&self) -> &str {
                match self {
                    $(Method::$variant => $name,)*
                    Method::Other(token) => token.as_str(),
                }
            }
        }
    };
}

methods! {
    Invite "INVITE" "RFC 3261",
    Ack "ACK" "RFC 3261",
    Bye "BYE" "RFC 3261",
    Cancel "CANCEL" "RFC 3261",
    Options "OPTIONS" "RFC 3261",
    Register "REGISTER" "RFC 3261",
    Refer "REFER" "RFC 3515",
    Notify "NOTIFY" "RFC 6665",
    Subscribe "SUBSCRIBE" "RFC 6665",
    Info "INFO" "RFC 6086",
    Update "UPDATE" "RFC 3311",
    Prack "PRACK" "RFC 3262",
    Message "MESSAGE" "RFC 3428",
    Publish "PUBLISH" "RFC 3903",
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn case_matters_and_unknown_ones_survive() {
        assert_eq!(Method::parse(&"INVITE".into()), Some(Method::Invite));
        let lower = Method::parse(&"invite".into()).expect("a token");
        assert!(matches!(&lower, Method::Other(token) if token.as_str() == "invite"));
        assert_eq!(Method::parse(&"IN VITE".into()), None);
    }
}
