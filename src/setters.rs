//! Option structs that can grow: they are `#[non_exhaustive]`, so that a new field breaks no caller, and every field has
//! a method of its name that sets it.

macro_rules! setters {
    ($options:ident { $($field:ident: $kind:ty),+ $(,)? }) => {
        $crate::setters::setters!($options { $(
            #[doc = concat!("Sets [`", stringify!($options), "::", stringify!($field), "`](#structfield.", stringify!($field), ").")]
            $field: $kind,
        )+ });
    };
    // Of private fields, which may be options.
    ($options:ident { $($(#[$doc:meta])+ $field:ident: $kind:ty),+ $(,)? }) => {
        impl $options {
            $(
                $(#[$doc])+
                #[must_use]
                pub fn $field(mut self, $field: $kind) -> Self {
                    self.$field = $field.into();
                    self
                }
            )+
        }
    };
}

pub(crate) use setters;
