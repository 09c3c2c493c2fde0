//! Apps and what is in them: accounts, resources, and entitlements, which are
//! the access that tasks grant, revoke and review.

use std::collections::BTreeMap;

use super::ids::{AppId, AppUserId, EntitlementId, UserId};
use super::provision::ProvisionPolicy;
use super::scalar::{SignedDuration, Timestamp};
use super::unknown::Json;
use super::user::User;
use super::wire::{enumeration, message, oneof};

message! {
    /// An app: ConductorOne's record of a tool or service that the organization uses.
    /// In a webhook, the app that the task is about is among the expanded objects.
    App {
        /// The app's id.
        id "id": AppId,
        /// The name to show.
        display_name "displayName": String,
        /// What the app is, for people.
        description "description": String,
        /// The instructions in the form for requests of access to the app.
        instructions "instructions": String,
        /// URL of the app's icon.
        icon_url "iconUrl": String,
        /// URL of the app's logo.
        logo_uri "logoUri": String,
        /// Id of the organization's account with the app, the one that `app_account_name` names.
        app_account_id "appAccountId": String,
        /// Name of the organization's account with the app: an AWS account's id, a GitHub
        /// organization, an Okta subdomain.
        app_account_name "appAccountName": String,
        /// The app from which this one was created; empty if there is none.
        parent_app_id "parentAppId": AppId,
        /// The app's owners.
        app_owners "appOwners": Vec<User>,
        /// The policy for grants; an entitlement's own comes first.
        grant_policy_id "grantPolicyId": String,
        /// The policy for revocations; an entitlement's own comes first.
        revoke_policy_id "revokePolicyId": String,
        /// The policy for access reviews; an entitlement's own comes first.
        certify_policy_id "certifyPolicyId": String,
        /// The app's default request catalog.
        default_request_catalog_id "defaultRequestCatalogId": String,
        /// How the app's access is modelled.
        access_model "accessModel": AccessModel,
        /// How the app's accounts are matched with users.
        identity_matching "identityMatching": IdentityMatching,
        /// The rules of [`IdentityMatching::Custom`].
        app_user_mapper "appUserMapper": Option<Box<AppUserMapper>>,
        /// The connector's version.
        connector_version "connectorVersion": u32,
        /// Whether the app is a directory: a source of users.
        is_directory "isDirectory": bool,
        /// Whether the app is managed by hand.
        is_manually_managed "isManuallyManaged": bool,
        /// Whether the owners of the app's resources are taken from the connector.
        enable_connector_sourced_ownership "enableConnectorSourcedOwnership": bool,
        /// Whether provisioning always includes the app's access entitlement for those who have
        /// no account yet.
        strict_access_entitlement_provisioning "strictAccessEntitlementProvisioning": bool,
        /// Cost of one seat a month, in USD.
        monthly_cost_usd "monthlyCostUsd": i32,
        /// Matches it with the app that a connector delivers.
        match_baton_ref "matchBatonRef": Option<Box<AppMatchBatonRef>>,
        /// Whether a revocation takes the grants away, too, from which the access comes.
        revoke_grant_sources "revokeGrantSources": bool,
        /// Further data, by keys that are not documented.
        annotations "annotations": BTreeMap<String, String>,
        /// How many users have grants in the app.
        user_count "userCount": i64,
        /// A protobuf field mask: names of fields, separated by commas. Its use in a webhook is
        /// not documented.
        field_mask "fieldMask": String,
        /// When ConductorOne's record was created.
        created_at "createdAt": Option<Timestamp>,
        /// When it was last changed.
        updated_at "updatedAt": Option<Timestamp>,
        /// When it was deleted; unset if it was not.
        deleted_at "deletedAt": Option<Timestamp>,
    }
}

message! {
    /// An app as a connector delivers it.
    AppMatchBatonRef {
        /// The connector's app.
        app_id "appId": AppId,
        /// The connector.
        connector_id "connectorId": String,
        /// The app's id, as the connector has it.
        external_id "externalId": String,
    }
}

