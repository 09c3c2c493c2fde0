//! Steps of a policy as they run for a task: the state of each, and how it ended.

use super::app::AppEntitlementReference;
use super::approval::Approval;
use super::form::RequestSchemaForm;
use super::ids::{DeliveryId, UserId, WebhookConfigId};
use super::policy::{Action, Policy, PolicyStep};
use super::provision::{Provision, ProvisionWaitingOn};
use super::scalar::{SignedDuration, Timestamp};
use super::unknown::Json;
use super::wire::{enumeration, message, oneof};

message! {
    /// A policy as it runs for a task: the steps done, the current step, and those to
    /// come.
    PolicyInstance {
        /// The policy.
        policy "policy": Option<Box<Policy>>,
        /// The current step.
        current "current": Option<Box<PolicyStepInstance>>,
        /// The steps to come, in order.
        next "next": Vec<PolicyStep>,
        /// The steps done, in order, with their outcomes.
        history "history": Vec<PolicyStepInstance>,
    }
}

message! {
    /// A step of a policy that a task has reached.
    PolicyStepInstance {
        /// The step's id in this task, for calls to ConductorOne's API.
        id "id": String,
        /// The version of the policy from which the step was made.
        policy_generation_id "policyGenerationId": String,
        /// Whether the step is current or done.
        state "state": PolicyStepInstanceState,
    }
    oneof {
        /// What is done in the step, and its state.
        instance: PolicyStepInstanceKind,
    }
}

oneof! {
    /// What is done in a step, and its state.
    PolicyStepInstanceKind {
        /// Somebody approves or denies.
        Approval "approval": Box<ApprovalInstance>,
        /// The access is granted or revoked.
        Provision "provision": Box<ProvisionInstance>,
        /// The task is approved, and the approval ends.
        Accept "accept": Box<AcceptInstance>,
        /// The task is denied, and the approval ends.
        Reject "reject": Box<RejectInstance>,
        /// The task waits for a condition or a time.
        Wait "wait": Box<WaitInstance>,
        /// Somebody fills in a form.
        Form "form": Box<FormInstance>,
        /// Something else is set off, such as an automation.
        Action "action": Box<ActionInstance>,
    }
}

message! {
    /// An approval step that is current or done.
    ApprovalInstance {
        /// The step as it is defined: who decides, and how.
        approval "approval": Option<Box<Approval>>,
        /// What happens if nobody decides in time, and when.
        escalation_instance "escalationInstance": Option<Box<EscalationInstance>>,
        /// The step's state.
        state "state": ApprovalInstanceState,
        /// When it was assigned to those who decide.
        assigned_at "assignedAt": Option<Timestamp>,
    }
    oneof {
        /// How it ended; unset until then.
        outcome: ApprovalInstanceOutcome,
    }
}

oneof! {
    /// How an approval step ended.
    ApprovalInstanceOutcome {
        /// It was approved.
        Approved "approved": Box<ApprovedAction>,
        /// It was denied.
        Denied "denied": Box<DeniedAction>,
        /// Somebody reassigned it, in a new step.
        Reassigned "reassigned": Box<ReassignedAction>,
        /// Somebody restarted the task.
        Restarted "restarted": Box<RestartAction>,
        /// ConductorOne reassigned it, in a new step, because of an error.
        ReassignedByError "reassignedByError": Box<ReassignedByErrorAction>,
        /// It was skipped.
        Skipped "skipped": Box<SkippedAction>,
    }
}

message! {
    /// A provisioning step that is current or done.
    ProvisionInstance {
        /// The step as it is defined: what is granted or revoked, and how.
        provision "provision": Option<Box<Provision>>,
        /// The webhook that provisions; empty if none does.
        webhook_id "webhookId": WebhookConfigId,
        /// The delivery of that webhook for this step.
        webhook_instance_id "webhookInstanceId": DeliveryId,
        /// The ticket in an external system; empty if there is none.
        external_ticket_id "externalTicketId": String,
        /// The configuration by which the external ticket is handled.
        external_ticket_provisioner_config_id "externalTicketProvisionerConfigId": String,
        /// The call of an account lifecycle action of a connector; empty if there
        /// is none.
        baton_action_invocation_id "batonActionInvocationId": String,
        /// The notification that was sent about this step.
        notification_id "notificationId": String,
        /// The step's state.
        state "state": ProvisionInstanceState,
        /// What it waits for; unset if it waits for nothing of this kind.
        waiting_on "waitingOn": Option<Box<ProvisionWaitingOn>>,
    }
    oneof {
        /// How it ended; unset until then.
        outcome: ProvisionInstanceOutcome,
    }
}

