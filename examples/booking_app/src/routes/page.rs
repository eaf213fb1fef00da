//! `GET /`: the page, built into the program.

use axum::{http::header::CONTENT_TYPE, response::IntoResponse};

pub(crate) async fn index() -> impl IntoResponse {
    let page = include_str!("../../page/index.html");
    ([(CONTENT_TYPE, "text/html; charset=utf-8")], page)
}

pub(crate) async fn css() -> impl IntoResponse {
    let css = include_str!("../../page/app.css");
    ([(CONTENT_TYPE, "text/css; charset=utf-8")], css)
}

pub(crate) async fn js() -> impl IntoResponse {
    let js = include_str!("../../page/app.js");
    ([(CONTENT_TYPE, "text/javascript; charset=utf-8")], js)
}
