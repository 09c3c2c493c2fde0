//! Actions that a task runs.

use super::ids::{AppId, EntitlementId};
use super::scalar::{SignedDuration, Timestamp};
use super::unknown::Json;
use super::wire::{enumeration, message, oneof};

message! {
    /// An action that is to be run, such as a requested automation.
    TaskTypeAction {
        /// The action, as an administrator configured it; empty for one that ConductorOne made
        /// up for this task, such as for a role in a scope.
        action_id "actionId": String,
        /// The action's name at the time when the task was created.
        display_name "displayName": String,
        /// What kind of action it is.
        r#type "type": TaskTypeActionType,
        /// What is run, as it was when the task was created.
        action_instance "actionInstance": Option<Box<TaskActionInstance>>,
        /// What was entered into the action's form, a JSON object.
        form_values "formValues": Option<Json>,
        /// The resource's type that the action created; empty if it created none.
        created_app_resource_type_id "createdAppResourceTypeId": String,
        /// The resource that the action created; empty if it created none.
        created_app_resource_id "createdAppResourceId": String,
        /// The entitlements that the action created.
        created_app_entitlement_ids "createdAppEntitlementIds": Vec<EntitlementId>,
        /// The outcome.
        outcome "outcome": ActionOutcome,
        /// When the outcome was decided; unset before.
        outcome_time "outcomeTime": Option<Timestamp>,
    }
    oneof {
        /// What the action is about.
        target_object: TaskTypeActionTargetObject,
    }
}

oneof! {
    /// What an action is about.
    TaskTypeActionTargetObject {
        /// A role in a scope, which is to be granted.
        ScopeRole "scopeRole": Box<ScopeRole>,
        /// An AI agent's call of a tool, which waits for approval.
        ToolCall "toolCall": Box<GatedToolCallTarget>,
        /// A finding, which is to be dealt with.
        Finding "finding": Box<FindingTarget>,
    }
}

message! {
    /// A role that is to be granted in a scope, as in cloud infrastructure. Role and scope are
    /// resources of the app.
    ScopeRole {
        /// The app.
        app_id "appId": AppId,
        /// The role's type of resource.
        role_resource_type_id "roleResourceTypeId": String,
        /// The role.
        role_resource_id "roleResourceId": String,
        /// The scope's type of resource.
        scope_resource_type_id "scopeResourceTypeId": String,
        /// The scope.
        scope_resource_id "scopeResourceId": String,
        /// How long the access is to last; unset if no end was set.
        grant_duration "grantDuration": Option<SignedDuration>,
    }
}

message! {
    /// An AI agent's call of a tool, which waits for approval.
    ///
    /// Its [`Debug`](std::fmt::Debug) does not show what the agent and the tool say. Keep
    /// that out of logs.
    GatedToolCallTarget shows(
        gate_id, tool_id, tool_name, tool_kind, caller_kind, app_id, connector_id,
        app_entitlement_id, input_size_bytes
    ) {
        /// The gate that holds the call.
        gate_id "gateId": String,
        /// The tool.
        tool_id "toolId": String,
        /// The tool's name.
        tool_name "toolName": String,
        /// What kind of tool it is.
        tool_kind "toolKind": String,
        /// Who calls it, by kind.
        caller_kind "callerKind": String,
        /// The tool's app.
        app_id "appId": AppId,
        /// The connector that runs it.
        connector_id "connectorId": String,
        /// The entitlement that lets it be called.
        app_entitlement_id "appEntitlementId": EntitlementId,
        /// The tool's input, a JSON object: the agent's data.
        tool_input "toolInput": Option<Json>,
        /// The size of the input, in bytes.
        input_size_bytes "inputSizeBytes": i32,
        /// What the tool returned: the agent's data. Empty until then.
        tool_output "toolOutput": String,
        /// Why the tool failed: the agent's data. Empty if it did not.
        tool_error "toolError": String,
    }
}

message! {
    /// A finding that an action deals with.
    FindingTarget {
        /// The finding.
        finding_id "findingId": String,
        /// What kind of finding it is.
        finding_type "findingType": String,
    }
}

message! {
    /// What a task runs, as it was when the task was created.
    TaskActionInstance {
        /// The action's name; the same as the task type's.
        display_name "displayName": String,
    }
    oneof {
        /// What is run.
        target_ref: TaskActionInstanceTargetRef,
    }
}

oneof! {
    /// What a task runs.
    TaskActionInstanceTargetRef {
        /// An operation of a connector.
        ConnectorActionRef "connectorActionRef": Box<ConnectorActionRef>,
        /// An action of a connector on a resource.
        BatonResourceActionRef "batonResourceActionRef": Box<BatonResourceActionRef>,
    }
}

message! {
    /// An operation of an app's connector.
    ConnectorActionRef {
        /// The app.
        app_id "appId": AppId,
        /// The connector that runs it.
        connector_id "connectorId": String,
        /// The operation.
        operation "operation": ConnectorOperation,
    }
}

message! {
    /// An action of a connector on a resource. (ConductorOne's connectors are called Baton.)
    BatonResourceActionRef {
        /// The app.
        app_id "appId": AppId,
        /// The connector that runs it.
        connector_id "connectorId": String,
        /// The resource's type.
        resource_type_id "resourceTypeId": String,
        /// The action's name, as the connector knows it.
        baton_action_name "batonActionName": String,
        /// The action's name, for people.
        baton_action_display_name "batonActionDisplayName": String,
    }
}

enumeration! {
    /// What kind of action a task runs.
    TaskTypeActionType {
        /// Not set.
        Unspecified "TYPE_UNSPECIFIED",
        /// A connector's grant, such as of a role in a scope.
        Grant "TYPE_GRANT",
        /// An automation.
        Workflow "TYPE_WORKFLOW",
        /// A connector's action on a resource, such as to create a group.
        ResourceAction "TYPE_RESOURCE_ACTION",
        /// An AI agent's call of a tool.
        ToolCall "TYPE_TOOL_CALL",
        /// Something that people do by hand.
        Manual "TYPE_MANUAL",
    }
}

enumeration! {
    /// The outcome of a task to run an action.
    ActionOutcome {
        /// Not set: there is no outcome yet.
        Unspecified "ACTION_OUTCOME_UNSPECIFIED",
        /// It ran and succeeded.
        Success "ACTION_OUTCOME_SUCCESS",
        /// The request was denied.
        Denied "ACTION_OUTCOME_DENIED",
        /// It failed.
        Error "ACTION_OUTCOME_ERROR",
        /// The task was cancelled.
        Cancelled "ACTION_OUTCOME_CANCELLED",
    }
}

enumeration! {
    /// What a connector is asked to do.
    ConnectorOperation {
        /// Not set.
        Unspecified "OPERATION_UNSPECIFIED",
        /// Grant access.
        Grant "OPERATION_GRANT",
    }
}
