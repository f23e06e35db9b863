package jobs

import "fmt"

// Class says who waits for a job. Lower numbers go first: a worker takes an
// interactive job before a background one, and a background one before a batch's.
type Class uint8

// The classes, in the order in which a worker prefers them.
const (
	Interactive Class = iota // somebody watches the answer appear
	Background               // somebody waits, but not at the screen
	Batch                    // nobody waits: fills idle slots
)

// numClasses is the number of classes; Class values below it index arrays.
const numClasses = 3

// Classes returns every class, most urgent first.
func Classes() []Class { return []Class{Interactive, Background, Batch} }

// String returns the class's name as it stands in subjects and stream names.
func (c Class) String() string {
	switch c {
	case Interactive:
		return "interactive"
	case Background:
		return "background"
	case Batch:
		return "batch"
	}
	return fmt.Sprintf("class(%d)", uint8(c))
}

// ParseClass is the inverse of String.
func ParseClass(s string) (Class, error) {
	for _, c := range Classes() {
		if c.String() == s {
			return c, nil
		}
	}
	return 0, fmt.Errorf("parse class: %q is not interactive, background or batch", s)
}
