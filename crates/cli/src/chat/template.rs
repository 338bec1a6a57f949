//! A Jinja template, evaluated as transformers does it.

use firebrand_corpus::labelled::Turn;
use minijinja::{Environment, Error, ErrorKind, context};
use minijinja_contrib::pycompat::unknown_method_callback;

const NAME: &str = "chat_template";

/// A template over `messages`, `add_generation_prompt`, `bos_token` and `eos_token`.
#[derive(Debug)]
pub(crate) struct Template {
    environment: Environment<'static>,
    begin: String,
    end: String,
}

impl Template {
    /// The template with this source.
    ///
    /// # Errors
    /// When it is malformed; the message names the line.
    pub(crate) fn new(source: &str, begin: &str, end: &str) -> anyhow::Result<Self> {
        let mut environment = Environment::new();
        environment.set_trim_blocks(true);
        environment.set_lstrip_blocks(true);
        environment.set_unknown_method_callback(unknown_method_callback);
        environment.add_function("raise_exception", |message: String| -> Result<String, Error> {
            Err(Error::new(ErrorKind::InvalidOperation, message))
        });
        environment.add_template_owned(NAME, source.to_owned()).map_err(|error| explain(&error))?;
        Ok(Self { environment, begin: begin.to_owned(), end: end.to_owned() })
    }

    /// The text of some turns; with `open`, up to where the next response begins.
    pub(super) fn render(&self, turns: &[Turn], open: bool) -> anyhow::Result<String> {
        let template = self.environment.get_template(NAME).map_err(|error| explain(&error))?;
        let context = context! {
            messages => turns,
            add_generation_prompt => open,
            bos_token => self.begin,
            eos_token => self.end,
        };
        template.render(context).map_err(|error| explain(&error))
    }
}

/// What is wrong with a template, and where.
fn explain(error: &Error) -> anyhow::Error {
    let place = error.line().map_or(String::new(), |line| format!(", line {line}"));
    let detail = error.detail().map_or(String::new(), |detail| format!(": {detail}"));
    anyhow::anyhow!("the chat template{place}: {}{detail}", error.kind())
}