oneof! {
    /// How a provisioning step ended.
    ProvisionInstanceOutcome {
        /// It was completed.
        Completed "completed": Box<CompletedAction>,
        /// It was cancelled.
        Cancelled "cancelled": Box<CancelledAction>,
        /// It failed.
        Errored "errored": Box<ErroredAction>,
        /// It failed, and ConductorOne reassigned it, in a new step.
        ReassignedByError "reassignedByError": Box<ReassignedByErrorAction>,
        /// It was skipped.
        Skipped "skipped": Box<SkippedAction>,
    }
}

message! {
    /// The task has reached a step that approves it.
    AcceptInstance {
        /// A comment that the task gets; empty: none.
        accept_message "acceptMessage": String,
    }
}

message! {
    /// The task has reached a step that denies it.
    RejectInstance {
        /// A comment that the task gets; empty: none.
        reject_message "rejectMessage": String,
    }
}

message! {
    /// A wait step that is current or done.
    WaitInstance {
        /// The name that users see with the task.
        name "name": String,
        /// A comment that the task gets if the condition does not hold at the
        /// first check; empty: none.
        comment_on_first_wait "commentOnFirstWait": String,
        /// A comment that the task gets if the wait times out; empty: none.
        comment_on_timeout "commentOnTimeout": String,
        /// The step's state.
        state "state": WaitInstanceState,
        /// When the wait began.
        started_waiting_at "startedWaitingAt": Option<Timestamp>,
        /// When the wait times out.
        timeout "timeout": Option<Timestamp>,
        /// How long to wait at most.
        timeout_duration "timeoutDuration": Option<SignedDuration>,
    }
    oneof {
        /// What the task waits for.
        until: WaitInstanceUntil,
        /// How it ended; unset until then.
        outcome: WaitInstanceOutcome,
    }
}

oneof! {
    /// What a wait step waits for.
    WaitInstanceUntil {
        /// A condition.
        Condition "condition": Box<WaitConditionInstance>,
        /// A point in time.
        UntilTime "untilTime": Box<WaitUntilTimeInstance>,
    }
}

oneof! {
    /// How a wait step ended.
    WaitInstanceOutcome {
        /// The condition held, or the time came.
        Succeeded "succeeded": Box<ConditionSucceeded>,
        /// The wait timed out.
        TimedOut "timedOut": Box<ConditionTimedOut>,
        /// The step was skipped.
        Skipped "skipped": Box<SkippedAction>,
    }
}

message! {
    /// The condition that a task waits for.
    WaitConditionInstance {
        /// The condition, in CEL.
        condition "condition": String,
    }
}

message! {
    /// The point in time that a task waits for.
    WaitUntilTimeInstance {
        /// The point in time.
        until_time "untilTime": Option<Timestamp>,
        /// The length of the wait, if there is one.
        duration_if_exists "durationIfExists": Option<SignedDuration>,
    }
}

message! {
    /// A form step that is current or done.
    FormInstance {
        /// The form.
        form "form": Option<Box<RequestSchemaForm>>,
        /// What was filled in: a free-form object.
        data "data": Option<Json>,
        /// The step's state.
        state "state": FormInstanceState,
    }
    oneof {
        /// How it ended; unset until then.
        outcome: FormInstanceOutcome,
    }
}

oneof! {
    /// How a form step ended.
    FormInstanceOutcome {
        /// The form was filled in.
        Completed "completed": Box<FormCompletedAction>,
        /// Somebody restarted the task.
        Restarted "restarted": Box<RestartAction>,
        /// Somebody reassigned it, in a new step.
        Reassigned "reassigned": Box<ReassignedAction>,
        /// It was skipped.
        Skipped "skipped": Box<SkippedAction>,
    }
}

