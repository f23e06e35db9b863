package protocol

// ParseChunk reads one chunk of a stream into c, whose slices are reused.
func ParseChunk(data []byte, c *Chunk) error { return nil }

// ParseError finds the error in an upstream's error body; nil if there is none.
func ParseError(body []byte) *Error { return nil }
