//! Every type that can be a field, with its extreme values.

use std::borrow::Cow;
use std::ffi::{CStr, CString, OsStr, OsString};
use std::num::{NonZero, Wrapping};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::ptr::{self, NonNull};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI16, AtomicU64};
use std::time::Duration;

use super::text;
use crate::{FORMATTED_BYTES, Value, texts_cut, trace};

#[test]
fn unsigned_integers_keep_their_width_and_extremes() {
    assert_eq!(
        text(|| trace!(
            "types:unsigned",
            a = u8::MAX,
            b = u16::MAX,
            c = u32::MAX,
            d = u64::MAX
        )),
        "a: u8 = 255, b: u16 = 65535, c: u32 = 4294967295, d: u64 = 18446744073709551615"
    );
    assert_eq!(
        text(|| trace!(
            "types:wide_unsigned",
            a = u128::MAX,
            b = 1_u128 << 64,
            c = 0_u128
        )),
        "a: u128 = 340282366920938463463374607431768211455, b: u128 = 18446744073709551616, c: u128 = 0"
    );
    let bits = usize::BITS;
    assert_eq!(
        text(|| trace!("types:usize", a = usize::MAX)),
        format!("a: u{bits} = {}", usize::MAX)
    );
}

#[test]
fn signed_integers_keep_their_width_and_extremes() {
    assert_eq!(
        text(|| trace!(
            "types:signed",
            a = i8::MIN,
            b = i16::MIN,
            c = i32::MIN,
            d = i64::MIN
        )),
        "a: i8 = -128, b: i16 = -32768, c: i32 = -2147483648, d: i64 = -9223372036854775808"
    );
    assert_eq!(
        text(|| trace!(
            "types:wide_signed",
            a = i128::MIN,
            b = i128::MAX,
            c = -1_i128
        )),
        "a: i128 = -170141183460469231731687303715884105728, \
         b: i128 = 170141183460469231731687303715884105727, c: i128 = -1"
    );
    let bits = isize::BITS;
    assert_eq!(
        text(|| trace!("types:isize", a = isize::MIN, plain = 7)),
        format!("a: i{bits} = {}, plain: i32 = 7", isize::MIN)
    );
}

#[test]
fn floats_keep_infinities_and_nan() {
    assert_eq!(
        text(|| trace!(
            "types:float",
            a = f32::MIN_POSITIVE,
            b = f64::NEG_INFINITY,
            c = f64::NAN
        )),
        format!(
            "a: f32 = {}, b: f64 = -inf, c: f64 = NaN",
            f32::MIN_POSITIVE
        )
    );
}

#[test]
fn booleans_and_characters() {
    assert_eq!(
        text(|| trace!(
            "types:small",
            a = true,
            b = false,
            c = 'x',
            d = '🦀',
            e = '\0'
        )),
        "a: bool = true, b: bool = false, c: char = 'x', d: char = '🦀', e: char = '␀'"
    );
}

#[test]
fn text_is_text_whoever_owns_it() {
    let string = String::from("owned");
    let boxed: Box<str> = "boxed".into();
    let shared: Arc<str> = "shared".into();
    let (borrowed, cow): (Cow<str>, Cow<str>) =
        (Cow::Borrowed("borrowed"), Cow::Owned("cow".into()));
    assert_eq!(
        text(|| trace!(
            "types:text",
            a = "plain",
            string,
            boxed,
            shared,
            borrowed,
            cow,
            e = ""
        )),
        r#"a: str = "plain", string: str = "owned", boxed: str = "boxed", shared: str = "shared", borrowed: str = "borrowed", cow: str = "cow", e: str = """#
    );
    assert_eq!(string, "owned", "borrowed, not moved");
}

#[test]
fn a_nul_in_text_does_not_end_it() {
    assert_eq!(
        text(|| trace!("types:nul", a = "a\0b", b = "\0", c = OsStr::new("x\0"))),
        r#"a: str = "a\xe2\x90\x80b", b: str = "\xe2\x90\x80", c: str = "x\xe2\x90\x80""#
    );
}

#[test]
fn paths_and_other_strings_keep_bytes_that_are_not_utf8() {
    let raw = OsStr::from_bytes(b"/tmp/\xff\xfe");
    let (path, path_buf, os_string) = (Path::new(raw), PathBuf::from(raw), OsString::from(raw));
    let c: &CStr = c"c \xf0";
    let c_string = CString::from(c);
    assert_eq!(
        text(|| trace!("types:paths", path, path_buf, raw, os_string, c, c_string)),
        r#"path: str = "/tmp/\xff\xfe", path_buf: str = "/tmp/\xff\xfe", raw: str = "/tmp/\xff\xfe", os_string: str = "/tmp/\xff\xfe", c: str = "c \xf0", c_string: str = "c \xf0""#
    );
}

