//! The pages.

use std::collections::BTreeMap;
use std::sync::Arc;

use adpipe_ingest::http::Refusal;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use minijinja::{Environment, context};

use crate::app::App;
use crate::cookie;
use crate::error::ConsoleError;
use crate::figures::Range;
use crate::i18n::{Language, Texts, texts};
use crate::operations;
use crate::page_texts::{self, SCRIPTS};

const TEMPLATES: [(&str, &str); 16] = [
    ("base.html", include_str!("../templates/base.html")),
    ("live.html", include_str!("../templates/live.html")),
    ("macros.html", include_str!("../templates/macros.html")),
    ("overview.html", include_str!("../templates/overview.html")),
    ("dlq.html", include_str!("../templates/dlq.html")),
    ("dlq_errors.html", include_str!("../templates/dlq_errors.html")),
    ("dlq_error.html", include_str!("../templates/dlq_error.html")),
    ("dlq_tools.html", include_str!("../templates/dlq_tools.html")),
    ("dlq_dialogs.html", include_str!("../templates/dlq_dialogs.html")),
    ("dags.html", include_str!("../templates/dags.html")),
    ("quality.html", include_str!("../templates/quality.html")),
    ("files.html", include_str!("../templates/files.html")),
    ("operations.html", include_str!("../templates/operations.html")),
    ("runbook.html", include_str!("../templates/runbook.html")),
    ("message.html", include_str!("../templates/message.html")),
    ("token.html", include_str!("../templates/token.html")),
];

/// The pages in the order of the navigation: the key of their name, and where they are.
const NAVIGATION: [(&str, &str); 6] = [
    ("overview", "/"),
    ("operations", "/operations"),
    ("dlq", "/dlq"),
    ("files", "/files"),
    ("quality", "/quality"),
    ("dags", "/dags"),
];

const LANGUAGE_COOKIE: &str = "adpipe_lang";

/// What there is to say in a language.
struct PageTexts {
    language: Language,
    all: Texts,
    /// As the templates take them: to make them so for each page would take longer than all the rest.
    for_templates: minijinja::Value,
    /// By the name of a script: those that it needs.
    of_scripts: minijinja::Value,
}

impl PageTexts {
    fn new(language: Language) -> Result<PageTexts, ConsoleError> {
        let all = texts(language)?;
        let own = |script| minijinja::Value::from_pairs(page_texts::of_script(script, &all));
        let of_scripts = SCRIPTS.map(|script| (script, own(script)));
        Ok(PageTexts {
            language,
            for_templates: minijinja::Value::from_pairs(all.clone()),
            of_scripts: minijinja::Value::from_pairs(of_scripts),
            all,
        })
    }
}

/// Templates and texts, read once.
pub(crate) struct Pages {
    environment: Environment<'static>,
    texts: Vec<PageTexts>,
    /// By the name of a script: all that is loaded with it.
    modules: minijinja::Value,
    version: &'static str,
    csrf_token: String,
}

impl Pages {
    /// `csrf_token` is in every page; its buttons send it.
    pub fn new(version: &'static str, csrf_token: &str) -> Result<Pages, ConsoleError> {
        let mut environment = Environment::new();
        environment.set_undefined_behavior(minijinja::UndefinedBehavior::Strict);
        for (name, source) in TEMPLATES {
            environment.add_template(name, source).map_err(|error| ConsoleError::Page(error.to_string()))?;
        }
        let texts = Language::ALL.into_iter().map(PageTexts::new).collect::<Result<_, _>>()?;
        let modules =
            SCRIPTS.map(|script| (script, minijinja::Value::from_iter(page_texts::modules(script))));
        let modules = minijinja::Value::from_pairs(modules);
        Ok(Pages { environment, texts, modules, version, csrf_token: csrf_token.to_owned() })
    }

    /// All texts of a language.
    fn texts(&self, language: Language) -> Option<&Texts> {
        self.texts.iter().find(|texts| texts.language == language).map(|texts| &texts.all)
    }

