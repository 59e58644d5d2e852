//! The channels that Gladly lets an API user reply in.

/// A channel that can be answered in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Channel {
    /// Gladly's own chat widget.
    Chat,
    /// Email.
    Email,
    /// Text messages.
    Sms,
    /// `WhatsApp`.
    WhatsApp,
    /// Facebook Messenger.
    FacebookMessage,
    /// Instagram direct messages.
    InstagramDirect,
}

impl Channel {
    /// Every channel, in the order of Gladly's description.
    pub const ALL: &'static [Self] = &[
        Self::Chat,
        Self::Email,
        Self::Sms,
        Self::WhatsApp,
        Self::FacebookMessage,
        Self::InstagramDirect,
    ];

    /// Gladly's word for it: the `content.type` of messages and of replies.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Chat => "CHAT_MESSAGE",
            Self::Email => "EMAIL",
            Self::Sms => "SMS",
            Self::WhatsApp => "WHATSAPP",
            Self::FacebookMessage => "FACEBOOK_MESSAGE",
            Self::InstagramDirect => "INSTAGRAM_DIRECT",
        }
    }

    /// The channel of an item with this `content.type`; `None` for voicemail,
    /// notes, and whatever else can't be replied to.
    pub fn from_content_type(content_type: &str) -> Option<Self> {
        Self::ALL
            .iter()
            .copied()
            .find(|channel| channel.as_str() == content_type)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_channel_is_found_again_by_its_content_type() {
        for channel in Channel::ALL {
            assert_eq!(Channel::from_content_type(channel.as_str()), Some(*channel));
        }
    }

    #[test]
    fn what_cannot_be_replied_to_is_no_channel() {
        for content_type in ["VOICEMAIL", "CONVERSATION_NOTE", "chat_message", ""] {
            assert_eq!(Channel::from_content_type(content_type), None);
        }
    }
}
