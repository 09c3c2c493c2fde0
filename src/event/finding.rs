//! Findings: risks that ConductorOne has detected, such as a credential that was
//! seen in public.
//!
//! They say where a leaked credential can be found, and name people. Their
//! [`Debug`](std::fmt::Debug) shows only fields that identify neither. Keep the others out
//! of logs.

use std::collections::BTreeMap;

use super::app::AppUserType;
use super::ids::{AppId, AppUserId, TaskId, UserId};
use super::scalar::Timestamp;
use super::wire::{enumeration, message, oneof};

message! {
    /// A finding: a risk that ConductorOne has detected, or that another system has reported.
    Finding shows(
        id, app_id, severity, state, source_kind, source_detector_id, task_id, recurrence_count,
        created_at, updated_at, first_observed_at, last_observed_at, last_appeared_at, resolved_at,
        snooze_until, risk_acceptance_expires_at
    ) {
        /// The finding's id.
        id "id": String,
        /// What was found, for people.
        description "description": String,
        /// What to do about it, for people.
        remediation_description "remediationDescription": String,
        /// How bad it is.
        severity "severity": FindingSeverity,
        /// The risk in numbers.
        risk_score "riskScore": Option<Box<FindingRiskScore>>,
        /// The finding's state.
        state "state": FindingState,
        /// Who set that state, such as a user's id.
        state_updated_by_id "stateUpdatedById": String,
        /// The app that it is about; empty if it is about none.
        app_id "appId": AppId,
        /// The task that deals with it; empty if there is none.
        task_id "taskId": TaskId,
        /// The owner that ConductorOne determined.
        computed_owner "computedOwner": Option<Box<FindingOwnerRef>>,
        /// The owner that somebody assigned.
        assigned_owner "assignedOwner": Option<Box<FindingOwnerRef>>,
        /// Where it comes from.
        source_kind "sourceKind": FindingSourceKind,
        /// The detector that it comes from.
        source_detector_id "sourceDetectorId": String,
        /// The same for the same risk, however often it is detected.
        fingerprint "fingerprint": String,
        /// What the fingerprint is made of.
        dedup_key_parts "dedupKeyParts": Vec<String>,
        /// How often the risk has come back.
        recurrence_count "recurrenceCount": u32,
        /// The kind of a custom finding, in the organization's own words.
        custom_sub_type "customSubType": String,
        /// A custom finding's tags.
        custom_tags "customTags": BTreeMap<String, String>,
        /// Further data, by keys that are not documented.
        annotations "annotations": BTreeMap<String, String>,
        /// Until when it is snoozed; unset if it is not.
        snooze_until "snoozeUntil": Option<Timestamp>,
        /// Why it is snoozed.
        snooze_reason "snoozeReason": String,
        /// Why it is suppressed.
        suppress_reason "suppressReason": String,
        /// Why the risk was accepted.
        risk_acceptance_justification "riskAcceptanceJustification": String,
        /// Until when the risk is accepted; unset if no end was set.
        risk_acceptance_expires_at "riskAcceptanceExpiresAt": Option<Timestamp>,
        /// When it was observed first.
        first_observed_at "firstObservedAt": Option<Timestamp>,
        /// When it was observed last.
        last_observed_at "lastObservedAt": Option<Timestamp>,
        /// When it last appeared, or came back.
        last_appeared_at "lastAppearedAt": Option<Timestamp>,
        /// When it was resolved; unset if it was not.
        resolved_at "resolvedAt": Option<Timestamp>,
        /// When ConductorOne's record was created.
        created_at "createdAt": Option<Timestamp>,
        /// When it was last changed.
        updated_at "updatedAt": Option<Timestamp>,
    }
    oneof {
        /// What kind of finding it is.
        finding_type: FindingType,
        /// What the finding is about.
        target: FindingTargetKind,
        /// The evidence for it.
        evidence: FindingEvidence,
    }
}

