//! The macros of an application.
//!
//! ```text
//!   trace!("shop:order", id, who = %name)
//!      │ __trace!   takes field after field into names and a nested pair of values
//!      ▼
//!   { struct __LanewaySite; impl Site …      what is known of the event
//!     if is_enabled() { emit(values) } }     the only code that runs
//! ```
//! Invariant: expressions stand only inside the `if`, in the order of the source, each once.

/// Records an event, if a consumer wants it.
///
/// ```
/// let (id, price, name) = (7_u64, 9.5, "Ada");
/// laneway::trace!("shop:order", id, total = price * 2.0, who = name);
/// ```
///
/// An event has a name, `"provider:event"`, and any number of fields. The name is checked
/// when the program is compiled, and a listing of the program's events (`laneway events
/// ./app`) shows it, with the type of every field, before it ever happens. Unless a
/// consumer wants the event, `trace!` costs a load and a branch that is not taken, and
/// evaluates nothing.
///
/// # Fields
///
/// | written | name | value |
/// |---|---|---|
/// | `id` | `id` | the variable `id` |
/// | `self.id`, `order.id` | `id`, `order.id` | the value of that place |
/// | `name = expr` | `name` | any expression of a type that is a [`Value`](crate::Value) |
/// | `%expr` as in `%who`, `name = %expr` | | the text that its `Display` prints |
/// | `?expr` as in `?who`, `name = ?expr` | | the text that its `Debug` prints |
///
/// Values are borrowed, not moved, and read once. Text printed by `%` and `?` is cut to
/// [`FORMATTED_BYTES`](crate::FORMATTED_BYTES), ends in `…` then, and is counted by
/// [`texts_cut`](crate::texts_cut). Names may have dots (`http.status = 200`) and be raw
/// (`r#type`, whose name is `type`).
///
/// ```
/// # use std::path::Path;
/// # let (path, error, took) = (Path::new("/etc/motd"), std::fmt::Error, std::time::Duration::ZERO);
/// # struct Request { id: u32, r#type: char }
/// # let request = Request { id: 3, r#type: 'x' };
/// use laneway::trace;
///
/// trace!("web:start");
/// trace!("web:file", path, took, cached = true, sizes = [1_u64, 2, 3]);
/// trace!("web:reply", request.id, request.r#type, http.status = 200_u16);
/// trace!(level: Error, "web:failed", path, %error, detail = ?error);
/// ```
///
/// # Level
///
/// `level: Error`, `Warn`, `Info`, `Debug` or `Trace` may stand in front of the name, as
/// a [`Level`](crate::Level); it is `Info` if nothing does.
///
/// # Where it works
///
/// Wherever statements do, but not in a `const fn`: in libraries, generics (each set of
/// field types is an event of its own), closures, `async` code, signal handlers,
/// destructors of thread-locals, before and after `main`, and in a `cdylib`.
#[macro_export]
macro_rules! trace {
    (level: $level:ident, $event:literal $(, $($fields:tt)*)?) => {
        $crate::__trace!(@ $level $event [] {()} $($($fields)*)?)
    };
    ($event:literal $(, $($fields:tt)*)?) => {
        $crate::__trace!(@ Info $event [] {()} $($($fields)*)?)
    };
    () => {
        ::core::compile_error!("an event needs a name: `trace!(\"provider:event\", fields…)`")
    };
    (level: $($rest:tt)*) => {
        ::core::compile_error!("a level is one of Error, Warn, Info, Debug and Trace, and a name follows: `trace!(level: Debug, \"shop:order\", …)`")
    };
    ($event:literal $($rest:tt)*) => {
        ::core::compile_error!("a comma is missing behind the name of the event: `trace!(\"shop:order\", fields…)`")
    };
    ($($rest:tt)*) => {
        ::core::compile_error!("the first argument of `trace!` is the name of the event, a string literal: `trace!(\"shop:order\", fields…)`")
    };
}

