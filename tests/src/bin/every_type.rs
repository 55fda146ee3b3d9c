//! Emits every type of field, with its extreme values. What must come of them stands in `system/values.rs`.

use std::borrow::Cow;
use std::ffi::{CString, OsStr, OsString};
use std::fmt::{self, Display};
use std::num::{NonZero, Wrapping};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::ptr::{self, NonNull};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI16, AtomicU64};
use std::time::Duration;

use laneway::{Value, trace, value_struct};

struct Celsius(f64);

impl Value for Celsius {
    type Repr<'a> = f64;

    fn repr(&self) -> f64 {
        self.0
    }
}

struct Point {
    x: i32,
    label: String,
}
value_struct!(Point {
    x: i32,
    label: String
});

struct Segment {
    from: Point,
    to: Option<Point>,
}
value_struct!(Segment {
    from: Point,
    to: Option<Point>
});

struct Long(usize);

impl Display for Long {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (0..self.0).try_for_each(|_| f.write_str("0123456789"))
    }
}

fn main() {
    numbers();
    texts();
    containers();
    formatted();
    sizes();
}

fn numbers() {
    trace!("types:nothing");
    trace!(
        "types:unsigned",
        a = u8::MAX,
        b = u16::MAX,
        c = u32::MAX,
        d = u64::MAX,
        e = usize::MAX
    );
    trace!(
        "types:unsigned_min",
        a = u8::MIN,
        b = u16::MIN,
        c = u32::MIN,
        d = u64::MIN
    );
    trace!(
        "types:signed",
        a = i8::MIN,
        b = i16::MIN,
        c = i32::MIN,
        d = i64::MIN,
        e = isize::MIN
    );
    trace!(
        "types:signed_max",
        a = i8::MAX,
        b = i16::MAX,
        c = i32::MAX,
        d = i64::MAX,
        e = -1_i64
    );
    trace!(
        "types:wide",
        a = u128::MAX,
        b = 1_u128 << 64,
        c = i128::MIN,
        d = -1_i128
    );
    trace!(
        "types:float",
        a = 1.5_f32,
        b = -0.1_f64,
        c = f64::INFINITY,
        d = f64::NEG_INFINITY,
        e = f64::NAN
    );
    trace!(
        "types:float_edges",
        a = f32::MAX,
        b = f32::MIN_POSITIVE,
        c = f64::MAX,
        d = 5e-324_f64,
        e = -0.0_f64
    );
    trace!("types:bool", a = true, b = false);
    trace!(
        "types:char",
        a = 'x',
        b = '🦀',
        c = '\0',
        d = '"',
        e = '\u{10ffff}'
    );
    trace!(
        "types:duration",
        a = Duration::from_millis(3),
        b = Duration::ZERO,
        c = Duration::MAX
    );
    let address = ptr::without_provenance::<u8>(0xdead_beef);
    let slice: *const [u64] = ptr::slice_from_raw_parts(ptr::without_provenance(0x10), 4);
    trace!(
        "types:pointer",
        address,
        slice,
        a = address.cast_mut(),
        b = NonNull::new(address.cast_mut()),
        c = ptr::null::<u8>(),
        d = ptr::without_provenance::<u8>(usize::MAX)
    );
}

fn texts() {
    let (string, boxed, cow) = (
        String::from("owned"),
        Box::<str>::from("boxed"),
        Cow::<str>::Owned("cow".into()),
    );
    trace!(
        "types:text",
        a = "plain",
        string,
        boxed,
        cow,
        shared = Arc::<str>::from("shared"),
        empty = ""
    );
    trace!(
        "types:text_unusual",
        a = "quote \" backslash \\ tab \t newline \n",
        b = "grüße 🦀",
        c = "a\0b",
        d = "{ x = 1 }, [ ]"
    );
    let raw = OsStr::from_bytes(b"/tmp/\xff\xfe");
    trace!(
        "types:path",
        a = Path::new("/etc/motd"),
        b = Path::new(raw),
        c = PathBuf::from(raw),
        d = OsString::from(raw),
        e = c"c \xf0",
        f = CString::from(c"owned"),
        g = Path::new("")
    );
    trace!(
        "types:bytes",
        a = b"\x00\x01\xff",
        b = &b"ab"[..],
        c = vec![0_u8, 255],
        d = [0_u8; 0],
        e = &[][..] as &[u8]
    );
}

fn containers() {
    trace!(
        "types:array",
        a = [1_u16, 2],
        b = [i64::MIN],
        c = [0.5_f32; 3],
        d = [0_u32; 0]
    );
    trace!(
        "types:sequence",
        a = &[-1_i64, 1][..],
        b = vec![0.25_f64],
        c = Vec::<u32>::new(),
        d = vec![true, false]
    );
    trace!(
        "types:strings",
        a = ["x", "", "y z"],
        b = vec![String::from("Ada"), String::new()],
        c = Vec::<&str>::new()
    );
    trace!(
        "types:nested",
        a = [[1_u32, 2], [3, 4]],
        b = vec![vec!["x"], vec![], vec!["y", "z"]],
        c = [[1_u8, 2], [3, 255]],
        d = vec![[u128::MAX]]
    );
    trace!(
        "types:option",
        a = Some(7_u8),
        b = None::<u64>,
        c = Some("text"),
        d = None::<&Path>,
        e = Some(vec![1_i8, -1]),
        f = Some(Duration::from_nanos(1))
    );
    trace!(
        "types:option_nested",
        a = Some(Some(1_i16)),
        b = Some(None::<i16>),
        c = None::<Option<i16>>,
        d = [Some('y'), None],
        e = Some(u128::MAX)
    );
    let (atomic, flag, small) = (AtomicU64::new(5), AtomicBool::new(true), AtomicI16::new(-5));
    trace!(
        "types:wrapper",
        a = NonZero::<u8>::MAX,
        b = Wrapping(-1_i64),
        c = Box::new(1_u16),
        d = Rc::new("rc"),
        e = &&7_u32,
        atomic,
        flag,
        small,
        g = Celsius(-40.0)
    );
    let point = |x: i32, label: &str| Point {
        x,
        label: label.into(),
    };
    let (one, two) = (
        Segment {
            from: point(i32::MIN, "a"),
            to: Some(point(1, "b c")),
        },
        Segment {
            from: point(0, ""),
            to: None,
        },
    );
    trace!("types:structure", one, two);
}

fn formatted() {
    let error = std::io::Error::from_raw_os_error(2);
    let name = "Ada";
    trace!("types:formatted", %error, ?name, a = %format_args!("{:>5}|{:#x}", 7, 255), b = ?Some("x"), c = %"", d = %"nul\0");
    trace!("types:cut", fits = %Long(51), cut = %Long(1000));
    println!("texts_cut={}", laneway::texts_cut());
}

fn sizes() {
    let long = "abcdefgh".repeat(8 << 10);
    trace!("types:long_text", long);
    let bytes: Vec<u8> = (0..65_536).map(|i| i as u8).collect();
    trace!("types:long_bytes", bytes);
    let numbers: Vec<u64> = (0..8192).collect();
    trace!("types:long_numbers", numbers);
    // Every alignment of the end of a record.
    for length in 0..32 {
        trace!("types:length", length, text = &"-".repeat(length)[..]);
    }
    trace!(level: Error, "types:level", e = 1);
    trace!(level: Trace, "types:level", t = 1);
    trace!(
        "types:names",
        http.status = 200_u16,
        r#type = "raw",
        event = 1,
        stream = 2,
        r#struct = 3,
        integer = 4,
        _x = 5
    );
}