oneof! {
    /// The kinds of findings.
    FindingType {
        /// An account's user name is similar to that of a user who does not own it.
        SimilarUsernameMatch "similarUsernameMatch": Box<SimilarUsernameMatchType>,
        /// An account looks like a service's and counts as a person's, or the other way round.
        ServiceAccountMisclassification "serviceAccountMisclassification":
            Box<ServiceAccountMisclassificationType>,
        /// A non-human identity has no owner.
        NhiUnowned "nhiUnowned": Box<NhiUnownedType>,
        /// A service account has no owner.
        ServiceAccountUnowned "serviceAccountUnowned": Box<ServiceAccountUnownedType>,
        /// Somebody used a credential that is a decoy.
        DecoyCredentialUsed "decoyCredentialUsed": Box<DecoyCredentialUsedType>,
        /// A kind of the organization's own.
        Custom "custom": Box<CustomFindingType>,
        /// A connector's anomaly detection is disabled.
        ConnectorAnomalyDetectionDisabled "connectorAnomalyDetectionDisabled":
            Box<ConnectorAnomalyDetectionDisabledType>,
        /// Something is owned by inactive users.
        DeactivatedOwner "deactivatedOwner": Box<DeactivatedOwnerType>,
        /// A secret is not used.
        UnusedSecret "unusedSecret": Box<UnusedSecretType>,
        /// A credential was seen in public.
        CredentialPubliclyExposed "credentialPubliclyExposed": Box<CredentialPubliclyExposedType>,
        /// A decoy was seen in public.
        DecoyPubliclyExposed "decoyPubliclyExposed": Box<DecoyPubliclyExposedType>,
        /// A credential expires soon, or has expired.
        CredentialExpiring "credentialExpiring": Box<CredentialExpiringType>,
    }
}

oneof! {
    /// What a finding is about.
    FindingTargetKind {
        /// A user.
        IdentityUser "identityUserTarget": Box<IdentityUserTarget>,
        /// An account in an app.
        AppUser "appUserTarget": Box<AppUserTarget>,
        /// A decoy.
        Decoy "decoyTarget": Box<DecoyTarget>,
        /// A resource of an app.
        AppResource "appResourceTarget": Box<AppResourceTarget>,
        /// The whole tenant.
        Tenant "tenantTarget": Box<TenantTarget>,
        /// A connector.
        Connector "connectorTarget": Box<ConnectorTarget>,
    }
}

oneof! {
    /// The evidence for a finding.
    FindingEvidence {
        /// Of [`FindingType::SimilarUsernameMatch`].
        SimilarUsernameMatch "similarUsernameMatchEvidence": Box<SimilarUsernameMatchEvidence>,
        /// Of [`FindingType::ServiceAccountMisclassification`].
        ServiceAccountMisclassification "serviceAccountMisclassificationEvidence":
            Box<ServiceAccountMisclassificationEvidence>,
        /// Of [`FindingType::DeactivatedOwner`].
        DeactivatedOwner "deactivatedOwnerEvidence": Box<DeactivatedOwnerEvidence>,
        /// Of [`FindingType::UnusedSecret`].
        UnusedSecret "unusedSecretEvidence": Box<UnusedSecretEvidence>,
        /// Of [`FindingType::CredentialPubliclyExposed`].
        CredentialPubliclyExposed "credentialPubliclyExposedEvidence":
            Box<PublicExposureEvidence>,
        /// Of [`FindingType::DecoyPubliclyExposed`].
        DecoyPubliclyExposed "decoyPubliclyExposedEvidence": Box<PublicExposureEvidence>,
        /// Of [`FindingType::CredentialExpiring`].
        CredentialExpiring "credentialExpiringEvidence": Box<CredentialExpiringEvidence>,
    }
}

message! {
    /// The owner of what a finding is about.
    FindingOwnerRef shows() {
    }
    oneof {
        /// Who that is.
        owner: FindingOwner,
    }
}

oneof! {
    /// Who owns what a finding is about.
    FindingOwner {
        /// A user.
        IdentityUser "identityUserId": UserId,
        /// The owners of an app.
        AppOwner "appOwnerAppId": AppId,
        /// The manager of a user.
        ManagerOf "managerOfUserId": UserId,
        /// A set of users.
        UserSet "userSetId": String,
    }
}

message! {
    /// A finding's risk in numbers.
    FindingRiskScore shows(score, system_score, original_score, override_score) {
        /// The score that counts.
        score "score": u32,
        /// The score that ConductorOne works out.
        system_score "systemScore": u32,
        /// The score to begin with.
        original_score "originalScore": u32,
        /// The score that a user has set in its place; 0 if none has.
        override_score "overrideScore": u32,
        /// Who has set it.
        override_by_user_id "overrideByUserId": UserId,
        /// What the score is made of.
        risk_factors "riskFactors": Vec<FindingRiskFactor>,
    }
}

message! {
    /// A part of a finding's risk.
    FindingRiskFactor shows(name, severity, weight) {
        /// Its name.
        name "name": String,
        /// What it is, for people.
        description "description": String,
        /// How bad it is.
        severity "severity": FindingSeverity,
        /// How much it counts.
        weight "weight": u32,
    }
}

message! {
    /// An account's user name is similar to that of a user who does not own it.
    SimilarUsernameMatchType shows() {
        /// The user who might be the owner.
        proposed_identity_user_id "proposedIdentityUserId": UserId,
    }
}

