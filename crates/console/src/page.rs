//! The pages.

use std::collections::BTreeMap;
use std::sync::Arc;

use adpipe_ingest::http::Refusal;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use axum_extra::extract::CookieJar;
use minijinja::{Environment, context};

use crate::cookie;
use crate::csrf::CsrfToken;
use crate::error::ConsoleError;
use crate::firing::{Firing, FiringAlerts};
use crate::i18n::{Language, Texts, texts};
use crate::page_texts::{self, SCRIPTS};
use crate::query::Parameters;

const TEMPLATES: [(&str, &str); 17] = [
    ("base.html", include_str!("../templates/base.html")),
    ("live.html", include_str!("../templates/live.html")),
    ("macros.html", include_str!("../templates/macros.html")),
    ("overview.html", include_str!("../templates/overview.html")),
    ("dlq.html", include_str!("../templates/dlq.html")),
    ("dlq_errors.html", include_str!("../templates/dlq_errors.html")),
    ("dlq_error.html", include_str!("../templates/dlq_error.html")),
    ("dlq_tools.html", include_str!("../templates/dlq_tools.html")),
    ("dlq_jobs.html", include_str!("../templates/dlq_jobs.html")),
    ("dlq_dialogs.html", include_str!("../templates/dlq_dialogs.html")),
    ("dags.html", include_str!("../templates/dags.html")),
    ("quality.html", include_str!("../templates/quality.html")),
    ("files.html", include_str!("../templates/files.html")),
    ("operations.html", include_str!("../templates/operations.html")),
    ("runbook.html", include_str!("../templates/runbook.html")),
    ("message.html", include_str!("../templates/message.html")),
    ("token.html", include_str!("../templates/token.html")),
];

const LANGUAGE_COOKIE: &str = "adpipe_lang";

/// How long a browser keeps the language.
const LANGUAGE_DAYS: i64 = 365;

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

/// Templates and texts, read once, and what fires on top of each page.
#[derive(Clone)]
pub(crate) struct Pages {
    templates: Arc<Templates>,
    firing: FiringAlerts,
}

struct Templates {
    environment: Environment<'static>,
    texts: Vec<PageTexts>,
    /// By the name of a script: all that is loaded with it.
    modules: minijinja::Value,
    /// Name and address of each page, in their order.
    navigation: minijinja::Value,
    version: &'static str,
    csrf_token: CsrfToken,
}

impl Templates {
    fn texts(&self, language: Language) -> Option<&PageTexts> {
        self.texts.iter().find(|texts| texts.language == language)
    }
}

impl Pages {
    /// `navigation`: the key of a page's name, and where it is. `csrf_token` stands in every page, for
    /// its buttons to show.
    pub fn new(
        version: &'static str,
        navigation: impl IntoIterator<Item = (&'static str, &'static str)>,
        csrf_token: CsrfToken,
        firing: FiringAlerts,
    ) -> Result<Pages, ConsoleError> {
        let mut environment = Environment::new();
        environment.set_undefined_behavior(minijinja::UndefinedBehavior::Strict);
        for (name, source) in TEMPLATES {
            environment.add_template(name, source).map_err(|error| ConsoleError::Page(error.to_string()))?;
        }
        let texts = Language::ALL.into_iter().map(PageTexts::new).collect::<Result<_, _>>()?;
        let modules =
            SCRIPTS.map(|script| (script, minijinja::Value::from_iter(page_texts::modules(script))));
        let modules = minijinja::Value::from_pairs(modules);
        let navigation = navigation.into_iter().map(|(key, path)| context! { key, path }).collect();
        let templates = Templates { environment, texts, modules, navigation, version, csrf_token };
        Ok(Pages { templates: Arc::new(templates), firing })
    }

    fn render(
        &self,
        template: &str,
        language: Language,
        more: minijinja::Value,
    ) -> Result<Html<String>, Refusal> {
        let templates = &self.templates;
        let texts = templates.texts(language);
        let languages: Vec<BTreeMap<&str, &str>> = Language::ALL
            .into_iter()
            .map(|language| BTreeMap::from([("tag", language.tag()), ("name", language.own_name())]))
            .collect();
        let shared = context! {
            t => texts.map(|texts| &texts.for_templates),
            script_texts => texts.map(|texts| &texts.of_scripts),
            script_modules => &templates.modules,
            lang => language.tag(),
            languages => languages,
            navigation => &templates.navigation,
            csrf_token => templates.csrf_token.as_str(),
            version => templates.version,
        };
        let page = templates
            .environment
            .get_template(template)
            .and_then(|template| template.render(context! { ..shared, ..more }))
            .map_err(|error| Refusal::internal(&error))?;
        Ok(Html(page))
    }

    /// A page as answer, in the language that was asked for, which is then kept.
    pub fn show_bare(
        &self,
        template: &str,
        query: &Parameters,
        headers: &HeaderMap,
        more: minijinja::Value,
    ) -> Result<Response, Refusal> {
        let language = language(query, headers);
        let mut response = self.render(template, language, more)?.into_response();
        response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
        if query.contains_key("lang") {
            let cookie = cookie::kept(LANGUAGE_COOKIE, language.tag().to_owned(), LANGUAGE_DAYS);
            return Ok((CookieJar::new().add(cookie), response).into_response());
        }
        Ok(response)
    }

    /// A page with a script as answer, with what fires on top.
    pub async fn show(
        &self,
        template: &str,
        query: &Parameters,
        headers: &HeaderMap,
        more: minijinja::Value,
    ) -> Result<Response, Refusal> {
        let language = language(query, headers);
        let firing = self.firing.for_page(language.into()).await;
        let banner = context! {
            firing => context! { count => firing.count, line => self.firing_line(language, &firing) },
        };
        self.show_bare(template, query, headers, context! { ..more, ..banner })
    }

    /// What fires, as one line; it says how many more there are.
    fn firing_line(&self, language: Language, firing: &Firing) -> String {
        let line = firing.summaries.join(" · ");
        let unsaid = firing.count - firing.summaries.len();
        if unsaid == 0 {
            return line;
        }
        let more = self.templates.texts(language).and_then(|texts| texts.all.get("firing_more"));
        let more = more.map(|text| text.replace("{count}", &unsaid.to_string())).unwrap_or_default();
        format!("{line} · {more}")
    }

    /// A page that says one thing, such as "no such page".
    pub fn message(&self, status: StatusCode, headers: &HeaderMap, key: &str) -> Response {
        let language = language(&Parameters::new(), headers);
        let said = context! { page => "", key => key, status => status.as_u16() };
        match self.render("message.html", language, said) {
            Ok(page) => (status, page).into_response(),
            Err(refusal) => refusal.into_response(),
        }
    }
}

/// True for a browser, which expects a page, and not for a program, which expects JSON.
pub(crate) fn wants_page(headers: &HeaderMap) -> bool {
    let accept = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok());
    accept.is_some_and(|accept| accept.contains("text/html"))
}

/// By `?lang=`, else by cookie, else by what the browser asks for.
pub(crate) fn language(query: &Parameters, headers: &HeaderMap) -> Language {
    let named = query.get("lang").and_then(|tag| Language::from_tag(tag));
    let kept = || cookie::value(headers, LANGUAGE_COOKIE).and_then(|tag| Language::from_tag(&tag));
    let accepted = || {
        let header = headers.get(header::ACCEPT_LANGUAGE).and_then(|value| value.to_str().ok());
        Language::accepted(header.unwrap_or_default())
    };
    named.or_else(kept).unwrap_or_else(accepted)
}
