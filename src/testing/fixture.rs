//! Payloads as ConductorOne may send them, in readable files.

use serde_json::Value;

/// A sample payload of an event, in one of several encodings.
///
/// The company, its people and its ids are fictitious; an object has the same id
/// in every fixture. The name consists of the event, the task's type (for events
/// about a task) and the variant:
///
/// - `provision_step/grant.minimal`: default values are omitted.
/// - `provision_step/grant.full`: every object that belongs to the task, in all
///   forms that proto3's JSON allows.
/// - `provision_step/grant.future`: `minimal` from a newer sender, with unknown
///   fields, values, members and objects.
/// - `provision_step/grant.unpopulated`: `minimal` with every unset field present
///   as `""`, `0`, `false`, `[]` or `null`, as ConductorOne's API writes it.
/// - `policy_post_action/grant.denied`: another outcome of the task.
/// - `policy_approval_step/action.tool_call`: another target of the action.
/// - `finding_dispatch/deactivated_owner`: another type of finding.
///
/// ```
/// use tower_conductorone::testing::{FakeTenant, Fixture};
///
/// let fixture = Fixture::named("provision_step/revoke.full").expect("it exists");
/// let tenant = FakeTenant::new("example.conductor.one");
/// let delivery = tenant.delivery(fixture.event()).payload(fixture.payload());
/// # let _ = delivery;
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Fixture {
    name: &'static str,
    event: &'static str,
    json: &'static str,
}

impl Fixture {
    /// All fixtures: every event with every type of task and of finding.
    pub const ALL: &[Self] = FIXTURES;

    /// The fixture of that name.
    #[must_use]
    pub fn named(name: &str) -> Option<&'static Self> {
        Self::ALL.iter().find(|fixture| fixture.name == name)
    }

    /// Its name, such as `provision_step/grant.minimal`.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// The event whose payload it is, such as
    /// `c1.webhooks.v1.PayloadProvisionStep`.
    #[must_use]
    pub fn event(&self) -> &'static str {
        self.event
    }

    /// The payload's JSON text.
    #[must_use]
    pub fn json(&self) -> &'static str {
        self.json
    }

    /// The payload.
    ///
    /// # Panics
    /// Never: every fixture is JSON.
    #[must_use]
    pub fn payload(&self) -> Value {
        serde_json::from_str(self.json).expect("a fixture is JSON")
    }
}

macro_rules! fixtures {
    ($($event:literal: $folder:literal { $($file:literal)+ })+) => {
        &[$($(Fixture {
            name: concat!($folder, "/", $file),
            event: $event,
            json: include_str!(concat!("fixtures/", $folder, "/", $file, ".json")),
        },)+)+]
    };
}

const FIXTURES: &[Fixture] = fixtures! {
    "c1.webhooks.v1.PayloadTest": "test" {
        "minimal" "full" "future" "unpopulated"
    }
    "c1.webhooks.v1.PayloadWorkflowStep": "workflow_step" {
        "minimal" "full" "future" "unpopulated"
    }
    "c1.webhooks.v1.PayloadFindingDispatch": "finding_dispatch" {
        "minimal" "full" "future" "unpopulated" "connector_anomaly_detection_disabled"
        "credential_expiring" "custom" "deactivated_owner" "decoy_credential_used"
        "decoy_publicly_exposed" "nhi_unowned" "service_account_misclassification"
        "service_account_unowned" "similar_username_match" "unused_secret"
    }
    "c1.webhooks.v1.PayloadProvisionStep": "provision_step" {
        "action.minimal" "action.full" "action.future" "action.unpopulated" "certify.minimal"
        "certify.full" "certify.future" "certify.unpopulated" "finding.minimal" "finding.full"
        "finding.future" "finding.unpopulated" "grant.minimal" "grant.full" "grant.future"
        "grant.unpopulated" "offboarding.minimal" "offboarding.full" "offboarding.future"
        "offboarding.unpopulated" "revoke.minimal" "revoke.full" "revoke.future"
        "revoke.unpopulated"
    }
    "c1.webhooks.v1.PayloadPolicyApprovalStep": "policy_approval_step" {
        "action.minimal" "action.full" "action.future" "action.unpopulated" "certify.minimal"
        "certify.full" "certify.future" "certify.unpopulated" "finding.minimal" "finding.full"
        "finding.future" "finding.unpopulated" "grant.minimal" "grant.full" "grant.future"
        "grant.unpopulated" "offboarding.minimal" "offboarding.full" "offboarding.future"
        "offboarding.unpopulated" "revoke.minimal" "revoke.full" "revoke.future"
        "revoke.unpopulated"
        "action.tool_call" "action.finding"
    }
    "c1.webhooks.v1.PayloadPolicyPostAction": "policy_post_action" {
        "action.minimal" "action.full" "action.future" "action.unpopulated" "action.cancelled"
        "action.denied" "action.error" "certify.minimal" "certify.full" "certify.future"
        "certify.unpopulated" "certify.cancelled" "certify.certified" "certify.error"
        "certify.wait_timed_out" "finding.minimal" "finding.full" "finding.future"
        "finding.unpopulated" "finding.cancelled" "finding.risk_accepted" "grant.minimal"
        "grant.full" "grant.future" "grant.unpopulated" "grant.cancelled" "grant.denied"
        "grant.error" "grant.wait_timed_out" "offboarding.minimal" "offboarding.full"
        "offboarding.future" "offboarding.unpopulated" "offboarding.cancelled" "offboarding.error"
        "revoke.minimal" "revoke.full" "revoke.future" "revoke.unpopulated" "revoke.cancelled"
        "revoke.denied" "revoke.error" "revoke.wait_timed_out"
    }
};
