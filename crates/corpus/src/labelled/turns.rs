//! The turns of a chat.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Who speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Who sets the scene.
    System,
    /// Who asks.
    User,
    /// Who answers: what a model learns to say.
    Assistant,
}

/// What one says until another one speaks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Turn {
    /// Who.
    pub role: Role,
    /// What.
    pub content: String,
}

impl Turn {
    /// A turn.
    pub fn new(role: Role, content: impl Into<String>) -> Self {
        Self { role, content: content.into() }
    }
}

/// The turns in a JSON list: of objects with `role` and `content`, or with `from` and `value`.
pub(super) fn turns(json: &Value) -> Result<Vec<Turn>, String> {
    let list = json.as_array().ok_or("the messages are no list of objects with `role` and `content`")?;
    let turns: Vec<Turn> = list.iter().enumerate().map(turn).collect::<Result<_, _>>()?;
    if !turns.iter().any(|turn| turn.role == Role::Assistant) {
        return Err("no message is by the assistant, so there is nothing to learn to say".into());
    }
    Ok(turns)
}

fn turn((index, message): (usize, &Value)) -> Result<Turn, String> {
    let number = index + 1;
    let field = |names: [&str; 2]| names.iter().find_map(|name| message.get(name));
    let text = |names: [&str; 2]| {
        let value = field(names).ok_or_else(|| format!("message {number} has no `{}`", names[0]))?;
        value
            .as_str()
            .ok_or_else(|| format!("`{}` of message {number} is no text: it holds {value}", names[0]))
    };
    let role = match text(["role", "from"])? {
        "system" => Role::System,
        "user" | "human" => Role::User,
        "assistant" | "gpt" => Role::Assistant,
        other => {
            return Err(format!("message {number} is by `{other}`: write system, user or assistant"));
        }
    };
    let content = text(["content", "value"])?;
    if content.trim().is_empty() && role != Role::System {
        return Err(format!("message {number} is empty"));
    }
    Ok(Turn::new(role, content))
}

/// All that is said before the last turn of the assistant.
pub(super) fn said_before(turns: &[Turn]) -> String {
    let last = turns.iter().rposition(|turn| turn.role == Role::Assistant).unwrap_or(turns.len());
    turns[..last].iter().map(|turn| turn.content.as_str()).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn messages_are_read_under_both_names_that_are_in_use() {
        let expected =
            [Turn::new(Role::System, ""), Turn::new(Role::User, "a"), Turn::new(Role::Assistant, "b")];
        let ours = json!([{"role": "system", "content": ""}, {"role": "user", "content": "a"},
            {"role": "assistant", "content": "b"}]);
        let theirs = json!([{"from": "system", "value": ""}, {"from": "human", "value": "a"},
            {"from": "gpt", "value": "b"}]);
        assert_eq!(turns(&ours).unwrap(), expected);
        assert_eq!(turns(&theirs).unwrap(), expected);
        assert_eq!(said_before(&expected), "\na");
    }

    #[test]
    fn chats_without_an_answer_and_messages_of_others_are_errors() {
        let error = |json: Value| turns(&json).unwrap_err();
        assert!(error(json!("hello")).contains("no list of objects"));
        assert!(error(json!([{"role": "user", "content": "a"}])).contains("no message is by the assistant"));
        assert_eq!(
            error(json!([{"role": "tool", "content": "a"}])),
            "message 1 is by `tool`: write system, user or assistant"
        );
        assert_eq!(error(json!([{"role": "user"}])), "message 1 has no `content`");
        assert_eq!(error(json!([{"role": "user", "content": " "}])), "message 1 is empty");
        assert!(error(json!([{"role": "user", "content": [1]}])).contains("is no text: it holds [1]"));
    }
}
