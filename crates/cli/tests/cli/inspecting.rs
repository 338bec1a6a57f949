//! `tokenizer inspect`: its page, its figures by script and of the vocabulary.

use crate::support::Scratch;
use serde_json::{Value, json};

/// Everything that could go wrong between a text and a page: markup, white space, line ends, characters of one to four
/// bytes, letters joined of several, right to left, what nobody sees, special tokens spelled out.
const DIFFICULT: &str = "The fox & the <b>crow</b>: \"a\" 'b' &amp; &lt;.\n\tTabs\tand  spaces \r\n\r\
    日本語 🦊👩\u{200D}💻 nai\u{308}ve עברית\n\nzero\u{200B}width, no\u{A0}break <|endoftext|> </div></span>\
    <script>alert(1)</script>\n";

/// A text as a page shows it.
#[derive(Debug, Default, PartialEq)]
struct Shown {
    text: String,
    ids: Vec<u64>,
}

/// Reads the texts back from a page, as a browser would: what a style sheet generates is no text.
fn texts(page: &str) -> Vec<Shown> {
    let begins = "<div class=\"text\"";
    page.split(begins)
        .skip(1)
        .map(|rest| {
            let inside = rest.split_once("</div>").expect("a text ends").0;
            let mut shown = Shown::default();
            // The first is what is left of the tag that begins the text.
            for piece in format!("<{inside}").split('<').skip(1) {
                let (tag, text) = piece.split_once('>').expect("nothing but tags has angles");
                if let Some(id) = tag.strip_prefix("span data-id=\"") {
                    let id = id.split('"').next().and_then(|id| id.parse().ok());
                    shown.ids.push(id.expect("an id"));
                }
                shown.text += &unescape(text);
            }
            shown
        })
        .collect()
}

fn unescape(text: &str) -> String {
    let names = [("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&#39;", "'"), ("&#13;", "\r")];
    let text = names.iter().fold(text.to_string(), |text, (name, character)| text.replace(name, character));
    text.replace("&amp;", "&")
}

fn inspect(scratch: &Scratch, args: &[&str]) -> crate::support::Ran {
    scratch.run(&[&["tokenizer", "inspect"], args].concat())
}

fn ids(scratch: &Scratch, tokenizer: &str, text: &str) -> Vec<u64> {
    let json = scratch.run(&["tokenizer", "encode", "--tokenizer", tokenizer, "--json", text]).json();
    json["ids"].as_array().expect("a list").iter().filter_map(Value::as_u64).collect()
}

fn with_tokenizers() -> Scratch {
    let scratch = Scratch::with_text();
    let train = |options: &[&str]| {
        scratch.run(&[&["tokenizer", "train", "train.txt"], options].concat()).succeeds();
    };
    train(&["--out", "chars", "--algorithm", "characters"]);
    train(&["--out", "bytes", "--algorithm", "longest-prefix", "--merges", "40", "--byte-fallback"]);
    scratch.write("difficult.txt", DIFFICULT);
    scratch
}

#[test]
fn a_page_shows_the_text_and_its_ids() {
    let scratch = with_tokenizers();
    let tokenizers = ["tok", "chars", "bytes"];
    let flags: Vec<&str> = tokenizers.iter().flat_map(|name| ["--tokenizer", name]).collect();
    let html = ["--html", "page.html", "difficult.txt", "train.txt"];
    let ran = inspect(&scratch, &[&flags[..], &html].concat()).succeeds();
    assert!(ran.stderr.contains("page.html: 2 texts"), "{}", ran.stderr);
    assert!(!ran.stderr.contains("--html-bytes"), "nothing is cut: {}", ran.stderr);
    let page = scratch.text("page.html");
    let found = texts(&page);
    assert_eq!(found.len(), 6);
    for (at, file) in ["difficult.txt", "train.txt"].into_iter().enumerate() {
        for (tokenizer, shown) in tokenizers.iter().zip(&found[3 * at..]) {
            assert_eq!(shown.text, scratch.text(file), "{tokenizer}");
            assert_eq!(shown.ids, ids(&scratch, tokenizer, file), "{tokenizer}");
        }
    }
    assert_eq!(page.matches("<script").count(), 1, "none of the text");
    for outside in ["http:", "https:", "src=", "url(", "@import", "<link"] {
        assert!(!page.contains(outside), "{outside} in a page that needs nothing else");
    }
    // A split character is told by its bytes, unknown characters are the special token.
    assert!(page.contains("<i data-m=\"&lt;0xF0&gt;") && page.contains("part of 🦊 U+1F98A"));
    assert!(page.contains("class=\"special\" title=\"&quot;&lt;unk&gt;&quot;&#10;id "));
    // The same page again, in the place of the old one.
    inspect(&scratch, &[&flags[..], &html].concat()).succeeds();
    assert_eq!(scratch.text("page.html"), page);
}

