//! Figures, and what they mean.
//!
//! A room declares the struct of its figures within [`metrics!`] or [`counters!`], and the sentence above each field is what
//! an operator reads about it too.

#![forbid(unsafe_code)]

/// One figure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Metric {
    /// The field's name, with the unit last where it has one.
    pub name: &'static str,
    /// What is said above the field, in one line.
    pub help: &'static str,
    /// How it moves.
    pub kind: Kind,
    /// The figure.
    pub value: u64,
}

/// How a figure moves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// It only grows while the server runs.
    Counter,
    /// It is what there is now.
    Gauge,
}

/// Declares a struct of figures, all of them `u64`. What is written as a field's type says how it moves.
///
/// ```
/// metric::metrics! {
///     /// What lies in the harbour.
///     pub struct Harbour {
///         /// Ships at anchor.
///         pub ships: Gauge,
///         /// Bytes of mail
///         /// that were unloaded.
///         pub mail_bytes: Counter,
///     }
/// }
/// let [ships, mail] = Harbour { ships: 3, mail_bytes: 70 }.metrics();
/// assert_eq!((ships.name, ships.help, ships.kind, ships.value), ("ships", "Ships at anchor.", metric::Kind::Gauge, 3));
/// assert_eq!((mail.help, mail.kind), ("Bytes of mail that were unloaded.", metric::Kind::Counter));
/// let both: Harbour = [Harbour { ships: 1, mail_bytes: 2 }; 2].into_iter().sum();
/// assert_eq!(both, Harbour { ships: 2, mail_bytes: 4 });
/// ```
#[macro_export]
macro_rules! metrics {
    (
        $(#[doc = $about:literal])*
        pub struct $Name:ident {
            $($(#[doc = $doc:literal])+ pub $field:ident: $Kind:ident,)+
        }
    ) => {
        $(#[doc = $about])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub struct $Name {
            $($(#[doc = $doc])+ pub $field: u64,)+
        }

        impl $Name {
            /// How many figures there are.
            pub const COUNT: usize = [$(stringify!($field)),+].len();

            /// The figures with their meaning, in the order of the fields.
            pub fn metrics(&self) -> [$crate::Metric; Self::COUNT] {
                [$($crate::Metric {
                    name: stringify!($field),
                    help: concat!($($doc),+).trim_ascii(),
                    kind: $crate::Kind::$Kind,
                    value: self.$field,
                }),+]
            }
        }

        impl std::iter::Sum for $Name {
            fn sum<I: Iterator<Item = Self>>(parts: I) -> Self {
                parts.fold(Self::default(), |sum, part| Self { $($field: sum.$field + part.$field),+ })
            }
        }
    };
}

/// Declares figures that one thread moves, and with [`metrics!`] what they are at one moment.
///
/// ```
/// metric::counters! {
///     /// What a core has done.
///     pub struct Counters;
///     /// The same at one moment.
///     pub struct Counts {
///         /// Calls received.
///         pub calls: Counter,
///     }
/// }
/// let counters = Counters::default();
/// counters.calls.set(7);
/// assert_eq!(counters.snapshot(), Counts { calls: 7 });
/// ```
#[macro_export]
macro_rules! counters {
    (
        $(#[doc = $about:literal])*
        pub struct $Counters:ident;
        $(#[doc = $about_snapshot:literal])*
        pub struct $Snapshot:ident {
            $($(#[doc = $doc:literal])+ pub $field:ident: $Kind:ident,)+
        }
    ) => {
        $(#[doc = $about])*
        #[derive(Debug, Default)]
        pub struct $Counters {
            $($(#[doc = $doc])+ pub $field: std::cell::Cell<u64>,)+
        }

        impl $Counters {
            /// The figures now.
            pub fn snapshot(&self) -> $Snapshot {
                $Snapshot { $($field: self.$field.get()),+ }
            }
        }

        $crate::metrics! {
            $(#[doc = $about_snapshot])*
            pub struct $Snapshot {
                $($(#[doc = $doc])+ pub $field: $Kind,)+
            }
        }
    };
}
