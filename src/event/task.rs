//! Tasks: what to grant, revoke, review or do, for whom and why, and the outcome.

use std::collections::BTreeMap;

use super::action::TaskTypeAction;
use super::any::AnyMessage;
use super::app::{AppEntitlementRef, AppResourceRef};
use super::form::RequestSchemaForm;
use super::ids::{AppId, AppUserId, EntitlementId, TaskId, UserId};
use super::instance::PolicyInstance;
use super::scalar::{SignedDuration, Timestamp};
use super::unknown::Json;
use super::wire::{enumeration, message, oneof};

message! {
    /// A task, with pointers to the objects that belong to it. Every webhook of a policy or a
    /// provisioning step has one.
    ///
    /// Each path is a JSONPath (RFC 9535) into the payload, such as `$.expanded[0]`; an empty one
    /// points to nothing.
    TaskView {
        /// The task itself.
        task "task": Option<Box<Task>>,
        /// To the app that the task is about.
        app_path "appPath": String,
        /// To the entitlements that the task is about, one or several.
        entitlements_path "entitlementsPath": String,
        /// To the account that the task is about.
        app_user_path "appUserPath": String,
        /// To the time at which that account was last used.
        app_user_last_usage_path "appUserLastUsagePath": String,
        /// To the user who owns, or is to own, the account that the task is about.
        identity_user_path "identityUserPath": String,
        /// To the user whom the task is about directly, whether or not there is an account.
        user_path "userPath": String,
        /// To the user who created the task.
        created_by_user_path "createdByUserPath": String,
        /// To the users who may decide the current step, one or several.
        step_approvers_path "stepApproversPath": String,
        /// To the users who have approved or denied a step of the task, one or several.
        approvers_path "approversPath": String,
        /// To the access review that the task belongs to.
        access_review_path "accessReviewPath": String,
        /// To the insights for those who decide, one or several.
        insights_path "insightsPath": String,
        /// To the role, a resource, if the task grants a role in a scope
        /// ([`ScopeRole`](super::action::ScopeRole)).
        role_resource_path "roleResourcePath": String,
        /// To the scope, a resource, if the task grants a role in a scope
        /// ([`ScopeRole`](super::action::ScopeRole)).
        scope_resource_path "scopeResourcePath": String,
        /// To the resource whose access the task is about, if that is not an account's
        /// ([`TaskPrincipal`]).
        principal_resource_path "principalResourcePath": String,
        /// To the bindings of the entitlements to scopes, one or several.
        resource_bindings_path "resourceBindingsPath": String,
        /// What the caller may do with the task. Who counts as the caller in a webhook is not
        /// documented.
        object_permissions "objectPermissions": Option<Box<ObjectPermissions>>,
    }
}

message! {
    /// The permissions of a user on an object.
    ObjectPermissions {
        /// Read it.
        read "read": bool,
        /// Change it.
        edit "edit": bool,
        /// Delete it.
        delete "delete": bool,
        /// Other permissions, by name.
        extra "extra": BTreeMap<String, bool>,
    }
}

