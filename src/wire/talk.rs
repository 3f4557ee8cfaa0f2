//! Conversations with servers as bytes alone: what was heard goes in, what is to be said comes out. Whoever
//! has the connection limits time and the bytes that are heard in all.

/// How a conversation goes on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next<F> {
    /// More has to be heard.
    More,
    /// What is to be said is said, then TLS begins; after it the conversation is asked again.
    Secure,
    /// It is over, and this was found.
    Over(F),
}

/// One conversation, from the first byte to the last.
pub trait Conversation {
    /// What it is held for.
    type Found;

    /// Takes whole messages off the front of what was `heard`, leaves what is unfinished, and adds to what
    /// is to be said. Called once before anything was heard, and once after TLS has begun.
    ///
    /// # Errors
    /// In words: what the server said is wrong, or no.
    fn hear(&mut self, heard: &mut Vec<u8>, say: &mut Vec<u8>)
    -> Result<Next<Self::Found>, String>;

    /// The server has closed the connection.
    ///
    /// # Errors
    /// In words: it should not have.
    fn closed(&mut self, _heard: &[u8]) -> Result<Self::Found, String> {
        Err("the server closed the connection before its answer was whole".to_owned())
    }
}

/// What a server wrote, made fit for one line of a log: printable, and not long.
pub fn shown(bytes: &[u8]) -> String {
    const LONGEST: usize = 160;
    let text = String::from_utf8_lossy(bytes);
    let one_line = text.trim().chars().take(LONGEST);
    one_line
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect()
}

/// Holds a conversation with what a server would say, in pieces of `step` bytes: how it goes on in the
/// end, and what was said. For tests.
pub fn hear_all<C: Conversation>(
    conversation: &mut C,
    server: &[u8],
    step: usize,
) -> (Result<Next<C::Found>, String>, Vec<u8>) {
    let (mut heard, mut said) = (Vec::new(), Vec::new());
    let mut next = conversation.hear(&mut heard, &mut said);
    for piece in server.chunks(step.max(1)) {
        if !matches!(next, Ok(Next::More)) {
            break;
        }
        heard.extend(piece);
        next = conversation.hear(&mut heard, &mut said);
    }
    (next, said)
}
