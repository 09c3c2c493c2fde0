//! Users: the people, services and agents whom ConductorOne knows. A user owns
//! accounts in apps ([`AppUser`](super::app::AppUser)).

use super::ids::{AppId, AppUserId, UserId};
use super::scalar::Timestamp;
use super::unknown::Json;
use super::wire::{enumeration, message};

message! {
    /// A user of ConductorOne. In a webhook, users are among the expanded objects:
    /// whom the task is about, who created it, who may decide it.
    ///
    /// Most of it comes from the accounts that the user owns, by attribute mappings
    /// that an administrator configured; the `…_sources` name them.
    User {
        /// The user's id.
        id "id": UserId,
        /// The name to show.
        display_name "displayName": String,
        /// The primary email address.
        email "email": String,
        /// All email addresses of the user's accounts.
        emails "emails": Vec<String>,
        /// Where the email addresses come from.
        email_sources "emailSources": Vec<UserAttributeMappingSource>,
        /// The primary user name, usually that of the primary directory.
        username "username": String,
        /// All user names of the user's accounts.
        usernames "usernames": Vec<String>,
        /// Where the user names come from.
        username_sources "usernameSources": Vec<UserAttributeMappingSource>,
        /// All employee ids of the user's accounts.
        employee_ids "employeeIds": Vec<String>,
        /// Where the employee ids come from.
        employee_id_sources "employeeIdSources": Vec<UserAttributeMappingSource>,
        /// What kind of user it is.
        r#type "type": UserType,
        /// Who manages the user's life cycle.
        origin "origin": UserOrigin,
        /// The department, as the organization calls it.
        department "department": String,
        /// Where the department comes from.
        department_sources "departmentSources": Vec<UserAttributeMappingSource>,
        /// The job title, as the organization calls it.
        job_title "jobTitle": String,
        /// Where the job title comes from.
        job_title_sources "jobTitleSources": Vec<UserAttributeMappingSource>,
        /// The type of employment in the organization's own words, such as `Full Time`.
        employment_type "employmentType": String,
        /// Where the type of employment comes from.
        employment_type_sources "employmentTypeSources": Vec<UserAttributeMappingSource>,
        /// The status of employment in the organization's own words, such as `Active`.
        employment_status "employmentStatus": String,
        /// Where the status of employment comes from.
        employment_status_sources "employmentStatusSources": Vec<UserAttributeMappingSource>,
        /// The user's managers.
        manager_ids "managerIds": Vec<UserId>,
        /// Where the managers come from.
        manager_sources "managerSources": Vec<UserAttributeMappingSource>,
        /// Who gets the user's tasks instead; empty if there is no delegate.
        delegated_user_id "delegatedUserId": UserId,
        /// The directories that the user is in.
        directory_ids "directoryIds": Vec<String>,
        /// The user's roles in ConductorOne itself.
        role_ids "roleIds": Vec<String>,
        /// Further attributes, a JSON object.
        profile "profile": Option<Json>,
        /// Whether the user is active in ConductorOne.
        status "status": UserStatus,
        /// Whether the user is active in the directory.
        directory_status "directoryStatus": DirectoryStatus,
        /// Where the directory's status comes from.
        directory_status_sources "directoryStatusSources": Vec<UserAttributeMappingSource>,
        /// When ConductorOne created the user.
        created_at "createdAt": Option<Timestamp>,
        /// When the user was last changed.
        updated_at "updatedAt": Option<Timestamp>,
        /// When the user was deleted; unset if it was not.
        deleted_at "deletedAt": Option<Timestamp>,
    }
}

message! {
    /// Where a value of a user's attribute comes from: an attribute of one of the
    /// user's accounts, by a mapping that an administrator configured.
    UserAttributeMappingSource {
        /// The mapping's rank among those of the attribute.
        priority "priority": u32,
        /// The mapping's id.
        user_attribute_mapping_id "userAttributeMappingId": String,
        /// The app of the account.
        app_id "appId": AppId,
        /// The account.
        app_user_id "appUserId": AppUserId,
        /// The attribute's key in the account's profile.
        app_user_profile_attribute_key "appUserProfileAttributeKey": String,
        /// The value.
        value "value": String,
    }
}

enumeration! {
    /// Whether a user is active in the directory that it comes from.
    DirectoryStatus {
        /// Not set, or not known: `UNKNOWN` on the wire.
        Unspecified "UNKNOWN",
        /// Active.
        Enabled "ENABLED",
        /// Disabled, but still there.
        Disabled "DISABLED",
        /// Deleted.
        Deleted "DELETED",
    }
}

enumeration! {
    /// Who manages a user's life cycle.
    UserOrigin {
        /// Not set.
        Unspecified "USER_ORIGIN_UNSPECIFIED",
        /// A directory, such as the identity provider or the HR system.
        Directory "USER_ORIGIN_DIRECTORY",
        /// ConductorOne: the user is local to it.
        Local "USER_ORIGIN_LOCAL",
        /// The system: it is a user of ConductorOne's own.
        System "USER_ORIGIN_SYSTEM",
    }
}

enumeration! {
    /// Whether a user is active in ConductorOne.
    UserStatus {
        /// Not set, or not known: `UNKNOWN` on the wire.
        Unspecified "UNKNOWN",
        /// Active.
        Enabled "ENABLED",
        /// Disabled, but still there.
        Disabled "DISABLED",
        /// Deleted.
        Deleted "DELETED",
    }
}

enumeration! {
    /// What kind of user it is.
    UserType {
        /// Not set.
        Unspecified "USER_TYPE_UNSPECIFIED",
        /// A system account, such as the one that connectors act as when they provision.
        System "USER_TYPE_SYSTEM",
        /// A person.
        Human "USER_TYPE_HUMAN",
        /// A service.
        Service "USER_TYPE_SERVICE",
        /// An automated agent.
        Agent "USER_TYPE_AGENT",
    }
}
