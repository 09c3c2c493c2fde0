//! Policies: the steps that a task goes through, as an administrator defines them.

use std::collections::BTreeMap;

use super::approval::Approval;
use super::form::RequestSchemaForm;
use super::ids::{AppId, EntitlementId};
use super::provision::Provision;
use super::scalar::{SignedDuration, Timestamp};
use super::wire::{enumeration, message, oneof};

message! {
    /// A policy: the steps that a task goes through, as an administrator defines them.
    Policy {
        /// The policy's id.
        id "id": String,
        /// The policy's name for users.
        display_name "displayName": String,
        /// What the policy is for.
        description "description": String,
        /// Which tasks the policy is for.
        policy_type "policyType": PolicyType,
        /// Whether it came with ConductorOne and cannot be edited.
        system_builtin "systemBuiltin": bool,
        /// Which steps to take when, in order: the first rule that applies counts.
        /// If none does, the steps under the policy type's key in `policy_steps`
        /// are taken.
        rules "rules": Vec<Rule>,
        /// Lists of steps by their keys: the policy's type in lower case, such as
        /// `grant`, and what the rules refer to.
        policy_steps "policySteps": BTreeMap<String, PolicySteps>,
        /// What is done after the last step, in order.
        post_actions "postActions": Vec<PolicyPostActions>,
        /// Whether tasks go to the approvers' delegates. ConductorOne has
        /// deprecated it: each step has its own setting,
        /// [`Approval::allow_delegation`].
        reassign_tasks_to_delegates "reassignTasksToDelegates": bool,
        /// What the policy is limited to; unset if it is for all.
        scope "scope": Option<Box<PolicyScope>>,
        /// The policy that it is based on; empty if there is none.
        baseline_policy_id "baselinePolicyId": String,
        /// Further data, by keys that are not documented.
        annotations "annotations": BTreeMap<String, String>,
        /// When it was created.
        created_at "createdAt": Option<Timestamp>,
        /// When it was last changed.
        updated_at "updatedAt": Option<Timestamp>,
        /// When it was deleted; unset if it was not.
        deleted_at "deletedAt": Option<Timestamp>,
    }
}

message! {
    /// What a policy is limited to.
    PolicyScope {
        /// The app.
        app_id "appId": AppId,
        /// The entitlement of that app.
        app_entitlement_id "appEntitlementId": EntitlementId,
        /// Which of the entitlement's policies it is.
        slot "slot": PolicyScopeSlot,
    }
}

message! {
    /// Steps that follow each other.
    PolicySteps {
        /// The steps, in order.
        steps "steps": Vec<PolicyStep>,
    }
}

message! {
    /// A step of a policy, as it is defined. When a task reaches it, it becomes a
    /// `PolicyStepInstance`.
    PolicyStep {
    }
    oneof {
        /// What is to be done.
        step: PolicyStepKind,
    }
}

oneof! {
    /// What is to be done in a step of a policy.
    PolicyStepKind {
        /// Somebody approves or denies.
        Approval "approval": Box<Approval>,
        /// The access is granted or revoked.
        Provision "provision": Box<Provision>,
        /// The task is approved, and the approval ends.
        Accept "accept": Box<Accept>,
        /// The task is denied, and the approval ends.
        Reject "reject": Box<Reject>,
        /// The task waits for a condition or a time.
        Wait "wait": Box<Wait>,
        /// Somebody fills in a form.
        Form "form": Box<Form>,
        /// Something else is set off, such as an automation.
        Action "action": Box<Action>,
    }
}

message! {
    /// What is done after a policy's last step.
    PolicyPostActions {
    }
    oneof {
        /// What is done.
        action: PolicyPostActionKind,
    }
}

oneof! {
    /// What is done after a policy's last step.
    PolicyPostActionKind {
        /// Whether access that a review takes away is revoked as soon as the
        /// review's task closes. Only in policies of the type
        /// [`PolicyType::Certify`].
        CertifyRemediateImmediately "certifyRemediateImmediately": bool,
    }
}

message! {
    /// A rule: which steps to take if a condition holds.
    Rule {
        /// The condition, in CEL; `true` always holds.
        condition "condition": String,
        /// The key in [`Policy::policy_steps`] of the steps to take. ConductorOne
        /// has deprecated it: newer rules may leave it empty, and have an `outcome`.
        policy_key "policyKey": String,
    }
    oneof {
        /// Which steps to take.
        outcome: RuleOutcome,
    }
}