message! {
    /// An account in an app. In a webhook, the account that the task is about is among the
    /// expanded objects, if it exists already.
    AppUser {
        /// The account's id in ConductorOne.
        id "id": AppUserId,
        /// The app that the account is in.
        app_id "appId": AppId,
        /// The user who owns the account; empty if none is known.
        identity_user_id "identityUserId": UserId,
        /// What kind of account it is.
        app_user_type "appUserType": AppUserType,
        /// What kind of non-human identity it is, if it is one.
        nhi_type "nhiType": AppUserNhiType,
        /// Details of the kind, as text.
        nhi_detail "nhiDetail": String,
        /// Whether the account is an AI agent's that is ready.
        agent_status "agentStatus": AppUserAgentStatus,
        /// The name to show.
        display_name "displayName": String,
        /// The primary email address.
        email "email": String,
        /// The email addresses.
        emails "emails": Vec<String>,
        /// The primary user name.
        username "username": String,
        /// The user names.
        usernames "usernames": Vec<String>,
        /// The employee ids.
        employee_ids "employeeIds": Vec<String>,
        /// Whether the account counts as external to the organization.
        is_external "isExternal": bool,
        /// The account's attributes as they are in the app, a JSON object.
        profile "profile": Option<Json>,
        /// Whether the account is active.
        status "status": Option<Box<AppUserStatus>>,
        /// When ConductorOne's record was created.
        created_at "createdAt": Option<Timestamp>,
        /// When it was last changed.
        updated_at "updatedAt": Option<Timestamp>,
        /// When it was deleted; unset if it was not.
        deleted_at "deletedAt": Option<Timestamp>,
    }
}

message! {
    /// Whether an account is active.
    AppUserStatus {
        /// The state.
        status "status": AppUserState,
        /// Details of the state, as text.
        details "details": String,
    }
}

message! {
    /// An administrator's own rules for matching an app's accounts with users. They apply if the
    /// app has [`IdentityMatching::Custom`].
    AppUserMapper {
        /// The app.
        app_id "appId": AppId,
        /// The rules in their order; the first that finds a match counts.
        mapping_cases "mappingCases": Vec<AppUserMapperMatchCase>,
    }
}

message! {
    /// A rule for matching accounts with users: they belong together if both expressions give
    /// the same key.
    AppUserMapperMatchCase {
        /// The app.
        app_id "appId": AppId,
        /// The rule's place in their order.
        case_index "caseIndex": u32,
        /// A CEL expression that gives an account's key or keys.
        app_user_key_cel "appUserKeyCel": String,
        /// A CEL expression that gives a user's key or keys.
        user_key_cel "userKeyCel": String,
    }
}

