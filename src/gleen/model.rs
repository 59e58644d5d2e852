//! What Gleen's answer holds, found leniently: its pages name no field for the
//! text (Gleen API page, `send_message`).

use std::fmt;

use serde_json::Value;

use crate::id::ThreadId;

/// The fields that may hold the text, the likeliest first.
const TEXT_FIELDS: [&str; 6] = [
    "content",
    "response",
    "answer",
    "bot_response",
    "message",
    "text",
];

/// One answer. `Debug` shows no words.
#[derive(Clone, PartialEq, Eq)]
pub struct Answer {
    /// The thread to name with the next question.
    pub thread_id: Option<ThreadId>,
    /// The text, usually Markdown; none if there is nothing to show.
    pub text: Option<String>,
    /// The bot itself asks for a human.
    pub wants_human: bool,
}

impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Answer")
            .field("thread_id", &self.thread_id)
            .field("text", &self.text.as_ref().map(String::len))
            .field("wants_human", &self.wants_human)
            .finish()
    }
}

impl Answer {
    /// Reads an answer. A pointer that the operator names replaces the search.
    pub fn read(value: &Value, reply_pointer: Option<&str>, handoff_pointer: Option<&str>) -> Self {
        let non_blank = |value: &Value| {
            value
                .as_str()
                .filter(|text| !text.trim().is_empty())
                .map(str::to_owned)
        };
        let text = match reply_pointer {
            Some(pointer) => value.pointer(pointer).and_then(non_blank),
            None => TEXT_FIELDS
                .iter()
                .filter_map(|field| value.get(field))
                .find_map(non_blank),
        };
        let flag = handoff_pointer.and_then(|pointer| value.pointer(pointer));
        Self {
            thread_id: value.get("thread_id").and_then(thread_id),
            text,
            wants_human: flag.is_some_and(says_yes),
        }
    }
}

fn thread_id(value: &Value) -> Option<ThreadId> {
    match value {
        Value::String(text) => ThreadId::believed(text),
        Value::Number(number) => Some(ThreadId(number.to_string())),
        _ => None,
    }
}

/// A flag may be written as any type.
fn says_yes(flag: &Value) -> bool {
    match flag {
        Value::Null => false,
        Value::Bool(flag) => *flag,
        Value::Number(number) => number.as_f64() != Some(0.0),
        Value::String(text) => {
            !["", "0", "false", "no", "none", "null"].contains(&text.trim().to_lowercase().as_str())
        }
        Value::Array(values) => !values.is_empty(),
        Value::Object(fields) => !fields.is_empty(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_text_is_the_first_usual_field_that_is_not_blank() {
        let cases = [
            (json!({"response": "a"}), Some("a")),
            (json!({"content": " ", "answer": "b"}), Some("b")),
            (json!({"content": {"x": 1}, "text": "c"}), Some("c")),
            (json!({"unknown": "d"}), None),
            (json!([1, 2]), None),
            (json!("just text"), None),
        ];
        for (value, expected) in cases {
            assert_eq!(
                Answer::read(&value, None, None).text.as_deref(),
                expected,
                "{value}"
            );
        }
    }

    #[test]
    fn a_named_pointer_is_the_only_place_that_counts() {
        let value = json!({"response": "not this", "data": {"reply": "this", "transfer": true}});
        let answer = Answer::read(&value, Some("/data/reply"), Some("/data/transfer"));
        assert_eq!(answer.text.as_deref(), Some("this"));
        assert!(answer.wants_human);
        assert_eq!(Answer::read(&value, Some("/data/other"), None).text, None);
    }

    #[test]
    fn a_thread_may_be_a_number() {
        let thread = |value| Answer::read(&value, None, None).thread_id;
        assert_eq!(
            thread(json!({"thread_id": "802300"})),
            Some(ThreadId("802300".into()))
        );
        assert_eq!(
            thread(json!({"thread_id": 802_300})),
            Some(ThreadId("802300".into()))
        );
        assert_eq!(thread(json!({"thread_id": ""})), None);
        assert!(thread(json!({"thread_id": "x".repeat(1024)})).is_some());
        assert_eq!(thread(json!({"thread_id": "x".repeat(1025)})), None);
        assert_eq!(thread(json!({"thread_id": null})), None);
    }

    #[test]
    fn a_handoff_flag_may_be_of_any_type() {
        for (flag, expected) in [
            (json!(true), true),
            (json!(1), true),
            (json!("yes"), true),
            (json!({"to": "agent"}), true),
            (json!(false), false),
            (json!(0), false),
            (json!("false"), false),
            (json!(null), false),
            (json!([]), false),
        ] {
            let answer = Answer::read(&json!({"transfer": flag}), None, Some("/transfer"));
            assert_eq!(answer.wants_human, expected, "{flag}");
        }
    }
}
