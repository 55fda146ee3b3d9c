//! What an ELF file says about itself, without running it.

use std::env;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use object::read::elf::{Dyn, FileHeader, ProgramHeader};
use object::{Object, ObjectSection, ReadCache, ReadRef, elf};

/// The section that the laneway crate keeps its callsites in.
pub(crate) const CALLSITES: &str = "laneway_callsites";

/// A program or a library.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Binary {
    /// Whether there are callsites in it.
    pub(crate) has_callsites: bool,
    /// Whether it is loaded by others, and has no `main`.
    pub(crate) is_library: bool,
    /// Whether it is for this machine.
    pub(crate) is_native: bool,
    /// Whether it runs with rights that its caller does not have.
    pub(crate) is_privileged: bool,
}

/// Reads the headers of the file.
///
/// # Errors
/// It cannot be read, or is no ELF file.
pub(crate) fn inspect(path: &Path) -> anyhow::Result<Binary> {
    let file = File::open(path).with_context(|| format!("cannot read {}", path.display()))?;
    let about = file.metadata()?;
    if !about.is_file() {
        bail!("{} is not a file", path.display());
    }
    let cache = ReadCache::new(file);
    let parsed = object::File::parse(&cache)
        .ok()
        .filter(|parsed| parsed.format() == object::BinaryFormat::Elf)
        .with_context(|| format!("{} is not an ELF program or library", path.display()))?;
    let has_callsites = parsed
        .section_by_name(CALLSITES)
        .is_some_and(|section| section.size() > 0);
    let is_library = match parsed.kind() {
        object::ObjectKind::Executable => false,
        object::ObjectKind::Dynamic => !is_position_independent_program(&cache),
        _ => bail!(
            "{} is neither a program nor a shared library",
            path.display()
        ),
    };
    Ok(Binary {
        has_callsites,
        is_library,
        is_native: parsed.architecture() == native(),
        is_privileged: about.permissions().mode() & 0o6000 != 0 || has_capabilities(path),
    })
}

/// The file that a shell would run for `program`.
pub(crate) fn look_up(program: &OsStr) -> Option<PathBuf> {
    let given = Path::new(program);
    if given.components().count() > 1 || program.as_encoded_bytes().contains(&b'/') {
        return given.exists().then(|| given.to_owned());
    }
    let path = env::var_os("PATH")?;
    env::split_paths(&path)
        .map(|directory| directory.join(program))
        .find(|candidate| {
            fs::metadata(candidate).is_ok_and(|found| found.is_file() && found.mode() & 0o111 != 0)
        })
}

/// Programs and libraries are of one type since programs can be loaded anywhere; a program asks for a loader, or
/// carries a flag.
fn is_position_independent_program<'data, R: ReadRef<'data>>(data: R) -> bool {
    let Ok(header) = elf::FileHeader64::<object::Endianness>::parse(data) else {
        return false;
    };
    let Ok(endian) = header.endian() else {
        return false;
    };
    let Ok(segments) = header.program_headers(endian, data) else {
        return false;
    };
    segments.iter().any(|segment| {
        segment.p_type(endian) == elf::PT_INTERP
            || matches!(segment.dynamic(endian, data), Ok(Some(entries)) if entries.iter().any(|entry| {
                entry.d_tag(endian) == elf::DT_FLAGS_1
                    && entry.d_val(endian) & elf::DF_1_PIE.0 != 0
            }))
    })
}

fn has_capabilities(path: &Path) -> bool {
    rustix::fs::getxattr(path, "security.capability", &mut [0_u8; 64]).is_ok()
}

fn native() -> object::Architecture {
    match env::consts::ARCH {
        "x86_64" => object::Architecture::X86_64,
        "aarch64" => object::Architecture::Aarch64,
        _ => object::Architecture::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_with_callsites_is_told_from_one_without() {
        let own = inspect(&env::current_exe().unwrap()).unwrap();
        assert!(own.has_callsites && own.is_native && !own.is_library && !own.is_privileged);
        let shell = inspect(Path::new("/bin/sh")).unwrap();
        assert!(!shell.has_callsites && !shell.is_library);
    }

    #[test]
    fn what_is_no_elf_file_is_refused() {
        let script = tempfile::NamedTempFile::new().unwrap();
        fs::write(script.path(), "#!/bin/sh\n").unwrap();
        let error = inspect(script.path()).unwrap_err().to_string();
        assert!(error.contains("is not an ELF program"), "{error}");
    }

    #[test]
    fn programs_are_looked_up_as_a_shell_does() {
        assert!(look_up(OsStr::new("sh")).is_some_and(|path| path.ends_with("sh")));
        assert_eq!(look_up(OsStr::new("/bin/sh")), Some("/bin/sh".into()));
        assert_eq!(look_up(OsStr::new("./sh")), None);
    }
}
