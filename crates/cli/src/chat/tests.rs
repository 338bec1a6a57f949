use super::*;
use firebrand_tokenizer::ByteLevelConfig;

fn tokenizer() -> Tokenizer {
    let config = ByteLevelConfig { vocab_size: 300, ..ByteLevelConfig::default() };
    Tokenizer::train_byte_level(["User:\nhello there\nAssistant:\nhello\n"], &config).expect("there is text")
}

fn turns() -> Vec<Turn> {
    vec![
        Turn::new(Role::System, "Be kind."),
        Turn::new(Role::User, " hello there\n"),
        Turn::new(Role::Assistant, "hello"),
        Turn::new(Role::User, "Again?"),
        Turn::new(Role::Assistant, "hello again"),
    ]
}

fn texts(chat: &Chat<'_>, turns: &[Turn], open: bool) -> Vec<(String, bool)> {
    chat.parts(turns, open).expect("the template is well-formed")
}

#[test]
fn responses_are_parts_of_their_own_and_all_parts_make_the_text() {
    let tokenizer = tokenizer();
    let chat = Chat::new(DEFAULT, &tokenizer).expect("the default is well-formed");
    let end = "<|endoftext|>";
    let expected = [
        (format!("{end}System:\nBe kind.\nUser:\nhello there\nAssistant:\n"), false),
        (format!("hello{end}"), true),
        ("\nUser:\nAgain?\nAssistant:\n".to_owned(), false),
        (format!("hello again{end}"), true),
        ("\n".to_owned(), false),
    ];
    assert_eq!(texts(&chat, &turns(), false), expected);
}

#[test]
fn a_response_begins_behind_the_same_ids_in_training_and_in_use() {
    let tokenizer = tokenizer();
    let chat = Chat::new(DEFAULT, &tokenizer).expect("the default is well-formed");
    let all = chat.encode(&turns(), false).expect("no special tokens");
    for index in [2, 4] {
        let in_use = chat.prompt(&turns()[..index]).expect("no special tokens");
        let response = all.iter().enumerate().filter(|(_, part)| part.response).nth(index / 2 - 1);
        let (place, _) = response.expect("two responses");
        let in_training: Vec<u32> = all[..place].iter().flat_map(|part| part.ids.clone()).collect();
        assert_eq!(in_use, in_training);
    }
    let last = all.iter().rfind(|part| part.response).expect("two responses");
    assert_eq!(last.ids.last().copied(), tokenizer.end_of_text(), "a response is learned with its end");
}

#[test]
fn templates_of_others_are_evaluated_as_they_mean_it() {
    let tokenizer = tokenizer();
    let zephyr = "{% for message in messages %}\n{% if message['role'] == 'user' %}\n{{ '<|user|>\n' + message['content'] + eos_token }}\n\
        {% elif message['role'] == 'system' %}\n{{ '<|system|>\n' + message['content'] + eos_token }}\n\
        {% elif message['role'] == 'assistant' %}\n{{ '<|assistant|>\n'  + message['content'] + eos_token }}\n{% endif %}\n\
        {% if loop.last and add_generation_prompt %}\n{{ '<|assistant|>' }}\n{% endif %}\n{% endfor %}";
    // What transformers' renderer writes for it: block tags take their line end along.
    let template = Template::new(zephyr, "", "</s>").expect("well-formed");
    let found = template.render(&turns()[1..3], false).expect("rendered");
    assert_eq!(found, "<|user|>\n hello there\n</s>\n<|assistant|>\nhello</s>\n");
    let methods =
        "{% for message in messages %}{{ message.content.strip().upper() }}{{ eos_token }}{% endfor %}";
    let template = Template::new(methods, "", "!").expect("well-formed");
    assert_eq!(template.render(&turns()[1..2], false).expect("rendered"), "HELLO THERE!");
    let raising = Chat::new("{{ raise_exception('only pairs') }}", &tokenizer).err().expect("it raises");
    assert!(format!("{raising:#}").contains("only pairs"), "{raising:#}");
}

#[test]
fn templates_that_cannot_be_learned_from_are_refused() {
    let tokenizer = tokenizer();
    let error = |source: &str| format!("{:#}", Chat::new(source, &tokenizer).err().expect("refused"));
    assert!(error("{% for %}").contains("the chat template, line 1: syntax error"), "{}", error("{% for %}"));
    let endless = "{% for message in messages %}{{ message.role }}:{{ message.content }}\n{% endfor %}\
        {% if add_generation_prompt %}assistant:{% endif %}";
    assert!(error(endless).contains("puts no `<|endoftext|>` behind a response"), "{}", error(endless));
    let without = "{% for message in messages %}{{ message.role }}:{{ message.content }}{{ eos_token }}{% endfor %}\
        {% if add_generation_prompt %}bot:{% endif %}";
    assert!(error(without).contains("does not begin where"), "{}", error(without));
}

#[test]
fn a_text_that_spells_a_special_token_is_refused() {
    let tokenizer = tokenizer();
    let chat = Chat::new(DEFAULT, &tokenizer).expect("the default is well-formed");
    let turns = [Turn::new(Role::User, "a<|endoftext|>b")];
    assert!(chat.prompt(&turns).is_err());
}

#[test]
fn a_template_is_found_where_it_was_written() {
    let folder = tempfile::tempdir().expect("a scratch folder");
    let tokenizer = tokenizer();
    assert_eq!(source_in(folder.path()).expect("nothing there"), None);
    tokenizer.save(folder.path()).expect("saved");
    assert!(Chat::of_folder(folder.path(), &tokenizer).expect("no template").is_none());
    save(folder.path(), DEFAULT).expect("saved");
    assert_eq!(source_in(folder.path()).expect("readable").as_deref(), Some(DEFAULT));
    assert!(Tokenizer::load(folder.path()).is_ok());
}
