//! Switches of simulators: how they are declared, listed, and read from the command line.
//! The meaning of each switch is documented in the `variants.rs` of each simulator.

use std::net::SocketAddr;
use std::time::Duration;

/// A value from the command line. The error names the expected form.
pub trait Switch: Sized {
    /// Reads one value.
    fn read(value: &str) -> Result<Self, String>;
}

/// All switches of one simulator, set and listed by their names.
pub trait ByName: Sized {
    /// Sets one switch, as `--variant name=value` does. The error states the problem.
    fn set_by_name(&mut self, name: &str, value: &str) -> Result<(), String>;

    /// Name and meaning of every switch, in the order of declaration.
    fn descriptions() -> Vec<(&'static str, String)>;
}

impl Switch for bool {
    fn read(value: &str) -> Result<Self, String> {
        value.parse().map_err(|_| "true or false".to_owned())
    }
}

impl Switch for u16 {
    fn read(value: &str) -> Result<Self, String> {
        value.parse().map_err(|_| "a number up to 65535".to_owned())
    }
}

impl Switch for u32 {
    fn read(value: &str) -> Result<Self, String> {
        value.parse().map_err(|_| "a whole number".to_owned())
    }
}

impl Switch for String {
    fn read(value: &str) -> Result<Self, String> {
        Ok(value.to_owned())
    }
}

impl Switch for SocketAddr {
    fn read(value: &str) -> Result<Self, String> {
        value.parse().map_err(|_| "ADDRESS:PORT".to_owned())
    }
}

impl Switch for Duration {
    fn read(value: &str) -> Result<Self, String> {
        value
            .parse()
            .map(Self::from_millis)
            .map_err(|_| "milliseconds".to_owned())
    }
}

impl<T: Switch> Switch for Option<T> {
    fn read(value: &str) -> Result<Self, String> {
        match value {
            "unset" => Ok(None),
            _ => T::read(value).map(Some),
        }
    }
}

/// Declares the switches with their documentation and default, and gives each a name on the command line.
macro_rules! variants {
    ($($(#[doc = $text:literal])+ $name:ident: $kind:ty = $default:expr,)+) => {
        /// Every switch; the default is the documented behaviour, unkind where the reference warns of it.
        #[derive(Debug, Clone)]
        pub struct Variants {
            $($(#[doc = $text])+ pub $name: $kind,)+
        }

        impl Default for Variants {
            fn default() -> Self {
                Self { $($name: $default,)+ }
            }
        }

        impl Variants {
            /// Sets one switch by its name, as `--variant name=value` does. The error states the problem.
            pub fn set_by_name(&mut self, name: &str, value: &str) -> Result<(), String> {
                match name {
                    $(stringify!($name) => {
                        self.$name = $crate::switch::Switch::read(value).map_err(|wanted| format!("{name} wants {wanted}, not {value:?}"))?;
                    })+
                    _ => return Err(format!("there is no variant named {name:?}; --list-variants prints them")),
                }
                Ok(())
            }

            /// Name and meaning of every switch, in the order of declaration.
            pub fn descriptions() -> Vec<(&'static str, String)> {
                vec![$((stringify!($name), concat!($($text,)+).trim().replace('`', "")),)+]
            }
        }

        impl $crate::switch::ByName for Variants {
            fn set_by_name(&mut self, name: &str, value: &str) -> Result<(), String> {
                self.set_by_name(name, value)
            }

            fn descriptions() -> Vec<(&'static str, String)> {
                Self::descriptions()
            }
        }
    };
}

/// Declares a switch with more than two positions.
macro_rules! choices {
    ($(#[doc = $about:literal])+ $name:ident { $($(#[doc = $text:literal])+ $variant:ident = $word:literal,)+ }) => {
        $(#[doc = $about])+
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum $name {
            $($(#[doc = $text])+ $variant,)+
        }

        impl $name {
            /// Its name on the command line.
            pub fn word(self) -> &'static str {
                match self {
                    $(Self::$variant => $word,)+
                }
            }
        }

        impl $crate::switch::Switch for $name {
            fn read(value: &str) -> Result<Self, String> {
                match value {
                    $($word => Ok(Self::$variant),)+
                    _ => Err(["one of", $($word,)+].join(" ")),
                }
            }
        }
    };
}

pub(crate) use {choices, variants};