message! {
    /// An action step that is current or done.
    ActionInstance {
        /// The step as it is defined: what it sets off.
        action "action": Option<Box<Action>>,
        /// The step's state.
        state "state": ActionInstanceState,
    }
    oneof {
        /// What it has set off.
        target: ActionInstanceTarget,
        /// How it ended; unset until then.
        outcome: ActionInstanceOutcome,
    }
}

oneof! {
    /// What an action step has set off.
    ActionInstanceTarget {
        /// A run of an automation.
        Automation "automation": Box<ActionTargetAutomationInstance>,
        /// A call of a connector's action on a resource.
        BatonResourceAction "batonResourceActionInstance":
            Box<ActionTargetBatonResourceActionInstance>,
        /// An administrator's review of an external OAuth client.
        ClientIdApproval "clientIdApprovalInstance": Box<ActionTargetClientIdApprovalInstance>,
    }
}

oneof! {
    /// How an action step ended.
    ActionInstanceOutcome {
        /// The action succeeded.
        Success "success": Box<ActionOutcomeSuccess>,
        /// The action was denied.
        Denied "denied": Box<ActionOutcomeDenied>,
        /// The action failed.
        Error "error": Box<ActionOutcomeError>,
        /// The action was cancelled.
        Cancelled "cancelled": Box<ActionOutcomeCancelled>,
    }
}

message! {
    /// A run of an automation that an action step has set off.
    ActionTargetAutomationInstance {
        /// The run.
        automation_execution_id "automationExecutionId": String,
    }
}

message! {
    /// A call of a connector's action on a resource that an action step has set
    /// off.
    ActionTargetBatonResourceActionInstance {
        /// The call.
        baton_action_invocation_id "batonActionInvocationId": String,
    }
}

message! {
    /// An administrator's review of an external OAuth client that an action step
    /// has set off.
    ActionTargetClientIdApprovalInstance {
        /// The URL that is the client's id.
        client_id_url "clientIdUrl": String,
    }
}

message! {
    /// What happens to the current approval step if nobody decides in time.
    EscalationInstance {
        /// A comment that the task gets then.
        escalation_comment "escalationComment": String,
        /// Whether it has happened.
        already_escalated "alreadyEscalated": bool,
        /// When it happens.
        expires_at "expiresAt": Option<Timestamp>,
    }
    oneof {
        /// What is done then.
        escalation_policy: EscalationInstancePolicy,
    }
}

oneof! {
    /// The action on the current approval step if nobody decides in time.
    EscalationInstancePolicy {
        /// The task is put under another policy.
        ReplacePolicy "replacePolicy": Box<EscalationInstanceReplacePolicy>,
        /// The step is reassigned to other approvers.
        ReassignToApprovers "reassignToApprovers": Box<EscalationInstanceReassignToApprovers>,
        /// The task is cancelled.
        CancelTicket "cancelTicket": Box<EscalationInstanceCancelTicket>,
        /// The step is skipped.
        SkipStep "skipStep": Box<EscalationInstanceSkipStep>,
    }
}

message! {
    /// An escalation that cancels the task. It has no fields.
    EscalationInstanceCancelTicket {
    }
}

message! {
    /// An escalation that reassigns the step to other approvers.
    EscalationInstanceReassignToApprovers {
        /// The other approvers.
        approver_ids "approverIds": Vec<UserId>,
    }
}

message! {
    /// An escalation that puts the task under another policy.
    EscalationInstanceReplacePolicy {
        /// The other policy.
        policy_id "policyId": String,
    }
}

message! {
    /// An escalation that skips the step. It has no fields.
    EscalationInstanceSkipStep {
    }
}

message! {
    /// An approval step was approved.
    ApprovedAction {
        /// Who approved it.
        user_id "userId": UserId,
        /// What was approved: a list of one entitlement.
        entitlements "entitlements": Vec<AppEntitlementReference>,
        /// The step-up authentication that the approver passed; empty if none was
        /// required.
        step_up_transaction_id "stepUpTransactionId": String,
        /// When it was approved.
        approved_at "approvedAt": Option<Timestamp>,
    }
}

message! {
    /// An approval step was denied.
    DeniedAction {
        /// Who denied it.
        user_id "userId": UserId,
        /// When it was denied.
        denied_at "deniedAt": Option<Timestamp>,
    }
}

