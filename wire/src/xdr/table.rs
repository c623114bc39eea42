//! Tables that read like the published `.x` text and expand to types with their codecs.

/// A struct: fields in wire order, each with its published name.
macro_rules! xdr_struct {
    ($(#[$meta:meta])* $vis:vis struct $name:ident<$life:lifetime> = $published:literal {
        $($(#[$field_meta:meta])* $field:ident: $type:ty = $wire:literal,)*
    }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, PartialEq, Eq)]
        $vis struct $name<$life> { $($(#[$field_meta])* #[doc = concat!("`", $wire, "`")] pub $field: $type,)* }

        impl<$life> $crate::xdr::Encode for $name<$life> {
            fn encode(&self, encoder: &mut $crate::xdr::Encoder) -> Result<(), $crate::xdr::NoRoom> {
                $($crate::xdr::Encode::encode(&self.$field, encoder)?;)*
                Ok(())
            }
        }
        impl<$life> $crate::xdr::Decode<$life> for $name<$life> {
            fn decode(decoder: &mut $crate::xdr::Decoder<$life>) -> Result<Self, $crate::xdr::Error> {
                Ok($name { $($field: $crate::xdr::Decode::decode(decoder)?,)* })
            }
        }
        impl $crate::xdr::Published for $name<'_> {
            const NAME: &'static str = $published;
            const FIELDS: &'static [&'static str] = &[$($wire,)*];
            const TYPES: &'static [&'static str] = &[$(stringify!($type),)*];
        }
    };
    ($(#[$meta:meta])* $vis:vis struct $name:ident = $published:literal {
        $($(#[$field_meta:meta])* $field:ident: $type:ty = $wire:literal,)*
    }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, PartialEq, Eq)]
        $vis struct $name { $($(#[$field_meta])* #[doc = concat!("`", $wire, "`")] pub $field: $type,)* }

        impl $crate::xdr::Encode for $name {
            fn encode(&self, encoder: &mut $crate::xdr::Encoder) -> Result<(), $crate::xdr::NoRoom> {
                $($crate::xdr::Encode::encode(&self.$field, encoder)?;)*
                Ok(())
            }
        }
        impl<'a> $crate::xdr::Decode<'a> for $name {
            fn decode(decoder: &mut $crate::xdr::Decoder<'a>) -> Result<Self, $crate::xdr::Error> {
                Ok($name { $($field: $crate::xdr::Decode::decode(decoder)?,)* })
            }
        }
        impl $crate::xdr::Published for $name {
            const NAME: &'static str = $published;
            const FIELDS: &'static [&'static str] = &[$($wire,)*];
            const TYPES: &'static [&'static str] = &[$(stringify!($type),)*];
        }
    };
}

/// An enum: each value with its published name. An unknown number does not decode.
macro_rules! xdr_enum {
    ($(#[$meta:meta])* $vis:vis enum $name:ident = $published:literal {
        $($(#[$value_meta:meta])* $value:ident = $number:literal $wire:literal,)*
    }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr(u32)]
        $vis enum $name { $($(#[$value_meta])* #[doc = concat!("`", $wire, "`")] $value = $number,)* }

        impl $name {
            /// Name of the enum in the published XDR.
            pub const PUBLISHED: &'static str = $published;
            /// Every value, with its published name, in ascending order of number.
            pub const ALL: &'static [($name, &'static str)] = &[$(($name::$value, $wire),)*];

            /// The value with this number on the wire, if there is one.
            pub const fn from_u32(number: u32) -> Option<Self> {
                match number {
                    $($number => Some($name::$value),)*
                    _ => None,
                }
            }

            /// Number on the wire.
            pub const fn number(self) -> u32 {
                self as u32
            }

            /// Published name.
            pub const fn name(self) -> &'static str {
                match self {
                    $($name::$value => $wire,)*
                }
            }
        }
        impl std::fmt::Display for $name {
            fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str(self.name())
            }
        }
        impl $crate::xdr::Encode for $name {
            fn encode(&self, encoder: &mut $crate::xdr::Encoder) -> Result<(), $crate::xdr::NoRoom> {
                encoder.put_u32(self.number())
            }
        }
        impl<'a> $crate::xdr::Decode<'a> for $name {
            fn decode(decoder: &mut $crate::xdr::Decoder<'a>) -> Result<Self, $crate::xdr::Error> {
                Self::from_u32(decoder.u32()?).ok_or($crate::xdr::Error::Value)
            }
        }
    };
}

/// A module of numbers, each with its published name.
macro_rules! xdr_constants {
    ($(#[$meta:meta])* $vis:vis mod $name:ident: $type:ty {
        $($(#[$value_meta:meta])* $value:ident = $number:literal $wire:literal,)*
    }) => {
        $(#[$meta])*
        $vis mod $name {
            $($(#[$value_meta])* #[doc = concat!("`", $wire, "`")] pub const $value: $type = $number;)*
            /// Every number with its published name.
            pub const ALL: &[($type, &str)] = &[$(($number, $wire),)*];
        }
    };
}

/// A discriminated union: each case with its number, its published name and its arm. With a `default` line
/// every other number decodes to that variant, whose arm is void.
macro_rules! xdr_union {
    (@default $other:ident,) => { Err($crate::xdr::Error::Value) };
    (@default $other:ident, $default:ident) => { Ok(Self::$default($other)) };

    (@codec [$($generics:tt)*] [$life:lifetime] [$($for:tt)*] $name:ident $published:literal
        { $(case $number:literal $wire:literal => $case:ident $(($type:ty))?,)* $(default => $default:ident,)? }) => {
        impl<$($generics)*> $crate::xdr::Encode for $($for)* {
            fn encode(&self, encoder: &mut $crate::xdr::Encoder) -> Result<(), $crate::xdr::NoRoom> {
                encoder.put_u32(self.discriminant())?;
                match self {
                    $(xdr_union!(@pattern $case value $(($type))?) =>
                        xdr_union!(@arm encoder value $(($type))?),)*
                    $(Self::$default(_) => Ok(()),)?
                }
            }
        }
        impl<$life> $crate::xdr::Decode<$life> for $($for)* {
            fn decode(decoder: &mut $crate::xdr::Decoder<$life>) -> Result<Self, $crate::xdr::Error> {
                match decoder.u32()? {
                    $($number => Ok(xdr_union!(@build decoder $case $(($type))?)),)*
                    other => { let _ = other; xdr_union!(@default other, $($default)?) }
                }
            }
        }
        impl<$($generics)*> $($for)* {
            /// Name of the union in the published XDR.
            pub const PUBLISHED: &'static str = $published;
            /// Number and published name of every case.
            pub const CASES: &'static [(u32, &'static str)] = &[$(($number, $wire),)*];
            /// Our type of every case's arm, as it is written here; nothing when it is void.
            pub const ARMS: &'static [&'static str] = &[$(concat!($(stringify!($type))?),)*];

            /// The union's discriminant on the wire.
            pub fn discriminant(&self) -> u32 {
                match self {
                    $(xdr_union!(@ignore $case $(($type))?) => $number,)*
                    $(Self::$default(other) => *other,)?
                }
            }
        }
    };

    (@pattern $case:ident $value:ident) => { Self::$case };
    (@pattern $case:ident $value:ident ($type:ty)) => { Self::$case($value) };
    (@ignore $case:ident) => { Self::$case };
    (@ignore $case:ident ($type:ty)) => { Self::$case(_) };
    (@arm $encoder:ident $value:ident) => { Ok(()) };
    (@arm $encoder:ident $value:ident ($type:ty)) => { $crate::xdr::Encode::encode($value, $encoder) };
    (@build $decoder:ident $case:ident) => { Self::$case };
    (@build $decoder:ident $case:ident ($type:ty)) => {
        Self::$case(<$type as $crate::xdr::Decode<'_>>::decode($decoder)?)
    };

    ($(#[$meta:meta])* $vis:vis union $name:ident<$life:lifetime> = $published:literal {
        $($(#[$case_meta:meta])* case $number:literal $wire:literal => $case:ident $(($type:ty))?,)*
        $(default => $default:ident,)?
    }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, PartialEq, Eq)]
        $vis enum $name<$life> {
            $($(#[$case_meta])* #[doc = concat!("`", $wire, "`")] $case $(($type))?,)*
            $(#[doc = "Any other discriminant."] $default(u32),)?
        }
        xdr_union!(@codec [$life] [$life] [$name<$life>] $name $published
            { $(case $number $wire => $case $(($type))?,)* $(default => $default,)? });
    };
    ($(#[$meta:meta])* $vis:vis union $name:ident = $published:literal {
        $($(#[$case_meta:meta])* case $number:literal $wire:literal => $case:ident $(($type:ty))?,)*
        $(default => $default:ident,)?
    }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, PartialEq, Eq)]
        $vis enum $name {
            $($(#[$case_meta])* #[doc = concat!("`", $wire, "`")] $case $(($type))?,)*
            $(#[doc = "Any other discriminant."] $default(u32),)?
        }
        xdr_union!(@codec [] ['a] [$name] $name $published
            { $(case $number $wire => $case $(($type))?,)* $(default => $default,)? });
    };
}

pub(crate) use {xdr_constants, xdr_enum, xdr_struct, xdr_union};
