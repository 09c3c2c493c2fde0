//! Access reviews, also called campaigns: reviewers decide whether access should
//! stay.

use super::ids::UserId;
use super::scalar::Timestamp;
use super::unknown::Json;
use super::wire::{enumeration, message, oneof};

message! {
    /// An access review. In a webhook, the one that a task belongs to is among the expanded
    /// objects.
    AccessReview {
        /// The review's id.
        id "id": String,
        /// The name to show.
        display_name "displayName": String,
        /// What the review is for.
        description "description": String,
        /// The instructions for the reviewers.
        review_instructions "reviewInstructions": String,
        /// The state of the review.
        state "state": AccessReviewState,
        /// What went wrong with it.
        error_state "errorState": AccessReviewError,
        /// Who created it.
        created_by_id "createdById": UserId,
        /// The template that it was made from; empty if there is none.
        access_review_template_id "accessReviewTemplateId": String,
        /// The policy for its tasks.
        policy_id "policyId": String,
        /// Whether that policy comes before those of the entitlements.
        use_policy_override "usePolicyOverride": bool,
        /// By what the access under review is chosen.
        scope_type "scopeType": AccessReviewScopeType,
        /// Which access is under review, a JSON object.
        scope "scope": Option<Json>,
        /// The same in a newer form.
        scope_v2 "scopeV2": Option<Json>,
        /// What the scope takes in, a JSON object.
        inclusion_scope "inclusionScope": Option<Json>,
        /// What the scope leaves out, a JSON object.
        exclusion_scope "exclusionScope": Option<Json>,
        /// The version by which the scope is to be read.
        scoping_version "scopingVersion": i64,
        /// How many tasks it is expected to have.
        expected_ticket_count "expectedTicketCount": f64,
        /// The reviewers' initial view.
        default_view "defaultView": AccessReviewView,
        /// Which columns the reviewers see, a JSON object.
        column_config "columnConfig": Option<Json>,
        /// Who is notified of what, a JSON object.
        notification_config "notificationConfig": Option<Json>,
        /// How decisions are signed, a JSON object.
        signature_config "signatureConfig": Option<Json>,
        /// Whether its data can be reported as wrong.
        has_accuracy_support "hasAccuracySupport": bool,
        /// What happens after such a report.
        accuracy_issue_action "accuracyIssueAction": AccuracyIssueAction,
        /// Whether access conflicts that were certified before are left out.
        exempt_certified_access_conflicts "exemptCertifiedAccessConflicts": bool,
        /// Whether it starts automatically.
        auto_start_campaign "autoStartCampaign": bool,
        /// Whether it closes automatically.
        auto_close_campaign "autoCloseCampaign": bool,
        /// What happens to undecided access when it closes automatically.
        auto_close_decision "autoCloseDecision": AutoCloseDecision,
        /// Whether its decisions are put into effect automatically.
        auto_resolve "autoResolve": bool,
        /// Whether a report is made at the end.
        auto_generate_report "autoGenerateReport": bool,
        /// Its health, a JSON object.
        campaign_health "campaignHealth": Option<Json>,
        /// ConductorOne's insights into it, a JSON object.
        campaign_insights "campaignInsights": Option<Json>,
        /// When it is to start.
        scheduled_start_date "scheduledStartDate": Option<Timestamp>,
        /// When it is to be complete.
        completion_date "completionDate": Option<Timestamp>,
        /// When the connectors' data for the review was frozen.
        connector_sources_frozen_at "connectorSourcesFrozenAt": Option<Timestamp>,
        /// When it started; unset if it has not.
        started_at "startedAt": Option<Timestamp>,
        /// When it was closed; unset if it was not.
        closed_at "closedAt": Option<Timestamp>,
        /// When it was created.
        created_at "createdAt": Option<Timestamp>,
        /// When it was last changed.
        updated_at "updatedAt": Option<Timestamp>,
    }
    oneof {
        /// How it was set up.
        setup: AccessReviewSetup,
    }
}

oneof! {
    /// How an access review was set up, each a JSON object.
    AccessReviewSetup {
        /// For one app.
        SingleApp "singleApp": Json,
        /// For several apps.
        MultiApp "multiApp": Json,
        /// For bindings of roles to scopes.
        Bindings "bindings": Json,
    }
}