/// Takes fields one by one: `@ level event [names] {values} fields`.
#[doc(hidden)]
#[macro_export]
macro_rules! __trace {
    (@ $level:ident $event:literal [$($names:tt)*] {$($values:tt)*}) => {{
        const _: () = {
            $crate::__private::check_event_name($event);
            $crate::__private::check_field_names(&[$($names)*]);
        };
        struct __LanewaySite;
        impl $crate::__private::Site for __LanewaySite {
            const SOURCE: $crate::__private::Source = $crate::__private::Source {
                event: $event,
                level: $crate::Level::$level,
                file: ::core::file!(),
                line: ::core::line!(),
                module: ::core::module_path!(),
                fields: &[$($names)*],
            };
        }
        if $crate::__private::is_enabled::<__LanewaySite>() {
            #[allow(unused_imports)]
            use $crate::__private::{HoldCopy as _, HoldReference as _};
            $crate::__private::emit::<__LanewaySite, _>($($values)*);
        }
    }};
    (@ $level:ident $event:literal [$($names:tt)*] {$($values:tt)*} % $($name:ident).+ $(, $($rest:tt)*)?) => {
        $crate::__trace!(
            @ $level $event [$($names)* &[$(::core::stringify!($name)),+],]
            {($($values)*, $crate::__private::displayed(&(&$crate::__private::Held(&$($name).+)).__laneway_hold()))} $($($rest)*)?
        )
    };
    (@ $level:ident $event:literal [$($names:tt)*] {$($values:tt)*} ? $($name:ident).+ $(, $($rest:tt)*)?) => {
        $crate::__trace!(
            @ $level $event [$($names)* &[$(::core::stringify!($name)),+],]
            {($($values)*, $crate::__private::debugged(&(&$crate::__private::Held(&$($name).+)).__laneway_hold()))} $($($rest)*)?
        )
    };
    (@ $level:ident $event:literal [$($names:tt)*] {$($values:tt)*} $($name:ident).+ = % $value:expr $(, $($rest:tt)*)?) => {
        $crate::__trace!(
            @ $level $event [$($names)* &[$(::core::stringify!($name)),+],]
            {($($values)*, $crate::__private::displayed(&(&$crate::__private::Held(&$value)).__laneway_hold()))} $($($rest)*)?
        )
    };
    (@ $level:ident $event:literal [$($names:tt)*] {$($values:tt)*} $($name:ident).+ = ? $value:expr $(, $($rest:tt)*)?) => {
        $crate::__trace!(
            @ $level $event [$($names)* &[$(::core::stringify!($name)),+],]
            {($($values)*, $crate::__private::debugged(&(&$crate::__private::Held(&$value)).__laneway_hold()))} $($($rest)*)?
        )
    };
    (@ $level:ident $event:literal [$($names:tt)*] {$($values:tt)*} $($name:ident).+ = $value:expr $(, $($rest:tt)*)?) => {
        $crate::__trace!(
            @ $level $event [$($names)* &[$(::core::stringify!($name)),+],]
            {($($values)*, $crate::Value::repr(&$value))} $($($rest)*)?
        )
    };
    (@ $level:ident $event:literal [$($names:tt)*] {$($values:tt)*} $($name:ident).+ $(, $($rest:tt)*)?) => {
        $crate::__trace!(
            @ $level $event [$($names)* &[$(::core::stringify!($name)),+],]
            {($($values)*, $crate::Value::repr(&$($name).+))} $($($rest)*)?
        )
    };
    (@ $level:ident $event:literal $names:tt $values:tt $name:literal = $($rest:tt)*) => {
        ::core::compile_error!("the name of a field is an identifier: write `name = expr`, without quotes")
    };
    (@ $level:ident $event:literal $names:tt $values:tt $text:literal $($rest:tt)*) => {
        ::core::compile_error!("a field needs a name: write `name = expr`; for text as of `println!` write `message = %format_args!(\"…\", …)`")
    };
    (@ $level:ident $event:literal $names:tt $values:tt $($rest:tt)*) => {
        ::core::compile_error!(::core::concat!(
            "fields are written `name`, `name = expr`, `%name`, `?name`, `name = %expr` or `name = ?expr`, with commas between; cannot read `",
            ::core::stringify!($($rest)*),
            "`"
        ))
    };
}

