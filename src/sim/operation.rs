//! What a call is, told from its method and path: the name under which it is
//! recorded, and by which a fault picks it.

use axum::http::Method;

macro_rules! operations {
    ($($(#[$meta:meta])* $variant:ident => $word:literal),+ $(,)?) => {
        /// One call of the simulated services.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Operation { $($(#[$meta])* $variant),+ }

        impl Operation {
            /// Every operation.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// Its word in the control API.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word),+ }
            }
        }
    };
}

operations! {
    /// `GET /conversations/{id}`
    GetConversation => "get_conversation",
    /// `PATCH /conversations/{id}`
    PatchConversation => "patch_conversation",
    /// `GET /conversations/{id}/items`
    ListItems => "list_items",
    /// `GET /conversation-items/{id}`
    GetItem => "get_item",
    /// `POST /conversation-items/{id}/reply`
    Reply => "reply",
    /// `POST /conversations/{id}/notes`
    AddNote => "add_note",
    /// `POST /conversations/{id}/topics`
    AddTopics => "add_topics",
    /// `GET /organization`
    GetOrganization => "get_organization",
    /// `GET /inboxes`
    ListInboxes => "list_inboxes",
    /// `GET /inboxes/{id}`
    GetInbox => "get_inbox",
    /// `GET /agents`
    ListAgents => "list_agents",
    /// `GET /agents/{id}`
    GetAgent => "get_agent",
    /// `GET /webhooks`
    ListWebhooks => "list_webhooks",
    /// `POST /webhooks`
    CreateWebhook => "create_webhook",
    /// `GET /webhooks/{id}`
    GetWebhook => "get_webhook",
    /// `PATCH /webhooks/{id}`
    PatchWebhook => "patch_webhook",
    /// `DELETE /webhooks/{id}`
    DeleteWebhook => "delete_webhook",
    /// `GET /events`
    ListEvents => "list_events",
    /// Gleen's `POST /api/v1/send_message`
    SendMessage => "send_message",
    /// Anything the simulated services don't have.
    Unknown => "unknown",
}

impl Operation {
    /// The operation with this word, if there is one.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL
            .iter()
            .copied()
            .find(|operation| operation.as_str() == word)
    }

    /// Which operation a request is.
    pub(crate) fn of(method: &Method, path: &str) -> Self {
        let Some(rest) = path.strip_prefix("/api/v1/") else {
            // Gleen's address may have a path of its own.
            return match (method.as_str(), path.ends_with("/api/v1/send_message")) {
                ("POST", true) => Self::SendMessage,
                _ => Self::Unknown,
            };
        };
        let segments: Vec<&str> = rest.split('/').collect();
        match (method.as_str(), segments.as_slice()) {
            ("GET", ["conversations", _]) => Self::GetConversation,
            ("PATCH", ["conversations", _]) => Self::PatchConversation,
            ("GET", ["conversations", _, "items"]) => Self::ListItems,
            ("GET", ["conversation-items", _]) => Self::GetItem,
            ("POST", ["conversation-items", _, "reply"]) => Self::Reply,
            ("POST", ["conversations", _, "notes"]) => Self::AddNote,
            ("POST", ["conversations", _, "topics"]) => Self::AddTopics,
            ("GET", ["organization"]) => Self::GetOrganization,
            ("GET", ["inboxes"]) => Self::ListInboxes,
            ("GET", ["inboxes", _]) => Self::GetInbox,
            ("GET", ["agents"]) => Self::ListAgents,
            ("GET", ["agents", _]) => Self::GetAgent,
            ("GET", ["webhooks"]) => Self::ListWebhooks,
            ("POST", ["webhooks"]) => Self::CreateWebhook,
            ("GET", ["webhooks", _]) => Self::GetWebhook,
            ("PATCH", ["webhooks", _]) => Self::PatchWebhook,
            ("DELETE", ["webhooks", _]) => Self::DeleteWebhook,
            ("GET", ["events"]) => Self::ListEvents,
            ("POST", ["send_message"]) => Self::SendMessage,
            _ => Self::Unknown,
        }
    }
}