message! {
    /// An entitlement: one kind of access in an app that can be granted, such as membership in
    /// a group or write access to a repository. In a webhook, the entitlements that the task is
    /// about are among the expanded objects.
    AppEntitlement {
        /// The entitlement's id.
        id "id": EntitlementId,
        /// The name to show.
        display_name "displayName": String,
        /// What the entitlement is, for people.
        description "description": String,
        /// A short word for the access that it gives, such as `write`; shown beside the resource.
        slug "slug": String,
        /// A short name by which people request it on the command line; empty if it has none.
        alias "alias": String,
        /// What kind of access it is.
        purpose "purpose": EntitlementPurpose,
        /// The entitlement's id in the app itself, as the connector has it.
        external_id "externalId": String,
        /// Matches it with the entitlement that a connector delivers.
        match_baton_id "matchBatonId": String,
        /// Further data, by keys that are not documented.
        annotations "annotations": BTreeMap<String, String>,
        /// The connectors that it comes from.
        source_connector_ids "sourceConnectorIds": BTreeMap<String, String>,
        /// The app that it belongs to.
        app_id "appId": AppId,
        /// The type of the resource that it gives access to.
        app_resource_type_id "appResourceTypeId": String,
        /// The resource that it gives access to.
        app_resource_id "appResourceId": String,
        /// The policy for grants; empty if it has none of its own.
        grant_policy_id "grantPolicyId": String,
        /// The policy for revocations; empty if it has none of its own.
        revoke_policy_id "revokePolicyId": String,
        /// The policy for access reviews; empty if it has none of its own.
        certify_policy_id "certifyPolicyId": String,
        /// Whether it can be requested as emergency access.
        emergency_grant_enabled "emergencyGrantEnabled": bool,
        /// The policy for grants of emergency access.
        emergency_grant_policy_id "emergencyGrantPolicyId": String,
        /// The form to fill in when requesting it; empty if there is none.
        request_schema_id "requestSchemaId": String,
        /// How granted access is put into effect.
        provisioner_policy "provisionerPolicy": Option<Box<ProvisionPolicy>>,
        /// How revoked access is taken away.
        deprovisioner_policy "deprovisionerPolicy": Option<Box<ProvisionPolicy>>,
        /// The risk level, one of the tenant's attribute values; empty if it has none.
        risk_level_value_id "riskLevelValueId": String,
        /// The compliance frameworks that it falls under, attribute values of the tenant.
        compliance_framework_value_ids "complianceFrameworkValueIds": Vec<String>,
        /// Whether the app's defaults for access requests were applied to it.
        default_values_applied "defaultValuesApplied": bool,
        /// Whether it has settings for access requests that override the app's.
        override_access_requests_defaults "overrideAccessRequestsDefaults": bool,
        /// Whether rules give it to users automatically.
        is_automation_enabled "isAutomationEnabled": bool,
        /// Whether it is managed by hand.
        is_manually_managed "isManuallyManaged": bool,
        /// Whether it is built into ConductorOne.
        system_builtin "systemBuiltin": bool,
        /// How many grants of it there are.
        grant_count "grantCount": i64,
        /// A protobuf field mask, names separated by commas: the fields that people edited.
        user_edited_mask "userEditedMask": String,
        /// When ConductorOne's record was created.
        created_at "createdAt": Option<Timestamp>,
        /// When it was last changed.
        updated_at "updatedAt": Option<Timestamp>,
        /// When it was deleted; unset if it was not.
        deleted_at "deletedAt": Option<Timestamp>,
    }
    oneof {
        /// How long a grant may last.
        max_grant_duration: AppEntitlementMaxGrantDuration,
    }
}

oneof! {
    /// How long a grant of an entitlement may last.
    AppEntitlementMaxGrantDuration {
        /// No maximum is set.
        NoMaximum "durationUnset": Box<AppEntitlementDurationUnset>,
        /// At most this long.
        AtMost "durationGrant": SignedDuration,
    }
}

message! {
    /// An entitlement has no maximum for the duration of grants.
    AppEntitlementDurationUnset {
    }
}

message! {
    /// Points to an entitlement. It differs from [`AppEntitlementReference`] in the names on the
    /// wire only.
    AppEntitlementRef {
        /// The entitlement.
        id "id": EntitlementId,
        /// The app that it belongs to.
        app_id "appId": AppId,
    }
}

message! {
    /// Points to an entitlement, as policies do.
    AppEntitlementReference {
        /// The entitlement.
        app_entitlement_id "appEntitlementId": EntitlementId,
        /// The app that it belongs to.
        app_id "appId": AppId,
    }
}

