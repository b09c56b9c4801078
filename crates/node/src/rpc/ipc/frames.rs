//! Cutting a stream of bytes into JSON documents. They may follow each other with newlines, with spaces, or with nothing
//! between them. Nothing is parsed here, and depth costs a counter, not stack.

/// What is wrong with the stream; no document can be found after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FrameError {
    /// Something that begins neither an object nor an array.
    NotJson,
    /// A document that does not end within the bound.
    TooLong,
}

/// Bytes that are not cut off yet.
#[derive(Debug)]
pub(super) struct Frames {
    bytes: Vec<u8>,
    /// Up to here is known.
    scanned: usize,
    depth: usize,
    in_string: bool,
    is_escaped: bool,
    bytes_max: usize,
}

impl Frames {
    /// Of a stream whose documents have at most this many bytes.
    pub(super) fn new(bytes_max: usize) -> Self {
        Self { bytes: Vec::new(), scanned: 0, depth: 0, in_string: false, is_escaped: false, bytes_max }
    }

    /// Where to put what was read.
    pub(super) fn buffer(&mut self) -> &mut Vec<u8> {
        &mut self.bytes
    }

    /// Cuts off the next document, if it is there as a whole.
    pub(super) fn next(&mut self) -> Result<Option<Vec<u8>>, FrameError> {
        if self.scanned == 0 {
            let blank = self.bytes.iter().take_while(|byte| byte.is_ascii_whitespace()).count();
            self.bytes.drain(..blank);
            if self.bytes.first().is_some_and(|byte| !matches!(byte, b'{' | b'[')) {
                return Err(FrameError::NotJson);
            }
        }
        while let Some(byte) = self.bytes.get(self.scanned).copied() {
            self.scanned += 1;
            if self.ends(byte) {
                let rest = self.bytes.split_off(self.scanned);
                self.scanned = 0;
                return Ok(Some(std::mem::replace(&mut self.bytes, rest)));
            }
        }
        match self.bytes.len() > self.bytes_max {
            true => Err(FrameError::TooLong),
            false => Ok(None),
        }
    }

    /// Goes on by one byte. Does a document end with it?
    fn ends(&mut self, byte: u8) -> bool {
        if self.in_string {
            match byte {
                _ if self.is_escaped => self.is_escaped = false,
                b'\\' => self.is_escaped = true,
                b'"' => self.in_string = false,
                _ => {}
            }
            return false;
        }
        match byte {
            b'"' => self.in_string = true,
            b'{' | b'[' => self.depth += 1,
            b'}' | b']' => {
                self.depth = self.depth.saturating_sub(1);
                return self.depth == 0;
            }
            _ => {}
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn cut(frames: &mut Frames, bytes: &[u8]) -> Result<Vec<String>, FrameError> {
        frames.buffer().extend_from_slice(bytes);
        let mut found = Vec::new();
        while let Some(document) = frames.next()? {
            found.push(String::from_utf8(document).expect("UTF-8"));
        }
        Ok(found)
    }

    #[test]
    fn documents_are_cut_wherever_they_end() {
        let stream = br#"{"a":"}\"]"} [1,{"b":[]}]{"c":1}
            {"d""#;
        let found = cut(&mut Frames::new(100), stream).expect("JSON");
        assert_eq!(found, [r#"{"a":"}\"]"}"#, r#"[1,{"b":[]}]"#, r#"{"c":1}"#]);
    }

    #[test]
    fn what_is_not_json_and_what_does_not_end_is_told() {
        assert_eq!(cut(&mut Frames::new(100), b"  hello"), Err(FrameError::NotJson));
        assert_eq!(cut(&mut Frames::new(10), b"{\"aaaaaaaaaaaaaaa"), Err(FrameError::TooLong));
        let deep = vec![b'['; 1_000_000];
        assert_eq!(cut(&mut Frames::new(2_000_000), &deep), Ok(vec![]));
    }

    proptest! {
        #[test]
        fn it_does_not_matter_how_the_stream_arrives(sizes in prop::collection::vec(1usize..7, 1..60)) {
            let documents = [r#"{"x":"\\\"{"}"#, "[[],[{}]]", r#"{"k":{"z":"[["}}"#];
            let stream = documents.concat();
            let mut frames = Frames::new(1_000);
            let (mut rest, mut found) = (stream.as_bytes(), Vec::new());
            for size in sizes.into_iter().chain([usize::MAX]) {
                let (now, later) = rest.split_at(size.min(rest.len()));
                rest = later;
                found.extend(cut(&mut frames, now).expect("JSON"));
            }
            prop_assert_eq!(found, documents);
        }
    }
}
