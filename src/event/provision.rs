//! Provisioning: how access is granted or revoked, and for whom.

use super::ids::{AppId, AppUserId, EntitlementId, UserId, WebhookConfigId};
use super::scalar::{SignedDuration, Timestamp};
use super::unknown::Json;
use super::wire::{message, oneof};

message! {
    /// A policy's step in which access is provisioned or, when it is revoked,
    /// deprovisioned.
    Provision {
        /// How it is done.
        provision_policy "provisionPolicy": Option<Box<ProvisionPolicy>>,
        /// What is provisioned, and to which account.
        provision_target "provisionTarget": Option<Box<ProvisionTarget>>,
        /// Whether the step is assigned.
        assigned "assigned": bool,
    }
}

message! {
    /// What a step provisions, and to which account.
    ProvisionTarget {
        /// The entitlement's app.
        app_id "appId": AppId,
        /// The entitlement.
        app_entitlement_id "appEntitlementId": EntitlementId,
        /// The account in the app; empty if it is not known.
        app_user_id "appUserId": AppUserId,
        /// How long the access is granted for, if known.
        grant_duration "grantDuration": Option<SignedDuration>,
    }
}

message! {
    /// How access is provisioned or deprovisioned: set for an entitlement, or by a
    /// policy's step.
    ProvisionPolicy {
    }
    oneof {
        /// Who or what does it.
        kind: ProvisionPolicyKind,
    }
}

oneof! {
    /// Who or what provisions access.
    ProvisionPolicyKind {
        /// By a connector.
        Connector "connector": Box<ConnectorProvision>,
        /// By people.
        Manual "manual": Box<ManualProvision>,
        /// As is configured for another entitlement.
        Delegated "delegated": Box<DelegatedProvision>,
        /// By a webhook.
        Webhook "webhook": Box<WebhookProvision>,
        /// In several steps.
        MultiStep "multiStep": Box<MultiStepProvision>,
        /// Through a ticket in another system.
        ExternalTicket "externalTicket": Box<ExternalTicketProvision>,
        /// Nothing is configured.
        Unconfigured "unconfigured": Box<UnconfiguredProvision>,
        /// By an action of a connector.
        Action "action": Box<ActionProvision>,
        /// By placing it on a device.
        DevicePlacement "devicePlacement": Box<DevicePlacementProvision>,
    }
}

message! {
    /// A connector provisions the access.
    ConnectorProvision {
    }
    oneof {
        /// What the connector does.
        kind: ConnectorProvisionKind,
    }
}

oneof! {
    /// What a connector does to provision access.
    ConnectorProvisionKind {
        /// What it does by default for the entitlement.
        DefaultBehavior "defaultBehavior": Box<DefaultBehavior>,
        /// It creates an account.
        CreateAccount "account": Box<AccountProvision>,
        /// It deletes the account.
        DeleteAccount "deleteAccount": Box<DeleteAccount>,
    }
}

message! {
    /// The connector does what it does by default for the entitlement.
    DefaultBehavior {
        /// The connector.
        connector_id "connectorId": String,
    }
}

message! {
    /// The connector creates an account in the app.
    AccountProvision {
        /// The connector.
        connector_id "connectorId": String,
        /// The schema of what has to be known for a new account.
        schema_id "schemaId": String,
        /// Free-form settings for the new account.
        config "config": Option<Json>,
    }
    oneof {
        /// How the new account's first password is handled.
        storage: AccountProvisionStorage,
    }
}

oneof! {
    /// How a new account's first password is handled if the connector generates it.
    AccountProvisionStorage {
        /// It is saved in vaults of ConductorOne.
        SaveToVault "saveToVault": Box<SaveToVault>,
        /// It is not saved.
        DoNotSave "doNotSave": Box<DoNotSave>,
    }
}

message! {
    /// The password is not saved.
    DoNotSave {
    }
}

message! {
    /// The password is saved in vaults of ConductorOne.
    SaveToVault {
        /// The vaults.
        vault_ids "vaultIds": Vec<String>,
    }
}

message! {
    /// The connector deletes the account in the app.
    DeleteAccount {
        /// The connector.
        connector_id "connectorId": String,
    }
}

message! {
    /// People provision the access by hand.
    ManualProvision {
        /// How they are found.
        assignee "assignee": Option<Box<ProvisionerAssignment>>,
        /// The people themselves. ConductorOne has deprecated it in favour of `assignee`.
        user_ids "userIds": Vec<UserId>,
        /// Their instructions.
        instructions "instructions": String,
    }
}

message! {
    /// The access is provisioned as is configured for another entitlement, to which this
    /// one is bound. It need not be one of the same app.
    DelegatedProvision {
        /// The other entitlement's app.
        app_id "appId": AppId,
        /// The other entitlement.
        entitlement_id "entitlementId": EntitlementId,
        /// Whether the binding is created automatically, from the parent app's entitlement.
        implicit "implicit": bool,
    }
}

message! {
    /// A webhook provisions the access: its receiver gets the event
    /// `c1.webhooks.v1.PayloadProvisionStep`.
    WebhookProvision {
        /// The webhook, as an administrator configured it.
        webhook_id "webhookId": WebhookConfigId,
    }
}

message! {
    /// The access is provisioned in several steps.
    MultiStepProvision {
        /// The steps.
        provision_steps "provisionSteps": Vec<ProvisionPolicy>,
    }
}