message! {
    /// A task: something that people or policies decide and that is then done, such as granting
    /// access. It begins with a request, an access review or an automation.
    Task {
        /// The task's id.
        id "id": TaskId,
        /// The task's number, which people use to name it.
        numeric_id "numericId": i64,
        /// The name to show.
        display_name "displayName": String,
        /// Why it was requested: the requester's justification.
        description "description": String,
        /// What the task is to do.
        r#type "type": Option<Box<TaskType>>,
        /// Where the task was created.
        origin "origin": TaskOrigin,
        /// Who created the task, which need not be the user whom it is about.
        created_by_user_id "createdByUserId": UserId,
        /// The user whom the task is about; empty if it is about an account that no known user
        /// owns.
        user_id "userId": UserId,
        /// Whether it is for emergency access, from the start or by escalation.
        emergency_access "emergencyAccess": bool,
        /// The form that goes with the request; unset if there is none.
        form "form": Option<Box<RequestSchemaForm>>,
        /// Free-form data of the task, a JSON object. What it holds is not documented.
        data "data": Option<Json>,
        /// The other entitlements that are revoked along with a revocation: those from which the
        /// access is inherited.
        revocation_targets "revocationTargets": Vec<TaskRevocationTarget>,
        /// The insights for those who decide.
        insight_ids "insightIds": Vec<String>,
        /// What the insights recommend.
        recommendation "recommendation": Recommendation,
        /// The task's analysis, such as for access conflicts; empty if there is none.
        analysis_id "analysisId": String,
        /// References to other systems. ConductorOne does not use them at present.
        external_refs "externalRefs": Vec<ExternalRef>,
        /// Further data that ConductorOne attached. Its types are not documented.
        annotations "annotations": Vec<AnyMessage>,
        /// How many comments the task has.
        comment_count "commentCount": i32,
        /// The policy as it runs for this task: the steps done, the current one, those to come.
        policy "policy": Option<Box<PolicyInstance>>,
        /// Changes whenever the task's policy is changed.
        policy_generation_id "policyGenerationId": String,
        /// Who may decide the current step.
        step_approver_ids "stepApproverIds": Vec<UserId>,
        /// Who has approved or denied a step of the task.
        approver_ids "approverIds": Vec<UserId>,
        /// What the caller may do with the task. Who counts as the caller in a webhook is not
        /// documented.
        actions "actions": Vec<PermittedAction>,
        /// Whether the task is open.
        state "state": TaskState,
        /// Whether ConductorOne is processing it.
        processing "processing": TaskProcessing,
        /// When the task was created.
        created_at "createdAt": Option<Timestamp>,
        /// When the task was last changed.
        updated_at "updatedAt": Option<Timestamp>,
        /// When the task was deleted; unset if it was not.
        deleted_at "deletedAt": Option<Timestamp>,
    }
}

impl Task {
    /// What the task is to do; [`TaskKind::Unset`] if it does not say.
    #[must_use]
    pub fn kind(&self) -> &TaskKind {
        self.r#type.as_deref().map_or(&UNSET, |r#type| &r#type.kind)
    }
}

pub(super) static UNSET: TaskKind = TaskKind::Unset;

message! {
    /// What a task is to do.
    TaskType {
    }
    oneof {
        /// The type, with what belongs to it.
        kind: TaskKind,
    }
}

oneof! {
    /// The types of tasks.
    TaskKind {
        /// Access is to be granted.
        Grant "grant": Box<TaskTypeGrant>,
        /// Access is to be revoked.
        Revoke "revoke": Box<TaskTypeRevoke>,
        /// Access is under review: it is to be certified, or not.
        Certify "certify": Box<TaskTypeCertify>,
        /// A user leaves: the access is to be taken away.
        Offboarding "offboarding": Box<TaskTypeOffboarding>,
        /// An action is to be run.
        Action "action": Box<TaskTypeAction>,
        /// A finding is to be dealt with.
        Finding "finding": Box<TaskTypeFinding>,
    }
}

message! {
    /// Access that is to be granted.
    TaskTypeGrant {
        /// The app.
        app_id "appId": AppId,
        /// The entitlement to grant.
        app_entitlement_id "appEntitlementId": EntitlementId,
        /// The account that gets it; empty if there is none yet.
        app_user_id "appUserId": AppUserId,
        /// The user who gets it; empty if it is for an account that no known user owns.
        identity_user_id "identityUserId": UserId,
        /// How long the access is to last; unset if no end was set.
        grant_duration "grantDuration": Option<SignedDuration>,
        /// Where the request came from.
        source "source": Option<Box<TaskGrantSource>>,
        /// The outcome.
        outcome "outcome": GrantOutcome,
        /// When the outcome was decided; unset before.
        outcome_time "outcomeTime": Option<Timestamp>,
    }
}

