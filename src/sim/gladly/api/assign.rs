//! `PATCH /conversations/{id}`: who holds a conversation, and its status.
//!
//! Everything is checked before anything happens. A part that opens the
//! conversation goes before the other, one that closes it goes after.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use serde_json::Value;

use super::parse;
use crate::sim::gladly::Shared;
use crate::sim::gladly::conversation::{Conversation, ConversationStatus, Holder};
use crate::sim::gladly::options::{AgentNull, GladlyOptions};
use crate::sim::gladly::problem::Problem;
use crate::sim::gladly::world::World;

pub(super) async fn patch(
    State(shared): State<Arc<Shared>>,
    Path(id): Path<String>,
    body: Bytes,
) -> Result<StatusCode, Problem> {
    shared.change(|world| apply(world, &id, &body))
}

fn apply(world: &mut World, id: &str, body: &[u8]) -> Result<StatusCode, Problem> {
    let conversation = world.called_conversation(id)?.clone();
    let body = parse(body)?;
    if body.get("assignee").is_none() && body.get("status").is_none() {
        return Err(Problem::malformed("one of assignee and status is required"));
    }
    let status = body
        .get("status")
        .map(|part| checked_status(part, &conversation, &world.options));
    let status = status.transpose()?;
    let holder = body
        .get("assignee")
        .map(|part| checked_holder(part, &world.options));
    let holder = holder.transpose()?;
    let opens = status == Some(ConversationStatus::Open);
    if holder.is_some() && conversation.is_closed() && !opens {
        let detail = "closed conversation cannot be reassigned";
        return Err(Problem::bad("assignee", "invalid_state", detail));
    }
    let api_user = world.api_user();
    if opens {
        world.set_status(id, ConversationStatus::Open, &api_user);
    }
    if let Some(holder) = holder {
        world.assign(id, holder, &api_user, "API");
    }
    if status == Some(ConversationStatus::Closed) {
        world.set_status(id, ConversationStatus::Closed, &api_user);
    }
    Ok(StatusCode::NO_CONTENT)
}

fn checked_status(
    part: &Value,
    conversation: &Conversation,
    options: &GladlyOptions,
) -> Result<ConversationStatus, Problem> {
    let invalid = |attr, detail| Problem::bad(attr, "invalid", detail);
    let force = match &part["force"] {
        Value::Null => false,
        Value::Bool(force) => *force,
        _ => {
            return Err(invalid(
                "status.force",
                "status.force must be true or false",
            ));
        }
    };
    match part["value"].as_str() {
        Some("OPEN") => return Ok(ConversationStatus::Open),
        Some("CLOSED") => {}
        _ => {
            return Err(invalid(
                "status.value",
                "status.value must be OPEN or CLOSED",
            ));
        }
    }
    if options.topics_required && conversation.topic_ids.is_empty() {
        let detail = "topics are required before closing of conversation";
        return Err(Problem::bad("status", "invalid_state", detail));
    }
    if conversation.customer_waits && !conversation.is_closed() && !force {
        let detail = "cannot close conversation, customer waiting for response, \
                      set 'status.force' to true";
        return Err(Problem::bad("status.force", "invalid_state", detail));
    }
    Ok(ConversationStatus::Closed)
}

fn checked_holder(part: &Value, options: &GladlyOptions) -> Result<Holder, Problem> {
    let inbox_id = part["inboxId"].as_str().filter(|id| !id.is_empty());
    let inbox_id = inbox_id.ok_or_else(|| Problem::blank("assignee.inboxId"))?;
    if !options.has_inbox(inbox_id) {
        return Err(Problem::bad(
            "assignee.inboxId",
            "not_exist",
            "inbox does not exist",
        ));
    }
    let agent_id = checked_agent(part.get("agentId"), options.agent_null)?;
    if let Some(agent_id) = agent_id {
        if !options.has_agent(agent_id) {
            return Err(Problem::bad(
                "assignee.agentId",
                "not_exist",
                "agent does not exist",
            ));
        }
        if !options.belongs(agent_id, inbox_id) {
            let detail = "agent does not belong to inbox";
            return Err(Problem::bad("assignee.agentId", "invalid", detail));
        }
    }
    Ok(Holder {
        inbox_id: inbox_id.to_owned(),
        agent_id: agent_id.map(ToOwned::to_owned),
    })
}

fn checked_agent(value: Option<&Value>, rule: AgentNull) -> Result<Option<&str>, Problem> {
    let null_means_nobody = matches!(rule, AgentNull::Accepted | AgentNull::NullOnly);
    let empty_means_nobody = matches!(rule, AgentNull::Accepted | AgentNull::EmptyOnly);
    match value {
        None => Ok(None),
        Some(Value::Null) if null_means_nobody => Ok(None),
        Some(Value::String(id)) if id.is_empty() && empty_means_nobody => Ok(None),
        Some(Value::String(id)) if !id.is_empty() => Ok(Some(id)),
        Some(_) => {
            let detail = "agent is not a valid agent id";
            Err(Problem::bad("assignee.agentId", "invalid", detail))
        }
    }
}
