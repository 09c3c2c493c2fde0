//! Forms that users fill in, such as with an access request or at a policy's form
//! step. They do not contain the answers.

use std::collections::BTreeMap;

use super::ids::{AppId, UserId};
use super::unknown::Json;
use super::wire::{enumeration, message, oneof};

message! {
    /// A form for a user to fill in: its fields, and the constraints between them.
    ///
    /// The answers come separately, as free-form JSON.
    RequestSchemaForm {
        /// The form's id.
        id "id": String,
        /// The form's name, for people.
        display_name "displayName": String,
        /// What the form is for, for people.
        description "description": String,
        /// The fields to be filled in.
        fields "fields": Vec<FormField>,
        /// How the fields are grouped; empty if they are not.
        field_groups "fieldGroups": Vec<FormFieldGroup>,
        /// The constraints between fields.
        field_relationships "fieldRelationships": Vec<FieldRelationship>,
    }
}

message! {
    /// One input of a form.
    FormField {
        /// Identifies the field in its form, for groups and relationships.
        name "name": String,
        /// The field's label, for people.
        display_name "displayName": String,
        /// Help with filling it in, for people.
        description "description": String,
        /// Whether it has to be filled in.
        required "required": bool,
        /// Whether the user may not change it.
        read_only "readOnly": bool,
    }
    oneof {
        /// The type of its value.
        kind: FormFieldKind,
        /// Who provides its value.
        provider_config: FormFieldProviderConfig,
    }
}

oneof! {
    /// The type of a form field's value, with the default, the rules and the
    /// look that go with it.
    FormFieldKind {
        /// A string.
        StringField "stringField": Box<FormStringField>,
        /// Yes or no.
        BoolField "boolField": Box<BoolField>,
        /// A list of strings.
        StringSliceField "stringSliceField": Box<StringSliceField>,
        /// A whole number of 64 bits.
        Int64Field "int64Field": Box<Int64Field>,
        /// A file.
        FileField "fileField": Box<FileField>,
        /// An OAuth 2 authorization.
        Oauth2Field "oauth2Field": Box<Oauth2Field>,
        /// Strings by key.
        StringMapField "stringMapField": Box<FormStringMapField>,
    }
}

oneof! {
    /// Who provides a form field's value.
    FormFieldProviderConfig {
        /// The user who fills in the form.
        User "userConfig": Box<UserProviderConfig>,
        /// An administrator.
        Admin "adminConfig": Box<AdminProviderConfig>,
        /// Both: an administrator sets a default, the user the value.
        Shared "sharedConfig": Box<SharedProviderConfig>,
    }
}

message! {
    /// Fields of a form that belong together.
    FormFieldGroup {
        /// Identifies the group in its form.
        name "name": String,
        /// The group's title, for people.
        display_name "displayName": String,
        /// Help with filling it in, for people.
        help_text "helpText": String,
        /// The fields in it, by [`FormField::name`].
        fields "fields": Vec<String>,
        /// Whether this is the form's default group.
        is_default "default": bool,
    }
}

message! {
    /// A constraint between fields of a form.
    FieldRelationship {
        /// The fields concerned, by [`FormField::name`].
        field_names "fieldNames": Vec<String>,
    }
    oneof {
        /// The constraint.
        kind: FieldRelationshipKind,
    }
}

oneof! {
    /// The constraint between the fields of a [`FieldRelationship`].
    FieldRelationshipKind {
        /// All of them are filled in, or none.
        RequiredTogether "requiredTogether": Box<RequiredTogether>,
        /// At least one of them is filled in.
        AtLeastOne "atLeastOne": Box<AtLeastOne>,
        /// At most one of them is filled in.
        MutuallyExclusive "mutuallyExclusive": Box<MutuallyExclusive>,
        /// They may be filled in only together with certain other fields.
        DependentOn "dependentOn": Box<DependentOn>,
    }
}

message! {
    /// At least one of the fields is filled in.
    AtLeastOne {
    }
}

message! {
    /// The fields are valid only if certain others are filled in.
    DependentOn {
        /// The others, by [`FormField::name`]: all of them are needed.
        dependency_field_names "dependencyFieldNames": Vec<String>,
    }
}

message! {
    /// At most one of the fields is filled in.
    MutuallyExclusive {
    }
}

message! {
    /// All of the fields are filled in, or none.
    RequiredTogether {
    }
}

