//! HTTP requests as the events that Lambda makes of them, and its answers.

use axum::body::Body;
use axum::http::{Request, Response};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use serde_json::{Map, Value, json};

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Front {
    /// A Function URL.
    Url,
    /// The same, with a body that Lambda takes for binary.
    UrlInBase64,
    /// An HTTP API with the stage `prod`: its path has the stage.
    HttpApi,
    /// A REST API with the stage `prod`: its path has no stage.
    RestApi,
}

pub(crate) async fn event(front: Front, request: Request<Full<Bytes>>) -> Value {
    let (head, body) = request.into_parts();
    let body = body.collect().await.expect("a body").to_bytes();
    let path = head.uri.path();
    let headers: Map<_, Value> = head
        .headers
        .iter()
        .map(|(name, value)| (name.to_string(), value.to_str().expect("text").into()))
        .collect();
    let in_base64 = front == Front::UrlInBase64;
    let body = if in_base64 {
        BASE64_STANDARD.encode(body)
    } else {
        String::from_utf8(body.into()).expect("UTF-8")
    };
    let host = headers["host"].clone();
    if front == Front::RestApi {
        let path = path.strip_prefix("/prod").expect("a stage");
        return json!({
            "resource": "/{proxy+}",
            "path": path,
            "httpMethod": head.method.as_str(),
            "headers": headers,
            "multiValueHeaders": headers
                .iter()
                .map(|(name, value)| (name.clone(), json!([value])))
                .collect::<Map<_, _>>(),
            "queryStringParameters": null,
            "multiValueQueryStringParameters": null,
            "pathParameters": { "proxy": "webhooks" },
            "stageVariables": null,
            "requestContext": {
                "stage": "prod",
                "path": format!("/prod{path}"),
                "httpMethod": head.method.as_str(),
                "domainName": host,
                "identity": {},
            },
            "body": body,
            "isBase64Encoded": in_base64,
        });
    }
    json!({
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": path,
        "rawQueryString": head.uri.query().unwrap_or_default(),
        "headers": headers,
        "requestContext": {
            "accountId": "anonymous",
            "domainName": host,
            "http": {
                "method": head.method.as_str(),
                "path": path,
                "protocol": "HTTP/1.1",
                "sourceIp": "203.0.113.7",
                "userAgent": "ConductorOne",
            },
            "stage": if front == Front::HttpApi { "prod" } else { "$default" },
            "time": "21/Apr/2020:15:08:21 +0000",
            "timeEpoch": 1_587_481_701_067_u64,
        },
        "body": body,
        "isBase64Encoded": in_base64,
    })
}

/// What the caller gets of a function's answer.
pub(crate) fn response(answer: &Value) -> Response<Body> {
    let status = answer["statusCode"].as_u64().expect("a status");
    let mut response = Response::builder().status(u16::try_from(status).expect("a status"));
    for headers in ["headers", "multiValueHeaders"] {
        for (name, value) in answer[headers].as_object().expect("headers") {
            for value in value.as_array().unwrap_or(&vec![value.clone()]) {
                response = response.header(name, value.as_str().expect("text"));
            }
        }
    }
    let body = answer["body"].as_str().unwrap_or_default();
    let body = match answer["isBase64Encoded"].as_bool() {
        Some(true) => BASE64_STANDARD.decode(body).expect("base64"),
        _ => body.as_bytes().to_vec(),
    };
    response.body(body.into()).expect("a response")
}
