//! `firebrand generate --trace`.

use crate::generating::generate;
use crate::support::Scratch;
use serde_json::Value;

#[test]
fn a_trace_is_a_page_that_shows_how_each_text_came_about_and_changes_no_text() {
    let scratch = Scratch::with_run();
    let prompts = ["--prompt", "Once </script>", "--prompt", "The"];
    for (options, shown) in [
        (&[][..], "class=\"chosen\""),
        (&["--temperature", "0.8", "--top-k", "5"], "After processors"),
        (&["--mirostat", "2"], "After processors"),
        (&["--strategy", "contrastive"], "Likeness</th>"),
        (&["--beams", "3"], "<svg"),
        (&["--beams", "4", "--beam-groups", "2"], "Group 2"),
        (&["--draft", "self:1"], "class=\"round\""),
        (&["--draft", "ngram", "--temperature", "1"], "class=\"round\""),
        (&["--best-of", "3", "--temperature", "1.2"], "<li class=\"best\""),
    ] {
        let options = [&prompts[..], options].concat();
        let plain = generate(&scratch, &options);
        let traced = generate(&scratch, &[&options[..], &["--trace", "trace.html"]].concat());
        let ids = |lines: &[Value]| lines.iter().map(|line| line["ids"].clone()).collect::<Vec<_>>();
        assert_eq!(ids(&traced), ids(&plain), "{options:?}");
        let page = std::fs::read_to_string(scratch.path("trace.html")).expect("a page");
        assert!(page.starts_with("<!DOCTYPE html>") && page.ends_with("</html>\n"), "{options:?}");
        for part in [shown, "id=\"text-1\"", "Once &lt;/script&gt;"] {
            assert!(page.contains(part), "{options:?}: {part}");
        }
        assert_eq!(page.matches("</script>").count(), 1, "{options:?}");
        assert!(page.len() < 200_000, "{options:?}: {} bytes for 8 tokens", page.len());
        std::fs::remove_file(scratch.path("trace.html")).expect("it is there");
    }
    // One text is written as it comes; the page is announced beside it.
    let args = ["generate", "run", "--max-new-tokens", "8", "--prompt", "Once"];
    let streamed = scratch.run(&[&args[..], &["--trace", "trace.html"]].concat()).succeeds();
    assert_eq!(streamed.stdout, scratch.run(&args).succeeds().stdout);
    assert!(streamed.stderr.contains("trace.html: "), "{}", streamed.stderr);
}

#[test]
fn a_trace_that_cannot_be_written_is_refused_before_anything_is_generated() {
    let scratch = Scratch::with_run();
    let args = ["generate", "run", "--prompt", "Once", "--trace"];
    for (path, part) in [("nowhere/trace.html", "cannot be written"), ("run", "is a folder")] {
        let ran = scratch.run(&[&args[..], &[path]].concat());
        assert_eq!(ran.stdout, "");
        ran.fails(2, &["--trace", path, part]);
    }
    // A generation that fails leaves no page behind, and an old one as it was.
    scratch.write("old.html", "old");
    for path in ["old.html", "new.html"] {
        scratch.run(&[&args[..], &[path, "--top-k", "0"]].concat()).fails(2, &["top_k 0"]);
    }
    assert_eq!(std::fs::read_to_string(scratch.path("old.html")).expect("it is there"), "old");
    assert!(!scratch.path("new.html").exists());
}