message! {
    /// Access that is to be revoked.
    TaskTypeRevoke {
        /// The app.
        app_id "appId": AppId,
        /// The entitlement to revoke.
        app_entitlement_id "appEntitlementId": EntitlementId,
        /// The account that loses it.
        app_user_id "appUserId": AppUserId,
        /// The user who loses it; empty if no known user owns the account.
        identity_user_id "identityUserId": UserId,
        /// Why it is to be revoked.
        source "source": Option<Box<TaskRevokeSource>>,
        /// The outcome.
        outcome "outcome": RevokeOutcome,
        /// When the outcome was decided; unset before.
        outcome_time "outcomeTime": Option<Timestamp>,
    }
    oneof {
        /// Who loses it, if not an account.
        principal: TaskPrincipal,
    }
}

message! {
    /// Access that is under review: a reviewer decides whether it should stay.
    TaskTypeCertify {
        /// The access review.
        access_review_id "accessReviewId": String,
        /// Id of the object in the access review that this task belongs to.
        access_review_selection "accessReviewSelection": String,
        /// The app.
        app_id "appId": AppId,
        /// The entitlement under review.
        app_entitlement_id "appEntitlementId": EntitlementId,
        /// The account that has it.
        app_user_id "appUserId": AppUserId,
        /// The user who has it; empty if no known user owns the account.
        identity_user_id "identityUserId": UserId,
        /// The outcome.
        outcome "outcome": CertifyOutcome,
        /// When the outcome was decided; unset before.
        outcome_time "outcomeTime": Option<Timestamp>,
    }
    oneof {
        /// Who has it, if not an account.
        principal: TaskPrincipal,
    }
}

oneof! {
    /// Who has the access that is under review or to be revoked, if not an account.
    TaskPrincipal {
        /// A resource, to which [`TaskView::principal_resource_path`] leads.
        Resource "resource": Box<AppResourceRef>,
    }
}

message! {
    /// A user who leaves, and whose access is to be taken away.
    TaskTypeOffboarding {
        /// The user who leaves.
        subject_user_id "subjectUserId": UserId,
        /// The outcome.
        outcome "outcome": OffboardingOutcome,
        /// When the outcome was decided; unset before.
        outcome_time "outcomeTime": Option<Timestamp>,
    }
}

message! {
    /// A finding that is to be dealt with: a risk that ConductorOne detected, such as a service
    /// account without an owner.
    TaskTypeFinding {
        /// The finding.
        finding_id "findingId": String,
        /// What kind of finding it is.
        finding_type "findingType": String,
        /// The outcome.
        outcome "outcome": FindingOutcome,
        /// When the outcome was decided; unset before.
        outcome_time "outcomeTime": Option<Timestamp>,
    }
}

message! {
    /// Where a request for access came from. What does not apply is empty.
    TaskGrantSource {
        /// The request's id in the system outside ConductorOne that it came from.
        request_id "requestId": String,
        /// The request's URL in that system.
        external_url "externalUrl": String,
        /// The integration through which it came.
        integration_id "integrationId": String,
        /// The conversation in which the task was created.
        conversation_id "conversationId": String,
        /// Whether the request is to extend a grant.
        is_extension "isExtension": bool,
    }
}

message! {
    /// Why access is to be revoked.
    TaskRevokeSource {
    }
    oneof {
        /// The reason, with what belongs to it.
        origin: TaskRevokeSourceOrigin,
    }
}

oneof! {
    /// The reasons to revoke access.
    TaskRevokeSourceOrigin {
        /// An access review did not certify it.
        Review "review": Box<TaskRevokeSourceReview>,
        /// Somebody requested it.
        Request "request": Box<TaskRevokeSourceRequest>,
        /// The grant expired.
        Expired "expired": Box<TaskRevokeSourceExpired>,
        /// The access was not used.
        NonUsage "nonUsage": Box<TaskRevokeSourceNonUsage>,
    }
}