message! {
    /// The similar user names.
    SimilarUsernameMatchEvidence shows(similarity_score) {
        /// The account's.
        app_username "appUsername": String,
        /// The user's.
        identity_username "identityUsername": String,
        /// How similar they are.
        similarity_score "similarityScore": f64,
    }
}

message! {
    /// An account counts as of one type, and looks like one of another.
    ServiceAccountMisclassificationType {
        /// The type that it counts as.
        current_account_type "currentAccountType": AppUserType,
        /// The type that it looks like.
        detected_account_type "detectedAccountType": AppUserType,
    }
}

message! {
    /// Why an account looks like one of another type.
    ServiceAccountMisclassificationEvidence shows() {
        /// The reason, for people.
        detection_reason "detectionReason": String,
    }
}

message! {
    /// A non-human identity has no owner.
    NhiUnownedType {
    }
}

message! {
    /// A service account has no owner.
    ServiceAccountUnownedType {
    }
}

message! {
    /// Somebody used a credential that is a decoy.
    DecoyCredentialUsedType {
        /// The decoy.
        decoy_id "decoyId": String,
        /// What kind of credential it is.
        kind "kind": DecoyCredentialKind,
    }
}

message! {
    /// A finding of the organization's own kind.
    CustomFindingType {
    }
}

message! {
    /// A connector's anomaly detection is disabled.
    ConnectorAnomalyDetectionDisabledType {
    }
}

message! {
    /// Something is owned by inactive users.
    DeactivatedOwnerType {
        /// How they own it.
        source "source": DeactivatedOwnerSource,
    }
}

message! {
    /// The inactive owners.
    DeactivatedOwnerEvidence {
        /// Each of them.
        deactivated_owners "deactivatedOwners": Vec<DeactivatedOwnerDetail>,
    }
}

message! {
    /// An inactive owner.
    DeactivatedOwnerDetail shows(reason) {
        /// Who it is.
        user_id "userId": UserId,
        /// Why the user counts as inactive.
        reason "reason": DeactivatedOwnerReason,
    }
}

message! {
    /// A secret is not used.
    UnusedSecretType {
    }
}

message! {
    /// When the secret was used.
    UnusedSecretEvidence {
        /// The last time; unset if it never was.
        last_used_at "lastUsedAt": Option<Timestamp>,
    }
}

message! {
    /// A credential was seen in public.
    CredentialPubliclyExposedType shows() {
        /// The credential's name.
        credential_display_name "credentialDisplayName": String,
    }
    oneof {
        /// Which credential it is.
        credential: ExposedCredential,
    }
}

oneof! {
    /// A credential that was seen in public, by its id.
    ExposedCredential {
        /// A user's API client.
        UserClient "userClientId": String,
        /// A connector's client.
        ConnectorClient "connectorClientId": String,
        /// A credential that a connector manages.
        ConnectorManagedCredential "connectorManagedCredentialId": String,
        /// A function's client.
        FunctionClient "functionClientId": String,
    }
}

message! {
    /// Where a credential or a decoy was seen in public. Anyone who goes there may find
    /// it.
    PublicExposureEvidence shows(first_observed_at, credential_revoked, revoked_at) {
        /// The URL of the place: a secret.
        source_url "sourceUrl": String,
        /// What kind of place it is.
        source_kind "sourceKind": String,
        /// The beginning of the credential's fingerprint: a secret.
        fingerprint_prefix "fingerprintPrefix": String,
        /// The scanner that saw it first.
        first_scanner_id "firstScannerId": String,
        /// All scanners that have reported it.
        reporting_scanners "reportingScanners": Vec<String>,
        /// When it was seen first.
        first_observed_at "firstObservedAt": Option<Timestamp>,
        /// Whether the credential or decoy was revoked.
        credential_revoked "credentialRevoked": bool,
        /// When it was revoked; unset if it was not.
        revoked_at "revokedAt": Option<Timestamp>,
    }
}

message! {
    /// A decoy was seen in public.
    DecoyPubliclyExposedType shows(decoy_id) {
        /// The decoy.
        decoy_id "decoyId": String,
        /// The decoy's name.
        decoy_display_name "decoyDisplayName": String,
    }
}

message! {
    /// A credential expires soon, or has expired.
    CredentialExpiringType shows() {
        /// The credential's name.
        credential_display_name "credentialDisplayName": String,
    }
    oneof {
        /// Which credential it is.
        credential: ExpiringCredential,
    }
}

oneof! {
    /// A credential that expires, by its id.
    ExpiringCredential {
        /// A user's API client.
        UserClient "userClientId": String,
    }
}

message! {
    /// When the credential expires.
    CredentialExpiringEvidence {
        /// That time.
        expires_at "expiresAt": Option<Timestamp>,
        /// Whether it has passed.
        expired "expired": bool,
    }
}