/// Whether a consumer wants any event of this name: for preparations that cost something.
///
/// ```
/// # fn expensive() -> u64 { 7 }
/// if laneway::event_enabled!("shop:inventory") {
///     let items = expensive();
///     laneway::trace!("shop:inventory", items);
/// }
/// ```
///
/// It costs what a disabled [`trace!`](crate::trace) does. The event itself may stand
/// anywhere in the same executable or library; where there is none of this name, the
/// answer is no.
#[macro_export]
macro_rules! event_enabled {
    ($event:literal $(,)?) => {{
        const _: () = $crate::__private::check_event_name($event);
        struct __LanewayNamed;
        impl $crate::__private::Named for __LanewayNamed {
            const EVENT: &'static str = $event;
        }
        $crate::__private::is_any_enabled::<__LanewayNamed>()
    }};
    ($($rest:tt)*) => {
        ::core::compile_error!("`event_enabled!` takes the name of an event, a string literal: `event_enabled!(\"shop:order\")`")
    };
}

/// Makes this program attach to a consumer only where `LANEWAY_SOCKET` names one.
///
/// For programs that are consumers themselves, and would otherwise record themselves:
/// written once, outside of functions, in the executable.
///
/// ```
/// laneway::attach_only_when_asked!();
/// # fn main() {}
/// ```
#[macro_export]
macro_rules! attach_only_when_asked {
    () => {
        const _: () = {
            struct __LanewayMark;
            #[used]
            static MARK: fn() = $crate::__private::mark_attach_only_when_asked::<__LanewayMark>;
        };
    };
}

/// Implements [`Value`](crate::Value) for a structure: its fields, or those you name,
/// appear as a structure of the same names.
///
/// ```
/// struct Point { x: f64, y: f64 }
/// laneway::value_struct!(Point { x: f64, y: f64 });
///
/// let (from, to) = (Point { x: 0.0, y: 0.5 }, Point { x: 1.0, y: 0.5 });
/// laneway::trace!("plotter:move", from, to);
/// ```
#[macro_export]
macro_rules! value_struct {
    ($ty:ty { $($name:ident: $field:ty),+ $(,)? }) => {
        const _: () = {
            #[allow(unreachable_pub)]
            pub struct __LanewayNames;
            impl $crate::__private::FieldNames for __LanewayNames {
                const NAMES: $crate::__private::Names = {
                    const NAMES: $crate::__private::Names = &[$(&[::core::stringify!($name)]),+];
                    $crate::__private::check_field_names(NAMES);
                    NAMES
                };
            }
            impl $crate::Value for $ty {
                type Repr<'a> = $crate::__pack!(@ type {()} $($field,)+);

                #[inline]
                fn repr(&self) -> Self::Repr<'_> {
                    $crate::Struct::new($crate::__pack!(@ value self {()} $($name,)+))
                }
            }
        };
    };
}

/// Nested pairs, the last outermost, of types or of values.
#[doc(hidden)]
#[macro_export]
macro_rules! __pack {
    (@ type {$($done:tt)*}) => {
        $crate::Struct<__LanewayNames, $($done)*>
    };
    (@ type {$($done:tt)*} $field:ty, $($rest:tt)*) => {
        $crate::__pack!(@ type {($($done)*, <$field as $crate::Value>::Repr<'a>)} $($rest)*)
    };
    (@ value $this:ident {$($done:tt)*}) => {
        $($done)*
    };
    (@ value $this:ident {$($done:tt)*} $name:ident, $($rest:tt)*) => {
        $crate::__pack!(@ value $this {($($done)*, $crate::Value::repr(&$this.$name))} $($rest)*)
    };
}
