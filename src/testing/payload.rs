//! The default payloads of deliveries.

use serde_json::{Value, json};

use super::id::ksuid;
use crate::event::EVENT_NAMES;

/// The events that ConductorOne is known to send.
pub const EVENTS: &[&str] = &EVENT_NAMES;

/// A small payload for `event`, with new ids each time; for an unknown event, its
/// type alone.
pub(super) fn sample(event: &str) -> Value {
    let mut payload = match event {
        "c1.webhooks.v1.PayloadProvisionStep"
        | "c1.webhooks.v1.PayloadPolicyApprovalStep"
        | "c1.webhooks.v1.PayloadPolicyPostAction" => about_a_grant(),
        "c1.webhooks.v1.PayloadWorkflowStep" => json!({
            "workflowId": "2fCgW1dXv0TqgTnSxJH2yZbU8kE",
            "workflowExecutionId": "1713312120000",
            "workflowExecutionStepId": ksuid(),
            "context": {"reason": "quarterly review", "attempt": 1},
        }),
        "c1.webhooks.v1.PayloadFindingDispatch" => about_a_finding(),
        _ => json!({}),
    };
    payload["@type"] = format!("type.googleapis.com/{event}").into();
    payload
}

/// A finding that matched a routing rule.
fn about_a_finding() -> Value {
    const FINDING: &str = "2fCgVtR6yDbWx1nKqLh4mJcPsZe";
    json!({
        "dispatchId": ksuid(),
        "findingId": FINDING,
        "ruleId": "2fCgWzF8uEoHa5vTiGk2rXyNdBq",
        "finding": {
            "id": FINDING,
            "description": "A token of Ada Lovelace expires soon",
            "severity": "FINDING_SEVERITY_LOW",
            "state": "FINDING_STATE_OPEN",
            "credentialExpiring": {"credentialDisplayName": "analytical engine"},
            "credentialExpiringEvidence": {"expiresAt": "2024-05-17T00:02:00Z"},
        },
    })
}

/// A grant task with the objects that it points at.
fn about_a_grant() -> Value {
    const APP: &str = "2fCgVYp3mJb5CwXQd0rE7uKtLzN";
    const APP_USER: &str = "2fCgVdHs9aRkT4yMfPo1xWqJbGc";
    const ENTITLEMENT: &str = "2fCgVk2uZ8eNvD6iSlBt3hQwYmA";
    const USER: &str = "2fCgVqX5oLcU7gKjRnFz9pEwTdH";
    json!({
        "taskView": {
            "task": {
                "id": ksuid(),
                "numericId": "1024",
                "displayName": "Grant Engineering in Example App to Ada Lovelace",
                "state": "TASK_STATE_OPEN",
                "userId": USER,
                "createdAt": "2024-04-17T00:02:00Z",
                "type": {
                    "grant": {
                        "appId": APP,
                        "appUserId": APP_USER,
                        "appEntitlementId": ENTITLEMENT,
                        "identityUserId": USER,
                        "grantDuration": "3600s",
                    },
                },
            },
            "appPath": "$.expanded[0]",
            "appUserPath": "$.expanded[1]",
            "entitlementsPath": "$.expanded[2]",
        },
        "expanded": [
            {
                "@type": "type.googleapis.com/c1.api.app.v1.App",
                "id": APP,
                "displayName": "Example App",
            },
            {
                "@type": "type.googleapis.com/c1.api.app.v1.AppUser",
                "id": APP_USER,
                "appId": APP,
                "identityUserId": USER,
                "displayName": "Ada Lovelace",
                "email": "ada@example.com",
                "appUserType": "APP_USER_TYPE_USER",
                "status": {"status": "STATUS_ENABLED"},
            },
            {
                "@type": "type.googleapis.com/c1.api.app.v1.AppEntitlement",
                "id": ENTITLEMENT,
                "appId": APP,
                "displayName": "Engineering",
                "slug": "engineering",
            },
        ],
    })
}
