//! What takes time at the start.

use std::time::Duration;

use wakeful_toolchain::Progress;

use super::{Terminal, paint};

impl Progress for Terminal {
    fn started(&self, what: &str) {
        self.say(&format!("{what} …"));
    }

    fn step(&self, text: &str) {
        self.say(&self.paint.dim(&format!("  {text}")));
    }

    fn done(&self, took: Duration) {
        self.say(
            &self
                .paint
                .dim(&format!("  done in {}", paint::duration(took))),
        );
    }
}
