//! `laneway completions` and `laneway man`.

mod command;

use std::process::{Command, Stdio};

use command::Place;

#[test]
fn bash_completes_commands_options_and_values() {
    let place = Place::new();
    let script = place.run(["completions", "bash"]);
    assert_eq!(script.code, Some(0), "{}", script.stderr);
    std::fs::write(place.path("laneway.bash"), script.stdout).unwrap();
    // What the shell would offer behind these words.
    let offered = |words: &str| {
        let ask = format!(
            "set -e; . ./laneway.bash; COMP_WORDS=({words} ''); COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1)); \
             _laneway laneway \"${{COMP_WORDS[COMP_CWORD]}}\" \"${{COMP_WORDS[COMP_CWORD-1]}}\"; echo \"${{COMPREPLY[@]}}\""
        );
        let output = Command::new("bash")
            .args(["-c", &ask])
            .current_dir(place.dir.path())
            .output()
            .unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{stderr}");
        String::from_utf8(output.stdout).unwrap()
    };
    let commands = offered("laneway");
    for command in ["record", "view", "stats", "export", "repair", "man"] {
        assert!(commands.contains(command), "{command}: {commands}");
    }
    assert!(!commands.contains("demo-workload"), "{commands}");
    assert!(offered("laneway view").contains("--since"));
    assert!(offered("laneway export --to").contains("perfetto"));
}

#[test]
fn there_is_a_completion_for_every_common_shell() {
    let place = Place::new();
    for (shell, says) in [
        ("zsh", "#compdef laneway"),
        ("fish", "complete -c laneway"),
        ("elvish", "edit:completion"),
        ("powershell", "Register-ArgumentCompleter"),
    ] {
        let run = place.run(["completions", shell]);
        assert!(run.stdout.contains(says), "{shell}: {}", run.stdout);
        assert!(!run.stdout.contains("demo-workload"), "{shell}");
    }
    place
        .run(["completions", "tcsh"])
        .fails_with(2, "possible values: bash, elvish, fish");
}

#[test]
fn every_command_has_a_manual_page_without_mistakes() {
    let place = Place::new();
    let run = place.run(["man", "-o", "man/man1"]);
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    let mut pages: Vec<_> = std::fs::read_dir(place.path("man/man1"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    pages.sort();
    let help = place.run(["--help"]).stdout;
    let commands = help.lines().skip_while(|line| *line != "Commands:").skip(1);
    let commands: Vec<_> = commands
        .take_while(|line| !line.is_empty())
        .filter_map(|line| line.split_whitespace().next())
        .filter(|command| *command != "help")
        .collect();
    assert!(commands.len() > 8, "{commands:?}");
    assert_eq!(pages.len(), commands.len() + 1, "{pages:?}");
    for command in commands {
        let page = std::fs::read_to_string(place.path(&format!("man/man1/laneway-{command}.1")));
        let page = page.unwrap_or_else(|e| panic!("{command}: {e}"));
        assert_eq!(page, place.run(["man", command]).stdout, "{command}");
        for section in [".SH NAME", ".SH SYNOPSIS", ".SH OPTIONS", ".SH EXAMPLES"] {
            assert!(page.contains(section), "{command} has no {section}: {page}");
        }
    }
    place
        .run(["man", "veiw"])
        .fails_with(1, "there is no command \"veiw\"");
    // groff says what it does not understand, where it is installed.
    let groff = Command::new("groff")
        .args(["-man", "-ww", "-Tutf8", "-z"])
        .args(&pages)
        .stdin(Stdio::null())
        .output();
    if let Ok(output) = groff {
        let said = String::from_utf8_lossy(&output.stderr);
        let wrong: Vec<_> = said
            .lines()
            .filter(|line| !line.contains("cannot adjust line"))
            .collect();
        assert!(output.status.success() && wrong.is_empty(), "{wrong:?}");
    }
}