message! {
    /// A step was reassigned.
    ReassignedAction {
        /// Who reassigned it.
        user_id "userId": UserId,
        /// The new step, which takes its place.
        new_policy_step_id "newPolicyStepId": String,
        /// When it was reassigned.
        reassigned_at "reassignedAt": Option<Timestamp>,
    }
}

message! {
    /// A step failed, and ConductorOne reassigned it.
    ReassignedByErrorAction {
        /// What went wrong.
        description "description": String,
        /// More about the error, such as an HTTP status or a library's message.
        error_code "errorCode": String,
        /// Who reassigned it: always ConductorOne's own user.
        error_user_id "errorUserId": UserId,
        /// The new step, which takes its place.
        new_policy_step_id "newPolicyStepId": String,
        /// When it failed.
        errored_at "erroredAt": Option<Timestamp>,
        /// When it was reassigned.
        reassigned_at "reassignedAt": Option<Timestamp>,
    }
}

message! {
    /// A step was ended by a restart of the task. A restart ends all steps that
    /// were still to come, too.
    RestartAction {
        /// Who restarted the task.
        user_id "userId": UserId,
        /// The step at which the task was restarted; the same for all steps that
        /// one restart ended.
        old_policy_step_id "oldPolicyStepId": String,
        /// When the task was restarted.
        restarted_at "restartedAt": Option<Timestamp>,
    }
}

message! {
    /// A step was skipped.
    SkippedAction {
        /// Who skipped it.
        user_id "userId": UserId,
        /// The new step, which was made because of that.
        new_policy_step_id "newPolicyStepId": String,
        /// When it was skipped.
        skipped_at "skippedAt": Option<Timestamp>,
    }
}

message! {
    /// A form was filled in.
    FormCompletedAction {
        /// Who filled it in.
        user_id "userId": UserId,
        /// When it was filled in.
        completed_at "completedAt": Option<Timestamp>,
    }
}

message! {
    /// A provisioning step was cancelled.
    CancelledAction {
        /// Who cancelled it: mostly ConductorOne's own user.
        cancelled_by_user_id "cancelledByUserId": UserId,
        /// When it was cancelled.
        cancelled_at "cancelledAt": Option<Timestamp>,
    }
}

message! {
    /// A provisioning step was completed.
    CompletedAction {
        /// Who completed it: ConductorOne's own user if a connector did, or the
        /// user who did it by hand and reported it.
        user_id "userId": UserId,
        /// What was provisioned: a list of one entitlement.
        entitlements "entitlements": Vec<AppEntitlementReference>,
        /// When it was completed.
        completed_at "completedAt": Option<Timestamp>,
    }
}

message! {
    /// A provisioning step failed.
    ErroredAction {
        /// What went wrong.
        description "description": String,
        /// The error's code. ConductorOne documents only `PEC-1`, and that more
        /// will come.
        error_code "errorCode": String,
        /// When it failed.
        errored_at "erroredAt": Option<Timestamp>,
    }
}

message! {
    /// An action succeeded.
    ActionOutcomeSuccess {
        /// When it succeeded.
        outcome_time "outcomeTime": Option<Timestamp>,
    }
}

message! {
    /// An action was denied.
    ActionOutcomeDenied {
        /// When it was denied.
        outcome_time "outcomeTime": Option<Timestamp>,
    }
}

message! {
    /// An action failed.
    ActionOutcomeError {
        /// The error's code.
        error_code "errorCode": String,
        /// What went wrong.
        error_message "errorMessage": String,
        /// When it failed.
        outcome_time "outcomeTime": Option<Timestamp>,
    }
}

message! {
    /// An action was cancelled.
    ActionOutcomeCancelled {
        /// When it was cancelled.
        outcome_time "outcomeTime": Option<Timestamp>,
    }
}

message! {
    /// A wait step's condition held, or its time came.
    ConditionSucceeded {
        /// When that was.
        succeeded_at "succeededAt": Option<Timestamp>,
    }
}

message! {
    /// A wait step timed out.
    ConditionTimedOut {
        /// When the wait timed out.
        timed_out_at "timedOutAt": Option<Timestamp>,
    }
}