#[test]
fn a_page_says_how_much_of_a_text_it_shows() {
    let scratch = with_tokenizers();
    let args = ["--tokenizer", "tok", "--tokenizer", "bytes", "--html", "page.html", "difficult.txt"];
    let ids = ["tok", "bytes"].map(|tokenizer| ids(&scratch, tokenizer, "difficult.txt"));
    // Wherever the limit falls, inside a character as well.
    for most in 50..90 {
        let most_said = most.to_string();
        let limit = ["--html-bytes", most_said.as_str(), "--json"];
        let ran = inspect(&scratch, &[&args[..], &limit].concat());
        let cut = format!("of {} bytes", DIFFICULT.len());
        assert!(ran.stderr.contains(&cut) && ran.stderr.contains("--html-bytes SIZE"), "{}", ran.stderr);
        let lines = ran.json_lines();
        let page = scratch.text("page.html");
        assert!(page.contains("Only the first"), "{most}");
        for ((shown, ids), line) in texts(&page).iter().zip(&ids).zip(&lines) {
            assert!(shown.text.len() <= most && DIFFICULT.starts_with(&shown.text), "{most}: {shown:?}");
            assert_eq!(shown.ids, ids[..shown.ids.len()], "{most}");
            assert_eq!(line["texts"][0]["shown_bytes"], shown.text.len());
            // The figures are those of all of it.
            assert_eq!(line["texts"][0]["tokens"], ids.len());
        }
    }
}

#[test]
fn what_is_called_like_markup_is_text() {
    let scratch = with_tokenizers();
    let name = "<i>&\"x\".jsonl";
    scratch.write(name, "{\"text\": \"one\"}\n{\"text\": \"two\"}\n");
    inspect(&scratch, &["--tokenizer", "tok", "--html", "page.html", name]).succeeds();
    let page = scratch.text("page.html");
    assert!(page.contains("&lt;i&gt;&amp;&quot;x&quot;.jsonl") && !page.contains(name));
    // Two documents, with a line between them.
    assert_eq!(texts(&page)[0].text, "onetwo");
    assert_eq!(page.matches("<hr>").count(), 1);
}

#[test]
fn a_page_that_cannot_be_written_is_refused_with_a_way_out() {
    let scratch = with_tokenizers();
    let html = |args: &[&str]| inspect(&scratch, &[&["--tokenizer", "tok"], args].concat());
    html(&["--html", "page.html"]).fails(2, &["--html page.html", "no text to show", "page.html story.txt"]);
    html(&["--html", "no/page.html", "train.txt"]).fails(2, &["there is no folder no", "make it"]);
    html(&["--html", "tok", "train.txt"]).fails(2, &["--html tok: is a folder", "tok/tokens.html"]);
    html(&["--html", "train.txt", "train.txt"]).fails(2, &["--html train.txt", "is one of the texts"]);
    html(&["--html", "tiny.toml/page.html", "train.txt"]).fails(2, &["there is no folder tiny.toml"]);
    html(&["--html", "page.html", "--html-bytes", "much", "train.txt"])
        .fails(2, &["much", "--html-bytes", "12MB"]);
    html(&["--html-bytes", "1KB", "train.txt"]).fails(2, &["--html"]);
    html(&["--html", "page.html", "absent.txt"]).fails(2, &["absent.txt"]);
    assert!(!scratch.path("page.html").exists(), "a refused command leaves nothing");
    if cfg!(target_os = "linux") {
        // A folder where nobody can make a file, whoever they are.
        html(&["--html", "/proc/page.html", "train.txt"])
            .fails(2, &["--html /proc/page.html", "nothing can be written there", "another"]);
    }
}