message! {
    /// Access is to be revoked because the grant expired.
    TaskRevokeSourceExpired {
        /// When the grant expired.
        expired_at "expiredAt": Option<Timestamp>,
    }
}

message! {
    /// Access is to be revoked because it was not used.
    TaskRevokeSourceNonUsage {
        /// When the user last logged in; unset if that is not known.
        last_login "lastLogin": Option<Timestamp>,
        /// When the access expires.
        expires_at "expiresAt": Option<Timestamp>,
    }
}

message! {
    /// Access is to be revoked because somebody requested it.
    TaskRevokeSourceRequest {
        /// Who requested it.
        request_user_id "requestUserId": UserId,
    }
}

message! {
    /// Access is to be revoked because an access review did not certify it.
    TaskRevokeSourceReview {
        /// The access review.
        access_review_id "accessReviewId": String,
        /// The task of that review in which it was not certified.
        cert_ticket_id "certTicketId": TaskId,
    }
}

message! {
    /// An entitlement that is revoked along with another one, which is inherited from it.
    TaskRevocationTarget {
        /// The entitlement.
        entitlement_ref "entitlementRef": Option<Box<AppEntitlementRef>>,
    }
}

message! {
    /// A reference from a task to another system. ConductorOne does not use them at present.
    ExternalRef {
        /// The name to show.
        name "name": String,
        /// The URL.
        url "url": String,
        /// The system.
        external_ref_source "externalRefSource": ExternalRefSource,
    }
}

enumeration! {
    /// An action that a user may take on a task.
    PermittedAction {
        /// Not set.
        Unspecified "TASK_ACTION_TYPE_UNSPECIFIED",
        /// Close or cancel it.
        Close "TASK_ACTION_TYPE_CLOSE",
        /// Approve the current step.
        Approve "TASK_ACTION_TYPE_APPROVE",
        /// Deny the current step.
        Deny "TASK_ACTION_TYPE_DENY",
        /// Comment on it.
        Comment "TASK_ACTION_TYPE_COMMENT",
        /// Delete it.
        Delete "TASK_ACTION_TYPE_DELETE",
        /// Assign the current step to other users.
        Reassign "TASK_ACTION_TYPE_REASSIGN",
        /// Restart its policy.
        Restart "TASK_ACTION_TYPE_RESTART",
        /// Remind those who are to decide.
        SendReminder "TASK_ACTION_TYPE_SEND_REMINDER",
        /// Report that the provisioning step is done.
        ProvisionComplete "TASK_ACTION_TYPE_PROVISION_COMPLETE",
        /// Report that the provisioning step was cancelled.
        ProvisionCancelled "TASK_ACTION_TYPE_PROVISION_CANCELLED",
        /// Report that the provisioning step failed.
        ProvisionErrored "TASK_ACTION_TYPE_PROVISION_ERRORED",
        /// Report that a rollback was skipped.
        RollbackSkipped "TASK_ACTION_TYPE_ROLLBACK_SKIPPED",
        /// Report that the account for which to provision was created.
        ProvisionAppUserTargetCreated "TASK_ACTION_TYPE_PROVISION_APP_USER_TARGET_CREATED",
        /// Reset it and recompute its policy.
        HardReset "TASK_ACTION_TYPE_HARD_RESET",
        /// Make it one for emergency access.
        EscalateToEmergencyAccess "TASK_ACTION_TYPE_ESCALATE_TO_EMERGENCY_ACCESS",
        /// Give it another policy.
        ChangePolicy "TASK_ACTION_TYPE_CHANGE_POLICY",
        /// Recompute, from the base policy's decisions, whether it is denied.
        RecalculateDenialFromBasePolicyDecisions
            "TASK_ACTION_TYPE_RECALCULATE_DENIAL_FROM_BASE_POLICY_DECISIONS",
        /// Set its insights and the recommendation.
        SetInsightsAndRecommendation "TASK_ACTION_TYPE_SET_INSIGHTS_AND_RECOMMENDATION",
        /// Set its analysis.
        SetAnalysisId "TASK_ACTION_TYPE_SET_ANALYSIS_ID",
        /// Recompute who may decide the current step.
        RecalculateApproversList "TASK_ACTION_TYPE_RECALCULATE_APPROVERS_LIST",
        /// Process it at once.
        ProcessNow "TASK_ACTION_TYPE_PROCESS_NOW",
        /// Approve the current step after authenticating once more.
        ApproveWithStepUp "TASK_ACTION_TYPE_APPROVE_WITH_STEP_UP",
        /// Skip the current step.
        SkipStep "TASK_ACTION_TYPE_SKIP_STEP",
        /// Report that a rollback was cancelled.
        RollbackCancelled "TASK_ACTION_TYPE_ROLLBACK_CANCELLED",
        /// Change the data of the request.
        UpdateRequestData "TASK_ACTION_TYPE_UPDATE_REQUEST_DATA",
        /// Change how long the grant is to last.
        UpdateGrantDuration "TASK_ACTION_TYPE_UPDATE_GRANT_DURATION",
        /// Try to provision once more.
        RetryProvisioning "TASK_ACTION_TYPE_RETRY_PROVISIONING",
    }
}