message! {
    /// A resource: a thing in an app to which there is access, such as a group, a role or a
    /// repository. In a webhook, the task's resources may be among the expanded objects.
    AppResource {
        /// The resource's id in ConductorOne.
        id "id": String,
        /// The name to show.
        display_name "displayName": String,
        /// What the resource is, for people.
        description "description": String,
        /// A description of the organization's own; empty if it has none.
        custom_description "customDescription": String,
        /// The resource's id in the app itself, as the connector has it.
        external_id "externalId": String,
        /// Matches it with the resource that a connector delivers.
        match_baton_id "matchBatonId": String,
        /// The app that it belongs to.
        app_id "appId": AppId,
        /// Its type.
        app_resource_type_id "appResourceTypeId": String,
        /// The type of the resource that it is part of; empty if there is none.
        parent_app_resource_type_id "parentAppResourceTypeId": String,
        /// The resource that it is part of; empty if there is none.
        parent_app_resource_id "parentAppResourceId": String,
        /// One of the access configurations that are built into ConductorOne; empty if it has
        /// none.
        access_config_id "accessConfigId": String,
        /// Further attributes, a JSON object.
        profile "profile": Option<Json>,
        /// Its properties as an AI agent; unset if it is not one.
        agent_trait "agentTrait": Option<Box<AgentTrait>>,
        /// What kind of non-human identity it is, if it is one.
        nhi_type "nhiType": AppResourceNhiType,
        /// Details of the kind, as text.
        nhi_detail "nhiDetail": String,
        /// Further data, by keys that are not documented.
        annotations "annotations": BTreeMap<String, String>,
        /// How many grants there are to it.
        grant_count "grantCount": i64,
        /// When ConductorOne's record was created.
        created_at "createdAt": Option<Timestamp>,
        /// When it was last changed.
        updated_at "updatedAt": Option<Timestamp>,
        /// When it was deleted; unset if it was not.
        deleted_at "deletedAt": Option<Timestamp>,
    }
    oneof {
        /// The properties of its kind of resource.
        metadata: AppResourceMetadata,
    }
}

oneof! {
    /// The properties of one kind of resource.
    AppResourceMetadata {
        /// The resource is a secret, such as an API token.
        SecretTrait "secretTrait": Box<SecretTrait>,
    }
}

message! {
    /// A reference to a resource.
    AppResourceRef {
        /// The resource.
        id "id": String,
        /// The app that it belongs to.
        app_id "appId": AppId,
        /// Its type.
        app_resource_type_id "appResourceTypeId": String,
    }
}

message! {
    /// A type of resources in an app, such as group or role.
    AppResourceType {
        /// The type's id.
        id "id": String,
        /// The name to show.
        display_name "displayName": String,
        /// The app that it belongs to.
        app_id "appId": AppId,
        /// Ids of the traits that its resources have.
        trait_ids "traitIds": Vec<String>,
        /// When ConductorOne's record was created.
        created_at "createdAt": Option<Timestamp>,
        /// When it was last changed.
        updated_at "updatedAt": Option<Timestamp>,
        /// When it was deleted; unset if it was not.
        deleted_at "deletedAt": Option<Timestamp>,
    }
}

message! {
    /// About a resource that is a secret, such as an API token. The secret itself is not in it.
    SecretTrait {
        /// The account that the secret belongs to.
        identity_app_user_id "identityAppUserId": AppUserId,
        /// The account that created it.
        created_by_app_user_id "createdByAppUserId": AppUserId,
        /// Details, as text.
        credential_detail "credentialDetail": String,
        /// When the secret was created, in the app.
        secret_created_at "secretCreatedAt": Option<Timestamp>,
        /// When the secret expires; unset if no such time is known.
        secret_expires_at "secretExpiresAt": Option<Timestamp>,
        /// When the secret was last used; unset if that is not known.
        last_used_at "lastUsedAt": Option<Timestamp>,
    }
}

message! {
    /// About a resource that is an AI agent.
    AgentTrait {
        /// The account that the agent acts by.
        identity_app_user_id "identityAppUserId": AppUserId,
        /// Whether the agent is ready.
        status "status": AgentStatus,
    }
}

enumeration! {
    /// Whether a resource that is an AI agent is ready.
    AgentStatus {
        /// Not set.
        Unspecified "AGENT_STATUS_UNSPECIFIED",
        /// Ready.
        Ready "AGENT_STATUS_READY",
        /// Disabled, but still there.
        Disabled "AGENT_STATUS_DISABLED",
        /// Deleted.
        Deleted "AGENT_STATUS_DELETED",
    }
}

enumeration! {
    /// Whether an AI agent's account is ready.
    AppUserAgentStatus {
        /// Not set: it may not be an agent's.
        Unspecified "APP_USER_AGENT_STATUS_UNSPECIFIED",
        /// Ready.
        Ready "APP_USER_AGENT_STATUS_READY",
        /// Disabled, but still there.
        Disabled "APP_USER_AGENT_STATUS_DISABLED",
        /// Deleted.
        Deleted "APP_USER_AGENT_STATUS_DELETED",
    }
}