#[test]
fn a_string_of_64_kib_is_whole() {
    let long = "abcdefgh".repeat(8 << 10);
    assert_eq!(
        text(|| trace!("types:long", long)),
        format!("long: str = \"{long}\"")
    );
}

#[test]
fn bytes_are_shown_as_bytes_in_every_container() {
    let vec = vec![0_u8, 255];
    assert_eq!(
        text(|| trace!(
            "types:bytes",
            vec,
            a = b"\x01\x02",
            b = &b"ab"[..],
            c = [[1_u8, 2]; 2],
            d = [0_u8; 0]
        )),
        "vec: bytes = 00ff, a: bytes = 0102, b: bytes = 6162, c: [bytes; 2] = [0102, 0102], d: bytes = "
    );
}

#[test]
fn arrays_slices_and_vectors_nest() {
    let names = vec!["Ada".to_owned(), String::new()];
    assert_eq!(
        text(|| trace!(
            "types:arrays",
            a = [1_u16, 2],
            b = &[-1_i64][..],
            c = vec![0.5_f32],
            names
        )),
        r#"a: [u16; 2] = [1, 2], b: [i64] = [-1], c: [f32] = [0.5], names: [str] = ["Ada", ""]"#
    );
    assert_eq!(
        text(|| trace!(
            "types:nested",
            a = [[1_u32, 2], [3, 4]],
            b = vec![vec!["x"], vec![]],
            c = [Some('y'), None],
            d = Vec::<bool>::new(),
            e = [u128::MAX],
        )),
        r#"a: [[u32; 2]; 2] = [[1, 2], [3, 4]], b: [[str]] = [["x"], []], c: [Option<char>; 2] = [Some('y'), None], d: [bool] = [], e: [u128; 1] = [340282366920938463463374607431768211455]"#
    );
}

#[test]
fn options_hold_any_type() {
    let name = Some(String::from("Ada"));
    assert_eq!(
        text(|| trace!(
            "types:options",
            a = Some(1_u8),
            b = None::<u64>,
            name,
            d = Some(Some([1_i8])),
            e = None::<&Path>
        )),
        r#"a: Option<u8> = Some(1), b: Option<u64> = None, name: Option<str> = Some("Ada"), d: Option<Option<[i8; 1]>> = Some(Some([1])), e: Option<str> = None"#
    );
    assert!(name.is_some(), "borrowed, not moved");
}

#[test]
fn durations_are_nanoseconds_and_saturate() {
    assert_eq!(
        text(|| trace!(
            "types:durations",
            a = Duration::from_millis(3),
            b = Duration::MAX,
            c = [Duration::ZERO]
        )),
        "a: Duration = 3000000ns, b: Duration = 18446744073709551615ns, c: [Duration; 1] = [0ns]"
    );
}

#[test]
fn pointers_are_addresses() {
    let address = ptr::without_provenance::<[u8; 3]>(0xdead_beef);
    let slice: *const [u64] = ptr::slice_from_raw_parts(ptr::without_provenance(0x10), 4);
    assert_eq!(
        text(|| trace!(
            "types:pointers",
            address,
            slice,
            a = address.cast_mut(),
            b = NonNull::new(address.cast_mut()),
            c = ptr::null::<u8>(),
        )),
        "address: pointer = 0xdeadbeef, slice: pointer = 0x10, a: pointer = 0xdeadbeef, \
         b: Option<pointer> = Some(0xdeadbeef), c: pointer = 0x0"
    );
}

#[test]
fn wrappers_appear_as_what_is_in_them() {
    let (atomic, flag, small) = (AtomicU64::new(5), AtomicBool::new(true), AtomicI16::new(-5));
    let mut changing = 6_u32;
    let changing = &mut changing;
    assert_eq!(
        text(|| trace!(
            "types:wrappers",
            a = NonZero::<u8>::MAX,
            b = Wrapping(-1_i64),
            c = Box::new(1_u16),
            d = Rc::new("rc"),
            e = Arc::new([1.5_f64]),
            f = &&7_u32,
            atomic,
            flag,
            small,
            changing,
            g = [NonZero::<i128>::MIN],
            h = vec![Box::<str>::from("x")],
        )),
        r#"a: u8 = 255, b: i64 = -1, c: u16 = 1, d: str = "rc", e: [f64; 1] = [1.5], f: u32 = 7, atomic: u64 = 5, flag: bool = true, small: i16 = -5, changing: u32 = 6, g: [i128; 1] = [-170141183460469231731687303715884105728], h: [str] = ["x"]"#
    );
    *changing += 1;
}