enumeration! {
    /// The state of an access review.
    AccessReviewState {
        /// Not set.
        Unspecified "ACCESS_REVIEW_STATE_UNSPECIFIED",
        /// It is open.
        Open "ACCESS_REVIEW_STATE_OPEN",
        /// It is closed.
        Closed "ACCESS_REVIEW_STATE_CLOSED",
        /// It waits for its start.
        Pending "ACCESS_REVIEW_STATE_PENDING",
        /// Its scope is reviewed before its start.
        Review "ACCESS_REVIEW_STATE_REVIEW",
        /// It is being prepared.
        Preparing "ACCESS_REVIEW_STATE_PREPARING",
        /// It is starting.
        Starting "ACCESS_REVIEW_STATE_STARTING",
        /// It is a draft.
        Draft "ACCESS_REVIEW_STATE_DRAFT",
        /// It is being deleted.
        Deleting "ACCESS_REVIEW_STATE_DELETING",
        /// It is deleted.
        Deleted "ACCESS_REVIEW_STATE_DELETED",
        /// Its policies are being reset.
        ResettingPolicies "ACCESS_REVIEW_STATE_RESETTING_POLICIES",
        /// Its entitlements are being copied.
        CopyingSetupEntitlements "ACCESS_REVIEW_STATE_COPYING_SETUP_ENTITLEMENTS",
        /// The selections by resource type are being copied.
        CopyingResourceTypeSelections "ACCESS_REVIEW_STATE_COPYING_RESOURCE_TYPE_SELECTIONS",
    }
}

enumeration! {
    /// What went wrong with an access review.
    AccessReviewError {
        /// Not set.
        Unspecified "ACCESS_REVIEW_ERROR_STATE_UNSPECIFIED",
        /// Its scope exceeds a limit.
        SelectionQuotaExceeded "ACCESS_REVIEW_ERROR_STATE_SELECTION_QUOTA_EXCEED_ERROR",
    }
}

enumeration! {
    /// By what the access under review is chosen.
    AccessReviewScopeType {
        /// Not set.
        Unspecified "ACCESS_REVIEW_SCOPE_TYPE_UNSPECIFIED",
        /// By entitlements.
        ByEntitlements "ACCESS_REVIEW_SCOPE_TYPE_BY_ENTITLEMENTS",
        /// By access conflicts.
        ByAccessConflicts "ACCESS_REVIEW_SCOPE_TYPE_BY_ACCESS_CONFLICTS",
        /// By resources.
        ByResource "ACCESS_REVIEW_SCOPE_TYPE_BY_RESOURCE",
        /// By inheritance.
        ByInheritance "ACCESS_REVIEW_SCOPE_TYPE_BY_INHERITANCE",
    }
}

enumeration! {
    /// What happens when an access review's data is reported as wrong.
    AccuracyIssueAction {
        /// Not set.
        Unspecified "ACCURACY_ISSUE_ACTION_UNSPECIFIED",
        /// The review goes on.
        Continue "ACCURACY_ISSUE_ACTION_CONTINUE",
        /// The review waits.
        Wait "ACCURACY_ISSUE_ACTION_WAIT",
    }
}

enumeration! {
    /// What happens to undecided access when an access review closes automatically.
    AutoCloseDecision {
        /// Not set.
        Unspecified "CLOSE_DECISION_UNSPECIFIED",
        /// The access is revoked.
        Revoked "CLOSE_DECISION_REVOKED",
        /// It is skipped.
        Skip "CLOSE_DECISION_SKIP",
        /// Nothing.
        NoAction "CLOSE_DECISION_NO_ACTION",
    }
}

enumeration! {
    /// The reviewers' initial view of an access review.
    AccessReviewView {
        /// Not set.
        Unspecified "ACCESS_REVIEW_VIEW_TYPE_UNSPECIFIED",
        /// By app.
        ByApp "ACCESS_REVIEW_VIEW_TYPE_BY_APP",
        /// By user.
        ByUser "ACCESS_REVIEW_VIEW_TYPE_BY_USER",
        /// As a plain list.
        Unstructured "ACCESS_REVIEW_VIEW_TYPE_UNSTRUCTURED",
        /// By resource.
        ByResource "ACCESS_REVIEW_VIEW_TYPE_BY_RESOURCE",
    }
}