message! {
    /// A ticket is opened in another system; the access counts as provisioned when
    /// the ticket is done.
    ExternalTicketProvision {
        /// The connector's app.
        app_id "appId": AppId,
        /// The connector to the other system.
        connector_id "connectorId": String,
        /// The configuration by which tickets are made.
        external_ticket_provisioner_config_id "externalTicketProvisionerConfigId": String,
        /// What to do, for the ticket.
        instructions "instructions": String,
    }
}

message! {
    /// How to provision the access is not configured.
    UnconfiguredProvision {
    }
}

message! {
    /// An action of a connector, such as for the life cycle of accounts, provisions the
    /// access.
    ActionProvision {
        /// The action's name, as the connector knows it.
        action_name "actionName": String,
        /// The action's name, for people.
        display_name "displayName": String,
        /// The connector's app.
        app_id "appId": AppId,
        /// The connector.
        connector_id "connectorId": String,
    }
}

message! {
    /// The access is placed on a device.
    DevicePlacementProvision {
        /// The vault boundary of the device.
        vault_boundary_id "vaultBoundaryId": String,
    }
}

message! {
    /// What a provisioning step waits for.
    ProvisionWaitingOn {
        /// When it began to wait.
        started_waiting_at "startedWaitingAt": Option<Timestamp>,
        /// When it stops waiting and falls back to something else.
        fallback_at "fallbackAt": Option<Timestamp>,
    }
    oneof {
        /// The event that it waits for.
        kind: ProvisionWaitingOnKind,
    }
}

oneof! {
    /// What a provisioning step waits for.
    ProvisionWaitingOnKind {
        /// The merge of an entitlement.
        EntitlementMerge "entitlementMerge": Box<WaitingForEntitlementMerge>,
        /// The placement of the access on a device.
        DevicePlacement "devicePlacement": Box<WaitingForDevicePlacement>,
    }
}

message! {
    /// A provisioning step waits until an entitlement is merged.
    WaitingForEntitlementMerge {
        /// The app.
        app_id "appId": AppId,
        /// The entitlement.
        app_entitlement_id "appEntitlementId": EntitlementId,
    }
}

message! {
    /// A provisioning step waits until the access is placed on a device.
    WaitingForDevicePlacement {
        /// The user whose device it is.
        recipient_user_id "recipientUserId": UserId,
        /// The vault boundary of the device.
        vault_boundary_id "vaultBoundaryId": String,
    }
}

message! {
    /// How the people who provision by hand, the provisioners, are found.
    ProvisionerAssignment {
    }
    oneof {
        /// Who they are.
        kind: ProvisionerAssignmentKind,
    }
}

oneof! {
    /// Who provisions by hand.
    ProvisionerAssignmentKind {
        /// Certain users.
        Users "users": Box<UserProvisioner>,
        /// The app's owners.
        AppOwners "appOwners": Box<AppOwnerProvisioner>,
        /// The members of a group.
        Group "group": Box<GroupProvisioner>,
        /// The user's manager.
        Manager "manager": Box<ManagerProvisioner>,
        /// The users that an expression yields.
        Expression "expression": Box<ExpressionProvisioner>,
        /// The entitlement's owners.
        EntitlementOwners "entitlementOwners": Box<EntitlementOwnerProvisioner>,
    }
}

message! {
    /// The app's owners provision the access.
    AppOwnerProvisioner {
        /// Who does it if the app has no owners.
        fallback_user_ids "fallbackUserIds": Vec<UserId>,
        /// Whether the provisioner may reassign the task.
        allow_reassignment "allowReassignment": bool,
    }
}

message! {
    /// The entitlement's owners provision the access.
    EntitlementOwnerProvisioner {
        /// Who does it if the entitlement has no owners.
        fallback_user_ids "fallbackUserIds": Vec<UserId>,
        /// Whether the provisioner may reassign the task.
        allow_reassignment "allowReassignment": bool,
    }
}

message! {
    /// The users that expressions yield provision the access.
    ExpressionProvisioner {
        /// The expressions, in CEL.
        expressions "expressions": Vec<String>,
        /// Who does it if the expressions yield no users.
        fallback_user_ids "fallbackUserIds": Vec<UserId>,
        /// Whether the provisioner may reassign the task.
        allow_reassignment "allowReassignment": bool,
    }
}

message! {
    /// The members of a group provision the access.
    GroupProvisioner {
        /// The group's app.
        app_id "appId": AppId,
        /// The group, as the entitlement that represents it.
        app_group_id "appGroupId": EntitlementId,
        /// Who does it if the group has no members.
        fallback_user_ids "fallbackUserIds": Vec<UserId>,
        /// Whether the provisioner may reassign the task.
        allow_reassignment "allowReassignment": bool,
    }
}

message! {
    /// The user's manager provisions the access.
    ManagerProvisioner {
        /// Who does it if the user has no manager.
        fallback_user_ids "fallbackUserIds": Vec<UserId>,
        /// Whether the provisioner may reassign the task.
        allow_reassignment "allowReassignment": bool,
    }
}

message! {
    /// Certain users provision the access.
    UserProvisioner {
        /// The users.
        user_ids "userIds": Vec<UserId>,
        /// Whether the provisioner may reassign the task.
        allow_reassignment "allowReassignment": bool,
    }
}