message! {
    /// A field that holds a string.
    FormStringField {
        /// The initial value; empty if there is none.
        default_value "defaultValue": String,
        /// Shown while the field is empty.
        placeholder "placeholder": String,
        /// What the value has to satisfy, such as a length or a pattern.
        rules "rules": Option<Json>,
    }
    oneof {
        /// How it is shown.
        view: FormStringFieldView,
    }
}

oneof! {
    /// How a field that holds a string is shown.
    FormStringFieldView {
        /// As a text input.
        TextField "textField": Box<TextField>,
        /// As an input for a password. Its value is a secret: keep it out of logs.
        PasswordField "passwordField": Box<PasswordField>,
        /// As a choice of one among fixed options.
        SelectField "selectField": Box<SelectField>,
        /// As a search for an account, a resource or a user.
        PickerField "pickerField": Box<PickerField>,
        /// As an input for a date.
        DateField "dateField": Box<DateField>,
    }
}

message! {
    /// A field that holds strings by key.
    FormStringMapField {
        /// The initial entries.
        default_value "defaultValue": BTreeMap<String, String>,
        /// What the entries have to satisfy.
        rules "rules": Option<Json>,
    }
}

message! {
    /// A field that holds yes or no.
    BoolField {
        /// The initial value.
        default_value "defaultValue": bool,
        /// What the value has to satisfy, such as to be `true`.
        rules "rules": Option<Json>,
    }
    oneof {
        /// How it is shown.
        view: BoolFieldView,
    }
}

oneof! {
    /// How a field that holds yes or no is shown.
    BoolFieldView {
        /// As a checkbox.
        CheckboxField "checkboxField": Box<CheckboxField>,
        /// As a switch.
        ToggleField "toggleField": Box<ToggleField>,
    }
}

message! {
    /// A field that holds a whole number.
    Int64Field {
        /// The initial value.
        default_value "defaultValue": i64,
        /// Shown while the field is empty.
        placeholder "placeholder": String,
        /// What the value has to satisfy, such as a range.
        rules "rules": Option<Json>,
    }
    oneof {
        /// How it is shown.
        view: Int64FieldView,
    }
}

oneof! {
    /// How a field that holds a whole number is shown.
    Int64FieldView {
        /// As an input for a number.
        NumberField "numberField": Box<NumberField>,
    }
}

message! {
    /// A field that holds a list of strings.
    StringSliceField {
        /// The initial items.
        default_values "defaultValues": Vec<String>,
        /// Shown while the field is empty.
        placeholder "placeholder": String,
        /// What the list and its items have to satisfy.
        rules "rules": Option<Json>,
    }
    oneof {
        /// How it is shown.
        view: StringSliceFieldView,
    }
}

oneof! {
    /// How a field that holds a list of strings is shown.
    StringSliceFieldView {
        /// As chips, one for each item.
        ChipsField "chipsField": Box<ChipsField>,
        /// As a search for accounts, resources or users.
        PickerField "pickerField": Box<PickerField>,
    }
}

message! {
    /// A field that holds a file.
    FileField {
        /// The types of files that are accepted; empty if none are named.
        accepted_file_types "acceptedFileTypes": Vec<String>,
        /// The largest file that is accepted; 0 if no limit is set. ConductorOne does not
        /// document the unit.
        max_file_size "maxFileSize": i64,
    }
    oneof {
        /// How it is shown.
        view: FileFieldView,
    }
}

oneof! {
    /// How a field that holds a file is shown.
    FileFieldView {
        /// As an input for a file.
        FileInputField "fileInputField": Box<FileInputField>,
    }
}

message! {
    /// A field that holds an OAuth 2 authorization.
    Oauth2Field {
    }
    oneof {
        /// How it is shown.
        view: Oauth2FieldKind,
    }
}

oneof! {
    /// How a field that holds an OAuth 2 authorization is shown.
    Oauth2FieldKind {
        /// The only way so far.
        Oauth2FieldView "oauth2FieldView": Box<Oauth2FieldView>,
    }
}

message! {
    /// An administrator provides the field's value.
    AdminProviderConfig {
        /// A CEL expression for the default value; empty if there is none.
        default_value_cel "defaultValueCel": String,
        /// Whether the user can see the field.
        show_to_user "showToUser": bool,
    }
}