    fn render(
        &self,
        template: &str,
        language: Language,
        more: minijinja::Value,
    ) -> Result<Html<String>, Refusal> {
        let texts = self.texts.iter().find(|texts| texts.language == language);
        let languages: Vec<BTreeMap<&str, &str>> = Language::ALL
            .into_iter()
            .map(|language| BTreeMap::from([("tag", language.tag()), ("name", language.own_name())]))
            .collect();
        let shared = context! {
            t => texts.map(|texts| &texts.for_templates),
            script_texts => texts.map(|texts| &texts.of_scripts),
            script_modules => &self.modules,
            lang => language.tag(),
            languages => languages,
            navigation => NAVIGATION.map(|(key, path)| BTreeMap::from([("key", key), ("path", path)])),
            csrf_token => self.csrf_token.as_str(),
            version => self.version,
        };
        let page = self
            .environment
            .get_template(template)
            .and_then(|template| template.render(context! { ..shared, ..more }))
            .map_err(|error| Refusal::internal(&error))?;
        Ok(Html(page))
    }

    /// A page as answer, in the language that was asked for, which is then kept.
    pub fn show(
        &self,
        template: &str,
        query: &BTreeMap<String, String>,
        headers: &HeaderMap,
        more: minijinja::Value,
    ) -> Result<Response, Refusal> {
        let language = language(query, headers);
        let mut response = self.render(template, language, more)?.into_response();
        response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
        if query.contains_key("lang") {
            let cookie =
                format!("{LANGUAGE_COOKIE}={}; Path=/; SameSite=Strict; Max-Age=31536000", language.tag());
            let cookie = HeaderValue::from_str(&cookie).map_err(|error| Refusal::internal(&error))?;
            response.headers_mut().insert(header::SET_COOKIE, cookie);
        }
        Ok(response)
    }

    /// A page that says one thing, such as "no such page".
    pub fn message(&self, status: StatusCode, headers: &HeaderMap, key: &str) -> Response {
        let language = language(&BTreeMap::new(), headers);
        match self.render(
            "message.html",
            language,
            context! { page => "", key => key, status => status.as_u16() },
        ) {
            Ok(page) => (status, page).into_response(),
            Err(refusal) => refusal.into_response(),
        }
    }
}

/// A page with a script as answer, with what fires on top.
pub(crate) async fn show(
    app: &App,
    template: &str,
    query: &BTreeMap<String, String>,
    headers: &HeaderMap,
    more: minijinja::Value,
) -> Result<Response, Refusal> {
    let firing = operations::firing_now(app, language(query, headers).tag()).await;
    let texts = app.pages.texts(language(query, headers));
    let mut line = firing.summaries.join(" · ");
    let unsaid = firing.count - firing.summaries.len();
    if unsaid > 0 {
        let more = texts.and_then(|texts| texts.get("firing_more"));
        let more = more.map(|text| text.replace("{count}", &unsaid.to_string())).unwrap_or_default();
        line = format!("{line} · {more}");
    }
    let banner = context! { firing => context! { count => firing.count, line } };
    app.pages.show(template, query, headers, context! { ..more, ..banner })
}

/// True for a browser, which expects a page, and not for a program, which expects JSON.
pub(crate) fn wants_page(headers: &HeaderMap) -> bool {
    let accept = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok());
    accept.is_some_and(|accept| accept.contains("text/html"))
}

/// By `?lang=`, else by cookie, else by what the browser asks for.
pub(crate) fn language(query: &BTreeMap<String, String>, headers: &HeaderMap) -> Language {
    let named = query.get("lang").and_then(|tag| Language::from_tag(tag));
    let kept = || cookie::value(headers, LANGUAGE_COOKIE).and_then(Language::from_tag);
    let accepted = || {
        let header = headers.get(header::ACCEPT_LANGUAGE).and_then(|value| value.to_str().ok());
        Language::accepted(header.unwrap_or_default())
    };
    named.or_else(kept).unwrap_or_else(accepted)
}

/// `GET /`.
pub(crate) async fn get_overview_page(
    State(app): State<Arc<App>>,
    Query(query): Query<BTreeMap<String, String>>,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    let range = query.get("range").and_then(|name| Range::from_name(name)).unwrap_or(Range::Day);
    let ranges: Vec<&str> = Range::ALL.into_iter().map(Range::name).collect();
    // A page that asks for another end computes the address of its figures itself.
    let is_newest = query.get("to").is_none_or(String::is_empty);
    let more =
        context! { page => "overview", range => range.name(), ranges => ranges, is_newest => is_newest };
    show(&app, "overview.html", &query, &headers, more).await
}
