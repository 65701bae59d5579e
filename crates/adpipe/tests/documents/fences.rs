//! The fences of a Markdown document, and the comments before them, which no reader sees.

use std::path::Path;

/// What a comment right before a fence says about it.
#[derive(Debug)]
pub enum Directive {
    /// `<!-- not run: why -->`: it cannot be run here.
    NotRun(String),
    /// `<!-- before: shell -->`: what the reader has done or has got already.
    Before(String),
    /// `<!-- let ID = shell -->`: the word stands for what this prints.
    Let(String, String),
    /// `<!-- with: adpipe up -->`: this runs next to it.
    With(String),
    /// `<!-- exits with 1: command -->`: that line ends with 1, as the text says.
    ExitsWithOne(String),
    /// `<!-- answers yes: command, command -->`: what the reader does when these ask.
    AnswersYes(Vec<String>),
    /// `<!-- until stopped -->`: the last command runs until it gets SIGTERM, and ends with 0.
    UntilStopped,
    /// `<!-- printed -->`: the fence before this one printed these lines; `…` is any text.
    Printed,
    /// `<!-- input of: shell -->`: this takes it.
    InputOf(String),
}

/// One fence.
#[derive(Debug)]
pub struct Fence {
    /// Line of its first line of text, from 1.
    pub line: usize,
    pub language: String,
    pub text: String,
    pub directives: Vec<Directive>,
}

/// Every fence of a document, in order.
pub fn of(text: &str, path: &Path) -> Vec<Fence> {
    let mut fences = Vec::new();
    let mut directives = Vec::new();
    let mut lines = text.lines().enumerate();
    while let Some((index, line)) = lines.next() {
        let line = line.trim();
        if let Some(start) = line.strip_prefix("<!--") {
            let mut comment = start.to_owned();
            while !comment.contains("-->") {
                let (_, more) =
                    lines.next().unwrap_or_else(|| panic!("{}: a comment has no end", path.display()));
                comment.push('\n');
                comment.push_str(more);
            }
            let comment = comment.split("-->").next().unwrap_or_default().trim();
            directives.push(directive(comment, path, index + 1));
        } else if let Some(language) = line.strip_prefix("```") {
            let mut body = Vec::new();
            for (_, line) in lines.by_ref() {
                if line.trim() == "```" {
                    break;
                }
                body.push(line);
            }
            let indent = body.iter().filter(|line| !line.trim().is_empty()).map(|line| indent_of(line)).min();
            let body: Vec<&str> =
                body.iter().map(|line| line.get(indent.unwrap_or(0)..).unwrap_or_default()).collect();
            fences.push(Fence {
                line: index + 2,
                language: language.to_owned(),
                text: body.join("\n"),
                directives: std::mem::take(&mut directives),
            });
        } else if !line.is_empty() {
            let strays = directives.len();
            assert!(
                strays == 0,
                "{}:{}: a comment says something and no fence follows",
                path.display(),
                index + 1
            );
        }
    }
    fences
}

fn indent_of(line: &str) -> usize {
    line.len() - line.trim_start().len()
}

fn directive(comment: &str, path: &Path, line: usize) -> Directive {
    let rest = |name: &str| comment.strip_prefix(name).map(|rest| rest.trim().to_owned());
    match comment {
        "printed" => return Directive::Printed,
        "until stopped" => return Directive::UntilStopped,
        _ => {}
    }
    if let Some((word, shell)) = comment.strip_prefix("let ").and_then(|rest| rest.split_once('=')) {
        return Directive::Let(word.trim().to_owned(), shell.trim().to_owned());
    }
    None.or_else(|| rest("not run:").map(Directive::NotRun))
        .or_else(|| rest("before:").map(Directive::Before))
        .or_else(|| rest("with:").map(Directive::With))
        .or_else(|| rest("exits with 1:").map(Directive::ExitsWithOne))
        .or_else(|| {
            let commands = rest("answers yes:")?;
            Some(Directive::AnswersYes(
                commands.split(',').map(|command| command.trim().to_owned()).collect(),
            ))
        })
        .or_else(|| rest("input of:").map(Directive::InputOf))
        .unwrap_or_else(|| panic!("{}:{line}: this comment is not understood: {comment}", path.display()))
}

/// Commands in running text: `adpipe …` between backticks, outside of fences.
pub fn inline_commands(text: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    let mut in_fence = false;
    for (index, line) in text.lines().enumerate() {
        if line.trim_start().starts_with("```") {
            in_fence = !in_fence;
        }
        if in_fence {
            continue;
        }
        let spans = line.split('`').skip(1).step_by(2);
        found.extend(
            spans.filter(|span| span.starts_with("adpipe ")).map(|span| (index + 1, span.to_owned())),
        );
    }
    found
}

/// The commands of a shell fence without comments, for comparing two documents.
pub fn bare_commands(fence: &Fence) -> Vec<String> {
    let without_comment = |line: &str| line.split("  #").next().unwrap_or_default().trim().to_owned();
    fence.text.lines().map(without_comment).filter(|line| !line.is_empty()).collect()
}