message! {
    /// An administrator sets a default, and the user provides the field's value.
    SharedProviderConfig {
        /// A CEL expression for the default value; empty if there is none.
        default_value_cel "defaultValueCel": String,
        /// A CEL expression that transforms what was entered; empty if there is none.
        input_transformation_cel "inputTransformationCel": String,
        /// Whether the defaults are locked.
        lock_default_values "lockDefaultValues": bool,
    }
}

message! {
    /// The user provides the field's value.
    UserProviderConfig {
        /// A CEL expression that transforms what was entered; empty if there is none.
        input_transformation_cel "inputTransformationCel": String,
    }
}

message! {
    /// A checkbox.
    CheckboxField {
    }
}

message! {
    /// A switch.
    ToggleField {
    }
}

message! {
    /// An input for a file.
    FileInputField {
    }
}

message! {
    /// An input for a password.
    PasswordField {
    }
}

message! {
    /// An input for a date.
    DateField {
        /// Whether the initial date is today.
        default_to_today "defaultToToday": bool,
        /// The first date that may be entered; empty if no such date is set.
        min_date "minDate": String,
        /// The last date that may be entered; empty if no such date is set.
        max_date "maxDate": String,
        /// The first date, in days from today.
        min_days_from_today "minDaysFromToday": i32,
        /// The last date, in days from today.
        max_days_from_today "maxDaysFromToday": i32,
    }
}

message! {
    /// A search for something that ConductorOne knows.
    PickerField {
    }
    oneof {
        /// What is searched for.
        kind: PickerFieldKind,
    }
}

oneof! {
    /// What a picker searches for.
    PickerFieldKind {
        /// Accounts in an app.
        AppUser "appUserPicker": Box<AppUserFilter>,
        /// Resources of an app.
        Resource "resourcePicker": Box<AppResourceFilter>,
        /// Users of ConductorOne.
        User "c1UserPicker": Box<UserFilter>,
    }
}

message! {
    /// A choice of one among fixed options.
    SelectField {
        /// The options.
        options "options": Vec<SelectOption>,
        /// How they are shown.
        style "type": SelectFieldStyle,
    }
}

message! {
    /// An option of a [`SelectField`].
    SelectOption {
        /// The field's value if this option is chosen.
        value "value": String,
        /// The option's label, for people.
        display_name "displayName": String,
        /// What the option means, for people.
        description "description": String,
    }
}

message! {
    /// A text input.
    TextField {
        /// Whether the text may have several lines.
        multiline "multiline": bool,
        /// Fixed text shown after the input, such as `.example.com`.
        suffix "suffix": String,
    }
}

message! {
    /// An input for a number. A limit or step of 0 may also mean that none is set: the JSON
    /// does not distinguish them.
    NumberField {
        /// The least value.
        min_value "minValue": i64,
        /// The greatest value.
        max_value "maxValue": i64,
        /// By how much the input steps up and down.
        step "step": i64,
    }
}

message! {
    /// The look of a field that holds an OAuth 2 authorization.
    Oauth2FieldView {
    }
}

message! {
    /// Chips, one for each item of a list.
    ChipsField {
    }
}

message! {
    /// Which resources a picker offers.
    AppResourceFilter {
        /// Those of this app.
        app_id "appId": AppId,
        /// Those of this type.
        resource_type_id "resourceTypeId": String,
    }
}

message! {
    /// Which accounts a picker offers.
    AppUserFilter {
        /// Those in this app.
        app_id "appId": AppId,
    }
}

message! {
    /// Which users of ConductorOne a picker offers. Unlike accounts, they belong to no
    /// app.
    UserFilter {
        /// These; all if none are named.
        user_ids "userIds": Vec<UserId>,
        /// All but these.
        exclude_user_ids "excludeUserIds": Vec<UserId>,
        /// Whether inactive users are offered, too.
        include_deactivated "includeDeactivated": bool,
    }
}

enumeration! {
    /// How the options of a [`SelectField`] are shown.
    SelectFieldStyle {
        /// Not set.
        Unspecified "SELECT_TYPE_UNSPECIFIED",
        /// As a list that drops down.
        Dropdown "SELECT_TYPE_DROPDOWN",
        /// As radio buttons.
        Radio "SELECT_TYPE_RADIO",
        /// As buttons.
        Buttons "SELECT_TYPE_BUTTONS",
    }
}