enumeration! {
    /// Where a task was created.
    TaskOrigin {
        /// Not set.
        Unspecified "TASK_ORIGIN_UNSPECIFIED",
        /// By a rule for who is enrolled in an access profile.
        ProfileMembershipAutomation "TASK_ORIGIN_PROFILE_MEMBERSHIP_AUTOMATION",
        /// In Slack.
        Slack "TASK_ORIGIN_SLACK",
        /// Through the API.
        Api "TASK_ORIGIN_API",
        /// In Jira.
        Jira "TASK_ORIGIN_JIRA",
        /// In ConductorOne's Copilot.
        Copilot "TASK_ORIGIN_COPILOT",
        /// In ConductorOne's web application.
        Webapp "TASK_ORIGIN_WEBAPP",
        /// The grant expired.
        TimeRevoke "TASK_ORIGIN_TIME_REVOKE",
        /// The access was not used.
        NonUsageRevoke "TASK_ORIGIN_NON_USAGE_REVOKE",
        /// Somebody changed by hand who is enrolled in an access profile.
        ProfileMembershipManual "TASK_ORIGIN_PROFILE_MEMBERSHIP_MANUAL",
        /// It was created because of who is enrolled in an access profile.
        ProfileMembership "TASK_ORIGIN_PROFILE_MEMBERSHIP",
        /// By an automation.
        Automation "TASK_ORIGIN_AUTOMATION",
        /// In an access review.
        AccessReview "TASK_ORIGIN_ACCESS_REVIEW",
        /// It was created because something else was deleted.
        CascadeDelete "TASK_ORIGIN_CASCADE_DELETE",
    }
}

enumeration! {
    /// Whether ConductorOne is processing a task.
    TaskProcessing {
        /// Not set.
        Unspecified "TASK_PROCESSING_TYPE_UNSPECIFIED",
        /// ConductorOne is processing it.
        Processing "TASK_PROCESSING_TYPE_PROCESSING",
        /// It waits, such as for a decision.
        Waiting "TASK_PROCESSING_TYPE_WAITING",
        /// Processing is done.
        Done "TASK_PROCESSING_TYPE_DONE",
    }
}

enumeration! {
    /// What the insights recommend to those who decide.
    Recommendation {
        /// Not set.
        Unspecified "INSIGHT_RECOMMENDATION_UNSPECIFIED",
        /// To approve.
        Approve "INSIGHT_RECOMMENDATION_APPROVE",
        /// To deny.
        Deny "INSIGHT_RECOMMENDATION_DENY",
        /// To investigate.
        Review "INSIGHT_RECOMMENDATION_REVIEW",
    }
}