#[test]
fn tokens_are_counted_by_script() {
    let scratch = with_tokenizers();
    scratch.write("latin.txt", "Once there was 1 fox, and that was all.");
    scratch.write("mixed.txt", "Once fox да нет 日本 2 …");
    let plain = inspect(&scratch, &["--tokenizer", "tok", "latin.txt"]).succeeds().stdout;
    assert!(!plain.contains("script"), "one script needs no table:\n{plain}");
    let args = ["--tokenizer", "chars", "--tokenizer", "tok", "mixed.txt", "latin.txt"];
    let plain = inspect(&scratch, &args).succeeds().stdout;
    for part in ["\nscript", "\nCyrillic", "\nHan ", "\nCommon", "of the script of its first letter"] {
        assert!(plain.contains(part), "{part:?} is not in\n{plain}");
    }
    let lines = inspect(&scratch, &[&args[..], &["--json"]].concat()).json_lines();
    for line in &lines {
        let scripts = line["scripts"].as_array().expect("a list");
        let names: Vec<&str> = scripts.iter().filter_map(|script| script["script"].as_str()).collect();
        assert_eq!(names, ["Latin", "Cyrillic", "Han", "Common"]);
        let of = |name: &str, key: &str| {
            let script = scripts.iter().find(|script| script["script"] == name).expect("it is there");
            script[key].as_u64().expect("a number")
        };
        assert_eq!((of("Latin", "words"), of("Cyrillic", "words"), of("Han", "words")), (10, 2, 1));
        assert_eq!((of("Cyrillic", "characters"), of("Common", "words")), (5, 3));
        for (key, whole) in [("tokens", "tokens"), ("token_bytes", "bytes"), ("words", "words")] {
            let sum = |list: &Value, key: &str| {
                list.as_array().into_iter().flatten().filter_map(|one| one[key].as_u64()).sum::<u64>()
            };
            assert_eq!(sum(&line["scripts"], key), sum(&line["texts"], whole), "{key}");
        }
    }
    // A character a token: five Cyrillic letters, of which none is in train.txt.
    let cyrillic = &lines[0]["scripts"][1];
    assert_eq!((&cyrillic["tokens"], &cyrillic["bytes_per_token"]), (&json!(5), &json!(2.0)));
    assert_eq!((&cyrillic["characters_per_token"], &cyrillic["tokens_per_word"]), (&json!(1.0), &json!(2.5)));
    // A byte a token.
    assert_eq!(lines[1]["scripts"][1]["characters_per_token"], json!(0.5));
}

#[test]
fn a_vocabulary_is_counted() {
    let scratch = with_tokenizers();
    let plain = inspect(&scratch, &["--tokenizer", "tok"]).succeeds().stdout;
    for part in
        ["300 tokens, 43 merges", "begin with a space", "no valid UTF-8", "by script: Latin", "bytes  "]
    {
        assert!(plain.contains(part), "{part:?} is not in\n{plain}");
    }
    let compared = inspect(&scratch, &["--tokenizer", "tok", "--tokenizer", "chars"]).succeeds().stdout;
    assert!(compared.contains("\ntok ") && compared.contains("\nchars "), "{compared}");
    let json = inspect(&scratch, &["--tokenizer", "tok", "--json", "train.txt"]).json();
    let vocabulary = &json["vocabulary"];
    let sum = |of: &Value| of.as_object().expect("an object").values().filter_map(Value::as_u64).sum::<u64>();
    assert_eq!(sum(&vocabulary["by_bytes"]), 299, "all but the special one: {vocabulary}");
    assert_eq!(vocabulary["by_bytes"]["1"], 256);
    // Of the 256 bytes half are ASCII; no merge of this text has another.
    assert_eq!(vocabulary["not_utf8"], 128);
    assert_eq!(sum(&vocabulary["by_script"]), 299 - 128);
    assert!(vocabulary["word_initial"].as_u64().is_some_and(|tokens| (6..100).contains(&tokens)));
    for key in ["most_used", "least_used"] {
        let used = json[key].as_array().expect("a list");
        assert_eq!(used.len(), 10, "{key}");
        let ids = ids(&scratch, "tok", "train.txt");
        for token in used {
            let times = ids.iter().filter(|&&id| token["id"] == id).count();
            assert_eq!(token["times"], times, "{token}");
        }
    }
    assert!(json["most_used"][0]["times"].as_u64() > json["least_used"][0]["times"].as_u64());
    let printed = inspect(&scratch, &["--tokenizer", "tok", "train.txt"]).succeeds().stdout;
    assert!(printed.contains("most used") && printed.contains("least used"), "{printed}");
    assert!(printed.lines().all(|line| line.chars().count() <= 80), "{printed}");
}
