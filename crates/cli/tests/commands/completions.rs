use crate::support::Place;

#[test]
fn scripts_for_the_common_shells() {
    let place = Place::new();
    for shell in ["bash", "zsh", "fish"] {
        let script = place.run(&["completions", shell]);
        assert_eq!(script.code, Some(0));
        for command in ["replicate", "serve", "doctor"] {
            assert!(script.stdout.contains(command), "{shell}: {command}");
        }
    }
    assert_eq!(place.run(&["completions", "cmd.exe"]).code, Some(2));
}