struct Celsius(f64);

impl Value for Celsius {
    type Repr<'a> = f64;

    fn repr(&self) -> f64 {
        self.0
    }
}

/// Borrows from itself in two ways.
struct Label {
    text: String,
    tags: Vec<u16>,
}
crate::value_struct!(Label { text: String, tags: Vec<u16> });

struct Weather {
    warm: Celsius,
    at: Option<Label>,
}
crate::value_struct!(Weather { warm: Celsius, at: Option<Label> });

#[test]
fn types_of_users_appear_as_what_they_say() {
    let warm = Celsius(21.5);
    let weather = Weather {
        warm: Celsius(-3.0),
        at: Some(Label {
            text: "roof".into(),
            tags: vec![1, 2],
        }),
    };
    assert_eq!(
        text(|| trace!(
            "types:users",
            warm,
            weather,
            none = None::<Celsius>,
            c = &Celsius(0.0)
        )),
        r#"warm: f64 = 21.5, weather: { warm: f64, at: Option<{ text: str, tags: [u16] }> } = { warm: -3, at: Some({ text: "roof", tags: [1, 2] }) }, none: Option<f64> = None, c: f64 = 0"#
    );
}

#[test]
fn percent_and_question_mark_record_what_is_printed() {
    #[derive(Debug)]
    struct Point {
        #[expect(dead_code, reason = "printed by Debug")]
        x: i32,
    }
    let (point, error) = (Point { x: -1 }, std::fmt::Error);
    assert_eq!(
        text(
            || trace!("types:printed", %error, ?point, a = %format_args!("{:>4}", 7), b = ?"q", c = %"a\0b")
        ),
        r#"error: str = "an error occurred when formatting an argument", point: str = "Point { x: -1 }", a: str = "   7", b: str = "\"q\"", c: str = "a\xe2\x90\x80b""#
    );
}

#[test]
fn printed_text_that_is_too_long_is_cut_and_counted_and_the_rest_of_the_event_is_whole() {
    let before = texts_cut();
    let long = "x".repeat(FORMATTED_BYTES + 1);
    let text = text(|| trace!("types:cut", a = 1_u8, b = %long, c = ?long, d = 2_u8));
    let kept = "x".repeat(FORMATTED_BYTES - "…".len());
    assert_eq!(
        text,
        format!(
            r#"a: u8 = 1, b: str = "{kept}\xe2\x80\xa6", c: str = "\"{}\xe2\x80\xa6", d: u8 = 2"#,
            &kept[1..]
        )
    );
    assert!(texts_cut() >= before + 2);
}

#[test]
fn a_display_that_fails_leaves_what_it_wrote() {
    struct Half;
    impl std::fmt::Display for Half {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("half")?;
            Err(std::fmt::Error)
        }
    }
    assert_eq!(
        text(|| trace!("types:half", a = %Half)),
        r#"a: str = "half""#
    );
}

#[test]
fn what_cannot_be_copied_is_formatted_where_it_is() {
    #[derive(Debug)]
    struct Once(std::cell::Cell<u8>);
    impl std::fmt::Display for Once {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            self.0.set(self.0.get() + 1);
            write!(f, "{}", self.0.get())
        }
    }
    fn generic<T: std::fmt::Display + ?Sized>(value: &T, copied: impl Copy + std::fmt::Debug) {
        trace!("types:held", %value, copied = ?copied);
    }
    let once = Once(std::cell::Cell::new(0));
    assert_eq!(
        text(|| generic(&once, 7)),
        r#"value: str = "1", copied: str = "7""#
    );
    assert_eq!(
        text(|| trace!("types:held", %once, again = %&once, owned = %"x".to_owned())),
        r#"once: str = "2", again: str = "3", owned: str = "x""#
    );
    assert_eq!(once.0.get(), 3);
    assert_eq!(
        text(|| generic("unsized", "x")),
        r#"value: str = "unsized", copied: str = "\"x\"""#
    );
}
