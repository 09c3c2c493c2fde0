//! Approval steps as a policy defines them: who decides, and what happens if
//! nobody does.

use super::app::AppEntitlementReference;
use super::ids::{AppId, EntitlementId, UserId, WebhookConfigId};
use super::wire::{enumeration, message, oneof};

message! {
    /// An approval step of a policy: somebody approves or denies the task.
    Approval {
        /// Whether the step has been assigned. ConductorOne sets it.
        assigned "assigned": bool,
        /// Whether the step may go to an approver's delegate.
        allow_delegation "allowDelegation": bool,
        /// Whether approvers may reassign the step.
        allow_reassignment "allowReassignment": bool,
        /// The users to whom approvers may reassign the step; empty: any user.
        allowed_reassignees "allowedReassignees": Vec<String>,
        /// Whether approving takes a reason.
        require_approval_reason "requireApprovalReason": bool,
        /// Whether denying takes a reason.
        require_denial_reason "requireDenialReason": bool,
        /// Whether reassigning takes a reason.
        require_reassignment_reason "requireReassignmentReason": bool,
        /// The provider of the step-up authentication that approvers must pass
        /// before they approve; empty: none is required.
        requires_step_up_provider_id "requiresStepUpProviderId": String,
        /// Whether `escalation` applies.
        escalation_enabled "escalationEnabled": bool,
        /// What happens if nobody decides in time.
        escalation "escalation": Option<Box<Escalation>>,
    }
    oneof {
        /// Who decides.
        kind: ApprovalKind,
    }
}

oneof! {
    /// Who decides in an approval step.
    ApprovalKind {
        /// Certain users.
        Users "users": Box<UserApproval>,
        /// The manager of the user whom the task is about.
        Manager "manager": Box<ManagerApproval>,
        /// The app's owners.
        AppOwners "appOwners": Box<AppOwnerApproval>,
        /// The members of a group.
        Group "group": Box<AppGroupApproval>,
        /// The user whom the task is about.
        SelfApproval "self": Box<SelfApproval>,
        /// The entitlement's owners.
        EntitlementOwners "entitlementOwners": Box<EntitlementOwnerApproval>,
        /// The users that expressions lead to.
        Expression "expression": Box<ExpressionApproval>,
        /// The receiver of a webhook.
        Webhook "webhook": Box<WebhookApproval>,
        /// The resource's owners.
        ResourceOwners "resourceOwners": Box<ResourceOwnerApproval>,
        /// An automated agent.
        Agent "agent": Box<AgentApproval>,
    }
}

message! {
    /// An automated agent handles the step.
    AgentApproval {
        /// The agent's user. ConductorOne has deprecated it: agents need no user
        /// any more, and it is empty in newer policies.
        agent_user_id "agentUserId": UserId,
        /// What the agent may do.
        agent_mode "agentMode": AgentMode,
        /// The agent's instructions.
        instructions "instructions": String,
        /// The policies under which the agent may put the task.
        policy_ids "policyIds": Vec<String>,
        /// What happens if the agent fails.
        agent_failure_action "agentFailureAction": AgentFailureAction,
        /// Who gets the step if the agent fails, under
        /// [`AgentFailureAction::ReassignToUsers`].
        reassign_to_user_ids "reassignToUserIds": Vec<UserId>,
    }
}

message! {
    /// The members of a group decide.
    AppGroupApproval {
        /// The group, which is an entitlement of the app.
        app_group_id "appGroupId": EntitlementId,
        /// The app that the group belongs to.
        app_id "appId": AppId,
        /// Whether others decide if the group is empty.
        fallback "fallback": bool,
        /// Whether to fall back to groups instead of users.
        is_group_fallback_enabled "isGroupFallbackEnabled": bool,
        /// The users to fall back to.
        fallback_user_ids "fallbackUserIds": Vec<UserId>,
        /// The groups to fall back to; each is an entitlement of an app.
        fallback_group_ids "fallbackGroupIds": Vec<AppEntitlementReference>,
        /// Whether members may decide on tasks about themselves.
        allow_self_approval "allowSelfApproval": bool,
        /// Whether those who approved an earlier step may not approve this one.
        require_distinct_approvers "requireDistinctApprovers": bool,
    }
}

