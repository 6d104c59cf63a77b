//! Configuration sections: a struct, its defaults and its documentation, written once.
//!
//! Each crate declares the options of its own machines with [`options!`](crate::options!); the `rookery` binary joins
//! the sections to one file, prints them (`rookery config`) and refuses what they do not know.

/// What is known of one option, for `rookery config` and for error messages.
#[derive(Clone, Copy, Debug)]
pub struct OptionInfo {
    /// The key within its section.
    pub name: &'static str,
    /// Why the option exists and what its default protects, from the field's doc comment.
    pub reason: &'static str,
    /// What the number counts: `bytes`, `ms`, `stanzas` …; empty for a flag or a text.
    pub unit: &'static str,
}

/// A section of the configuration: its options in the order of declaration.
pub trait Section: Default + serde::Serialize + serde::de::DeserializeOwned {
    /// The documentation of every option.
    const OPTIONS: &'static [OptionInfo];
}

/// Declares a configuration section: a struct with defaults, serde support and documentation from one text.
///
/// Unknown keys are refused, missing ones take the default.
///
/// ```
/// rookery_xmpp::options! {
///     /// Limits of a nest.
///     pub struct NestOptions {
///         /// Eggs in one nest; more would not be warmed.
///         pub eggs_max: u32 = 5, "eggs";
///         /// Whether the nest is shown to strangers.
///         pub visible: bool = false, "";
///     }
/// }
/// assert_eq!(NestOptions::default().eggs_max, 5);
/// ```
#[macro_export]
macro_rules! options {
    (
        $(#[doc = $doc:expr])*
        pub struct $name:ident {
            $(
                $(#[doc = $field_doc:expr])*
                pub $field:ident : $ty:ty = $default:expr, $unit:literal;
            )*
        }
    ) => {
        $(#[doc = $doc])*
        #[derive(Clone, Debug, PartialEq, ::serde::Serialize, ::serde::Deserialize)]
        #[serde(default, deny_unknown_fields)]
        pub struct $name {
            $(
                $(#[doc = $field_doc])*
                pub $field: $ty,
            )*
        }

        impl Default for $name {
            fn default() -> Self {
                Self { $($field: $default,)* }
            }
        }

        impl $crate::options::Section for $name {
            const OPTIONS: &'static [$crate::options::OptionInfo] = &[
                $($crate::options::OptionInfo {
                    name: stringify!($field),
                    reason: concat!($($field_doc, "\n",)*),
                    unit: $unit,
                },)*
            ];
        }
    };
}