enumeration! {
    /// What kind of non-human identity an account is.
    AppUserNhiType {
        /// Not set: it may not be one.
        Unspecified "APP_USER_NHI_TYPE_UNSPECIFIED",
        /// A registered application.
        AppRegistration "APP_USER_NHI_TYPE_APP_REGISTRATION",
        /// A role that can be assumed.
        AssumableRole "APP_USER_NHI_TYPE_ASSUMABLE_ROLE",
        /// An identity that the platform manages.
        ManagedIdentity "APP_USER_NHI_TYPE_MANAGED_IDENTITY",
    }
}

enumeration! {
    /// What kind of non-human identity a resource is.
    AppResourceNhiType {
        /// Not set: it may not be one.
        Unspecified "NHI_TYPE_UNSPECIFIED",
        /// A registered application.
        AppRegistration "NHI_TYPE_APP_REGISTRATION",
        /// A role that can be assumed.
        AssumableRole "NHI_TYPE_ASSUMABLE_ROLE",
        /// An identity that the platform manages.
        ManagedIdentity "NHI_TYPE_MANAGED_IDENTITY",
    }
}

enumeration! {
    /// How an app's access is modelled, which follows from its types of resources.
    AccessModel {
        /// Not set.
        Unspecified "APP_ACCESS_MODEL_UNSPECIFIED",
        /// As entitlements, each listed.
        Classic "APP_ACCESS_MODEL_CLASSIC",
        /// In both ways.
        Hybrid "APP_ACCESS_MODEL_HYBRID",
        /// As roles that are bound to scopes, as in cloud infrastructure: only the bindings that
        /// exist are listed.
        Sparse "APP_ACCESS_MODEL_SPARSE",
    }
}

enumeration! {
    /// How an app's accounts are matched with users.
    IdentityMatching {
        /// Not set.
        Unspecified "APP_USER_IDENTITY_MATCHING_UNSPECIFIED",
        /// By email addresses and user names.
        Strict "APP_USER_IDENTITY_MATCHING_STRICT",
        /// By email addresses and user names; if those match no user, by the person's name.
        DisplayName "APP_USER_IDENTITY_MATCHING_DISPLAY_NAME",
        /// By rules of an administrator's own: [`AppUserMapper`].
        Custom "APP_USER_IDENTITY_MATCHING_CUSTOM",
    }
}

enumeration! {
    /// What kind of account it is.
    AppUserType {
        /// Not set.
        Unspecified "APP_USER_TYPE_UNSPECIFIED",
        /// A person's account.
        User "APP_USER_TYPE_USER",
        /// A service account: programs use it.
        ServiceAccount "APP_USER_TYPE_SERVICE_ACCOUNT",
        /// A system account, such as one of the infrastructure's.
        SystemAccount "APP_USER_TYPE_SYSTEM_ACCOUNT",
    }
}

enumeration! {
    /// An account's state in its app.
    AppUserState {
        /// Not set.
        Unspecified "STATUS_UNSPECIFIED",
        /// Active.
        Enabled "STATUS_ENABLED",
        /// Disabled, but still there.
        Disabled "STATUS_DISABLED",
        /// Deleted.
        Deleted "STATUS_DELETED",
    }
}

enumeration! {
    /// What kind of access an entitlement gives.
    EntitlementPurpose {
        /// Not set.
        Unspecified "APP_ENTITLEMENT_PURPOSE_VALUE_UNSPECIFIED",
        /// To be assigned the resource or a member of it, such as of a group.
        Assignment "APP_ENTITLEMENT_PURPOSE_VALUE_ASSIGNMENT",
        /// To do something with the resource.
        Permission "APP_ENTITLEMENT_PURPOSE_VALUE_PERMISSION",
        /// To own the resource.
        Ownership "APP_ENTITLEMENT_PURPOSE_VALUE_OWNERSHIP",
    }
}