oneof! {
    /// Which steps to take if a rule's condition holds.
    RuleOutcome {
        /// Those under this key in [`Policy::policy_steps`].
        StepKey "stepKey": String,
        /// Those of this other policy.
        PolicyId "policyId": String,
    }
}

message! {
    /// A step that approves the task. No approval steps follow it.
    Accept {
        /// A comment that the task gets then; empty: none.
        accept_message "acceptMessage": String,
    }
}

message! {
    /// A step that denies the task. No approval steps follow it.
    Reject {
        /// A comment that the task gets then; empty: none.
        reject_message "rejectMessage": String,
    }
}

message! {
    /// A step in which somebody fills in a form.
    Form {
        /// The form.
        form "form": Option<Box<RequestSchemaForm>>,
    }
}

message! {
    /// A step that sets something off.
    Action {
    }
    oneof {
        /// What it sets off.
        target: ActionTarget,
    }
}

oneof! {
    /// What an action step sets off.
    ActionTarget {
        /// An automation.
        Automation "automation": Box<ActionTargetAutomation>,
        /// An action of a connector on a resource.
        BatonResourceAction "batonResourceAction": Box<ActionTargetBatonResourceAction>,
        /// An administrator's review of an external OAuth client.
        ClientIdApproval "clientIdApproval": Box<ActionTargetClientIdApproval>,
    }
}

message! {
    /// An automation that an action step is to run.
    ActionTargetAutomation {
        /// The automation's template.
        automation_template_id "automationTemplateId": String,
    }
}

message! {
    /// An action of a connector on a resource. (ConductorOne's connectors are
    /// called Baton.)
    ActionTargetBatonResourceAction {
        /// The action.
        baton_resource_action_id "batonResourceActionId": String,
    }
}

message! {
    /// An administrator's review of an external OAuth client that registered
    /// itself, or whose id is the URL of its metadata. There is nothing to
    /// configure.
    ActionTargetClientIdApproval {
    }
}

message! {
    /// A step in which the task waits for a condition or a time.
    Wait {
        /// The name that users see with the task.
        name "name": String,
        /// A comment that the task gets if the condition does not hold at the
        /// first check; empty: none.
        comment_on_first_wait "commentOnFirstWait": String,
        /// A comment that the task gets if the wait times out; empty: none.
        comment_on_timeout "commentOnTimeout": String,
        /// How long to wait at most.
        timeout_duration "timeoutDuration": Option<SignedDuration>,
    }
    oneof {
        /// What the task waits for.
        until: WaitUntil,
    }
}

oneof! {
    /// What a wait step is to wait for.
    WaitUntil {
        /// A condition.
        Condition "condition": Box<WaitCondition>,
        /// A length of time.
        Duration "duration": Box<WaitDuration>,
        /// A time of day.
        UntilTime "untilTime": Box<WaitUntilTime>,
    }
}

message! {
    /// A wait for a condition.
    WaitCondition {
        /// The condition, in CEL.
        condition "condition": String,
    }
}

message! {
    /// A wait of some length.
    WaitDuration {
        /// How long to wait.
        duration "duration": Option<SignedDuration>,
    }
}

message! {
    /// A wait for a time of day.
    WaitUntilTime {
        /// The hour of the day.
        hours "hours": u32,
        /// The minute of the hour.
        minutes "minutes": u32,
        /// The time zone. ConductorOne documents these times as UTC.
        timezone "timezone": String,
    }
}

enumeration! {
    /// Which of an entitlement's policies a policy is.
    PolicyScopeSlot {
        /// Not set.
        Unspecified "POLICY_SCOPE_SLOT_UNSPECIFIED",
        /// That for emergency access.
        Emergency "POLICY_SCOPE_SLOT_EMERGENCY",
    }
}

enumeration! {
    /// Which tasks a policy is for.
    PolicyType {
        /// Not set.
        Unspecified "POLICY_TYPE_UNSPECIFIED",
        /// Requests for access.
        Grant "POLICY_TYPE_GRANT",
        /// Revocations of access.
        Revoke "POLICY_TYPE_REVOKE",
        /// Reviews of access.
        Certify "POLICY_TYPE_CERTIFY",
        /// Requests for access. ConductorOne has deprecated it.
        AccessRequest "POLICY_TYPE_ACCESS_REQUEST",
        /// Provisioning. ConductorOne has it for internal use.
        Provision "POLICY_TYPE_PROVISION",
    }
}
