//! A small writer of XML over quick-xml's events, for status documents.

use quick_xml::Writer;
use quick_xml::events::{BytesDecl, BytesEnd, BytesStart, BytesText, Event};

/// Writes elements one inside the other. What XML 1.0 cannot carry at all (most control characters) becomes U+FFFD.
pub struct Document {
    writer: Writer<Vec<u8>>,
}

impl Default for Document {
    fn default() -> Self {
        Self::new()
    }
}

impl Document {
    /// Begins a document with its declaration and a line end.
    pub fn new() -> Self {
        let mut document = Self { writer: Writer::new(Vec::with_capacity(TYPICAL_BYTES)) };
        document.write(Event::Decl(BytesDecl::new("1.0", Some("UTF-8"), None)));
        document.space("\n");
        document
    }

    /// Opens an element; with a namespace it becomes the default one from here on.
    pub fn open(&mut self, name: &str, namespace: Option<&str>) {
        let mut start = BytesStart::new(name);
        if let Some(namespace) = namespace {
            start.push_attribute(("xmlns", namespace));
        }
        self.write(Event::Start(start));
    }

    /// Closes an element.
    pub fn close(&mut self, name: &str) {
        self.write(Event::End(BytesEnd::new(name)));
    }

    /// An element with text in it, escaped.
    pub fn element(&mut self, name: &str, text: &str) {
        self.open(name, None);
        let text: String = text.chars().map(|c| if allowed(c) { c } else { '\u{FFFD}' }).collect();
        self.write(Event::Text(BytesText::new(&text)));
        self.close(name);
    }

    /// A comment. Two hyphens, which would end it, become one.
    pub fn comment(&mut self, text: &str) {
        let text = text.replace("--", "-");
        self.write(Event::Comment(BytesText::from_escaped(format!(" {text} "))));
    }

    /// White space between elements.
    pub fn space(&mut self, space: &str) {
        self.write(Event::Text(BytesText::from_escaped(space)));
    }

    /// The finished document.
    pub fn finish(self) -> Vec<u8> {
        self.writer.into_inner()
    }

    fn write(&mut self, event: Event<'_>) {
        self.writer.write_event(event).expect("writing to memory does not fail");
    }
}

/// The characters that a document may hold (XML 1.0 §2.2).
fn allowed(character: char) -> bool {
    matches!(character, '\t' | '\n' | '\r' | ' '..='\u{D7FF}' | '\u{E000}'..='\u{FFFD}' | '\u{10000}'..)
}

/// Room for an ordinary document.
const TYPICAL_BYTES: usize = 2048;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_escaped_and_what_xml_cannot_carry_is_replaced() {
        let mut document = Document::new();
        document.open("a", Some("urn:x"));
        document.element("b", "1 < 2 & \"3\"\u{1}");
        document.comment("gone -- away");
        document.close("a");
        let text = String::from_utf8(document.finish()).expect("UTF-8");
        assert!(
            text.starts_with("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<a xmlns=\"urn:x\"><b>1 &lt; 2 &amp; "),
            "{text}"
        );
        assert!(text.contains("\u{FFFD}</b><!-- gone - away --></a>"), "{text}");
    }
}
