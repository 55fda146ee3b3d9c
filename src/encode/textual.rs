//! Strings and paths: their bytes and a NUL.
//!
//! Invariant: all of them appear as [`Type::Str`], whatever their encoding; paths that
//! are not UTF-8 keep their bytes.

use std::ffi::{CStr, CString, OsStr, OsString};
use std::path::{Path, PathBuf};

use super::encode;
use crate::text;
use crate::types::Type;
use crate::writer::Writer;

macro_rules! textual {
    ($($ty:ty => |$value:ident| $bytes:expr;)*) => { $(
        encode!([] $ty {
            const TYPE: Type = Type::Str;

            #[inline(always)]
            fn size(&self) -> usize {
                let $value = self;
                text::size($bytes)
            }

            #[inline(always)]
            fn write(&self, size: usize, writer: &mut Writer<'_>) {
                let $value = self;
                text::write($bytes, size, writer);
            }
        });
    )* };
}
textual! {
    str => |value| value.as_bytes();
    String => |value| value.as_bytes();
    OsStr => |value| value.as_encoded_bytes();
    OsString => |value| value.as_encoded_bytes();
    Path => |value| value.as_os_str().as_encoded_bytes();
    PathBuf => |value| value.as_os_str().as_encoded_bytes();
    CStr => |value| value.to_bytes();
    CString => |value| value.to_bytes();
}