enumeration! {
    /// Whether a task is open.
    TaskState {
        /// Not set.
        Unspecified "TASK_STATE_UNSPECIFIED",
        /// It is open: there is something to decide or to do.
        Open "TASK_STATE_OPEN",
        /// It is closed. The task's type has the outcome.
        Closed "TASK_STATE_CLOSED",
    }
}

enumeration! {
    /// The outcome of a task to grant access.
    GrantOutcome {
        /// Not set: there is no outcome yet.
        Unspecified "GRANT_OUTCOME_UNSPECIFIED",
        /// The access was granted.
        Granted "GRANT_OUTCOME_GRANTED",
        /// The request was denied.
        Denied "GRANT_OUTCOME_DENIED",
        /// It failed.
        Error "GRANT_OUTCOME_ERROR",
        /// The task was cancelled.
        Cancelled "GRANT_OUTCOME_CANCELLED",
        /// A wait step timed out.
        WaitTimedOut "GRANT_OUTCOME_WAIT_TIMED_OUT",
    }
}

enumeration! {
    /// The outcome of a task to revoke access.
    RevokeOutcome {
        /// Not set: there is no outcome yet.
        Unspecified "REVOKE_OUTCOME_UNSPECIFIED",
        /// The access was revoked.
        Revoked "REVOKE_OUTCOME_REVOKED",
        /// The revocation was denied: the access stays.
        Denied "REVOKE_OUTCOME_DENIED",
        /// It failed.
        Error "REVOKE_OUTCOME_ERROR",
        /// The task was cancelled.
        Cancelled "REVOKE_OUTCOME_CANCELLED",
        /// A wait step timed out.
        WaitTimedOut "REVOKE_OUTCOME_WAIT_TIMED_OUT",
    }
}

enumeration! {
    /// The outcome of a review of access.
    CertifyOutcome {
        /// Not set: there is no outcome yet.
        Unspecified "CERTIFY_OUTCOME_UNSPECIFIED",
        /// The access should stay.
        Certified "CERTIFY_OUTCOME_CERTIFIED",
        /// The access should not stay.
        Decertified "CERTIFY_OUTCOME_DECERTIFIED",
        /// It failed.
        Error "CERTIFY_OUTCOME_ERROR",
        /// The task was cancelled.
        Cancelled "CERTIFY_OUTCOME_CANCELLED",
        /// A wait step timed out.
        WaitTimedOut "CERTIFY_OUTCOME_WAIT_TIMED_OUT",
    }
}

enumeration! {
    /// The outcome of a user's offboarding.
    OffboardingOutcome {
        /// Not set: there is no outcome yet.
        Unspecified "OFFBOARDING_OUTCOME_UNSPECIFIED",
        /// It is under way.
        InProgress "OFFBOARDING_OUTCOME_IN_PROGRESS",
        /// It is done.
        Done "OFFBOARDING_OUTCOME_DONE",
        /// It failed.
        Error "OFFBOARDING_OUTCOME_ERROR",
        /// The task was cancelled.
        Cancelled "OFFBOARDING_OUTCOME_CANCELLED",
    }
}

enumeration! {
    /// The outcome of a task to deal with a finding.
    FindingOutcome {
        /// Not set: there is no outcome yet.
        Unspecified "FINDING_TASK_OUTCOME_UNSPECIFIED",
        /// The risk was removed.
        Remediated "FINDING_TASK_OUTCOME_REMEDIATED",
        /// The risk was accepted.
        RiskAccepted "FINDING_TASK_OUTCOME_RISK_ACCEPTED",
        /// The task was cancelled.
        Cancelled "FINDING_TASK_OUTCOME_CANCELLED",
    }
}

enumeration! {
    /// The system that a task's reference leads to.
    ExternalRefSource {
        /// Not set.
        Unspecified "UNSPECIFIED",
        /// Jira.
        Jira "JIRA",
    }
}