message! {
    /// The app's owners decide.
    AppOwnerApproval {
        /// Whether owners may decide on tasks about themselves.
        allow_self_approval "allowSelfApproval": bool,
        /// Whether those who approved an earlier step may not approve this one.
        require_distinct_approvers "requireDistinctApprovers": bool,
    }
}

message! {
    /// The entitlement's owners decide.
    EntitlementOwnerApproval {
        /// Whether others decide if no owner is found.
        fallback "fallback": bool,
        /// Whether to fall back to groups instead of users.
        is_group_fallback_enabled "isGroupFallbackEnabled": bool,
        /// The users to fall back to.
        fallback_user_ids "fallbackUserIds": Vec<UserId>,
        /// The groups to fall back to; each is an entitlement of an app.
        fallback_group_ids "fallbackGroupIds": Vec<AppEntitlementReference>,
        /// Whether owners may decide on tasks about themselves.
        allow_self_approval "allowSelfApproval": bool,
        /// Whether those who approved an earlier step may not approve this one.
        require_distinct_approvers "requireDistinctApprovers": bool,
    }
}

message! {
    /// The users that expressions lead to decide.
    ExpressionApproval {
        /// The expressions, in CEL; the first that leads to any users counts.
        expressions "expressions": Vec<String>,
        /// The users to whom the step was assigned. ConductorOne sets it.
        assigned_user_ids "assignedUserIds": Vec<UserId>,
        /// Whether others decide if no expression leads to users.
        fallback "fallback": bool,
        /// Whether to fall back to groups instead of users.
        is_group_fallback_enabled "isGroupFallbackEnabled": bool,
        /// The users to fall back to.
        fallback_user_ids "fallbackUserIds": Vec<UserId>,
        /// The groups to fall back to; each is an entitlement of an app.
        fallback_group_ids "fallbackGroupIds": Vec<AppEntitlementReference>,
        /// Whether these users may decide on tasks about themselves.
        allow_self_approval "allowSelfApproval": bool,
        /// Whether those who approved an earlier step may not approve this one.
        require_distinct_approvers "requireDistinctApprovers": bool,
    }
}

message! {
    /// The manager of the user whom the task is about decides.
    ManagerApproval {
        /// The users who were found to be the manager. ConductorOne sets it.
        assigned_user_ids "assignedUserIds": Vec<UserId>,
        /// Whether others decide if no manager is found.
        fallback "fallback": bool,
        /// Whether to fall back to groups instead of users.
        is_group_fallback_enabled "isGroupFallbackEnabled": bool,
        /// The users to fall back to.
        fallback_user_ids "fallbackUserIds": Vec<UserId>,
        /// The groups to fall back to; each is an entitlement of an app.
        fallback_group_ids "fallbackGroupIds": Vec<AppEntitlementReference>,
        /// Whether users who are their own managers may decide. (The owner of a
        /// service account may be its manager, too.)
        allow_self_approval "allowSelfApproval": bool,
        /// Whether those who approved an earlier step may not approve this one.
        require_distinct_approvers "requireDistinctApprovers": bool,
    }
}

message! {
    /// The resource's owners decide.
    ResourceOwnerApproval {
        /// Whether others decide if no owner is found.
        fallback "fallback": bool,
        /// Whether to fall back to groups instead of users.
        is_group_fallback_enabled "isGroupFallbackEnabled": bool,
        /// The users to fall back to.
        fallback_user_ids "fallbackUserIds": Vec<UserId>,
        /// The groups to fall back to; each is an entitlement of an app.
        fallback_group_ids "fallbackGroupIds": Vec<AppEntitlementReference>,
        /// Whether owners may decide on tasks about themselves.
        allow_self_approval "allowSelfApproval": bool,
        /// Whether those who approved an earlier step may not approve this one.
        require_distinct_approvers "requireDistinctApprovers": bool,
    }
}

