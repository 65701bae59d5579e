//! Where lines come from: an editor with history on a terminal, else standard input.

use std::io::BufRead;
use std::path::PathBuf;

use anyhow::Context as _;
use rustyline::completion::Completer;
use rustyline::error::ReadlineError;
use rustyline::highlight::Highlighter;
use rustyline::hint::Hinter;
use rustyline::history::FileHistory;
use rustyline::validate::Validator;
use rustyline::{CompletionType, Config, Context, Editor, Helper};

/// Statements that the history keeps.
const HISTORY: usize = 2_000;

/// The words that statements here are made of; the rest is names.
const WORDS: [&str; 28] = [
    "and",
    "as",
    "asc",
    "between",
    "by",
    "case",
    "cast",
    "count(",
    "desc",
    "distinct",
    "else",
    "end",
    "from",
    "group by",
    "having",
    "in",
    "is null",
    "join",
    "left join",
    "like",
    "limit",
    "not",
    "or",
    "order by",
    "select",
    "sum(",
    "where",
    "with",
];

pub enum Line {
    Text(String),
    /// Ctrl-C: what was begun is dropped.
    Interrupted,
    End,
}

/// Where lines come from.
pub enum Lines {
    Edited { editor: Box<Editor<Names, FileHistory>>, history: Option<PathBuf> },
    Plain,
}

impl Lines {
    pub fn plain() -> Lines {
        Lines::Plain
    }

    /// An editor that completes these names. A history that cannot be read is begun again.
    pub fn edited(names: Vec<String>) -> anyhow::Result<Lines> {
        let config = Config::builder()
            .max_history_size(HISTORY)?
            .history_ignore_dups(true)?
            .history_ignore_space(true)
            .completion_type(CompletionType::List)
            .build();
        let mut editor = Editor::with_history(config.clone(), FileHistory::with_config(&config))?;
        editor.set_helper(Some(Names(names)));
        let history = history_file();
        if let Some(file) = &history {
            let _ = editor.load_history(file);
        }
        Ok(Lines::Edited { editor: Box::new(editor), history })
    }

    /// Whether a person edits them.
    pub fn is_edited(&self) -> bool {
        matches!(self, Lines::Edited { .. })
    }

    /// Waits for the next line.
    pub fn next(&mut self, prompt: &str) -> anyhow::Result<Line> {
        match self {
            Lines::Plain => {
                let mut line = String::new();
                let bytes =
                    std::io::stdin().lock().read_line(&mut line).context("cannot read standard input")?;
                Ok(if bytes == 0 {
                    Line::End
                } else {
                    Line::Text(line.trim_end_matches(['\r', '\n']).to_owned())
                })
            }
            Lines::Edited { editor, .. } => match editor.readline(prompt) {
                Ok(line) => Ok(Line::Text(line)),
                Err(ReadlineError::Interrupted) => Ok(Line::Interrupted),
                Err(ReadlineError::Eof) => Ok(Line::End),
                Err(error) => Err(error).context("cannot read from the terminal"),
            },
        }
    }

    /// Keeps a statement in the history, at once: a terminal may be closed at any time.
    pub fn remember(&mut self, statement: &str) {
        let Lines::Edited { editor, history } = self else { return };
        let is_new = editor.add_history_entry(statement).unwrap_or(false);
        if let Some(file) = history.as_ref().filter(|_| is_new)
            && let Err(error) = editor.append_history(file)
        {
            tracing::info!(%error, file = %file.display(), "the history is not kept");
        }
    }
}

/// `$XDG_STATE_HOME/adpipe/sql_history`, by default below `~/.local/state`; its folder is made for the
/// user alone.
fn history_file() -> Option<PathBuf> {
    let variable = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let state = variable("XDG_STATE_HOME").or_else(|| Some(variable("HOME")?.join(".local/state")))?;
    let folder = state.join("adpipe");
    std::fs::create_dir_all(&state).and_then(|()| adpipe_sql::private::own_folder(&folder)).ok()?;
    Some(folder.join("sql_history"))
}

/// Completes the names of tables and columns.
pub struct Names(Vec<String>);

impl Completer for Names {
    type Candidate = String;

    fn complete(
        &self,
        line: &str,
        position: usize,
        _: &Context<'_>,
    ) -> rustyline::Result<(usize, Vec<String>)> {
        Ok(candidates(&self.0, &line[..position]))
    }
}

/// Where the last word begins, and what it may become.
fn candidates(names: &[String], before: &str) -> (usize, Vec<String>) {
    let is_inner = |c: char| c.is_alphanumeric() || matches!(c, '_' | '.');
    let start = before
        .rfind(|c: char| !is_inner(c))
        .map_or(0, |at| at + before[at..].chars().next().map_or(1, char::len_utf8));
    let word = before[start..].to_lowercase();
    if word.is_empty() {
        return (start, Vec::new());
    }
    // `ev` finds realtime.events, too.
    let fits = |name: &&str| {
        name.starts_with(&word) || name.split_once('.').is_some_and(|(_, table)| table.starts_with(&word))
    };
    let all = names.iter().map(String::as_str).chain(WORDS);
    (start, all.filter(fits).map(str::to_owned).collect())
}

impl Hinter for Names {
    type Hint = String;
}

impl Highlighter for Names {}

impl Validator for Names {}

impl Helper for Names {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_word_is_completed() {
        let names = ["event_time".to_owned(), "realtime.events".to_owned()];
        assert_eq!(
            candidates(&names, "select * from ev"),
            (14, vec!["event_time".to_owned(), "realtime.events".to_owned()])
        );
        assert_eq!(candidates(&names, "select sum(REALTIME.e"), (11, vec!["realtime.events".to_owned()]));
        assert_eq!(candidates(&names, "sel"), (0, vec!["select".to_owned()]));
        assert_eq!(candidates(&names, "select "), (7, vec![]));
        assert_eq!(candidates(&names, "é"), (0, vec![]));
    }
}
