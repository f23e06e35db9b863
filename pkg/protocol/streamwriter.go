package protocol

// Envelope is what Osiris, not the provider, says about an answer.
type Envelope struct {
	ID          string // chatcmpl-...
	Created     int64  // unix seconds
	Model       string // the name that the client asked for
	ServiceTier string // "" : the provider's, if it says one
}

// StreamWriter writes chunks in the safe profile.
type StreamWriter struct{ usage Usage }

// NewStreamWriter starts a stream.
func NewStreamWriter(env Envelope, includeUsage bool) *StreamWriter { return &StreamWriter{} }

// Append appends zero or more events.
func (w *StreamWriter) Append(dst []byte, c *Chunk) []byte { return dst }

// AppendEnd appends the usage chunk if it was asked for.
func (w *StreamWriter) AppendEnd(dst []byte) ([]byte, error) { return dst, nil }

// Usage returns what the provider reported last.
func (w *StreamWriter) Usage() (Usage, bool) { return w.usage, false }

// FinishReason returns the finish reason of the first choice, "" before it came.
func (w *StreamWriter) FinishReason() string { return "" }