message! {
    /// The user whom the task is about decides, as the owner of the account.
    SelfApproval {
        /// The users who were found to be the account's owner: at most one. It is
        /// kept since the owner may change while the task is open. ConductorOne
        /// sets it.
        assigned_user_ids "assignedUserIds": Vec<UserId>,
        /// Whether others decide if the account's owner is not found.
        fallback "fallback": bool,
        /// Whether to fall back to groups instead of users.
        is_group_fallback_enabled "isGroupFallbackEnabled": bool,
        /// The users to fall back to.
        fallback_user_ids "fallbackUserIds": Vec<UserId>,
        /// The groups to fall back to; each is an entitlement of an app.
        fallback_group_ids "fallbackGroupIds": Vec<AppEntitlementReference>,
    }
}

message! {
    /// Certain users decide.
    UserApproval {
        /// The users.
        user_ids "userIds": Vec<UserId>,
        /// Whether they may decide on tasks about themselves.
        allow_self_approval "allowSelfApproval": bool,
        /// Whether those who approved an earlier step may not approve this one.
        require_distinct_approvers "requireDistinctApprovers": bool,
    }
}

message! {
    /// The receiver of a webhook decides. If the webhook fails permanently, the
    /// policy continues.
    WebhookApproval {
        /// The webhook that is called.
        webhook_id "webhookId": WebhookConfigId,
    }
}

message! {
    /// What happens to an approval step if nobody decides in time.
    Escalation {
        /// A comment that the task gets then.
        escalation_comment "escalationComment": String,
        /// How long the step may stay undecided. ConductorOne does not document
        /// the unit; for the current step of a task, see
        /// [`EscalationInstance::expires_at`](super::instance::EscalationInstance::expires_at).
        expiration "expiration": i64,
    }
    oneof {
        /// What is done then.
        escalation_policy: EscalationPolicy,
    }
}

oneof! {
    /// The action on an approval step that nobody decided in time.
    EscalationPolicy {
        /// The task is put under another policy.
        ReplacePolicy "replacePolicy": Box<ReplacePolicy>,
        /// The step is reassigned to other approvers.
        ReassignToApprovers "reassignToApprovers": Box<ReassignToApprovers>,
        /// The task is cancelled.
        CancelTicket "cancelTicket": Box<CancelTicket>,
        /// The step is skipped.
        SkipStep "skipStep": Box<SkipStep>,
    }
}

message! {
    /// An escalation that puts the task under another policy.
    ReplacePolicy {
        /// The other policy.
        policy_id "policyId": String,
    }
}

message! {
    /// An escalation that reassigns the step to other approvers.
    ReassignToApprovers {
        /// The other approvers.
        approver_ids "approverIds": Vec<UserId>,
    }
}

message! {
    /// An escalation that cancels the task. There is nothing to configure.
    CancelTicket {
    }
}

message! {
    /// An escalation that skips the step. There is nothing to configure.
    SkipStep {
    }
}

enumeration! {
    /// What happens if an agent fails to approve, deny or reassign a task.
    AgentFailureAction {
        /// Not set.
        Unspecified "APPROVAL_AGENT_FAILURE_ACTION_UNSPECIFIED",
        /// The step is reassigned to the users in
        /// [`AgentApproval::reassign_to_user_ids`].
        ReassignToUsers "APPROVAL_AGENT_FAILURE_ACTION_REASSIGN_TO_USERS",
        /// The step is reassigned to the tenant's super administrators.
        ReassignToSuperAdmins "APPROVAL_AGENT_FAILURE_ACTION_REASSIGN_TO_SUPER_ADMINS",
        /// The step is skipped.
        SkipPolicyStep "APPROVAL_AGENT_FAILURE_ACTION_SKIP_POLICY_STEP",
    }
}

enumeration! {
    /// What an agent may do with a task.
    AgentMode {
        /// Not set.
        Unspecified "APPROVAL_AGENT_MODE_UNSPECIFIED",
        /// It has full control of the task.
        FullControl "APPROVAL_AGENT_MODE_FULL_CONTROL",
        /// It may only put the task under one of [`AgentApproval::policy_ids`].
        ChangePolicyOnly "APPROVAL_AGENT_MODE_CHANGE_POLICY_ONLY",
        /// It may only comment.
        CommentOnly "APPROVAL_AGENT_MODE_COMMENT_ONLY",
    }
}
