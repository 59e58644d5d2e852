//! What the API user's roles allow. The API's page names the roles that an
//! integration needs and not which call needs which: this is the strictest
//! reading of them.

use crate::sim::operation::Operation;

/// A role of a user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// May call the API at all.
    ApiUser,
    /// May write into conversations and move them.
    Agent,
    /// May see to webhooks.
    TeamManager,
    /// May see to webhooks.
    Administrator,
}

/// Whether a user with these roles may make a call.
pub(crate) fn allows(roles: &[Role], operation: Operation) -> bool {
    let has = |role| roles.contains(&role);
    let enough = match operation {
        Operation::Reply
        | Operation::AddNote
        | Operation::AddTopics
        | Operation::PatchConversation => has(Role::Agent),
        Operation::ListWebhooks
        | Operation::GetWebhook
        | Operation::CreateWebhook
        | Operation::PatchWebhook
        | Operation::DeleteWebhook => has(Role::TeamManager) || has(Role::Administrator),
        _ => true,
    };
    has(Role::ApiUser) && enough
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_of_call_needs_its_role() {
        use Operation::{GetConversation, ListWebhooks, Reply};
        for (roles, read, write, webhooks) in [
            (&[][..], false, false, false),
            (&[Role::Agent, Role::Administrator], false, false, false),
            (&[Role::ApiUser], true, false, false),
            (&[Role::ApiUser, Role::Agent], true, true, false),
            (&[Role::ApiUser, Role::TeamManager], true, false, true),
        ] {
            assert_eq!(allows(roles, GetConversation), read, "{roles:?}");
            assert_eq!(allows(roles, Reply), write, "{roles:?}");
            assert_eq!(allows(roles, ListWebhooks), webhooks, "{roles:?}");
        }
    }
}
