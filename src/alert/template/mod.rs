//! What messages say.

use super::Metadata;

/// The templates of messages.
#[derive(Debug)]
pub struct Templates;

/// A rendered message.
#[derive(Debug)]
pub struct Rendered {
    /// One line.
    pub subject: String,
    /// Plain text.
    pub text: String,
    /// HTML.
    pub html: String,
    /// Why the built-in template was used instead of another one.
    pub fallback: Option<String>,
}

impl Templates {
    /// The templates of this program.
    pub fn built_in() -> Self {
        Self
    }

    /// Renders a message.
    pub fn render(&self, metadata: &Metadata) -> Rendered {
        let subject = format!("[{}] {}: {}", metadata.event.as_str(), metadata.about, metadata.summary);
        Rendered { text: subject.clone(), html: subject.clone(), subject, fallback: None }
    }
}
