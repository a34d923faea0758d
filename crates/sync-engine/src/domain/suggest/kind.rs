//! What values a field holds, from a vendor's own word for its type.

/// What values a field holds, as coarse as it takes to tell what fits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    Text,
    Email,
    Phone,
    Url,
    Number,
    Money,
    Percent,
    Bool,
    Date,
    Choice,
    Choices,
    Reference,
    User,
    Address,
    Photo,
    Unknown,
}

/// Vendors' words for their types, in lower case without spaces and punctuation. The first row that holds the word
/// counts; a word in no row is judged by what it contains.
const WORDS: &[(Kind, &[&str])] = &[
    (
        Kind::Text,
        &[
            "string",
            "text",
            "textarea",
            "longtext",
            "longtextarea",
            "richtext",
            "richtextarea",
            "html",
            "memo",
            "varchar",
            "varcharauto",
            "singlelinetext",
            "multilinetext",
            "freeformtext",
            "name",
            "fullname",
            "personalname",
            "encrypted",
            "encryptedstring",
            "char",
            "nvarchar",
            "ntext",
            "singleline",
            "multiline",
            "note",
            "autocomplete",
            "hidden",
            "entityname",
            "base64",
            "formula",
            "interaction",
            "tags",
            "array",
            "json",
            "object",
        ],
    ),
    (Kind::Email, &["email", "emailaddress", "emails"]),
    (Kind::Phone, &["phone", "phonenumber", "tel", "telephone", "phones", "mobile", "fax"]),
    (Kind::Url, &["url", "website", "hyperlink", "link", "domain", "uri", "weburl", "iframe"]),
    (
        Kind::Number,
        &[
            "number",
            "int",
            "integer",
            "long",
            "bigint",
            "double",
            "float",
            "decimal",
            "numeric",
            "real",
            "smallint",
            "tinyint",
            "count",
            "rating",
            "duration",
            "integernumber",
            "decimalnumber",
            "autonumber",
            "uint",
            "short",
        ],
    ),
    (Kind::Money, &["currency", "money", "monetary", "price", "amount"]),
    (Kind::Percent, &["percent", "percentage"]),
    (Kind::Bool, &["bool", "boolean", "checkbox", "bit", "flag", "yesno", "twooptions", "toggle", "radio"]),
    (
        Kind::Date,
        &[
            "date",
            "datetime",
            "datetimetz",
            "timestamp",
            "time",
            "createdtime",
            "lastmodifiedtime",
            "datetimecombo",
            "dateandtime",
            "dateonly",
        ],
    ),
    (
        Kind::Choice,
        &[
            "picklist",
            "enum",
            "enumeration",
            "select",
            "singleselect",
            "dropdown",
            "choice",
            "choices",
            "option",
            "optionset",
            "combobox",
            "status",
            "state",
            "stage",
            "listrecord",
            "list",
            "varcharoptions",
            "visibleto",
            "dynamicenum",
            "currencyid",
            "statusreason",
        ],
    ),
    (
        Kind::Choices,
        &[
            "multipicklist",
            "multiselect",
            "multiselectpicklist",
            "multienum",
            "set",
            "multipleselects",
            "multichoice",
            "checkboxes",
            "multiselectlookup",
            "multiplechoice",
            "multiselectoptionset",
        ],
    ),
    (
        Kind::Reference,
        &[
            "reference",
            "id",
            "uuid",
            "guid",
            "uniqueidentifier",
            "lookup",
            "relate",
            "recordreference",
            "recordref",
            "multiplerecordlinks",
            "org",
            "people",
            "person",
            "deal",
            "customer",
            "connect",
            "relation",
            "contact",
            "masterdetail",
            "foreignkey",
            "parent",
            "link",
            "partylist",
            "regarding",
        ],
    ),
    (
        Kind::User,
        &[
            "user",
            "owner",
            "ownerlookup",
            "assignedusername",
            "actorreference",
            "singlecollaborator",
            "username",
            "collaborator",
            "userlookup",
            "systemuser",
            "multiplecollaborators",
        ],
    ),
    (
        Kind::Address,
        &["address", "location", "objectcoordinates", "geolocation", "compound", "coordinates", "geo"],
    ),
    (
        Kind::Photo,
        &["picture", "image", "profileimage", "file", "multipleattachments", "attachment", "files", "blob"],
    ),
];

impl Kind {
    /// Reads a vendor's word for a type.
    pub(crate) fn read(word: &str) -> Self {
        let plain: String =
            word.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).take(60).collect();
        let exact = WORDS.iter().find(|(_, words)| words.contains(&plain.as_str()));
        let within = || {
            let within = |word: &&str| word.len() > 3 && plain.contains(*word);
            WORDS.iter().rev().find(|(_, words)| words.iter().any(within))
        };
        exact.or_else(within).map_or(Self::Unknown, |(kind, _)| *kind)
    }

    /// Its name on the screen.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Email => "an e-mail address",
            Self::Phone => "a phone number",
            Self::Url => "a web address",
            Self::Number => "a number",
            Self::Money => "an amount of money",
            Self::Percent => "a percentage",
            Self::Bool => "yes or no",
            Self::Date => "a date",
            Self::Choice => "one of several options",
            Self::Choices => "any of several options",
            Self::Reference => "another record's id",
            Self::User => "a user",
            Self::Address => "an address",
            Self::Photo => "a picture",
            Self::Unknown => "something else",
        }
    }

    /// How well values of one kind fit the other, 0 (never) to 1.
    pub(crate) fn fits(self, other: Self) -> f64 {
        use Kind::{
            Address, Bool, Choice, Choices, Date, Email, Money, Number, Percent, Phone, Photo, Reference,
            Text, Unknown, Url, User,
        };
        if self == other {
            return 1.0;
        }
        let (low, high) = if self < other { (self, other) } else { (other, self) };
        match (low, high) {
            (Number, Money | Percent) => 0.95,
            (Money, Percent) => 0.5,
            (_, Unknown) => 0.7,
            (Text, Email | Phone | Url) => 0.9,
            (Text, Choice | Choices) => 0.8,
            (Choice, Choices) => 0.8,
            (Text, Reference | User) => 0.6,
            (Reference, User) => 0.8,
            (Choice, Reference | User) => 0.7,
            (Text, Address | Photo) => 0.6,
            (Url, Photo) => 0.6,
            (Email | Phone, Choice | Choices) => 0.3,
            (Number, Reference | User) => 0.6,
            (Text, Number | Money | Percent) => 0.6,
            (Number, Choice) => 0.5,
            (Money, Choice) => 0.4,
            (Bool, Choice) => 0.6,
            (Text, Bool | Date) => 0.4,
            (Bool, Number) => 0.3,
            (Text | Url | Choice | Reference, _) => 0.3,
            _ => 0.0,
        }
    }
}
