package protocol

// Answer is a whole completion in the profile.
type Answer struct {
	Body         []byte
	Usage        Usage
	FinishReason string // of the first choice
}

// NormalizeAnswer brings a provider's whole answer into the profile.
func NormalizeAnswer(dst, body []byte, env Envelope) (Answer, error) { return Answer{}, nil }

// SplitAnswer turns a whole answer into chunks that fold back to it.
func SplitAnswer(body []byte) ([]Chunk, error) { return nil, nil }