enumeration! {
    /// Whether a step is at work or over.
    PolicyStepInstanceState {
        /// Not set.
        Unspecified "POLICY_STEP_STATE_UNSPECIFIED",
        /// It is current.
        Active "POLICY_STEP_STATE_ACTIVE",
        /// It is done.
        Done "POLICY_STEP_STATE_DONE",
    }
}

enumeration! {
    /// The state of an approval step.
    ApprovalInstanceState {
        /// Not set.
        Unspecified "APPROVAL_INSTANCE_STATE_UNSPECIFIED",
        /// It begins.
        Init "APPROVAL_INSTANCE_STATE_INIT",
        /// Notifications are being sent.
        SendingNotifications "APPROVAL_INSTANCE_STATE_SENDING_NOTIFICATIONS",
        /// It waits for a decision.
        Waiting "APPROVAL_INSTANCE_STATE_WAITING",
        /// It is done.
        Done "APPROVAL_INSTANCE_STATE_DONE",
    }
}

enumeration! {
    /// The state of a provisioning step.
    ProvisionInstanceState {
        /// Not set.
        Unspecified "PROVISION_INSTANCE_STATE_UNSPECIFIED",
        /// It begins.
        Init "PROVISION_INSTANCE_STATE_INIT",
        /// The connector's work is being set up.
        CreateConnectorActionsForTarget
            "PROVISION_INSTANCE_STATE_CREATE_CONNECTOR_ACTIONS_FOR_TARGET",
        /// Notifications are being sent.
        SendingNotifications "PROVISION_INSTANCE_STATE_SENDING_NOTIFICATIONS",
        /// It waits until the access is provisioned.
        Waiting "PROVISION_INSTANCE_STATE_WAITING",
        /// The webhook is being called.
        Webhook "PROVISION_INSTANCE_STATE_WEBHOOK",
        /// It waits for the webhook's answer.
        WebhookWaiting "PROVISION_INSTANCE_STATE_WEBHOOK_WAITING",
        /// The ticket in the external system is being made.
        ExternalTicket "PROVISION_INSTANCE_STATE_EXTERNAL_TICKET",
        /// It waits for the external ticket to be resolved.
        ExternalTicketWaiting "PROVISION_INSTANCE_STATE_EXTERNAL_TICKET_WAITING",
        /// The account lifecycle action is being called.
        AccountLifecycleActions "PROVISION_INSTANCE_STATE_ACCOUNT_LIFECYCLE_ACTIONS",
        /// It waits for the account lifecycle action to end.
        AccountLifecycleActionsWaiting "PROVISION_INSTANCE_STATE_ACCOUNT_LIFECYCLE_ACTIONS_WAITING",
        /// It is done.
        Done "PROVISION_INSTANCE_STATE_DONE",
        /// The access is being placed on a device.
        DevicePlacement "PROVISION_INSTANCE_STATE_DEVICE_PLACEMENT",
    }
}

enumeration! {
    /// The state of a wait step.
    WaitInstanceState {
        /// Not set.
        Unspecified "WAIT_INSTANCE_STATE_UNSPECIFIED",
        /// It waits.
        Waiting "WAIT_INSTANCE_STATE_WAITING",
        /// The wait is over.
        Completed "WAIT_INSTANCE_STATE_COMPLETED",
        /// The wait timed out.
        TimedOut "WAIT_INSTANCE_STATE_TIMED_OUT",
    }
}

enumeration! {
    /// The state of a form step.
    FormInstanceState {
        /// Not set.
        Unspecified "FORM_INSTANCE_STATE_UNSPECIFIED",
        /// It waits for the form to be filled in.
        Waiting "FORM_INSTANCE_STATE_WAITING",
        /// It is done.
        Done "FORM_INSTANCE_STATE_DONE",
    }
}

enumeration! {
    /// The state of an action step.
    ActionInstanceState {
        /// Not set.
        Unspecified "ACTION_INSTANCE_STATE_UNSPECIFIED",
        /// It begins.
        Init "ACTION_INSTANCE_STATE_INIT",
        /// The action is running.
        Running "ACTION_INSTANCE_STATE_RUNNING",
        /// It is done.
        Done "ACTION_INSTANCE_STATE_DONE",
        /// The action failed.
        Error "ACTION_INSTANCE_STATE_ERROR",
    }
}