message! {
    /// A finding is about a user.
    IdentityUserTarget shows() {
        /// The user.
        identity_user_id "identityUserId": UserId,
    }
}

message! {
    /// A finding is about an account in an app.
    AppUserTarget shows(app_id) {
        /// The app.
        app_id "appId": AppId,
        /// The account.
        app_user_id "appUserId": AppUserId,
    }
}

message! {
    /// A finding is about a decoy.
    DecoyTarget {
        /// The decoy.
        decoy_id "decoyId": String,
    }
}

message! {
    /// A finding is about a resource of an app.
    AppResourceTarget {
        /// The app.
        app_id "appId": AppId,
        /// The resource's type.
        app_resource_type_id "appResourceTypeId": String,
        /// The resource.
        app_resource_id "appResourceId": String,
    }
}

message! {
    /// A finding is about the whole tenant.
    TenantTarget {
    }
}

message! {
    /// A finding is about a connector.
    ConnectorTarget {
        /// The connector's app.
        app_id "appId": AppId,
        /// The connector.
        connector_id "connectorId": String,
    }
}

enumeration! {
    /// How bad a finding is.
    FindingSeverity {
        /// Not set.
        Unspecified "FINDING_SEVERITY_UNSPECIFIED",
        /// Worth knowing.
        Info "FINDING_SEVERITY_INFO",
        /// Low.
        Low "FINDING_SEVERITY_LOW",
        /// Medium.
        Medium "FINDING_SEVERITY_MEDIUM",
        /// High.
        High "FINDING_SEVERITY_HIGH",
        /// Critical.
        Critical "FINDING_SEVERITY_CRITICAL",
    }
}

enumeration! {
    /// Where a finding comes from.
    FindingSourceKind {
        /// Not set.
        Unspecified "FINDING_SOURCE_KIND_UNSPECIFIED",
        /// A detector of ConductorOne's.
        Detector "FINDING_SOURCE_KIND_DETECTOR",
        /// Another system.
        External "FINDING_SOURCE_KIND_EXTERNAL",
    }
}

enumeration! {
    /// The state of a finding.
    FindingState {
        /// Not set.
        Unspecified "FINDING_STATE_UNSPECIFIED",
        /// It is open.
        Open "FINDING_STATE_OPEN",
        /// Somebody is working on it.
        InProgress "FINDING_STATE_IN_PROGRESS",
        /// The risk is gone.
        Resolved "FINDING_STATE_RESOLVED",
        /// It is snoozed, and comes up again later.
        Snoozed "FINDING_STATE_SNOOZED",
        /// The risk is accepted.
        RiskAccepted "FINDING_STATE_RISK_ACCEPTED",
        /// It is suppressed, and does not come up again.
        Suppressed "FINDING_STATE_SUPPRESSED",
    }
}

enumeration! {
    /// What kind of credential a decoy is.
    DecoyCredentialKind {
        /// Not set.
        Unspecified "DECOY_CREDENTIAL_KIND_UNSPECIFIED",
        /// A user's API client.
        UserClientCredential "DECOY_CREDENTIAL_KIND_USER_CLIENT_CREDENTIAL",
        /// A connector's client.
        ConnectorClient "DECOY_CREDENTIAL_KIND_CONNECTOR_CLIENT",
        /// A workload's federated identity.
        WorkloadFederation "DECOY_CREDENTIAL_KIND_WORKLOAD_FEDERATION",
        /// An access token.
        AccessToken "DECOY_CREDENTIAL_KIND_ACCESS_TOKEN",
    }
}

enumeration! {
    /// How inactive users own something.
    DeactivatedOwnerSource {
        /// Not set.
        Unspecified "DEACTIVATED_OWNER_SOURCE_UNSPECIFIED",
        /// It was matched with them.
        IdentityCorrelation "DEACTIVATED_OWNER_SOURCE_IDENTITY_CORRELATION",
        /// It was assigned to them.
        OwnershipAssigned "DEACTIVATED_OWNER_SOURCE_OWNERSHIP_ASSIGNED",
    }
}

enumeration! {
    /// Why a user counts as inactive.
    DeactivatedOwnerReason {
        /// Not set.
        Unspecified "DEACTIVATED_OWNER_REASON_UNSPECIFIED",
        /// The user is deleted.
        UserDeleted "DEACTIVATED_OWNER_REASON_USER_DELETED",
        /// The user is disabled.
        UserDisabled "DEACTIVATED_OWNER_REASON_USER_DISABLED",
        /// The user's employment has ended or is suspended.
        EmploymentInactive "DEACTIVATED_OWNER_REASON_EMPLOYMENT_INACTIVE",
    }
}
