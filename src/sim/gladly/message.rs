//! What a customer writes, and how it looks as an item on its channel.

use serde_json::{Value, json};

/// A customer's message.
#[derive(Debug, Clone)]
pub struct Message {
    /// How it came.
    pub channel: Channel,
    /// Its words.
    pub text: String,
    /// Its attachments, as Gladly writes them.
    pub attachments: Vec<Value>,
}

/// How a message came.
#[derive(Debug, Clone, PartialEq)]
pub enum Channel {
    /// The chat on the website.
    Chat,
    /// The label picked among a chat's quick replies.
    QuickReplyResponse,
    /// An email; its text is the plain text.
    Email {
        /// The subject line.
        subject: String,
        /// The sender's address.
        from: String,
    },
    /// A text message.
    Sms,
    /// `WhatsApp`.
    WhatsApp,
    /// Facebook Messenger.
    FacebookMessage,
    /// Instagram.
    InstagramDirect,
    /// A voicemail: has no usable text.
    Voicemail,
    /// The item's content as it stands; the text is not used.
    Raw(Value),
}

impl Message {
    /// A message without attachments.
    pub fn new(channel: Channel, text: impl Into<String>) -> Self {
        Self {
            channel,
            text: text.into(),
            attachments: Vec::new(),
        }
    }

    /// A chat message.
    pub fn chat(text: impl Into<String>) -> Self {
        Self::new(Channel::Chat, text)
    }

    /// An email from the address that is the default customer's.
    pub fn email(subject: impl Into<String>, text: impl Into<String>) -> Self {
        let from = "customer@example.com".to_owned();
        Self::new(
            Channel::Email {
                subject: subject.into(),
                from,
            },
            text,
        )
    }

    /// Adds an image.
    #[must_use]
    pub fn with_attachment(mut self, filename: &str) -> Self {
        self.attachments.push(json!({
            "id": format!("attachment-{}", self.attachments.len() + 1),
            "contentType": "image/png", "filename": filename, "fileSize": 1024,
        }));
        self
    }

    /// The item's content.
    pub(crate) fn content(&self, session_id: &str) -> Value {
        let text = &self.text;
        let mut content = match &self.channel {
            Channel::Chat => json!({ "type": "CHAT_MESSAGE", "messageType": "TEXT",
                "sessionId": session_id, "content": text }),
            Channel::QuickReplyResponse => json!({ "type": "CHAT_MESSAGE",
                "messageType": "QUICK_REPLY_RESPONSE", "sessionId": session_id, "content": text }),
            Channel::Email { subject, from } => json!({ "type": "EMAIL", "from": from,
                "to": ["support@example.com"], "cc": [], "bcc": [], "subject": subject, "content": text }),
            Channel::Sms => {
                json!({ "type": "SMS", "from": "+15550100", "to": "+15550199", "content": text })
            }
            Channel::WhatsApp => {
                json!({ "type": "WHATSAPP", "from": "+15550100", "to": "+15550199",
                "content": text })
            }
            Channel::FacebookMessage => json!({ "type": "FACEBOOK_MESSAGE", "pageId": "page-1",
                "userId": "user-1", "content": text }),
            Channel::InstagramDirect => json!({ "type": "INSTAGRAM_DIRECT", "pageId": "page-1",
                "userId": "user-1", "content": text }),
            Channel::Voicemail => {
                json!({ "type": "VOICEMAIL", "from": "+15550100", "to": "+15550199",
                "recordingStatus": "COMPLETED" })
            }
            Channel::Raw(content) => content.clone(),
        };
        if !self.attachments.is_empty() {
            content["attachments"] = Value::from(self.attachments.clone());
        }
        content
    }
}

impl Channel {
    /// The channel with this word: a content type or an event's channel, in
    /// any case; the control API's way to name one.
    pub fn from_word(word: &str) -> Option<Self> {
        Some(match word.to_ascii_uppercase().as_str() {
            "CHAT" | "CHAT_MESSAGE" => Self::Chat,
            "QUICK_REPLY_RESPONSE" => Self::QuickReplyResponse,
            "EMAIL" => Self::Email {
                subject: "A question".to_owned(),
                from: "customer@example.com".to_owned(),
            },
            "SMS" => Self::Sms,
            "WHATSAPP" => Self::WhatsApp,
            "FACEBOOK_MESSAGE" | "FB_MESSENGER" => Self::FacebookMessage,
            "INSTAGRAM_DIRECT" => Self::InstagramDirect,
            "VOICEMAIL" => Self::Voicemail,
            _ => return None,
        })
    }
}

/// The channel that events name for an item's content type.
pub(crate) fn event_channel(content: &Value) -> &str {
    match content["type"].as_str().unwrap_or_default() {
        "CHAT_MESSAGE" => "CHAT",
        "FACEBOOK_MESSAGE" => "FB_MESSENGER",
        other => other,
    }
}

/// The content with which the other side writes on the channel of `content`.
/// An email's `text` is its plain text.
pub(crate) fn content_in_return(content: &Value, text: &str) -> Value {
    let mut answer = json!({ "type": content["type"], "content": text });
    match content["type"].as_str().unwrap_or_default() {
        "CHAT_MESSAGE" => {
            answer["messageType"] = json!("TEXT");
            answer["sessionId"] = content["sessionId"].clone();
        }
        "EMAIL" => {
            let subject = content["subject"].as_str().unwrap_or_default();
            answer["from"] = json!("support@example.com");
            answer["to"] = json!([content["from"]]);
            answer["subject"] = json!(format!("Re: {}", subject.trim_start_matches("Re: ")));
        }
        "SMS" | "WHATSAPP" => {
            answer["from"] = content["to"].clone();
            answer["to"] = content["from"].clone();
        }
        "FACEBOOK_MESSAGE" | "INSTAGRAM_DIRECT" => {
            answer["pageId"] = content["pageId"].clone();
            answer["userId"] = content["userId"].clone();
        }
        _ => answer["type"] = json!("CHAT_MESSAGE"),
    }
    answer
}
